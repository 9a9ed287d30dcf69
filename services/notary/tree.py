"""The trail's folder as a tree of one size: its nodes, entries and bodies."""

from collections.abc import Callable

from domain.errors import Corrupt
from domain.notary import TrailFiles
from domain.trail.merkle import inclusion_proof
from domain.trail.tiles import (
    WIDTH,
    TileNodes,
    body_path,
    decode_bodies,
    decode_entries,
    entries_path,
    places_of,
)


class Tree:
    """What the files hold of the tree of `size`; `Corrupt` TRAIL_FILE_MISSING if one is gone."""

    def __init__(self, files: TrailFiles, size: int) -> None:
        """Read nothing yet."""
        self._files = files
        self.size = size
        self.nodes = TileNodes(self._tile, size)

    def entry(self, index: int) -> bytes:
        """Return the entry at `index`."""
        return self._item(index, entries_path, decode_entries)

    def body(self, index: int) -> bytes:
        """Return the body of the entry at `index`."""
        return self._item(index, body_path, decode_bodies)

    def inclusion(self, index: int) -> tuple[bytes, ...]:
        """Return the inclusion proof of the entry at `index`."""
        return tuple(inclusion_proof(index, self.size, self.nodes))

    def _tile(self, path: str) -> bytes:
        """Return a tile; once the full one is there, it stands for the partial one."""
        data, beginning = self._found(path)
        return data[:beginning]

    def _item(
        self,
        index: int,
        path: Callable[[int, int], str],
        decode: Callable[[bytes, int, int], list[bytes]],
    ) -> bytes:
        """Return an item of a bundle, where again the full one may stand for the partial one."""
        number, place = divmod(index, WIDTH)
        width = min(WIDTH, self.size - WIDTH * number)
        data, beginning = self._found(path(number, width))
        return decode(data, number, WIDTH if beginning else width)[place]

    def _found(self, path: str) -> tuple[bytes, int | None]:
        """Return the first file of `places_of` that is there, and what that says beside it."""
        for place, beginning in places_of(path):
            found = self._files.read(place)
            if found is not None:
                return found, beginning
        raise Corrupt("TRAIL_FILE_MISSING", f"{path} is gone; restore the folder")
