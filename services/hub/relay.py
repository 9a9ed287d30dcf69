"""Copies the event store to the log topic: each event and refusal once, in order.

How far it came stands in the topic's own transaction and nowhere else, so a crash at any
moment leaves nothing out and nothing twice. One relay leads; the others wait for the lease.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic

from domain.errors import Corrupt, Unavailable
from domain.ports import EventStore, Lease, Recorded, Refusal
from domain.publishing import LogTopic, Published, check_store, event_digest

PAGE = 500
"""Events of one transaction at most, and refusals."""
PAGE_BYTES = 1 << 20
"""Bytes of their bodies, unless one alone is larger."""
LEASE_SECONDS = 1.0
"""Time in which a step waits for the lease."""


class Relay:
    """The one that publishes the log of a store, once it holds the lease."""

    def __init__(
        self,
        store: EventStore,
        topic: LogTopic,
        lease: Lease,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Reach nothing yet."""
        self._store = store
        self._topic = topic
        self._lease = lease
        self._clock = clock
        self._published: Published | None = None
        self._limit = PAGE
        self.commit_seconds = 0.0
        """How long the newest transaction took."""

    def step(self) -> bool:
        """Publish the next page; return whether there was one, False also while another leads.

        `Unavailable`: step again later. `Corrupt`: the store is not what was published. `Refused`
        FENCED: another relay took over; both end this one.
        """
        try:
            published = self._published or self._lead()
            if published is None:
                return False
            self._lease.check()
            self._published = self._publish(published)
        except Unavailable:
            self._published = None
            raise
        return self._published is not published

    def lag(self) -> int | None:
        """Return how many events are not published yet; None while another relay leads."""
        published = self._published
        return None if published is None else self._store.head() - published.position

    def close(self) -> None:
        """Let go of the topic and give the lease back."""
        self._published = None
        self._topic.close()
        self._lease.close()

    def _lead(self) -> Published | None:
        """Return where to go on once this relay leads and its store is the one published."""
        if not self._lease.acquire(LEASE_SECONDS):
            return None
        published, incarnation = self._topic.published(), self._store.incarnation()
        if published is None:
            return Published(incarnation=incarnation)
        newest = self._store.read_positions([published.position]).get(published.position)
        refusal = self._store.read_refusals(max(0, published.refusals - 1), 1)
        check_store(published, incarnation, newest, refusal[0] if refusal else None)
        return published

    def _publish(self, published: Published) -> Published:
        """Publish one page after `published`; return where that ends."""
        events = self._events(published.position)
        refusals = self._store.read_refusals(published.refusals, PAGE)
        if not events and not refusals:
            return published
        reached = _reached(published, events, refusals)
        started = self._clock()
        self._topic.publish(events, refusals, reached)
        self.commit_seconds = self._clock() - started
        return reached

    def _events(self, after: int) -> Sequence[Recorded]:
        """Return the next page; after one of large events, no more is read than can be used."""
        read = self._store.read_log(after, self._limit)
        taken, size = 0, 0
        for event in read:
            size += len(event.body)
            if taken and size > PAGE_BYTES:
                break
            taken += 1
        self._limit = PAGE if taken == len(read) else min(PAGE, 2 * taken)
        return read[:taken]


def _reached(
    published: Published, events: Sequence[Recorded], refusals: Sequence[Refusal]
) -> Published:
    """Return the place after `events` and `refusals`, which must follow on without a gap."""
    if [e.position for e in events] != _after(published.position, len(events)) or [
        r.number for r in refusals
    ] != _after(published.refusals, len(refusals)):
        raise Corrupt("STORE_GAP", f"the store has a gap soon after event {published.position}")
    if events:
        published = replace(
            published, position=events[-1].position, digest=event_digest(events[-1])
        )
    return replace(published, refusals=published.refusals + len(refusals))


def _after(place: int, count: int) -> list[int]:
    return list(range(place + 1, place + 1 + count))
