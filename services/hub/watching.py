"""What a hub can say of its readers, withdrawals and agencies, asked at each scrape.

It is asked in one thread at a time, apart from the loop that serves, and keeps folds of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from domain import events as ev
from domain.agency import Registry
from domain.feed import LANES, Cursor, lane_of
from domain.ports import EventStore, Feeds, Language
from domain.standing import Agency
from domain.vocabulary import Seat
from services.hub.casebook import RegistryBook

PAGE = 200
WITHDRAWN = ".ConsentWithdrawn"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for the reader of a seat."""

    entries: int = 0
    """Entries not fetched, at most a page of them."""
    since_ms: int | None = None
    """Since when the oldest of them waits, as far as it was noticed; None when there is none."""


class Agencies:
    """The registry, folded apart for whoever watches it."""

    def __init__(self, store: EventStore, language: Language, clock: Callable[[], int]) -> None:
        """Read the registry's stream of `store`."""
        self._store = store
        self._book = RegistryBook(language)
        self._clock = clock

    def _registry(self) -> Registry:
        version = self._store.heads([ev.REGISTRY_STREAM]).get(ev.REGISTRY_STREAM, 0)
        return self._book.catch_up(version, self._store)

    def seats(self) -> Sequence[Seat]:
        """Return the seats of all active agencies."""
        standings = self._registry().standings(self._clock())
        return [Seat(i, p) for i, s in standings.items() if s.active for p in sorted(s.purposes)]

    def ends(self) -> Mapping[str, int]:
        """Return by agency when its first designation ends that no later one continues."""
        ends = {i: first_end(a, self._clock()) for i, a in self._registry().agencies.items()}
        return {agency: end for agency, end in ends.items() if end is not None}

    def keys(self) -> Mapping[str, int]:
        """Return by agency since when its key in force is that, in ms."""
        keys = {i: a.key(self._clock()) for i, a in self._registry().agencies.items()}
        return {agency: key.period.starts for agency, key in keys.items() if key is not None}


def first_end(agency: Agency, now: int) -> int | None:
    """Return when the first role in force ends for good; None if none does."""
    last: dict[str, float] = {}
    for designation in agency.designations:
        end = designation.period.ends
        last[designation.role] = max(
            last.get(designation.role, 0), float("inf") if end is None else end
        )
    in_force = {d.role for d in agency.designations if d.period.holds(now)}
    ends = [end for role, end in last.items() if role in in_force and end != float("inf")]
    return int(min(ends)) if ends else None


@dataclass(slots=True)
class _Reader:
    cursor: Cursor
    waits: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Lane -> (oldest sequence number that waits, when that was noticed in ms)."""


class Readers:
    """How far each seat's reader has come, as far as this hub was asked; nothing of it is kept.

    A seat that has not asked since this hub began is taken to wait since then.
    """

    def __init__(
        self, feeds: Feeds, seats: Callable[[], Sequence[Seat]], clock: Callable[[], int]
    ) -> None:
        """Watch the readers of `seats`."""
        self._feeds = feeds
        self._seats = seats
        self._clock = clock
        self._began = clock()
        self._readers: dict[Seat, _Reader] = {}

    def asked(self, seat: Seat, cursor: str) -> None:
        """Note that a seat has everything up to `cursor`."""
        at = Cursor.decode(cursor)
        reader = self._readers.setdefault(seat, _Reader(at))
        reader.cursor = at

    def waiting(self) -> Mapping[Seat, Waiting]:
        """Return what waits for each seat."""
        return {seat: self._of(seat) for seat in self._seats()}

    def _of(self, seat: Seat) -> Waiting:
        reader = self._readers.get(seat)
        entries = self._feeds.read(seat, reader.cursor if reader else Cursor(), PAGE)
        if not entries:
            return Waiting()
        if reader is None:
            return Waiting(len(entries), self._began)
        now, oldest = self._clock(), dict[int, int]()
        for entry in entries:
            oldest.setdefault(entry.lane, entry.seq)
        reader.waits = {
            lane: waits if (waits := reader.waits.get(lane, (0, 0)))[0] == seq else (seq, now)
            for lane, seq in oldest.items()
        }
        return Waiting(len(entries), min(since for _, since in reader.waits.values()))


class Withdrawals:
    """Withdrawals that a place has not taken in yet."""

    def __init__(
        self,
        store: EventStore,
        language: Language,
        lanes: Callable[[], Sequence[int]],
        after: int = 0,
    ) -> None:
        """`lanes` are the positions up to which the place has come; look after `after` alone."""
        self._store = store
        self._types = [t for t in language.types() if t.endswith(WITHDRAWN)]
        self._lanes = lanes
        self._after = after

    def oldest(self) -> int | None:
        """Return when the oldest that is not taken in was recorded, in ms; None if none is."""
        lanes = self._lanes()
        while found := self._store.read_log(self._after, PAGE, self._types):
            for withdrawal in found:
                if withdrawal.position > lanes[lane_of(withdrawal.case_id)]:
                    return withdrawal.recorded_ms
                self._after = withdrawal.position
        return None


class Watching:
    """All of it, for one hub."""

    def __init__(
        self,
        *,
        store: EventStore,
        feeds: Feeds,
        language: Language,
        clock: Callable[[], int],
        lanes: Callable[[], Sequence[int]],
    ) -> None:
        """`lanes` gives the position up to which each lane was projected.

        How far the custodian has come is known when it first asks this hub; what was recorded
        before is taken to be cut off there.
        """
        self.agencies = Agencies(store, language, clock)
        self.readers = Readers(feeds, self.agencies.seats, clock)
        self._custodian = begins = store.head()
        self._feeds = Withdrawals(store, language, lanes)
        self._keys = Withdrawals(store, language, lambda: [self._custodian] * LANES, begins)

    def followed(self, after: int) -> None:
        """Note that the custodian has everything up to position `after`, releases included."""
        self._custodian = max(self._custodian, after)

    def withdrawals(self) -> Mapping[str, int | None]:
        """Return by place when the oldest withdrawal was recorded that it has not taken in."""
        return {"feeds": self._feeds.oldest(), "keys": self._keys.oldest()}
