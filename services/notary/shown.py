"""What the trail shows: the published checkpoint, and the map of heads as it was at its size.

Sequencing runs ahead of publishing, so the changes of each tree are kept until it is published.
"""

from collections import deque
from collections.abc import Iterable
from threading import Lock
from typing import NamedTuple

from domain.errors import Unavailable
from domain.notary import HeadProof, TrailFiles
from domain.trail.checkpoint import Checkpoint
from domain.trail.heads import Head, HeadMap
from domain.trail.proof import Proof
from services.notary.tree import Tree

Changed = tuple[bytes, Head]
"""Key in the map and what it has now."""


class Published(NamedTuple):
    """A published checkpoint and its tree."""

    checkpoint: Checkpoint
    note: bytes
    tree: Tree

    def proof(self, index: int) -> str:
        """Return the C2SP tlog-proof of the entry at `index`."""
        return Proof(index, self.tree.inclusion(index), self.note).encode().decode()


class Shown:
    """The published state; sequencer and publisher write it, faces read it, each in its thread."""

    def __init__(self, files: TrailFiles) -> None:
        """Nothing is published yet."""
        self._files = files
        self._lock = Lock()
        self._map = HeadMap()
        self._size = 0
        self._waiting: deque[tuple[int, list[Changed]]] = deque()
        self._published: Published | None = None

    def open(self, size: int, heads: Iterable[Changed]) -> None:
        """Begin with the heads of the newest tree."""
        with self._lock:
            self._map = HeadMap()
            for key, head in heads:
                self._map.set(key, head)
            self._size = size
            self._waiting.clear()

    def advanced(self, size: int, changed: list[Changed]) -> None:
        """Note what a new tree changed."""
        with self._lock:
            self._waiting.append((size, changed))

    def publish(self, checkpoint: Checkpoint, note: bytes) -> None:
        """Show this checkpoint from now on."""
        with self._lock:
            if self._published is None or self._published.checkpoint.size != checkpoint.size:
                tree = Tree(self._files, checkpoint.size)
            else:
                tree = self._published.tree
            self._published = Published(checkpoint, note, tree)
            while self._waiting and self._waiting[0][0] <= checkpoint.size:
                self._size, changed = self._waiting.popleft()
                for key, head in changed:
                    self._map.set(key, head)

    @property
    def published(self) -> Published:
        """What is published; `Unavailable` TRAIL_EMPTY as long as nothing is."""
        if self._published is None:
            raise Unavailable("TRAIL_EMPTY", "no checkpoint is published yet; ask again")
        return self._published

    def head(self, key: bytes) -> tuple[Published, HeadProof]:
        """Return the proof of what `key` has; `Unavailable` TRAIL_PENDING just after a start."""
        with self._lock:
            published = self.published
            size = published.checkpoint.size
            if self._size != size:
                message = "the newest tree is not published since the notary started; ask again"
                raise Unavailable("TRAIL_PENDING", message)
            proof = self._map.prove(key).encode()
        epoch = published.tree.entry(size - 1)
        return published, HeadProof(epoch=epoch, proof=published.proof(size - 1), map=proof)
