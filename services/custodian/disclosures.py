"""What the trail shows to be disclosed of a case: read whole, and checked before it counts.

A case's disclosure stream is proven by one head in the map of heads: nothing of it is missing,
so that the newest delivery of an event to a seat is known to be the newest.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from domain.errors import NotAuthentic, Unavailable
from domain.feed import lane_of
from domain.notary import HeadProof, Streamed, StreamProof
from domain.trail.deliveries import DELIVERY_SCHEMA, Delivery, deliveries_of
from domain.trail.entry import Entry, Epoch
from domain.trail.heads import Head, MapProof, stream_key
from domain.trail.merkle import check_inclusion, leaf, root
from domain.trail.proof import Proof
from domain.trail.statement import (
    ZEROS,
    Kind,
    Statement,
    actor_id,
    disclosure_stream,
    signed_bytes,
)
from domain.vocabulary import Seat
from services.custodian.trail import SeenTrail, Tree

Verify = Callable[[bytes, bytes, bytes], bool]
"""(public key, message, signature) -> whether it holds."""


class Shown(NamedTuple):
    """What of some events of a case was disclosed, as of one tree."""

    size: int
    witnessed: bool
    masks: Mapping[tuple[Seat, bytes], int]
    """(seat, digest of an event's statement) -> the categories that its newest delivery shows."""


class _Given(NamedTuple):
    """The newest delivery of one event to one seat, and the entry that it stands in."""

    delivery: Delivery
    streamed: Streamed
    entry: Entry


class Disclosures:
    """Checks proofs."""

    def __init__(self, trail: SeenTrail, notary: bytes, verify: Verify) -> None:
        """`notary` is the pinned Ed25519 key that signs DISCLOSURE entries."""
        self._trail = trail
        self._notary = notary
        self._verify = verify

    def shown(
        self,
        case_id: str,
        pages: Sequence[StreamProof],
        events: Collection[bytes],
        at_least: int,
    ) -> Shown:
        """Return what `pages`, the whole stream of a case, prove about `events`.

        `at_least` is the size of the tree that was seen when it was asked. `Unavailable`
        TRAIL_BEHIND or QUORUM_PENDING: ask again. `Malformed` or `NotAuthentic`:
        the proof is none.
        """
        tree, head = self._head(pages[-1].head, disclosure_stream(case_id), at_least)
        streamed = [item for page in pages for item in page.entries]
        entries = _chained(streamed, disclosure_stream(case_id), head)
        given: dict[tuple[Seat, bytes], _Given] = {}
        for item, entry in zip(streamed, entries, strict=True):
            for delivery in _deliveries(item, entry):
                place = Seat(*delivery[:2]), delivery.event
                had = given.get(place)
                newer = had is None or had.delivery.seq < delivery.seq
                if delivery.event in events and delivery.lane == lane_of(case_id) and newer:
                    given[place] = _Given(delivery, item, entry)
        giving = {g.streamed.index: g for g in given.values() if g.delivery.mask}
        for one in giving.values():
            self._check_disclosure(one.entry.said, one.entry)
            tree.check_entry(leaf(one.streamed.entry), one.streamed.index)
        masks = {place: g.delivery.mask for place, g in given.items()}
        return Shown(tree.checkpoint.size, tree.witnessed, masks)

    def _head(self, proof: HeadProof, stream: bytes, at_least: int) -> tuple[Tree, Head]:
        """Return the tree of a proof, and the head that the stream has in it."""
        held = Proof.decode(proof.proof.encode())
        tree = self._trail.open(held.checkpoint)
        if tree.checkpoint.size < at_least:
            raise Unavailable("TRAIL_BEHIND", "the proof is older than what was seen; ask again")
        if not self._trail.counts(tree):
            raise Unavailable("QUORUM_PENDING", "no quorum has cosigned this proof; ask again")
        _, size, root_hash = tree.checkpoint
        check_inclusion(leaf(proof.epoch), held.index, size, held.hashes, root_hash)
        epoch, mapped = Epoch.decode(proof.epoch), MapProof.decode(proof.map)
        if not held.index == epoch.covered == size - 1:
            raise NotAuthentic("BAD_EPOCH", "the EPOCH of the proof is not that of its checkpoint")
        if mapped.key != stream_key(stream):
            raise NotAuthentic("BAD_MAP_PROOF", "the proof is about another stream")
        mapped.check(epoch.map_root)
        return tree, mapped.head or Head(0, ZEROS, 0)

    def _check_disclosure(self, said: Statement, entry: Entry) -> None:
        """Raise `NotAuthentic` DISCLOSURE_SIGNATURE unless the notary has signed it."""
        message = signed_bytes(entry.statement)
        if (
            said.actor != actor_id(self._notary)
            or said.schema != DELIVERY_SCHEMA
            or not self._verify(self._notary, message, entry.signature)
        ):
            why = "the pinned notary has not signed this disclosure"
            raise NotAuthentic("DISCLOSURE_SIGNATURE", why)


def length_of(page: StreamProof) -> int:
    """Return how many entries a page says that the stream has; nothing of it is proven yet."""
    head = MapProof.decode(page.head.map).head
    return head.length if head else 0


def bytes_of(page: StreamProof) -> int:
    """Return how many bytes of entries, bodies and proof a page holds."""
    head, entries = page.head, page.entries
    proof = len(head.epoch) + len(head.proof) + len(head.map)
    return proof + sum(len(e.entry) + len(e.body) for e in entries)


def _chained(streamed: Sequence[Streamed], stream: bytes, head: Head) -> list[Entry]:
    """Return the entries if they are the whole stream up to its head; `NotAuthentic` BAD_CHAIN."""
    entries, prev = [], ZEROS
    for number, item in enumerate(streamed):
        entry = Entry.decode(item.entry)
        if (entry.stream_seq, entry.stream_prev, entry.said.stream) != (number, prev, stream):
            raise NotAuthentic("BAD_CHAIN", f"entry {number} of the stream is another one")
        entries.append(entry)
        prev = leaf(item.entry)
    if (len(entries), prev) != head[:2]:
        raise NotAuthentic("BAD_CHAIN", "the entries are not the whole stream")
    return entries


def _deliveries(item: Streamed, entry: Entry) -> Sequence[Delivery]:
    """Return what a DISCLOSURE lists, nothing of another entry; `NotAuthentic` BAD_BODY."""
    said = entry.said
    if said.kind != Kind.DISCLOSURE or entry.code:
        return ()
    found = deliveries_of(item.body)
    whole = (hashlib.sha256(item.body).digest(), len(found), root([d.leaf for d in found]))
    if whole != (said.payload, said.field_count, said.fields):
        raise NotAuthentic("BAD_BODY", "the body is not the one that was signed")
    return found
