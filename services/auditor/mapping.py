"""The map of heads of a replay whose roots are checked beside it: they are half of the work."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from domain.trail.heads import Head, HeadMap

_UNDER_WAY = 16
"""Roots that wait to be checked at most."""


class MapsBeside(Protocol):
    """Keeps the map of heads a second time, beside the caller."""

    def begin(self, entries: int) -> None:
        """Begin an empty map, of a log of so many entries."""
        ...

    def submit(self, changes: Iterable[tuple[bytes, Head]], root: bytes) -> Callable[[], bool]:
        """Change heads; return what says, when it is there, whether the map has this root then."""
        ...


class ClaimedHeads(HeadMap):
    """Takes the root that an EPOCH claims for its own, and has it checked beside."""

    def __init__(self, beside: MapsBeside, entries: int) -> None:
        """Start empty; the log has so many entries."""
        super().__init__()
        beside.begin(entries)
        self._beside = beside
        self._noted: dict[bytes, Head] = {}
        self._claimed: tuple[int, bytes] | None = None
        self._waiting: deque[tuple[int, Callable[[], bool]]] = deque()
        self._wrong: list[int] = []

    def set(self, key: bytes, head: Head) -> None:
        """Put `head` in the place of what stood there."""
        self._noted[key] = head
        super().set(key, head)

    def claim(self, index: int, root: bytes) -> None:
        """Take note that the entry at `index`, which is replayed next, claims this root."""
        self._claimed = index, root

    def root(self) -> bytes:
        """Return the root that is claimed, or the true one when none is."""
        if self._claimed is None:
            return super().root()
        (index, claimed), self._claimed = self._claimed, None
        self._waiting.append((index, self._beside.submit(self._noted.items(), claimed)))
        self._noted = {}
        if len(self._waiting) > _UNDER_WAY:
            self._settle()
        return claimed

    def wrong(self) -> Iterator[int]:
        """Yield the index of every EPOCH that claimed another root than the map had."""
        while self._waiting:
            self._settle()
        yield from self._wrong

    def _settle(self) -> None:
        index, holds = self._waiting.popleft()
        if not holds():
            self._wrong.append(index)
