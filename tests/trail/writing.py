"""A log that grows in a folder: entries of any bytes, bundles, tiles, a checkpoint."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from adapters.notes import note_signer
from domain.secret import Secret
from domain.trail.checkpoint import Checkpoint, sign
from domain.trail.merkle import leaf
from domain.trail.notes import Algorithm, Note
from domain.trail.tiles import WIDTH, Edge, encode_entries, entries_path
from tests.vectors import key

ORIGIN = "hub.nrm.example/trail"
SIGNER = note_signer(ORIGIN, Algorithm.ED25519, Secret(key("tests/trail log")))


def entries_from(index: int) -> Iterator[bytes]:
    """Yield entries of 0 to 40 bytes, from that of `index` on; each is the same in every log."""
    while True:
        yield index.to_bytes(8, "big") * (index % 6)
        index += 1


class GrowingLog:
    """The log; what it wrote for a smaller size stays where it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._edge = Edge()
        self._pending: list[bytes] = []
        """Entries that fill no bundle yet."""

    def grow(self, size: int) -> Checkpoint:
        """Write the log at `size`, and return the checkpoint that stands in its folder."""
        while self._edge.size < size:
            self._append(min(WIDTH - len(self._pending), size - self._edge.size))
        for tile, data in self._edge.partial():
            self._write(tile.path, data)
        if self._pending:
            path = entries_path(size // WIDTH, len(self._pending))
            self._write(path, encode_entries(self._pending))
        return self.publish(Checkpoint(ORIGIN, size, self._edge.range.root))

    def publish(self, checkpoint: Checkpoint) -> Checkpoint:
        """Sign a checkpoint, true or not, and put it in its place."""
        note = Note(checkpoint.text, (sign(checkpoint, SIGNER, 0),))
        self._write("checkpoint", note.encode())
        return checkpoint

    def _append(self, how_many: int) -> None:
        entries = list(islice(entries_from(self._edge.size), how_many))
        self._pending += entries
        self._edge, filled = self._edge.extend(map(leaf, entries))
        for tile, data in filled:
            self._write(tile.path, data)
        if len(self._pending) == WIDTH:
            path = entries_path(self._edge.size // WIDTH - 1)
            self._write(path, encode_entries(self._pending))
            self._pending = []

    def _write(self, path: str, data: bytes) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
