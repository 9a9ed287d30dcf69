"""Parts of `nrm-replay` one after the other: counts and sizes before what they are of."""

import struct
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, TypeVar

from domain.errors import Malformed
from domain.trail.delivered import Feed
from domain.trail.merkle import HASH_SIZE, Range

NUMBER = struct.Struct(">Q")
_LENGTH = struct.Struct(">H")
K = TypeVar("K", int, bytes, str, Feed)
V = TypeVar("V")


class Reading:
    """Takes one part after the other; `Malformed` STATE where the data ends too early."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        """Take from the byte `at` up to the one before `end`."""
        self._data = data
        self._at = at
        self._end = end

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        start, self._at = self._at, self._at + size
        if self._at > self._end:
            raise wrong("cut off")
        return self._data[start : self._at]

    def number(self) -> int:
        """Return a number of 8 bytes."""
        found: int = NUMBER.unpack(self.take(NUMBER.size))[0]
        return found

    def sized(self) -> bytes:
        """Return what stands after its length."""
        return self.take(self.number())

    def text(self) -> str:
        """Return a text."""
        try:
            return self.take(*_LENGTH.unpack(self.take(_LENGTH.size))).decode("utf-8")
        except UnicodeDecodeError as e:
            raise wrong("damaged: a text in it is not UTF-8") from e

    def hashes(self, count: int) -> tuple[bytes, ...]:
        """Return so many hashes."""
        data = self.take(count * HASH_SIZE)
        return tuple(data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE))

    def range_of(self, size: int) -> Range:
        """Return the compact range of a tree of `size`."""
        return Range(size, self.hashes(size.bit_count()))

    def rows(self, row: struct.Struct, count: int) -> Iterator[tuple[Any, ...]]:
        """Return `count` rows of one layout."""
        return row.iter_unpack(self.take(count * row.size))

    def counted(self) -> range:
        """Return a turn for each of the parts whose number stands next."""
        return range(self.number())

    def end(self) -> None:
        """Say that nothing may follow."""
        if self._at != self._end:
            raise wrong("longer than it says")


def ascending(items: Iterable[tuple[K, V]]) -> dict[K, V]:
    """Return them by key; each key once, in order, so that there is one encoding."""
    found = list(items)
    if any(a[0] >= b[0] for a, b in pairwise(found)):
        raise wrong("damaged: what stands in it has another order")
    return dict(found)


def counted(parts: Iterable[bytes]) -> list[bytes]:
    """Return `parts` after their number, 8 bytes."""
    listed = list(parts)
    return [NUMBER.pack(len(listed)), *listed]


def sized(data: bytes | bytearray) -> bytes:
    """Return `data` after its length, 8 bytes."""
    return NUMBER.pack(len(data)) + data


def text(said: str) -> bytes:
    """Return a text in UTF-8 after its length, 2 bytes."""
    data = said.encode()
    return _LENGTH.pack(len(data)) + data


def wrong(what: str) -> Malformed:
    """Return the error that says what is wrong with all of it."""
    return Malformed("STATE", f"the kept state is {what}")
