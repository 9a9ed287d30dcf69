"""Time from outside: the time-stamps beside a log or in a bundle, by an authority of ours."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from domain.errors import HubError, Malformed
from domain.trail.anchors import (
    ANCHOR,
    INDEX,
    Anchor,
    Anchored,
    StampChecking,
    decode_index,
    paths,
)
from domain.trail.checkpoint import Checkpoint
from domain.trail.entry import read
from services.auditor.clocks import CLOCK, ahead
from services.auditor.report import Report, time_of
from services.trail.source import Source


def anchored(source: Source) -> tuple[Anchored, ...]:
    """Return what the log's list of anchors has; `Malformed` ANCHORS if it cannot be read."""
    return decode_index(source.optional(INDEX))


def anchors_of(source: Source, sizes: Iterable[int], later: Checkpoint) -> Iterator[Anchor]:
    """Yield the anchors at these sizes, each with the proof that it begins `later`."""
    nodes = source.nodes(later.size)
    for size in sizes:
        checkpoint, answer = map(source.text, paths(size))
        yield Anchor.under(size, checkpoint, answer, later, nodes)


def check_anchors(source: Source, later: Checkpoint, stamps: StampChecking, report: Report) -> None:
    """Check every time-stamp that lies beside a log."""
    listed = anchored(source)
    sizes = [a.size for a in listed if a.size <= later.size]
    if len(sizes) < len(listed):
        report.notes.append(f"{len(listed) - len(sizes)} time-stamps are of a larger log than this")

    def newest_ms(size: int) -> int:
        return read(source.entry(size - 1, later.size)).recorded_ms

    try:
        held = checked(anchors_of(source, sizes, later), later, stamps, newest_ms, report)
    except Malformed as e:
        report.find(ANCHOR, e.message)
        return
    if not listed:
        report.notes.append("no time-stamp lies beside this log: no authority was asked")
    elif len(held) == len(sizes) and held:
        report.holds(ANCHOR, f"{len(held)} time-stamps; {_said(held[0])}, {_said(held[-1])}")


def checked(
    anchors: Iterable[Anchor],
    later: Checkpoint,
    stamps: StampChecking,
    newest_ms: Callable[[int], int],
    report: Report,
) -> list[Anchored]:
    """Return when each of these was there, sizes going up; a finding for each that fails.

    `newest_ms` gives when the newest entry that is known of the first so many was recorded.
    """
    held: list[Anchored] = []
    for anchor in anchors:
        try:
            anchor.check(later)
            time_ms = stamps.time_ms(anchor.answer, anchor.checkpoint)
        except HubError as e:
            report.find(ANCHOR, f"the time-stamp at size {anchor.size}: {e.message}")
            continue
        if held and time_ms < held[-1].time_ms:
            report.find(ANCHOR, f"the time-stamp at size {anchor.size} is older than one before it")
        if ahead(newest_ms(anchor.size), time_ms):
            message = f"it or one before it was recorded long after {time_of(time_ms // 1000)}"
            at = anchor.size - 1
            report.find(CLOCK, f"{message}, when an authority stamped the log with it", at)
        held.append(Anchored(anchor.size, time_ms))
    return held


def check_bundled(
    anchors: Sequence[Anchor],
    later: Checkpoint,
    stamps: StampChecking | None,
    newest_ms: Callable[[int], int],
    report: Report,
) -> None:
    """Check the anchors of a bundle; without an authority to trust, all but what it says."""
    if stamps is not None:
        for held in checked(anchors, later, stamps, newest_ms, report):
            report.holds(ANCHOR, _said(held))
        return
    for anchor in anchors:
        try:
            anchor.check(later)
        except HubError as e:
            report.find(ANCHOR, e.message)
    if anchors:
        report.notes.append(
            f"{len(anchors)} time-stamps are in it; say --tsa-ca to have them checked"
        )


def _said(anchor: Anchored) -> str:
    return f"the first {anchor.size} entries were there at {time_of(anchor.time_ms // 1000)}"
