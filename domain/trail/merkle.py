"""Merkle trees as in RFC 6962 section 2.1, with its proofs, over leaf hashes.

Proofs are lists of 32-byte hashes, the one beside the leaf first. They are made from `Nodes`,
so that whoever makes one keeps the tree where it likes: in memory, in tiles.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple, Self

from domain.errors import Malformed, NotAuthentic

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()

Nodes = Callable[[int, int], bytes]
"""(level, index) -> hash over the 2**level leaves from index * 2**level on; all of them exist."""


def leaf(data: bytes) -> bytes:
    """Return the 32-byte hash of a leaf."""
    return sha256(b"\x00" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Return the 32-byte hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the 32-byte root over `leaves` (32 bytes each, in order)."""
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    while len(level) > 1:
        paired = _paired(level)
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]


class Range(NamedTuple):
    """The compact range of a tree: all that it takes to append to it and to know its root."""

    size: int = 0
    """Number of leaves."""
    nodes: tuple[bytes, ...] = ()
    """Hashes of its complete subtrees, the largest first: one for each bit set in `size`."""

    def append(self, leaf_hash: bytes) -> Self:
        """Return the range with one leaf more."""
        return self.extend((leaf_hash,))

    def extend(self, hashes: Iterable[bytes]) -> Self:
        """Return the range with these leaf hashes after its own: a binary addition with carry."""
        rising = list(hashes)
        size, rest = self.size + len(rising), self.size
        larger, added = list(self.nodes), []
        while rising:
            if rest % 2:
                rising.insert(0, larger.pop())
            if len(rising) % 2:
                added.append(rising.pop())
            rising = _paired(rising)
            rest //= 2
        return self._replace(size=size, nodes=(*larger, *reversed(added)))

    @property
    def root(self) -> bytes:
        """The 32-byte root of the tree."""
        return _joined(self.nodes) if self.nodes else EMPTY_ROOT


def inclusion_proof(index: int, size: int, nodes: Nodes) -> list[bytes]:
    """Return the proof that leaf `index` is in the tree of `size`; `Malformed` PROOF_RANGE."""
    if not 0 <= index < size:
        raise Malformed("PROOF_RANGE", f"a tree of {size} has no entry {index}")
    return [_span(first, end, nodes) for _, first, end in _siblings(0, index, size)]


def consistency_proof(size1: int, size2: int, nodes: Nodes) -> list[bytes]:
    """Return the proof that the tree of `size1` begins that of `size2`; `Malformed` PROOF_RANGE."""
    if not 0 < size1 <= size2:
        raise Malformed("PROOF_RANGE", f"no consistency proof from size {size1} to {size2}")
    if size1 == size2:
        return []
    level, index = _last_subtree(size1)
    proof = [nodes(level, index)] if index else []
    return proof + [_span(first, end, nodes) for _, first, end in _siblings(level, index, size2)]


def root_of_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Return the root that the tree has if `proof` holds; `NotAuthentic` BAD_INCLUSION."""
    if not 0 <= index < size:
        raise NotAuthentic("BAD_INCLUSION", f"a tree of {size} has no entry {index}")
    _check_sizes("BAD_INCLUSION", leaf_hash, *proof)
    siblings = list(_siblings(0, index, size))
    _check_length("BAD_INCLUSION", proof, len(siblings))
    found = leaf_hash
    for (is_left, _, _), sibling in zip(siblings, proof, strict=True):
        found = node(sibling, found) if is_left else node(found, sibling)
    return found


def check_inclusion(
    leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root_hash: bytes
) -> None:
    """Raise `NotAuthentic` BAD_INCLUSION unless the leaf stands at `index` under `root_hash`."""
    if root_of_inclusion(leaf_hash, index, size, proof) != root_hash:
        raise NotAuthentic("BAD_INCLUSION", f"entry {index} is not in this tree of {size}")


def check_consistency(
    size1: int, size2: int, root1: bytes, root2: bytes, proof: Sequence[bytes]
) -> None:
    """Raise `NotAuthentic` BAD_CONSISTENCY unless tree 1 begins tree 2.

    Every tree begins with the empty one, so `size1` 0 proves nothing and is refused.
    """
    code = "BAD_CONSISTENCY"
    if not 0 < size1 <= size2:
        raise NotAuthentic(code, f"no proof leads from size {size1} to {size2}")
    _check_sizes(code, root1, root2, *proof)
    if size1 == size2:
        _check_length(code, proof, 0)
        if root1 != root2:
            raise NotAuthentic(code, f"two roots for one tree of {size1}")
        return
    level, index = _last_subtree(size1)
    siblings = list(_siblings(level, index, size2))
    hashes = list(proof) if index else [root1, *proof]
    _check_length(code, hashes, len(siblings) + 1)
    old = new = hashes[0]
    for (is_left, _, _), sibling in zip(siblings, hashes[1:], strict=True):
        old = node(sibling, old) if is_left else old
        new = node(sibling, new) if is_left else node(new, sibling)
    if (old, new) != (root1, root2):
        raise NotAuthentic(code, f"the tree of {size1} does not begin this tree of {size2}")


def _paired(level: Sequence[bytes]) -> list[bytes]:
    """Return the level above; the last of an odd number is left out."""
    return [sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]


def _joined(peaks: Sequence[bytes]) -> bytes:
    """Return the hash over subtrees side by side, the largest first."""
    *larger, found = peaks
    for peak in reversed(larger):
        found = node(peak, found)
    return found


def _siblings(level: int, index: int, size: int) -> Iterator[tuple[bool, int, int]]:
    """Yield (is it left?, first leaf, end) of what stands beside each node of the way to the root.

    The way begins at node `index` of `level`. Where the right edge has nothing beside it the node
    rises as it is, and nothing is yielded.
    """
    while (size - 1) >> level:
        beside = index ^ 1
        first = beside << level
        if first < size:
            yield beside < index, first, min(first + (1 << level), size)
        index >>= 1
        level += 1


def _span(first: int, end: int, nodes: Nodes) -> bytes:
    """Return the hash over leaves `first` to `end`, which begin a subtree of the tree."""
    peaks = []
    while first < end:
        level = (end - first).bit_length() - 1
        peaks.append(nodes(level, first >> level))
        first += 1 << level
    return _joined(peaks)


def _last_subtree(size: int) -> tuple[int, int]:
    """Return level and index of the smallest complete subtree at the end of a tree."""
    level = (size & -size).bit_length() - 1
    return level, (size >> level) - 1


def _check_sizes(code: str, *hashes: bytes) -> None:
    if any(len(found) != HASH_SIZE for found in hashes):
        raise NotAuthentic(code, f"a hash is {HASH_SIZE} bytes")


def _check_length(code: str, proof: Sequence[bytes], wanted: int) -> None:
    if len(proof) != wanted:
        raise NotAuthentic(code, f"the proof is too {'long' if len(proof) > wanted else 'short'}")
