"""Hash tiles of the trail, fetched as they are needed and kept until a proof fails."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from domain.errors import Malformed, NotAuthentic, Unavailable
from domain.trail.tiles import TileNodes, places_of

CACHED = 1024
"""Tiles of up to 8 KiB."""
File = Callable[[str], Awaitable[bytes | None]]
T = TypeVar("T")


class _Missing(Exception):
    """A tile is needed that is not here yet."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Tiles:
    """What reads tiles is run again each time that one was missing and has come."""

    def __init__(self, file: File) -> None:
        """`file` fetches a public file of the trail, or None if there is none."""
        self._file = file
        self._tiles: OrderedDict[str, bytes] = OrderedDict()

    def nodes(self, size: int) -> TileNodes:
        """Return the nodes of the tree of `size`, to be used within `having`."""
        return TileNodes(self._read, size)

    async def having(self, work: Callable[[], T]) -> T:
        """Return what `work` returns once it has every tile; `Unavailable` TRAIL_TILE."""
        while True:
            try:
                return work()
            except _Missing as missing:
                path = missing.path
            except (Malformed, NotAuthentic):
                self._tiles.clear()  # a tile never changes: a wrong one would be kept
                raise
            self._tiles[path] = await self._fetched(path)
            while len(self._tiles) > CACHED:
                self._tiles.popitem(last=False)

    def _read(self, path: str) -> bytes:
        if path not in self._tiles:
            raise _Missing(path)
        self._tiles.move_to_end(path)
        return self._tiles[path]

    async def _fetched(self, path: str) -> bytes:
        """Return a tile: the partial one or, once its file is gone, its part of the full."""
        for place, size in places_of(path):
            data = await self._file(place)
            if data is not None:
                return data[:size]
        raise Unavailable("TRAIL_TILE", f"the trail does not show {path}; ask again")
