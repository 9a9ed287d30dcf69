"""The map of heads: how many entries each stream, actor and feed has, and which is the last.

Its root stands in the EPOCH leaf of every checkpoint, so one short proof shows that a trail,
an actor's chain or a feed is whole, or that there is none (reference audit 5.1 and 9).
"""

import base64
import binascii
import re
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple, Self

from domain.errors import Malformed, NotAuthentic
from domain.trail.sparse import EMPTY, KEY_BITS, SparseTree, bit, leaf, node

EMPTY_MAP = EMPTY
"""Root of a map without keys."""

_HEAD = struct.Struct(">Q32sQ")
_DUE = struct.Struct(">Q32s8x")
_FIRST = 0, bytes(32)
_SIZE = 32


class Head(NamedTuple):
    """How far a stream, an actor or a feed has come."""

    length: int
    """Entries of the stream, statements of the actor, deliveries of the feed."""
    head: bytes
    """Leaf hash of the last entry, digest of the last statement, root over the deliveries."""
    at: int
    """Place in the log of the entry that made it so."""

    @property
    def value(self) -> bytes:
        """The 32 bytes that stand in the map for it."""
        return sha256(b"\x05" + _HEAD.pack(*self)).digest()


@lru_cache(maxsize=4096)
def stream_key(stream: bytes) -> bytes:
    """Return the 32-byte key of a stream."""
    return sha256(b"\x04s" + stream).digest()


@lru_cache(maxsize=4096)
def actor_key(actor: bytes) -> bytes:
    """Return the 32-byte key of an actor."""
    return sha256(b"\x04a" + actor).digest()


def feed_key(agency: str, purpose: str, lane: int) -> bytes:
    """Return the 32-byte key of one lane of a seat's feed."""
    seat = b"".join(len(t).to_bytes(2, "big") + t for t in (agency.encode(), purpose.encode()))
    return sha256(b"\x04f" + seat + bytes((lane,))).digest()


class HeadMap:
    """Heads by key, and the root over them; about 400 bytes a key."""

    def __init__(self) -> None:
        """Start empty."""
        self._heads: dict[bytes, bytes] = {}
        self._changed: set[bytes] = set()
        self._tree = SparseTree(self._value)

    def __len__(self) -> int:
        """Return how many keys there are."""
        return len(self._heads)

    def get(self, key: bytes) -> Head | None:
        """Return the head of `key`, if it has one."""
        packed = self._heads.get(key)
        return None if packed is None else Head._make(_HEAD.unpack(packed))

    def items(self) -> Iterator[tuple[bytes, Head]]:
        """Yield every key with its head."""
        for key, packed in self._heads.items():
            yield key, Head._make(_HEAD.unpack(packed))

    def due(self, key: bytes) -> tuple[int, bytes]:
        """Return the number of what comes next under `key`, and what it follows; zeros if none."""
        packed = self._heads.get(key)
        return _DUE.unpack(packed) if packed else _FIRST

    def set(self, key: bytes, head: Head) -> None:
        """Put `head` in the place of what stood there."""
        self._heads[key] = _HEAD.pack(*head)
        self._changed.add(key)

    def root(self) -> bytes:
        """Return the 32-byte root."""
        if self._changed:
            self._tree.update(self._changed, self._heads.keys())
            self._changed = set()
        return self._tree.root()

    def prove(self, key: bytes) -> "MapProof":
        """Return the proof of what `key` has, or that it has nothing."""
        self.root()
        siblings, found = self._tree.path(key)
        if found is None or found == key:
            return MapProof(key, siblings, head=self.get(key))
        return MapProof(key, siblings, other=(found, self._value(found)))

    def _value(self, key: bytes) -> bytes:
        return sha256(b"\x05" + self._heads[key]).digest()


def check_presence(root: bytes, key: bytes, value: bytes, siblings: Sequence[bytes]) -> None:
    """Raise `NotAuthentic` BAD_MAP_PROOF unless `key` has `value` in the map of `root`.

    `siblings` are 32 bytes each, the deepest first.
    """
    _check_sizes(siblings, root, key, value)
    if _climb(key, leaf(key, value), siblings) != root:
        raise _bad("the map has another head for this key")


def check_absence(
    root: bytes, key: bytes, other: tuple[bytes, bytes] | None, siblings: Sequence[bytes]
) -> None:
    """Raise `NotAuthentic` BAD_MAP_PROOF unless `key` has nothing in the map of `root`.

    `other` is the key, and its value, alone in the place where `key` would be; None if that
    place is empty.
    """
    _check_sizes(siblings, root, key, *(other or ()))
    if other is None:
        found = EMPTY
    else:
        if other[0] == key:
            raise _bad("the key is there")
        if any(bit(key, depth) != bit(other[0], depth) for depth in range(len(siblings))):
            raise _bad("the other key stands elsewhere")
        found = leaf(*other)
    if _climb(key, found, siblings) != root:
        raise _bad("something else stands where the key would be")


class MapProof(NamedTuple):
    """What the map has for one key, and the way to its root."""

    key: bytes
    siblings: tuple[bytes, ...]
    """32 bytes each, the deepest first."""
    head: Head | None = None
    """What the key has; None if it has nothing."""
    other: tuple[bytes, bytes] | None = None
    """Key and value found in the place of a key that has nothing; None if it is empty."""

    def check(self, root: bytes) -> None:
        """Raise `NotAuthentic` BAD_MAP_PROOF unless it holds in the map of `root`."""
        if self.head is None:
            check_absence(root, self.key, self.other, self.siblings)
        else:
            check_presence(root, self.key, self.head.value, self.siblings)

    def encode(self) -> str:
        """Return its text, `nrm-map-proof@v1` (docs/formats.md)."""
        if self.head is not None:
            said = [f"count {self.head.length}", f"head {_b64(self.head.head)}"]
            said.append(f"index {self.head.at}")
        elif self.other is not None:
            said = [f"absent other {self.other[0].hex()} {self.other[1].hex()}"]
        else:
            said = ["absent empty"]
        lines = ["nrm-map-proof@v1", f"key {self.key.hex()}", *said, *map(_b64, self.siblings)]
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def decode(cls, text: str) -> Self:
        """Return the proof in `text`; `Malformed` MAP_PROOF unless it is its one encoding."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise _unreadable()
        head, other = None, None
        if found["count"]:
            head = Head(int(found["count"]), _unb64(found["head"]), int(found["index"]))
        elif found["other"]:
            other = bytes.fromhex(found["other"]), bytes.fromhex(found["value"])
        siblings = tuple(map(_unb64, found["siblings"].splitlines()))
        if head and max(head.length, head.at) >= 1 << 64:
            raise _unreadable()
        return cls(bytes.fromhex(found["key"]), siblings, head, other)


_TEXT = re.compile(
    r"nrm-map-proof@v1\n"
    r"key (?P<key>[0-9a-f]{64})\n"
    r"(?:count (?P<count>0|[1-9][0-9]{0,19})\nhead (?P<head>[A-Za-z0-9+/]{43}=)\n"
    r"index (?P<index>0|[1-9][0-9]{0,19})\n"
    r"|absent empty\n"
    r"|absent other (?P<other>[0-9a-f]{64}) (?P<value>[0-9a-f]{64})\n)"
    r"(?P<siblings>(?:[A-Za-z0-9+/]{43}=\n){0,256})"
)


def _climb(key: bytes, found: bytes, siblings: Sequence[bytes]) -> bytes:
    depth = len(siblings)
    for sibling in siblings:
        depth -= 1
        found = node(sibling, found) if bit(key, depth) else node(found, sibling)
    return found


def _check_sizes(siblings: Sequence[bytes], *hashes: bytes) -> None:
    if len(siblings) > KEY_BITS:
        raise _bad(f"no way to a key is longer than {KEY_BITS}")
    if any(len(h) != _SIZE for h in (*siblings, *hashes)):
        raise _bad(f"keys and hashes are {_SIZE} bytes")


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _unb64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as e:
        raise _unreadable() from e
    if _b64(data) != text:
        raise _unreadable()
    return data


def _bad(why: str) -> NotAuthentic:
    return NotAuthentic("BAD_MAP_PROOF", why)


def _unreadable() -> Malformed:
    return Malformed("MAP_PROOF", "this is no map proof of version 1")
