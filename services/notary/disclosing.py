"""Disclosing: what was put into the seats' feeds becomes one signed entry a case and round."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from domain.errors import Corrupt
from domain.feed import LANES, Cursor, Heads
from domain.feed import Entry as FeedEntry
from domain.ports import EventStore, Feeds
from domain.trail.deliveries import DELIVERY_SCHEMA, Delivery, disclosure_body
from domain.trail.merkle import EMPTY_ROOT, root
from domain.trail.statement import (
    ZEROS,
    Kind,
    Statement,
    digest,
    disclosure_stream,
    signed_bytes,
)
from domain.vocabulary import Seat

MOST = 5_000
"""Feed entries of one round at most; the next round goes on from there."""
BODY_BYTES = 1 << 20
"""Of a DISCLOSURE, about; the answers in which a custodian gets it hold a few of them."""
KNOWN = 25_000
"""Digests of statements that are kept, up to twice as many: feeds mostly show what was just
recorded."""
_FIXED = 100
"""Bytes of a delivery without its basis, about."""
Sign = Callable[[bytes], bytes]
Count = Callable[[Seat, int], int]
"""(seat, lane) -> deliveries that the trail has."""


class Disclosed(NamedTuple):
    """A DISCLOSURE, ready to be entered."""

    statement: bytes
    signature: bytes
    body: bytes


class _Seen(NamedTuple):
    """What the feeds had, when no event was newer than the one at position `until`."""

    heads: Heads
    until: int


class Disclosing:
    """Reads the feeds and signs, with the notary's own key, what stands in them."""

    def __init__(
        self,
        feeds: Feeds,
        events: EventStore,
        actor: bytes,
        sign: Sign,
        clock: Callable[[], int],
    ) -> None:
        """`actor` is the `actor_id` of the key that `sign` signs with; `clock` gives ms."""
        self._feeds = feeds
        self._events = events
        self.actor = actor
        self._sign = sign
        self._clock = clock
        self._digests: dict[int, bytes] = {}
        self._older: dict[int, bytes] = {}
        self._seen: _Seen | None = None

    def remember(self, digests: Mapping[int, bytes]) -> None:
        """Keep the digests of events, by position, that feeds will soon show."""
        if len(self._digests) > KNOWN:  # to forget them one by one takes a dict long
            self._older, self._digests = self._digests, {}
        self._digests |= digests

    def look(self) -> None:
        """Note what the feeds have now, unless what was noted before is still to be disclosed.

        What stands in a feed was brought about by an event that the store had before.
        """
        if self._seen is None:
            heads = self._feeds.heads()
            self._seen = _Seen(heads, self._events.head())

    def disclose(
        self, position: int, count: Count, seq: int, prev: bytes
    ) -> tuple[list[Disclosed], bool]:
        """Return DISCLOSUREs for each case with news, mostly one, and whether there is more of it.

        Nothing is disclosed beyond what was noted, nor before the trail has the event at
        `position` that the store then had as its newest: so what brought it about comes first,
        and events that go on coming hold nothing up. `seq` and `prev` are the number and the
        previous digest of the notary's next statement.
        """
        if self._seen is None or position < self._seen.until:
            return [], False
        news, more = self._news(self._seen.heads, count)
        if not more:
            self._seen = None
        digests = self._digests_of({e.position for e in news})
        by_case: dict[str, list[Delivery]] = defaultdict(list)
        for entry in news:
            by_case[entry.case_id].append(_delivery(entry, digests[entry.position]))
        made = []
        for case_id, deliveries in by_case.items():
            for part in _parts(deliveries):
                one = self._made(case_id, part, seq, prev)
                made.append(one)
                seq, prev = seq + 1, digest(one.statement)
        return made, more

    def _news(self, heads: Heads, count: Count) -> tuple[list[FeedEntry], bool]:
        """Return the feed entries that the trail has not, in order within each seat and lane.

        And whether there are more: of a lane, only its share is read at once. Feeds that were
        rebuilt in the meantime may have fewer than was noted.
        """
        behind: dict[Seat, list[int]] = {}
        due = 0
        for (seat, lane), newest in heads.items():
            if count(seat, lane) < newest:
                due += newest - count(seat, lane)
                behind.setdefault(seat, [count(seat, n) for n in range(LANES)])
        found: list[FeedEntry] = []
        for seat, counts in behind.items():
            left = MOST - len(found)
            if left <= 0:
                break
            read = self._feeds.read(seat, Cursor(tuple(counts)), left)
            found += [e for e in read if e.seq <= heads.get((seat, e.lane), 0)]
        return found, 0 < len(found) < due

    def _digests_of(self, positions: set[int]) -> Mapping[int, bytes]:
        """Return the digest of the statement at each position."""
        found = {
            p: known[p] for known in (self._older, self._digests) for p in positions if p in known
        }
        missing = positions - found.keys()
        if missing:
            read = self._events.read_positions(sorted(missing))
            found |= {p: digest(event.statement) for p, event in read.items()}
            if missing - found.keys():
                raise Corrupt("FEED_POSITION", "a feed shows an event that the store has not")
        return found

    def _made(
        self, case_id: str, deliveries: Sequence[Delivery], seq: int, prev: bytes
    ) -> Disclosed:
        body = disclosure_body(deliveries)
        ordered = sorted(deliveries, key=lambda d: d.place)
        statement = Statement(
            kind=Kind.DISCLOSURE,
            type=0,
            stream=disclosure_stream(case_id),
            after=ZEROS,
            actor=self.actor,
            actor_seq=seq,
            actor_prev=prev,
            actor_time_ms=self._clock(),
            schema=DELIVERY_SCHEMA,
            field_count=len(ordered),
            fields=root([d.leaf for d in ordered]),
            payload=hashlib.sha256(body).digest(),
            seen_size=0,
            seen_root=EMPTY_ROOT,
        ).encode()
        return Disclosed(statement, self._sign(signed_bytes(statement)), body)


def _parts(deliveries: Sequence[Delivery]) -> Iterator[Sequence[Delivery]]:
    """Yield them in their order, in parts of which each makes a body of about `BODY_BYTES`."""
    first, size = 0, 0
    for at, delivery in enumerate(deliveries):
        if size > BODY_BYTES:
            yield deliveries[first:at]
            first, size = at, 0
        size += _FIXED + len(delivery.basis)
    yield deliveries[first:]


def _delivery(entry: FeedEntry, event: bytes) -> Delivery:
    return Delivery(
        agency=entry.seat.agency,
        purpose=entry.seat.purpose,
        lane=entry.lane,
        seq=entry.seq,
        supersedes=entry.supersedes or 0,
        mask=entry.mask,
        event=event,
        basis=entry.basis,
    )
