"""The files of a log: hash tiles, entry bundles (C2SP tlog-tiles) and, numbered alike, bodies.

A tile of level L holds up to 256 hashes, each over 256**L leaves; a bundle holds the entries
themselves. One that is full never changes. What the right edge of the tree fills only in part
has its width in its path and is there for every published size.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple, Self

from domain.errors import Malformed
from domain.trail.merkle import HASH_SIZE, Range, node, root

WIDTH = 256
"""Hashes of a full tile, entries of a full bundle."""
_HEIGHT = 8
_CACHED_TILES = 1024
_PARTIAL = ".p/"
_ENTRY_LENGTH = struct.Struct(">H")
_BODY_LENGTH = struct.Struct(">I")

Reading = Callable[[str], bytes]
"""path in the log's directory -> its bytes.

Whoever reads for a size that is no longer the newest looks in all of `places_of`.
"""


class Tile(NamedTuple):
    """Where one hash tile stands. Those of level 0 are numbered as the bundles are."""

    level: int
    number: int
    width: int = WIDTH
    """Hashes in it: 1 to 256."""

    @property
    def path(self) -> str:
        """The path of its file in the log's directory."""
        return f"tile/{self.level}/{_place(self.number, self.width)}"


class Edge(NamedTuple):
    """The right edge of a growing tree: the hashes of each level that fill no tile yet."""

    size: int = 0
    """Number of leaves."""
    rows: tuple[tuple[bytes, ...], ...] = ()
    """For each level of tiles, up to 255 hashes."""

    def extend(self, hashes: Iterable[bytes]) -> tuple[Self, list[tuple[Tile, bytes]]]:
        """Return the edge after these leaf hashes, and the tiles that they filled."""
        rising = list(hashes)
        size = self.size + len(rising)
        rows: list[tuple[bytes, ...]] = []
        filled = []
        for level in range(_levels(size)):
            row = [*self.rows[level], *rising] if level < len(self.rows) else rising
            rising = []
            first = self.size >> _HEIGHT * (level + 1)
            for number, at in enumerate(range(0, len(row) - WIDTH + 1, WIDTH), first):
                whole = row[at : at + WIDTH]
                filled.append((Tile(level, number), b"".join(whole)))
                rising.append(root(whole))
            rows.append(tuple(row[WIDTH * len(rising) :]))
        return self._replace(size=size, rows=tuple(rows)), filled

    def partial(self) -> list[tuple[Tile, bytes]]:
        """Return the partial tiles of the tree as it is."""
        return [(it, b"".join(self.rows[it.level])) for it in partial_tiles_of(self.size)]

    @property
    def range(self) -> Range:
        """The compact range of the tree."""
        peaks = [peak for row in reversed(self.rows) for peak in Range().extend(row).nodes]
        return Range(self.size, tuple(peaks))

    @classmethod
    def read(cls, size: int, read: Reading) -> Self:
        """Return the edge of the tree of `size`, from its partial tiles; `Malformed` TILE."""
        rows: list[tuple[bytes, ...]] = [()] * _levels(size)
        for tile in partial_tiles_of(size):
            rows[tile.level] = _hashes(tile, read)
        return cls(size, tuple(rows))


class TileNodes:
    """`Nodes` of the tree of `size`, from its tiles; it keeps those that it read last."""

    def __init__(self, read: Reading, size: int) -> None:
        self._size = size
        self._read = read
        self._rows = lru_cache(maxsize=_CACHED_TILES)(self._load)

    def __call__(self, level: int, index: int) -> bytes:
        """Return the hash over a complete subtree; `Malformed` TILE when there is none."""
        at, inside = divmod(level, _HEIGHT)
        number, place = divmod(index, WIDTH >> inside)
        rows = self._rows(at, number)
        if inside >= len(rows) or place >= len(rows[inside]):
            raise Malformed("TILE", f"a tree of {self._size} has no node {index} of level {level}")
        return rows[inside][place]

    def _load(self, level: int, number: int) -> list[tuple[bytes, ...]]:
        """Return a tile and the seven levels above its hashes, as far as they are complete."""
        width = min(WIDTH, (self._size >> _HEIGHT * level) - WIDTH * number)
        row = _hashes(Tile(level, number, width), self._read) if width > 0 else ()
        rows = [row]
        while len(rows) < _HEIGHT and len(row) > 1:
            row = tuple(node(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2))
            rows.append(row)
        return rows


def partial_tiles_of(size: int) -> Iterator[Tile]:
    """Yield the tiles that are not full: at most one of each level."""
    for level in range(_levels(size)):
        number, width = divmod(size >> _HEIGHT * level, WIDTH)
        if width:
            yield Tile(level, number, width)


def places_of(path: str) -> list[tuple[str, int | None]]:
    """Return where a hash tile may stand, in the order to look, and how many bytes of it to take.

    Once a tile is full its partial files may be gone (C2SP tlog-tiles): the beginning of the full
    one then stands for them. None takes the whole file. So it is with bundles, whose beginning
    is counted in items.
    """
    full, partial, width = path.partition(_PARTIAL)
    return [(path, None), *([(full, int(width) * HASH_SIZE)] if partial else [])]


def entries_path(number: int, width: int = WIDTH) -> str:
    """Return the path of an entry bundle in the log's directory."""
    return f"tile/entries/{_place(number, width)}"


def body_path(number: int, width: int = WIDTH) -> str:
    """Return the path of a body bundle in the log's directory."""
    return f"body/{_place(number, width)}"


def encode_entries(entries: Iterable[bytes]) -> bytes:
    """Return an entry bundle; `Malformed` BUNDLE for an entry above 65,535 bytes."""
    return _encode(entries, _ENTRY_LENGTH)


def encode_bodies(bodies: Iterable[bytes]) -> bytes:
    """Return a body bundle: u32 length and body of each entry."""
    return _encode(bodies, _BODY_LENGTH)


def decode_entries(data: bytes, number: int, width: int = WIDTH) -> list[bytes]:
    """Return the `width` entries of bundle `number`, or raise `Malformed` BUNDLE."""
    return _decode(data, _ENTRY_LENGTH, width, entries_path(number, width))


def decode_bodies(data: bytes, number: int, width: int = WIDTH) -> list[bytes]:
    """Return the `width` bodies of bundle `number`, or raise `Malformed` BUNDLE."""
    return _decode(data, _BODY_LENGTH, width, body_path(number, width))


def _place(number: int, width: int) -> str:
    """Return the end of a path: groups of three digits, all but the last with an x."""
    groups = f"{number % 1000:03}"
    while number := number // 1000:
        groups = f"x{number % 1000:03}/{groups}"
    return groups if width == WIDTH else f"{groups}{_PARTIAL}{width}"


def _levels(size: int) -> int:
    """Return how many levels of tiles a tree has."""
    return -(-size.bit_length() // _HEIGHT)


def _hashes(tile: Tile, read: Reading) -> tuple[bytes, ...]:
    data = read(tile.path)
    if len(data) != tile.width * HASH_SIZE:
        wanted = tile.width * HASH_SIZE
        raise Malformed("TILE", f"{tile.path} is {wanted} bytes, not {len(data)}")
    return tuple(data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE))


def _encode(items: Iterable[bytes], length: struct.Struct) -> bytes:
    items = list(items)
    largest = max(map(len, items), default=0)
    if largest >> 8 * length.size:
        raise Malformed("BUNDLE", f"an item of {largest} bytes is too large for a bundle")
    return b"".join([length.pack(len(item)) + item for item in items])


def _decode(data: bytes, length: struct.Struct, width: int, path: str) -> list[bytes]:
    items, at = [], 0
    unpack_from, prefix, size = length.unpack_from, length.size, len(data)
    try:
        while at < size:
            start = at + prefix
            at = start + unpack_from(data, at)[0]
            items.append(data[start:at])
    except struct.error:
        at = size + 1
    if at != size:
        raise Malformed("BUNDLE", f"{path} ends within an item")
    if len(items) != width:
        raise Malformed("BUNDLE", f"{path} has {len(items)} items, not {width}")
    return items
