"""`audit verify --kafka`: every record of the log on Kafka is in the trail, and the reverse.

Both have one order: events as they were recorded, refusals likewise. So one is held beside the
other, record by record, and nothing has to be kept.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from domain.errors import Corrupt
from domain.ports import Recorded, Refusal
from domain.trail.entry import Epoch, read
from domain.trail.statement import Kind
from domain.trail.tiles import WIDTH
from services.auditor.report import Report
from services.hub.restoring import LogReader
from services.trail.source import Source

KAFKA = "KAFKA"
LATE_MS = 60_000
"""What was recorded in the last minute may be on its way to one or the other."""


class _Said(NamedTuple):
    """What both sides say of one action."""

    statement: bytes
    signature: bytes
    recorded_ms: int
    code: str
    body: bytes


class _Side:
    """One of the two lists as Kafka has it."""

    def __init__(self, name: str, records: Iterable[_Said]) -> None:
        self.name = name
        self.differs = False
        self.only_in_trail = 0
        self._records = iter(records)
        self._count = 0

    def next(self) -> _Said | None:
        found = next(self._records, None)
        self._count += found is not None
        return found

    @property
    def place(self) -> str:
        return f"{self.name} {self._count}"


def compare(source: Source, size: int, reader: LogReader, report: Report) -> None:
    """Report whether the log of `size`, which was verified, and that on Kafka say the same."""
    published = reader.published()
    if published is None:
        report.find(KAFKA, "nothing was ever published to the log on Kafka")
        return
    try:
        events = _Side("event", map(_of_event, reader.events(published)))
        refusals = _Side("refusal", map(_of_refusal, reader.refusals(published)))
        newest = _hold_beside(source, size, events, refusals, report)
        for side in (events, refusals):
            _rest(side, newest, report)
    except Corrupt as e:
        report.find(KAFKA, str(e))
    if not any(finding.check == KAFKA for finding in report.findings):
        counts = f"{published.position} events and {published.refusals} refusals"
        report.holds(KAFKA, f"{counts} on Kafka, each as it is in the trail, in the same order")


def _hold_beside(source: Source, size: int, events: _Side, refusals: _Side, report: Report) -> int:
    """Return the time of the newest entry."""
    last = read(source.entry(size - 1, size)) if size else None
    newest = last.recorded_ms if last else 0
    for index, said in _actions(source, size):
        side = refusals if said.code else events
        if side.differs:
            continue
        found = None if side.only_in_trail else side.next()
        if found is None:
            side.only_in_trail += 1
            if said.recorded_ms < newest - LATE_MS:
                side.differs = True
                message = f"it and what follows is not on Kafka, which ends after {side.place}"
                report.find(KAFKA, message, index)
        elif found != said:
            side.differs = True
            report.find(KAFKA, f"{side.place} on Kafka is another: {_what(found, said)}", index)
    return newest


def _rest(side: _Side, newest: int, report: Report) -> None:
    """Tell of what one of the two has and the other has not yet."""
    if side.only_in_trail and not side.differs:
        report.notes.append(f"{side.only_in_trail} newest {side.name}s are not on Kafka yet")
    late = 0
    while not side.differs and (found := side.next()):
        late += 1
        if found.recorded_ms < newest - LATE_MS:
            side.differs = True
            report.find(
                KAFKA, f"{side.place} on Kafka, of {found.recorded_ms}, is not in the trail"
            )
    if late and not side.differs:
        report.notes.append(f"{late} newest {side.name}s on Kafka are not in the trail yet")


def _actions(source: Source, size: int) -> Iterator[tuple[int, _Said]]:
    for first, entries in source.bundles(size):
        bodies = source.bodies(first // WIDTH, size)
        for index, (data, body) in enumerate(zip(entries, bodies, strict=True), first):
            entry = read(data)
            if not isinstance(entry, Epoch) and entry.said.kind == Kind.ACTION:
                yield (
                    index,
                    _Said(entry.statement, entry.signature, entry.recorded_ms, entry.code, body),
                )


def _of_event(e: Recorded) -> _Said:
    return _Said(e.statement, e.signature, e.recorded_ms, "", e.body)


def _of_refusal(r: Refusal) -> _Said:
    return _Said(r.statement, r.signature, r.recorded_ms, r.code, b"")


def _what(one: _Said, other: _Said) -> str:
    """Return the names of the parts that differ."""
    return ", ".join(name for name in _Said._fields if getattr(one, name) != getattr(other, name))
