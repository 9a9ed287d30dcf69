"""The right edge of the trail on disk: what the next entries are written after."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Self

from domain.errors import Corrupt
from domain.notary import TrailFiles
from domain.trail.merkle import Range
from domain.trail.tiles import (
    WIDTH,
    Edge,
    body_path,
    decode_bodies,
    decode_entries,
    encode_bodies,
    encode_entries,
    entries_path,
)


class Leaf(NamedTuple):
    """A new leaf of the log."""

    data: bytes
    body: bytes
    hash: bytes


class Rim(NamedTuple):
    """The hashes, entries and bodies that fill no tile or bundle yet."""

    tiles: Edge = Edge()
    entries: tuple[bytes, ...] = ()
    bodies: tuple[bytes, ...] = ()

    @classmethod
    def read(cls, tree: Range, files: TrailFiles) -> Self:
        """Return the edge of `tree`; `Corrupt` TRAIL_FILES_DIFFER when it is not in the files."""

        def read(path: str) -> bytes:
            found = files.read(path)
            if found is None:
                raise Corrupt("TRAIL_FILE_MISSING", f"{path} is gone; restore the folder")
            return found

        tiles = Edge.read(tree.size, read)
        if tiles.range != tree:
            raise Corrupt("TRAIL_FILES_DIFFER", "the trail's tiles are not those of the store")
        number, width = divmod(tree.size, WIDTH)
        if not width:
            return cls(tiles)
        entries = decode_entries(read(entries_path(number, width)), number, width)
        bodies = decode_bodies(read(body_path(number, width)), number, width)
        return cls(tiles, tuple(entries), tuple(bodies))

    def extend(self, leaves: Sequence[Leaf]) -> tuple[Self, dict[str, bytes]]:
        """Return the edge after `leaves`, and the files that must be written for it."""
        tiles, filled = self.tiles.extend([leaf.hash for leaf in leaves])
        files = {tile.path: data for tile, data in (*filled, *tiles.partial())}
        number = self.tiles.size // WIDTH
        entries, bodies = ([*self.entries], [*self.bodies])
        entries += [leaf.data for leaf in leaves]
        bodies += [leaf.body for leaf in leaves]
        files |= _bundles(entries, number, entries_path, encode_entries)
        files |= _bundles(bodies, number, body_path, encode_bodies)
        whole = len(entries) // WIDTH * WIDTH
        rest = tuple(entries[whole:]), tuple(bodies[whole:])
        return self._replace(tiles=tiles, entries=rest[0], bodies=rest[1]), files


def _bundles(
    items: Sequence[bytes],
    number: int,
    path: Callable[[int, int], str],
    encode: Callable[[Iterable[bytes]], bytes],
) -> dict[str, bytes]:
    """Return `items` in bundles from `number` on, the last one maybe partial."""
    parts = [items[at : at + WIDTH] for at in range(0, len(items), WIDTH)]
    return {path(number + i, len(part)): encode(part) for i, part in enumerate(parts)}
