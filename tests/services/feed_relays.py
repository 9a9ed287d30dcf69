"""A feed relay over feeds that a test fills: real feeds in memory, records made by number."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from adapters.sqlite.feeds import SqliteFeeds
from domain.errors import Unavailable
from domain.feed import Cursor, Entry
from domain.ports import Feeds
from domain.publishing import FeedRecord
from domain.vocabulary import ALL_SEALED, Seat
from services.hub.feed_needs import BeatenTopics
from services.hub.feed_pacing import Beats
from services.hub.feed_relay import FeedRelay
from tests.adapters.kafka_feeds import entry, now_ms
from tests.builders import CASE

SELDOM = Beats(every_ms=3_600_000, window_ms=3_600_000)


class FilledFeeds(SqliteFeeds):
    """Feeds whose entries are each about an event of its own, unless they retract."""

    def __init__(self, path: str = "") -> None:
        super().__init__(path)
        self.progress()

    def fill(self, seat: Seat, count: int = 1, lane: int = 0) -> None:
        """Add `count` entries to the seat's lane, which show everything."""
        first = self.heads().get((seat, lane), 0) + 1
        self.write([_entry(seat, lane, seq) for seq in range(first, first + count)], {})

    def retract(self, seat: Seat, seq: int, lane: int = 0) -> None:
        """Add an entry that shows nothing any more of the event of entry `seq`."""
        newest = self.heads()[seat, lane] + 1
        self.write([_entry(seat, lane, newest, of=seq, mask=0, supersedes=seq)], {})

    def all_of(self, seat: Seat) -> list[Entry]:
        """Return every entry of the seat, lane by lane."""
        found, at = list[Entry](), Cursor()
        while page := self.read(seat, at, 10_000):
            found += page
            for one in page:
                at = at.past(one.lane, one.seq)
        return sorted(found, key=lambda e: (e.lane, e.seq))


def _entry(seat: Seat, lane: int, seq: int, of: int = 0, **changes: Any) -> Entry:
    return Entry(
        **{
            "seat": seat,
            "lane": lane,
            "seq": seq,
            "position": 8 * (of or seq) + lane,
            "case_id": CASE,
            "mask": ALL_SEALED,
            "basis": "act-1 GB.LAW",
            **changes,
        }
    )


def record_of(one: Entry) -> FeedRecord:
    """Return the record of an entry, shown as its mask says."""
    return entry(
        one.seat,
        one.seq,
        f"event of {one.position}",
        lane=one.lane,
        mask=one.mask,
        supersedes=one.supersedes,
    )


class ByNumber:
    """Makes records of entries; the seats in `shut` may read nothing now."""

    def __init__(self) -> None:
        self.shut: dict[Seat, str] = {}

    def closed(self, seats: Collection[Seat]) -> Mapping[Seat, str]:
        return {seat: self.shut[seat] for seat in seats if seat in self.shut}

    def records(self, entries: Sequence[Entry]) -> list[FeedRecord]:
        return [record_of(one) for one in entries]


class OneLease:
    """A lease that one holder at a time has."""

    def __init__(self) -> None:
        self.holder: object = None

    def by(self, name: object) -> "HeldLease":
        return HeldLease(self, name)


class HeldLease:
    """See the port `Lease`."""

    def __init__(self, lease: OneLease, name: object) -> None:
        self._lease = lease
        self._name = name

    def acquire(self, seconds: float) -> bool:
        if self._lease.holder is None:
            self._lease.holder = self._name
        return self._lease.holder is self._name

    def check(self) -> None:
        if self._lease.holder is not self._name:
            raise Unavailable("LEASE_LOST", "somebody else may lead")

    def close(self) -> None:
        if self._lease.holder is self._name:
            self._lease.holder = None


class Told:
    """What the relay said of itself."""

    def __init__(self) -> None:
        self.behind = 0
        self.arrived: dict[Seat, int] = {}
        self.apart: dict[Seat, str] = {}

    def feeds_behind(self, entries: int) -> None:
        self.behind = entries

    def delivered(self, seat: Seat, recorded_ms: Sequence[int]) -> None:
        self.arrived[seat] = self.arrived.get(seat, 0) + len(recorded_ms)

    def parked(self, seat: Seat, code: str | None) -> None:
        self.apart.pop(seat, None)
        if code is not None:
            self.apart[seat] = code


def relay(feeds: Feeds, topics: BeatenTopics, **changes: Any) -> FeedRelay:
    """Return a relay that holds its lease and wants every seat, unless `changes` say otherwise."""
    given: dict[str, Any] = {
        "compose": ByNumber(),
        "lease": OneLease().by("the only one"),
        "wanted": lambda _: True,
        "beats": SELDOM,
        "clock": now_ms,
        "metrics": Told(),
    }
    return FeedRelay(feeds=feeds, topics=topics, **(given | changes))


def drain(running: FeedRelay, steps: int = 1_000) -> int:
    """Step until there is nothing left; return in how many steps."""
    for number in range(steps):
        if not running.step():
            return number
    raise AssertionError("the relay finds no end")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now
