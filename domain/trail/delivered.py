"""What the log says was delivered: every feed's length and root, and who may confirm what.

Memory: 36 bytes a delivery, and some hundred bytes for each case, agency and feed.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from domain.trail.deliveries import Delivery
from domain.trail.merkle import Range


class Feed(NamedTuple):
    """One lane of one seat."""

    agency: str
    purpose: str
    lane: int

    def __str__(self) -> str:
        """Return how a finding names it."""
        return f"{self.agency}/{self.purpose}/{self.lane}"


_MARK = struct.Struct(">I32s")
"""Which DISCLOSURE of its stream, and the leaf of the delivery."""


class OfCase:
    """The DISCLOSUREs of one case, and what they delivered to each agency."""

    __slots__ = ("digests", "marks")

    def __init__(
        self, digests: Iterable[bytes] = (), marks: Mapping[str, bytes] | None = None
    ) -> None:
        """Start before the first DISCLOSURE, or with what `digests` and `marks` were."""
        self.digests = list(digests)
        """Of the statements, in order."""
        self.marks = {agency: bytearray(of) for agency, of in (marks or {}).items()}
        """Agency -> for each of its deliveries a mark of 36 bytes."""

    def fits(self) -> bool:
        """Say whether every mark is of one of the DISCLOSUREs."""
        return all(
            len(of) % _MARK.size == 0
            and max((place for place, _ in _MARK.iter_unpack(of)), default=0) < len(self.digests)
            for of in self.marks.values()
        )


class Delivered:
    """Feeds and receipts as far as the log has come."""

    def __init__(
        self,
        feeds: Mapping[Feed, Range] | None = None,
        cases: Mapping[bytes, OfCase] | None = None,
    ) -> None:
        """Start before the first delivery, or with what `feeds` and `cases` were at an EPOCH."""
        self.feeds = dict(feeds or {})
        """Feed -> compact range over the leaves of its deliveries, without gaps."""
        self.cases = dict(cases or {})
        """Stream of disclosures -> what was delivered in it."""
        self._waiting: dict[Feed, dict[int, bytes]] = {}
        """Deliveries after a gap that another case's DISCLOSURE may fill before the EPOCH."""

    def feed(self, feed: Feed) -> Range:
        """Return the compact range over the delivery leaves of `feed`, without gaps."""
        return self.feeds.get(feed, Range())

    def has(self, delivery: Delivery) -> bool:
        """Return whether the feed has this number already."""
        feed = _feed_of(delivery)
        return delivery.seq <= self.feed(feed).size or delivery.seq in self._waiting.get(feed, ())

    def gaps(self) -> Iterator[tuple[Feed, int]]:
        """Yield each feed from which a delivery is missing, and its number."""
        for feed in self._waiting:
            yield feed, self.feed(feed).size + 1

    def add(
        self, stream: bytes, digest: bytes, deliveries: Sequence[Delivery], leaves: Sequence[bytes]
    ) -> set[Feed]:
        """Take a DISCLOSURE; return the feeds that are longer now. What a feed has is passed over.

        `digest` is that of its statement, `leaves` are those of its deliveries.
        """
        self._mark(stream, digest, deliveries, leaves)
        grown = set()
        for delivery, leaf in zip(deliveries, leaves, strict=True):
            if not self.has(delivery):
                feed = _feed_of(delivery)
                self._waiting.setdefault(feed, {})[delivery.seq] = leaf
                if self._lengthen(feed):
                    grown.add(feed)
        return grown

    def newest(self, stream: bytes, agency: str, leaves: Sequence[bytes]) -> bytes | None:
        """Return the digest of the newest DISCLOSURE that delivered one of `leaves`.

        None unless all of them were delivered to `agency` in `stream`.
        """
        of_case = self.cases.get(stream)
        if of_case is None:
            return None
        marks = of_case.marks.get(agency, b"")
        place_of = {leaf: place for place, leaf in _MARK.iter_unpack(marks)}
        places = [place_of.get(leaf) for leaf in leaves]
        known = [place for place in places if place is not None]
        return of_case.digests[max(known)] if known and len(known) == len(places) else None

    def _mark(
        self, stream: bytes, digest: bytes, deliveries: Sequence[Delivery], leaves: Sequence[bytes]
    ) -> None:
        """Note for `newest` who was given what."""
        of_case = self.cases.setdefault(stream, OfCase())
        for delivery, leaf in zip(deliveries, leaves, strict=True):
            marks = of_case.marks.setdefault(delivery.agency, bytearray())
            marks += _MARK.pack(len(of_case.digests), leaf)
        of_case.digests.append(digest)

    def _lengthen(self, feed: Feed) -> bool:
        waiting, whole = self._waiting[feed], self.feed(feed)
        size = whole.size
        ready: list[bytes] = []
        while size + len(ready) + 1 in waiting:
            ready.append(waiting.pop(size + len(ready) + 1))
        self.feeds[feed] = whole.extend(ready)
        if not waiting:
            del self._waiting[feed]
        return bool(ready)


def _feed_of(delivery: Delivery) -> Feed:
    return Feed(*delivery[:3])
