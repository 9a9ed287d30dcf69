"""The feed relay: from feed entries to one compacted topic per seat, each entry exactly once.

Entries and places are written in one transaction, fair over seats; while one is under way the
next is composed. A seat whose topic is missing or not writable is set apart and tried again.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from domain.errors import HubError, Refused
from domain.feed import LANES, Cursor, Entry
from domain.ports import Feeds, Lease
from domain.publishing import FeedRecord
from domain.vocabulary import Seat
from services.hub.feed_needs import BeatenTopics, Composes, Metrics
from services.hub.feed_pacing import BeatBook, Beats, Waiting, reached, retractions, shares
from services.hub.feed_seats import SeatsApart

RECORDS, BYTES = 500, 1_000_000
"""Most that goes into one transaction."""
FRESH_MS = 1_000
"""So long what was composed may wait for the transaction before it."""
LEASE_SECONDS = 1.0
_COMPOSED = 100
"""Records composed before their bytes are counted."""
_HEADERS = 600
"""About what the headers of a record come to, in bytes."""
_START = Cursor()


class _Flight(NamedTuple):
    """A transaction under way."""

    written: Future[None]
    records: Sequence[FeedRecord]
    seats: Sequence[Seat]
    closed: Collection[Seat]
    """Those of `seats` that got nothing but retractions."""


class FeedRelay:
    """One step after another, by whoever holds the lease."""

    def __init__(
        self,
        *,
        feeds: Feeds,
        compose: Composes,
        topics: BeatenTopics,
        lease: Lease,
        wanted: Callable[[Seat], bool],
        beats: Beats,
        clock: Callable[[], int],
        metrics: Metrics,
    ) -> None:
        """Publish the feeds of the seats that are `wanted`, which have a topic."""
        self._feeds = feeds
        self._compose = compose
        self._topics = topics
        self._lease = lease
        self._wanted = wanted
        self._clock = clock
        self._metrics = metrics
        self._beats = BeatBook(beats)
        self._apart = SeatsApart(topics, metrics)
        self._leading = False
        self._new = False
        """Whether it has led and not yet taken over."""
        self._published: dict[Seat, Cursor] | None = None
        """What Kafka holds once `_flight` has ended well; None when that has to be asked."""
        self._flight: _Flight | None = None
        self._writer = ThreadPoolExecutor(1, "feed-topics")
        self._turns: dict[Seat, int] = {}
        """Seat -> number of the transaction in which it last had a part."""
        self._turn = 0
        self._tried = False
        """Whether the last step was for a seat that is set apart."""

    def step(self) -> bool:
        """Begin a transaction if there is anything to write and the lease is held, or end one.

        `Unavailable` when Kafka, feeds or lease are away; `Refused` FENCED when another relay
        has taken over, FEEDS_RESTORED when Kafka holds more than these feeds.
        """
        try:
            if not self._lead():
                return False
            if self._published is None:
                self._published = self._taken_over()
            if self._new:
                # What the last one retracted, it took with it.
                self._beats.expect(list(filter(self._wanted, self._published)), self._clock())
                self._new = False
            return self._work(self._clock())
        except HubError:
            self._published = None
            raise

    def close(self) -> None:
        """Give back topics and lease, once what is under way has ended."""
        self._writer.shutdown()
        self._topics.close()
        self._lease.close()

    def _lead(self) -> bool:
        """Return whether this is the one relay."""
        if self._leading:
            self._leading = False
            self._lease.check()
            self._leading = True
        elif self._lease.acquire(LEASE_SECONDS):
            self._published = None
            self._leading = self._new = True
        return self._leading

    def _taken_over(self) -> dict[Seat, Cursor]:
        """Return what Kafka holds of each feed, which is no more than the feeds hold."""
        if self._flight is not None:
            wait([self._flight.written])
            self._flight = None
        published, heads = dict(self._topics.published()), self._feeds.heads()
        for seat, cursor in published.items():
            for lane, seq in enumerate(cursor.seqs):
                if seq > heads.get((seat, lane), 0):
                    raise _restored(lane)
        return published

    def _work(self, now: int) -> bool:
        behind = self._behind()
        flowing = self._apart.ready([seat for seat in behind if seat not in self._apart], now)
        apart = self._apart.due(now)
        if apart and not (flowing and self._tried):
            self._tried = True
            return self._try(apart[0], behind, now) or bool(flowing)
        self._tried = False
        due = [seat for seat in self._beats.due(now) if seat not in self._apart]
        if due:
            return self._beat(self._apart.ready(due[:RECORDS], now), now)
        flowing.sort(key=lambda seat: self._turns.get(seat, 0))
        return self._relay(flowing, behind, now) if flowing else self._landed(now)

    def _behind(self) -> dict[Seat, Waiting]:
        """Return what waits for each wanted seat that lacks any entry."""
        published, behind = self._published or {}, dict[Seat, Waiting]()
        for (seat, lane), head in self._feeds.heads().items():
            more = head - published.get(seat, _START).seqs[lane]
            if more < 0:
                raise _restored(lane)
            if more:
                entries, lanes = behind.get(seat, (0, 0))
                behind[seat] = Waiting(entries + more, lanes + 1)
        behind = {seat: waiting for seat, waiting in behind.items() if self._wanted(seat)}
        self._metrics.feeds_behind(sum(waiting.entries for waiting in behind.values()))
        return behind

    def _try(self, seat: Seat, behind: Mapping[Seat, Waiting], now: int) -> bool:
        """Write to a seat alone: it flows again, or it is known to be the one that cannot."""
        if seat in behind:
            return self._relay([seat], behind, now) and self._landed(now)
        return self._beat([seat], now)

    def _beat(self, seats: Sequence[Seat], now: int) -> bool:
        self._landed(now)
        if (
            seats
            and self._published is not None
            and self._wrote(seats, lambda: self._topics.beat(seats), now)
        ):
            self._beats.beaten(seats, now)
            self._release(seats, now)
        return True

    def _relay(self, seats: Sequence[Seat], behind: Mapping[Seat, Waiting], now: int) -> bool:
        """Write what waits for `seats`; of one that may read nothing now, its retractions."""
        share = shares({seat: behind[seat].entries for seat in seats}, RECORDS)
        closed = self._compose.closed(share)
        entries = list[Entry]()
        for seat, limit in share.items():
            found = self._read(seat, limit, behind[seat])
            entries += retractions(found) if seat in closed else found
        records, composed = self._composed(entries), self._clock()
        for seat, code in closed.items():
            self._apart.park(seat, code, now)
        landed = self._landed(now)
        if abs(self._clock() - composed) > FRESH_MS:
            return True  # somebody may have withdrawn since: compose again
        if records and self._published is not None:
            self._launch(records, closed, now)
        return landed or bool(records)

    def _read(self, seat: Seat, limit: int, waiting: Waiting) -> Sequence[Entry]:
        """Return the next entries of a seat, of each lane a share, or all that waits."""
        lanes = 1 if limit == waiting.entries else waiting.lanes
        # The feeds share a page out over all lanes, those too where nothing waits.
        page = limit * LANES // lanes
        return self._feeds.read(seat, (self._published or {}).get(seat, _START), page)[:limit]

    def _composed(self, entries: Sequence[Entry]) -> list[FeedRecord]:
        """Return the records of `entries`, as many as a transaction takes."""
        records, size = list[FeedRecord](), 0
        for at in range(0, len(entries), _COMPOSED):
            for record in self._compose.records(entries[at : at + _COMPOSED]):
                size += len(record.item.event.record) + _HEADERS
                if records and size > BYTES:
                    return records
                records.append(record)
        return records

    def _launch(self, records: Sequence[FeedRecord], closed: Collection[Seat], now: int) -> None:
        """Begin a transaction; `_landed` hears how it ended."""
        before = self._published or {}
        places = reached(before, records)
        self._beats.expect({r.seat for r in records if r.item.supersedes is not None}, now)
        self._turn += 1
        self._turns |= dict.fromkeys(places, self._turn)
        self._published = before | places
        written = self._writer.submit(self._topics.publish, records, places)
        self._flight = _Flight(written, records, list(places), closed)

    def _landed(self, now: int) -> bool:
        """Wait for the transaction under way; return whether there was one."""
        flight, self._flight = self._flight, None
        if flight is not None and self._wrote(flight.seats, flight.written.result, now):
            self._release([seat for seat in flight.seats if seat not in flight.closed], now)
            arrived: dict[Seat, list[int]] = {seat: [] for seat in flight.seats}
            for record in flight.records:
                arrived[record.seat].append(record.item.event.recorded_ms)
            for seat, recorded_ms in arrived.items():
                self._metrics.delivered(seat, recorded_ms)
        return flight is not None

    def _wrote(self, seats: Collection[Seat], write: Callable[[], None], now: int) -> bool:
        """Return whether `write` was taken; if not, find out which of `seats` is to blame."""
        try:
            write()
        except Refused as e:
            if e.code == "FENCED":
                raise
            self._published = None
            self._apart.blame(list(seats), e.code, now)
            return False
        return True

    def _release(self, seats: Collection[Seat], now: int) -> None:
        self._beats.expect(self._apart.release(seats), now)


def _restored(lane: int) -> Refused:
    message = (
        f"Kafka holds entries of lane {lane} that these feeds do not have: let the projector"
        " come up to the log, or run nrm-hub rebuild, and start the feed relay again"
    )
    return Refused("FEEDS_RESTORED", message)
