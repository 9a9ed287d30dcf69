"""Maps of heads kept beside a replay, in a process of their own where there is much to do."""

import struct
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Self

from domain.errors import Unavailable
from domain.trail.heads import Head, HeadMap

LARGE = 50_000
"""Entries from which on a process is started for them."""
_CHANGE = struct.Struct(">32sQ32sQ")
_map = HeadMap()
"""The map of this process, where it is the one beside a replay."""


class HeadMaps:
    """One map after the other; to be used in a `with` block."""

    def __init__(self) -> None:
        """Start no process before a map is large."""
        self._local = HeadMap()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def begin(self, entries: int) -> None:
        """Begin an empty map, of a log of so many entries."""
        self.__exit__()
        self._local, self._pool = HeadMap(), None
        if entries >= LARGE:
            self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))

    def submit(self, changes: Iterable[tuple[bytes, Head]], root: bytes) -> Callable[[], bool]:
        """Change heads; return what says, when it is there, whether the map has this root then."""
        data = b"".join([_CHANGE.pack(key, *head) for key, head in changes])
        if self._pool is None:
            found = has_root(self._local, data, root)
            return lambda: found
        return _result(self._pool.submit(_has_root, data, root))


def has_root(heads: HeadMap, changes: bytes, root: bytes) -> bool:
    """Change heads, and say whether the map has this root then."""
    for key, length, head, at in _CHANGE.iter_unpack(changes):
        heads.set(key, Head(length, head, at))
    return heads.root() == root


def _has_root(changes: bytes, root: bytes) -> bool:
    return has_root(_map, changes, root)


def _result(future: Future[bool]) -> Callable[[], bool]:
    def result() -> bool:
        try:
            return future.result()
        except BrokenProcessPool as e:
            message = "the process that keeps the map was ended; run the audit again"
            raise Unavailable("WORKER_ENDED", message) from e

    return result
