"""What the trail shows to be disclosed of a case: checked before it counts.

A case's disclosure stream is proven by one head in the map of heads: nothing of it is missing,
so that the newest delivery of an event to a seat is known to be the newest.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from domain.errors import NotAuthentic, Unavailable
from domain.notary import HeadProof
from domain.trail.deliveries import DELIVERY_SCHEMA
from domain.trail.entry import Entry, Epoch
from domain.trail.heads import Head, MapProof, stream_key
from domain.trail.merkle import check_inclusion, leaf
from domain.trail.proof import Proof
from domain.trail.statement import ZEROS, actor_id, disclosure_stream, signed_bytes
from domain.vocabulary import Seat
from services.custodian.registry import REGISTRY, Facts
from services.custodian.stream import Stream
from services.custodian.trail import SeenTrail, Tree

Verify = Callable[[bytes, bytes, bytes], bool]
"""(public key, message, signature) -> whether it holds."""

Check = Callable[[], None]
"""Raises `NotAuthentic` when an entry is not what it is said to be, or not where."""
CHECKED = 200_000
"""Entries that are known to have passed; more than all streams have that are held."""


class Shown(NamedTuple):
    """What of some events of a case was disclosed, as of one tree."""

    size: int
    witnessed: bool
    masks: Mapping[tuple[Seat, bytes], int]
    """(seat, digest of an event's statement) -> the categories that its newest delivery shows."""


class Disclosures:
    """Checks proofs."""

    def __init__(self, trail: SeenTrail, notary: bytes, verify: Verify) -> None:
        """`notary` is the pinned Ed25519 key that signs DISCLOSURE entries."""
        self._trail = trail
        self._notary = notary
        self._verify = verify
        self._checked: set[tuple[int, bytes]] = set()
        """Places and leaves that passed in a tree which all later ones continue."""

    def forget(self) -> None:
        """Check every entry again: another log is followed."""
        self._checked.clear()

    def shown(
        self,
        case_id: str,
        stream: Stream,
        proof: HeadProof,
        events: Collection[bytes],
        at_least: int,
    ) -> tuple[Shown, Iterable[Check]]:
        """Return what the stream of a case shows of `events`, if `proof` proves that it is whole.

        It counts once every check has passed: they are done one by one, for an entry takes some
        tiles and a tenth of a millisecond, and there may be thousands.

        `at_least` is the size of the tree that was seen when it was asked. `Unavailable`
        TRAIL_BEHIND or QUORUM_PENDING: ask again. `Malformed` or `NotAuthentic`:
        the proof is none.
        """
        ends = stream.length, stream.head
        tree = self._tree(proof, disclosure_stream(case_id), ends, at_least)
        given = {
            (seat, event): one
            for event in events
            for seat, one in stream.given.get(event, {}).items()
        }
        giving = {(one.at, one.entry) for one in given.values() if one.mask}
        masks = {place: one.mask for place, one in given.items()}
        shown = Shown(tree.checkpoint.size, tree.witnessed, masks)
        return shown, [partial(self._check, tree, *one) for one in sorted(giving)]

    def facts(self, read: Facts, since: int, proof: HeadProof, at_least: int) -> Iterable[Check]:
        """Return what is to be checked before these are all facts of the registry in the trail.

        Where the first `since` stand was checked before, in a tree that this one continues.
        Raises what `shown` raises.
        """
        tree = self._tree(proof, REGISTRY, (read.length, read.head), at_least)
        return [partial(tree.check_entry, fact.leaf, fact.at) for fact in read.facts[since:]]

    def _check(self, tree: Tree, at: int, entry: bytes) -> None:
        leaf_hash = leaf(entry)
        if (at, leaf_hash) in self._checked:
            return
        tree.check_entry(leaf_hash, at)
        self._check_disclosure(Entry.decode(entry))
        if len(self._checked) >= CHECKED:
            self._checked.clear()
        self._checked.add((at, leaf_hash))

    def _tree(
        self, proof: HeadProof, stream: bytes, ends: tuple[int, bytes], at_least: int
    ) -> Tree:
        """Return the tree of a proof, in which the stream has this length and head."""
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
        if ends != (mapped.head or Head(0, ZEROS, 0))[:2]:
            raise NotAuthentic("BAD_CHAIN", "the entries are not the whole stream")
        return tree

    def _check_disclosure(self, entry: Entry) -> None:
        """Raise `NotAuthentic` DISCLOSURE_SIGNATURE unless the notary has signed it."""
        said, message = entry.said, signed_bytes(entry.statement)
        if (
            said.actor != actor_id(self._notary)
            or said.schema != DELIVERY_SCHEMA
            or not self._verify(self._notary, message, entry.signature)
        ):
            why = "the pinned notary has not signed this disclosure"
            raise NotAuthentic("DISCLOSURE_SIGNATURE", why)
