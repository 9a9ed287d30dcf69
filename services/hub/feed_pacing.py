"""How the feed relay shares itself out over seats, and when a heartbeat is due."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from domain.errors import Corrupt
from domain.feed import Cursor, Entry
from domain.publishing import FeedRecord
from domain.vocabulary import Seat

_START = Cursor()
LEAST = 50
"""Entries that a seat's turn is worth: each topic in a transaction costs about as much as ten."""


class Waiting(NamedTuple):
    """What waits for one seat."""

    entries: int
    lanes: int
    """In how many lanes."""


def shares(behind: Mapping[Seat, int], room: int) -> dict[Seat, int]:
    """Return how many entries of each seat go next, `room` together, those that come first first.

    Of the seats that find room, none gets less than an equal part unless less is waiting for it.
    """
    first, taken = list[Seat](), 0
    for seat, waiting in behind.items():
        if taken >= room:
            break
        first.append(seat)
        taken += min(waiting, LEAST)
    found = dict.fromkeys(first, 0)
    for number, seat in enumerate(sorted(first, key=behind.__getitem__)):
        found[seat] = min(behind[seat], room // (len(first) - number))
        room -= found[seat]
    return found


def retractions(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield what may go to a seat that may read nothing now: lanes wait at anything new."""
    waiting = set[int]()
    for entry in entries:
        if entry.mask or entry.supersedes is None:
            waiting.add(entry.lane)
        if entry.lane not in waiting:
            yield entry


def reached(published: Mapping[Seat, Cursor], records: Iterable[FeedRecord]) -> dict[Seat, Cursor]:
    """Return where seats stand after `records`; `Corrupt` FEED_GAP if one is left out."""
    places: dict[Seat, list[int]] = {}
    for record in records:
        lane, seq = record.item.lane, record.item.seq
        place = places.get(record.seat)
        if place is None:
            place = places[record.seat] = list(published.get(record.seat, _START).seqs)
        if seq != place[lane] + 1:
            raise Corrupt("FEED_GAP", f"entry {seq} follows {place[lane]}; run nrm-hub rebuild")
        place[lane] = seq
    return {seat: Cursor(tuple(place)) for seat, place in places.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Beats:
    """When a topic must be written to so that Kafka compacts it.

    Only closed segments are compacted, and only a write closes one.
    """

    every_ms: int
    """`segment.ms` of the feed topics."""
    window_ms: int
    """For how long after a retraction: segment.ms + max.compaction.lag.ms + the cleaner's time."""


class BeatBook:
    """Which topics get a heartbeat when."""

    def __init__(self, beats: Beats) -> None:
        """Nothing is due."""
        self._beats = beats
        self._due: dict[Seat, tuple[int, int]] = {}
        """Seat -> (next heartbeat, end of the window)."""

    def expect(self, seats: Collection[Seat], now: int) -> None:
        """Something was, or may have been, retracted in the topics of `seats` just now."""
        for seat in seats:
            due, _ = self._due.get(seat, (now + self._beats.every_ms, 0))
            self._due[seat] = (due, now + self._beats.window_ms)

    def due(self, now: int) -> list[Seat]:
        """Return the seats whose heartbeat is due."""
        return [seat for seat, (due, _) in self._due.items() if due <= now]

    def beaten(self, seats: Collection[Seat], now: int) -> None:
        """The heartbeats of `seats` were written; the last comes at the window's end or later."""
        for seat in seats:
            _, until = self._due.pop(seat, (0, 0))
            if now < until:
                self._due[seat] = (now + self._beats.every_ms, until)
