"""A sparse Merkle tree over 32-byte keys (reference audit 5.1).

An empty subtree is 32 zero bytes, a subtree of one key H(02 || key || value) at any depth, any
other H(03 || left || right); bits of the key from the highest on, 0 to the left. Equal contents,
equal root, whatever the order in which they came.

The first bits of a key pick its slot, and over the slots each level of the tree is one array.
So a root costs about log2(keys) hashes for each key that changed, fewer where their paths meet,
and the tree takes some 150 bytes a key. There are as many slots as keys or up to twice as many:
when keys outgrow them, the next root is made anew from all keys.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from hashlib import sha256
from struct import Struct

EMPTY = bytes(32)
"""Root of the empty tree."""
KEY_BITS = 256
_SIZE = 32
_put = Struct("32s").pack_into
_pair = Struct("64s").unpack_from
"""Both faster than slices of an array."""
_Slot = tuple[bytes, ...]


def leaf(key: bytes, value: bytes) -> bytes:
    """Return the hash of a subtree with one key."""
    return sha256(b"\x02" + key + value).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Return the hash of a subtree with several keys."""
    return sha256(b"\x03" + left + right).digest()


def bit(key: bytes, depth: int) -> int:
    """Return whether `key` goes to the right below a node at `depth`, the root's being 0."""
    return key[depth >> 3] >> (7 - (depth & 7)) & 1


class SparseTree:
    """The tree over keys whose values somebody else keeps; keys are never removed."""

    def __init__(self, value: Callable[[bytes], bytes]) -> None:
        """Start empty; `value` gives the 32-byte value of a key."""
        self._value = value
        self._lay_out(())

    def root(self) -> bytes:
        """Return the 32-byte root."""
        return bytes(self._hashes[0])

    def update(self, changed: Iterable[bytes], keys: Collection[bytes]) -> None:
        """Take new values, and new keys, of `changed`; `keys` are all there are now."""
        if len(keys) > len(self._slots):
            self._lay_out(keys)
            touched = {at for at, slot in enumerate(self._slots) if slot}
        else:
            touched = {self._place(key) for key in changed}
        self._hash_slots(touched)
        self._hash_levels(touched)

    def path(self, key: bytes) -> tuple[tuple[bytes, ...], bytes | None]:
        """Return the siblings on the way to `key`, deepest first, and the key where it ends.

        That is `key` itself, another, or None where nothing is.
        """
        depth, at, siblings = 0, 0, []
        while depth < self._depth and self._counts[depth][at] > 1:
            depth, at = depth + 1, 2 * at + bit(key, depth)
            siblings.append(self._hash(depth, at ^ 1))
        found = self._below(depth, at)
        while len(found) > 1:
            parts = _split(found, depth)
            side, depth = bit(key, depth), depth + 1
            siblings.append(self._subtree(parts[1 - side], depth))
            found = parts[side]
        return tuple(reversed(siblings)), found[0] if found else None

    def _lay_out(self, keys: Collection[bytes]) -> None:
        """Make as many slots as there are keys, or more, and put each key into its own."""
        self._depth = max(len(keys) - 1, 0).bit_length()
        sizes = [1 << depth for depth in range(self._depth + 1)]
        self._counts = [bytearray(size) for size in sizes]
        """For each level and place: 0 if no key is below, 1 if one is, 2 if more are."""
        self._hashes = [bytearray(size * _SIZE) for size in sizes]
        self._slots: list[_Slot] = [()] * sizes[-1]
        for key in keys:
            self._place(key)

    def _place(self, key: bytes) -> int:
        """Put `key` into its slot unless it is there; return which that is."""
        at = int.from_bytes(key[:4], "big") >> 32 - self._depth
        if key not in self._slots[at]:
            self._slots[at] += (key,)
        return at

    def _hash_slots(self, touched: Iterable[int]) -> None:
        slots, counts, hashes, value = self._slots, self._counts[-1], self._hashes[-1], self._value
        for at in touched:
            keys = slots[at]
            if len(keys) == 1:
                counts[at] = 1
                hashed = sha256(b"\x02" + keys[0] + value(keys[0])).digest()
            else:
                counts[at] = 2
                hashed = self._subtree(keys, self._depth)
            _put(hashes, _SIZE * at, hashed)

    def _hash_levels(self, touched: Iterable[int]) -> None:
        for depth in range(self._depth, 0, -1):
            below, hashes = self._hashes[depth], self._hashes[depth - 1]
            counted, counts = self._counts[depth], self._counts[depth - 1]
            touched = {at >> 1 for at in touched}
            for at in touched:
                (pair,) = _pair(below, 2 * _SIZE * at)
                if counts[at] < 2:
                    counts[at] = min(counted[2 * at] + counted[2 * at + 1], 2)
                if counts[at] == 2:
                    _put(hashes, _SIZE * at, sha256(b"\x03" + pair).digest())
                else:
                    # One side has the only key, the other is all zeros.
                    _put(hashes, _SIZE * at, pair[:_SIZE] if counted[2 * at] else pair[_SIZE:])

    def _subtree(self, keys: Sequence[bytes], depth: int) -> bytes:
        if not keys:
            return EMPTY
        if len(keys) == 1:
            return leaf(keys[0], self._value(keys[0]))
        zeros, ones = _split(keys, depth)
        return node(self._subtree(zeros, depth + 1), self._subtree(ones, depth + 1))

    def _below(self, depth: int, at: int) -> _Slot:
        """Return the keys below a place with one key at most, or those of a slot."""
        while depth < self._depth and self._counts[depth][at]:
            depth, at = depth + 1, 2 * at + (not self._counts[depth + 1][2 * at])
        return self._slots[at] if self._counts[depth][at] else ()

    def _hash(self, depth: int, at: int) -> bytes:
        return bytes(self._hashes[depth][at * _SIZE : at * _SIZE + _SIZE])


def _split(keys: Iterable[bytes], depth: int) -> tuple[_Slot, _Slot]:
    zeros: list[bytes] = []
    ones: list[bytes] = []
    for key in keys:
        (ones if bit(key, depth) else zeros).append(key)
    return tuple(zeros), tuple(ones)
