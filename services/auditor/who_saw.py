"""`audit who-saw`: who had been shown what of a case by an instant, on which basis.

Read from what the trail says was disclosed and confirmed, over the proof that nothing of the
case is missing. What an agency wrote itself it has anyway, and is not listed.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from domain.errors import Refused
from domain.trail.bundle import DISCLOSURES, TRAIL, streams_of
from domain.trail.delivered import Feed
from domain.trail.statement import Kind
from domain.vocabulary import names_of
from services.auditor.case import Scan, case_id_of
from services.auditor.differing import feed_of
from services.auditor.instants import shown
from services.auditor.opening import Own, Tools, opened, own_or_its
from services.auditor.report import Report
from services.auditor.streams import Placed
from services.trail.source import Source


class Saw(NamedTuple):
    """One event of the case in one seat's feed, as it was shown at one time."""

    agency: str
    purpose: str
    event_type: str
    """Full name; empty if the case has no such event."""
    event_entry: int | None
    """The event's place in the log."""
    categories: tuple[str, ...]
    """Shown; with none the clear fields alone."""
    basis: str
    """Acts and legal bases that it rests on."""
    since_ms: int
    """When the notary signed that it was shown."""
    until_ms: int | None = None
    """When it was signed that something else stands in its place; None while it stands."""
    confirmed_ms: int | None = None
    """When the agency signed that it had taken it; None if it has not."""


@dataclass(slots=True)
class WhoSaw(Report):
    """The answer, and how far it can be relied on."""

    at_ms: int = 0
    saw: list[Saw] = field(default_factory=list)
    """In the order in which it was disclosed."""

    def text(self) -> str:
        """Return the answer for people."""
        lines = [f"Shown by {shown(self.at_ms)}:", *_table(self.saw), Report.text(self)]
        return "\n".join(lines)

    def json(self) -> str:
        """Return the answer as one line of JSON."""
        document = json.loads(Report.json(self))
        document |= {"at_ms": self.at_ms, "saw": [saw._asdict() for saw in self.saw]}
        return json.dumps(document, ensure_ascii=False)


def who_saw(source: Source, own: Own, tools: Tools, case_id: str, at_ms: int) -> WhoSaw:
    """Return what had been shown of a case at `at_ms`, milliseconds since 1970.

    `Malformed` CASE_ID, `Refused` CASE_UNKNOWN when the log has nothing of the case.
    """
    case_id = case_id_of(case_id)
    report = WhoSaw(f"who saw what of {case_id} in the log in {source.name}", at_ms=at_ms)
    trusted = own_or_its(source, own, report)
    witnessed = opened(source.text("checkpoint"), trusted.policy, tools, report)
    if witnessed is None:
        return report
    streams = streams_of(case_id)
    scan = Scan(source, witnessed, trusted, tools)
    found = scan.go(list(streams.values()), report)
    if report.findings:
        return report
    actions, disclosed = found[streams[TRAIL]], found[streams[DISCLOSURES]]
    if not actions:
        raise Refused("CASE_UNKNOWN", "the log has no entry of this case, and its map says so")
    counts = f"all {len(actions)} entries of its trail, all {len(disclosed)} of its disclosures"
    report.holds("COMPLETENESS", counts)
    report.saw = list(_saw(disclosed, _Events(actions, tools), scan, at_ms))
    report.notes.append(
        "a feed shows an entry up to a checkpoint's interval before the notary signs that it does"
    )
    as_of_s = report.complete_as_of_s
    if as_of_s is not None and at_ms > 1000 * as_of_s:
        report.notes.append("the checkpoint is older than the instant that was asked about")
    return report


class _Events:
    """The events of the case by the digest of their statement."""

    def __init__(self, actions: Sequence[Placed], tools: Tools) -> None:
        self._placed = {item.digest: (at, item.said.type) for at, item in actions}
        self._name = tools.type_name

    def __getitem__(self, digest: bytes) -> tuple[str, int | None]:
        if digest not in self._placed:
            return "", None
        at, number = self._placed[digest]
        return self._name(number), at


def _saw(disclosed: Sequence[Placed], events: _Events, scan: Scan, at_ms: int) -> Iterator[Saw]:
    """Yield what the entries say that were signed by then."""
    found: dict[tuple[Feed, int], Saw] = {}
    leaves: dict[bytes, tuple[Feed, int]] = {}
    for _, item in disclosed:
        signed_ms = item.said.actor_time_ms
        if signed_ms > at_ms or item.entry.code:
            continue
        if item.said.kind == Kind.RECEIPT:
            signer = scan.keys.signer(item.said.actor)
            for place in filter(None, map(leaves.get, item.leaves)):
                if signer is not None and signer.agency == place[0].agency:
                    found[place] = found[place]._replace(confirmed_ms=signed_ms)
        for delivery, leaf in zip(item.deliveries, item.leaves, strict=False):
            feed = feed_of(delivery)
            before = feed, delivery.supersedes
            if before in found:
                found[before] = found[before]._replace(until_ms=signed_ms)
            leaves[leaf] = feed, delivery.seq
            found[feed, delivery.seq] = Saw(
                feed.agency,
                feed.purpose,
                *events[delivery.event],
                names_of(delivery.mask),
                delivery.basis,
                signed_ms,
            )
    yield from found.values()


_HEADINGS = ("seat", "event", "entry", "categories", "basis", "since", "until", "confirmed")


def _table(saw: Sequence[Saw]) -> Iterator[str]:
    """Yield the lines of a table; a dash stands for nothing."""
    rows = [_HEADINGS, *map(_row, saw)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"  {'  '.join(cells)}".rstrip()
    if not saw:
        yield "  nothing"


def _row(one: Saw) -> tuple[str, ...]:
    return (
        f"{one.agency}/{one.purpose}",
        one.event_type.rpartition(".")[2] or "-",
        "-" if one.event_entry is None else str(one.event_entry),
        ",".join(one.categories) or "-",
        one.basis or "-",
        shown(one.since_ms),
        "-" if one.until_ms is None else shown(one.until_ms),
        "-" if one.confirmed_ms is None else shown(one.confirmed_ms),
    )
