"""The tree of a log against its files: entries against hash tiles, all of them against the root."""

from collections.abc import Sequence

from domain.errors import Malformed
from domain.trail.checkpoint import Checkpoint
from domain.trail.merkle import HASH_SIZE, Range, leaf
from domain.trail.tiles import WIDTH, Edge, Tile, partial_tiles_of
from services.auditor.report import Report
from services.trail.source import Source

TILE, TREE, CONSISTENCY = "TILE", "TREE", "CONSISTENCY"


class TreeCheck:
    """Takes bundle after bundle; each tile is compared with what the entries give."""

    def __init__(
        self, source: Source, checkpoint: Checkpoint, report: Report, earlier: Checkpoint | None
    ) -> None:
        """Begin before the first bundle. `earlier` is one that this log must continue."""
        self._source = source
        self._earlier = earlier
        self._checkpoint = checkpoint
        self._report = report
        self._edge = Edge()
        self._start = 0
        self._tiles = 0
        self.continues = True
        """Whether nothing speaks against it that the log continues the earlier checkpoint."""

    def begin(self, tree: Range) -> bool:
        """Begin after `tree`, the one of the earlier checkpoint, if the log may continue it.

        The hashes at its right edge are read from the tiles, up to the last full bundle; the
        entries after that are taken again.
        """
        size = tree.size // WIDTH * WIDTH
        try:
            self._edge = _edge_of(size, self._checkpoint.size, self._source)
        except Malformed as e:
            self._report.find(TILE, e.message, size)
            return False
        self._start = tree.size
        if self._edge.range.nodes != tree.nodes[: size.bit_count()]:
            self._differs()
        elif size == tree.size:
            self._holds()
        return self.continues

    def take(self, entries: Sequence[bytes]) -> None:
        """Take the next bundle."""
        leaves = [leaf(entry) for entry in entries]
        first = self._edge.size
        self._continue(leaves)
        self._compare(Tile(0, first // WIDTH, len(leaves)), b"".join(leaves))
        self._edge, filled = self._edge.extend(leaves)
        for tile, data in filled:
            if tile.level:
                self._compare(tile, data)

    def finish(self) -> None:
        """Compare the right edge and the root."""
        for tile, data in self._edge.partial():
            if tile.level:
                self._compare(tile, data)
        _, size, root = self._checkpoint
        if self._edge.size == size and self._edge.range.root == root:
            after = f" from entry {self._start} on" if self._start else ""
            self._report.holds(
                TREE, f"{size} entries and {self._tiles} tiles{after} have this root"
            )
        else:
            found = self._edge.range.root.hex()
            self._report.find(TREE, f"the {self._edge.size} entries have another root: {found}")

    def _continue(self, leaves: Sequence[bytes]) -> None:
        """Compare the root at the size of the earlier checkpoint, if these leaves reach it."""
        first, earlier = self._edge.size, self._earlier
        if earlier is None or not first < earlier.size <= first + len(leaves):
            return
        if self._edge.range.extend(leaves[: earlier.size - first]).root == earlier.root:
            self._holds()
        else:
            self._differs()

    def _holds(self) -> None:
        if self._earlier is not None:
            message = f"the {self._earlier.size} entries verified before are in it"
            self._report.holds(CONSISTENCY, message)

    def _differs(self) -> None:
        self.continues = False
        if self._earlier is not None:
            size = self._earlier.size
            message = f"the first {size} entries are not those that were verified before"
            self._report.find(CONSISTENCY, message, size - 1)

    def _compare(self, tile: Tile, wanted: bytes) -> None:
        self._tiles += 1
        span = WIDTH**tile.level
        first = tile.number * WIDTH * span
        try:
            found = self._source.tile(tile.path)
            if len(found) != len(wanted):
                raise Malformed(TILE, f"{tile.path} is {len(wanted)} bytes, not {len(found)}")
        except Malformed as e:
            self._report.find(TILE, e.message, first)
            return
        if found != wanted:
            at = next(
                i
                for i in range(0, len(wanted), HASH_SIZE)
                if found[i : i + 32] != wanted[i : i + 32]
            )
            message = f"{tile.path} does not have the hash that the entries give"
            self._report.find(TILE, message, first + at // HASH_SIZE * span)


def _edge_of(at: int, size: int, source: Source) -> Edge:
    """Return the right edge that the tree of `size` had when it had `at` entries; `Malformed`.

    It is read from the tiles of today, of which it is the beginning.
    """

    def read(path: str) -> bytes:
        tile = tiles[path]
        width = min(WIDTH, size // WIDTH**tile.level - WIDTH * tile.number)
        return source.tile(tile._replace(width=width).path)[: tile.width * HASH_SIZE]

    tiles = {tile.path: tile for tile in partial_tiles_of(at)}
    return Edge.read(at, read)
