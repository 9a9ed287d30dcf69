"""A case's disclosure stream as far as it was read: its chain, and what of it may count later.

Of each event only the newest delivery to each seat is kept, and the entry that it stands in.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Self

from domain.errors import NotAuthentic
from domain.feed import lane_of
from domain.notary import Streamed
from domain.trail.deliveries import Delivery, deliveries_of
from domain.trail.entry import Entry
from domain.trail.merkle import leaf, root
from domain.trail.statement import ZEROS, Kind, disclosure_stream
from domain.vocabulary import Seat

_OVERHEAD = 256
"""Bytes that a delivery takes beside its entry and the names of its seat."""
_CHARACTER = 4
"""Bytes that a character of those takes at most."""


class Given(NamedTuple):
    """The newest delivery of one event to one seat."""

    seq: int
    """Its number in the seat's lane."""
    mask: int
    at: int
    """Where in the log the entry is said to stand that lists it."""
    entry: bytes


class Stream(NamedTuple):
    """The stream from its first entry on. What it says is proven once its head is."""

    length: int = 0
    head: bytes = ZEROS
    """Leaf hash of the last entry."""
    given: Mapping[bytes, Mapping[Seat, Given]] = MappingProxyType({})
    """Digest of an event's statement -> seat -> its newest delivery; of the case's own lane."""
    size: int = _OVERHEAD
    """Bytes that it takes in memory, about: as if no two deliveries shared an entry."""

    def extended(self, case_id: str, entries: Sequence[Streamed]) -> Self:
        """Return the stream with `entries` after its own, which stays as it is.

        `NotAuthentic` BAD_CHAIN unless they are what follows, BAD_BODY unless a body is the
        one that was signed; `Malformed` when there is nothing to read in them.
        """
        stream, lane = disclosure_stream(case_id), lane_of(case_id)
        size = self.size
        given: dict[bytes, Mapping[Seat, Given]] = dict(self.given)
        own: dict[bytes, dict[Seat, Given]] = {}
        shared: dict[Seat, Seat] = {}
        for item, entry in chained(stream, self.length, self.head, entries):
            for agency, purpose, of_lane, seq, _, mask, event, _ in _deliveries(item.body, entry):
                if of_lane != lane:
                    continue
                if event not in own:
                    given[event] = own[event] = dict(given.get(event, {}))
                seats, seat = own[event], Seat(agency, purpose)
                had = seats.get(seat)
                if had is None:
                    seat = shared.setdefault(seat, seat)
                    names = _CHARACTER * (len(agency) + len(purpose))
                    size += _OVERHEAD + len(item.entry) + names
                if had is None or had.seq < seq:
                    seats[seat] = Given(seq, mask, item.index, item.entry)
        head = leaf(entries[-1].entry) if entries else self.head
        return self.__class__(self.length + len(entries), head, given, size)


def chained(
    stream: bytes, length: int, head: bytes, entries: Iterable[Streamed]
) -> Iterator[tuple[Streamed, Entry]]:
    """Yield what follows in a stream of `length` and `head`; `NotAuthentic` BAD_CHAIN."""
    for number, item in enumerate(entries, length):
        entry = Entry.decode(item.entry)
        if (entry.stream_seq, entry.stream_prev, entry.said.stream) != (number, head, stream):
            raise NotAuthentic("BAD_CHAIN", f"entry {number} of the stream is another one")
        yield item, entry
        head = leaf(item.entry)


def _deliveries(body: bytes, entry: Entry) -> Sequence[Delivery]:
    """Return what a DISCLOSURE lists, nothing of another entry; `NotAuthentic` BAD_BODY."""
    said = entry.said
    if said.kind != Kind.DISCLOSURE or entry.code:
        return ()
    found = deliveries_of(body)
    whole = (hashlib.sha256(body).digest(), len(found), root([d.leaf for d in found]))
    if whole != (said.payload, said.field_count, said.fields):
        raise NotAuthentic("BAD_BODY", "the body is not the one that was signed")
    return found
