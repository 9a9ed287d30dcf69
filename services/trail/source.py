"""A trail from wherever it lies: a folder or a web address, read file by file and never trusted.

Every path is made of numbers here, so nothing that a log says leads to another file.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from domain.errors import Malformed
from domain.trail.merkle import HASH_SIZE
from domain.trail.tiles import (
    WIDTH,
    TileNodes,
    body_path,
    decode_bodies,
    decode_entries,
    entries_path,
    places_of,
)

MAX_TEXT = 1 << 20
"""Bytes of a checkpoint, policy or trust.json."""
MAX_ENTRIES = WIDTH * (2 + 0xFFFF)
"""Bytes of an entry bundle."""
MAX_BODIES = WIDTH * (4 + (1 << 20))
"""Bytes of a body bundle: a body has at most one MiB."""


class TrailReading(Protocol):
    """Where the files of a trail lie. `name` says it to people."""

    name: str

    def read(self, path: str, most: int) -> bytes | None:
        """Return the file at `path`, or None if there is none.

        `Malformed` FILE_SIZE above `most` bytes; `Unavailable` when it cannot be had now,
        `NotAuthentic` NOT_ALLOWED when it is kept from us.
        """
        ...


class Source:
    """The files of one trail; `Malformed` says which is missing or not as it is to be."""

    def __init__(self, reading: TrailReading) -> None:
        """Read nothing yet."""
        self._reading = reading
        self.name = reading.name

    def text(self, name: str) -> bytes:
        """Return `checkpoint`, `policy`, `trust.json` or `log.vkey`."""
        return self._found(name, MAX_TEXT)[0]

    def optional(self, name: str) -> bytes | None:
        """Return a file that need not be there."""
        return self._reading.read(name, MAX_TEXT)

    def tile(self, path: str) -> bytes:
        """Return a hash tile: the partial one or, once its file is gone, its part of the full."""
        found, beginning = self._found(path, WIDTH * HASH_SIZE)
        return found[:beginning]

    def nodes(self, size: int) -> TileNodes:
        """Return the nodes of the tree of `size`, from its tiles."""
        return TileNodes(self.tile, size)

    def entries(self, number: int, size: int) -> list[bytes]:
        """Return the entries of bundle `number` in a log of `size`."""
        return self._items(number, size, entries_path, decode_entries, MAX_ENTRIES)

    def bodies(self, number: int, size: int) -> list[bytes]:
        """Return the bodies of bundle `number` in a log of `size`."""
        return self._items(number, size, body_path, decode_bodies, MAX_BODIES)

    def bundles(self, size: int) -> Iterator[tuple[int, list[bytes]]]:
        """Yield (index of the first entry, entries) of every bundle of a log of `size`."""
        for number in range(-(-size // WIDTH)):
            yield number * WIDTH, self.entries(number, size)

    def entry(self, index: int, size: int) -> bytes:
        """Return the entry at `index` in a log of `size`."""
        return self.entries(index // WIDTH, size)[index % WIDTH]

    def body(self, index: int, size: int) -> bytes:
        """Return the body of the entry at `index` in a log of `size`."""
        return self.bodies(index // WIDTH, size)[index % WIDTH]

    def _items(
        self,
        number: int,
        size: int,
        path: Callable[[int, int], str],
        decode: Callable[[bytes, int, int], list[bytes]],
        most: int,
    ) -> list[bytes]:
        width = min(WIDTH, size - WIDTH * number)
        if width < 1:
            raise Malformed("BUNDLE", f"a log of {size} entries has no bundle {number}")
        found, beginning = self._found(path(number, width), most)
        return decode(found, number, WIDTH if beginning else width)[:width]

    def _found(self, path: str, most: int) -> tuple[bytes, int | None]:
        """Return the first file of `places_of` that is there, and what that says beside it."""
        for place, beginning in places_of(path):
            found = self._reading.read(place, most)
            if found is not None:
                return found, beginning
        raise Malformed("FILE_MISSING", f"{path} is not there")
