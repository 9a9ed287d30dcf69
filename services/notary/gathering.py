"""Gathering: events and refusals, two gapless lists of the event store, become one order.

`recorded_ms` never goes down over both together. Refusals are read before the events, so that
whatever came before one of them is read as well, and once more after. Within one millisecond
the actors' own numbers decide; the true order always allows that.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from domain.errors import Corrupt
from domain.notary import Sources
from domain.ports import EventStore, Recorded, Refusal

READ = 500
"""Rows of one question to the event store."""
MOST_BYTES = 16 << 20
"""Bodies that one round holds in memory."""
_ACTOR, _SEQ = slice(68, 100), slice(100, 108)
"""Where a statement says by whom it is, and its number (docs/formats.md)."""


class Gathered(NamedTuple):
    """What goes into the trail next, and how far that is in the event store."""

    taken: list[Recorded | Refusal]
    sources: Sources
    more: bool
    """Whether more was there than was taken."""


def gather(
    store: EventStore, sources: Sources, count_of: Callable[[bytes], int], limit: int
) -> Gathered:
    """Return up to about `limit` of what was recorded after `sources`, in one order.

    `count_of` gives how many statements of an actor the trail has. `Corrupt` TRAIL_ORDER when
    the next event or refusal is not its actor's next statement.
    """
    refusals, more_refusals = _refusals(store, sources.refusal, limit)
    events, more_events = _events(store, sources.position, limit)
    if not more_refusals:
        after = refusals[-1].number if refusals else sources.refusal
        late, full = _refusals(store, after, limit)
        kept = [r for r in late if events and r.recorded_ms <= events[-1].recorded_ms]
        more_refusals = full and len(kept) == len(late)
        refusals += kept
    until = min(
        [e.recorded_ms for e in events[-1:] if more_events]
        + [r.recorded_ms for r in refusals[-1:] if more_refusals],
        default=None,
    )
    if until is not None:
        events = [e for e in events if e.recorded_ms <= until]
        refusals = [r for r in refusals if r.recorded_ms <= until]
    taken = list(_merged(events, refusals, count_of))
    more = more_events or more_refusals or len(taken) < len(events) + len(refusals)
    if not taken and (events or refusals):
        raise Corrupt("TRAIL_ORDER", "what was recorded next is not its actor's next statement")
    return Gathered(taken, _after(sources, taken), more)


def _merged(
    events: Sequence[Recorded], refusals: Sequence[Refusal], count_of: Callable[[bytes], int]
) -> Iterator[Recorded | Refusal]:
    """Yield both lists as one, up to the first whose turn its actor's numbers do not show."""
    counts = _Counts(count_of)
    at, by = 0, 0
    while at < len(events) or by < len(refusals):
        event = events[at] if at < len(events) else None
        refusal = refusals[by] if by < len(refusals) else None
        if event is not None and _first(event, refusal) and counts.take(event.statement):
            at += 1
            yield event
        elif refusal is not None and _first(refusal, event) and counts.take(refusal.statement):
            by += 1
            yield refusal
        else:
            return


def _first(one: Recorded | Refusal, other: Recorded | Refusal | None) -> bool:
    return other is None or one.recorded_ms <= other.recorded_ms


class _Counts:
    """How many statements each actor has, with those that were taken."""

    def __init__(self, count_of: Callable[[bytes], int]) -> None:
        self._count_of = count_of
        self._counts = Counter[bytes]()

    def take(self, statement: bytes) -> bool:
        """Count the statement if it is its actor's next."""
        actor = statement[_ACTOR]
        if actor not in self._counts:
            self._counts[actor] = self._count_of(actor)
        if int.from_bytes(statement[_SEQ], "big") != self._counts[actor]:
            return False
        self._counts[actor] += 1
        return True


def _events(store: EventStore, after: int, limit: int) -> tuple[list[Recorded], bool]:
    """Return events after a position, and whether there may be more of them."""
    found: list[Recorded] = []
    size = 0
    while len(found) < limit and size < MOST_BYTES:
        page = store.read_log(found[-1].position if found else after, READ)
        found += page
        size += sum(len(e.body) for e in page)
        if len(page) < READ:
            return found, False
    return found, True


def _refusals(store: EventStore, after: int, limit: int) -> tuple[list[Refusal], bool]:
    found = list(store.read_refusals(after, limit))
    return found, len(found) == limit


def _after(sources: Sources, taken: Sequence[Recorded | Refusal]) -> Sources:
    position, refusal, intake = sources
    for one in taken:
        if isinstance(one, Recorded):
            position = one.position
        else:
            refusal = one.number
    return Sources(position, refusal, intake)
