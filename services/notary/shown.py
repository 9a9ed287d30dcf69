"""What the trail shows: the published checkpoint, and the map of heads as it was at its size.

Sequencing runs ahead of publishing, so the changes of each tree are kept until it is published.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from threading import Lock
from typing import NamedTuple

from domain.errors import Unavailable
from domain.notary import HeadProof, TrailFiles
from domain.trail.checkpoint import Checkpoint
from domain.trail.delivered import Feed
from domain.trail.heads import Head, HeadMap, MapProof, feed_key
from domain.trail.merkle import Range
from domain.trail.proof import Proof
from services.notary.tree import Tree

Changed = tuple[bytes, Head]
"""Key in the map and what it has now."""
Ranges = Mapping[Feed, Range]
"""Lane of a feed -> compact range over it."""


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
        self._ranges: dict[bytes, Range] = {}
        self._waiting: deque[tuple[int, list[Changed], Ranges]] = deque()
        self._published: Published | None = None
        self._alone: Published | None = None

    def open(self, size: int, heads: Iterable[Changed], feeds: Ranges) -> None:
        """Begin with the heads of the newest tree, and its feeds."""
        with self._lock:
            self._map = HeadMap()
            for key, head in heads:
                self._map.set(key, head)
            self._ranges = _by_key(feeds)
            self._size = size
            self._waiting.clear()

    def advanced(self, size: int, changed: list[Changed], feeds: Ranges) -> None:
        """Note which heads and feeds a new tree changed."""
        with self._lock:
            self._waiting.append((size, changed, feeds))
            shown = self._alone or self._published
            if shown is not None and size <= shown.checkpoint.size:  # published in the meantime
                self._move(shown.checkpoint.size)

    def publish(self, checkpoint: Checkpoint, note: bytes) -> None:
        """Show this checkpoint from now on."""
        with self._lock:
            if self._published is None or self._published.checkpoint.size != checkpoint.size:
                tree = Tree(self._files, checkpoint.size)
            else:
                tree = self._published.tree
            self._published, self._alone = Published(checkpoint, note, tree), None
            self._move(checkpoint.size)

    def degrade(self, checkpoint: Checkpoint, note: bytes) -> None:
        """Have disclosures proven under what the log alone has signed, until it publishes again."""
        with self._lock:
            self._alone = Published(checkpoint, note, Tree(self._files, checkpoint.size))
            self._move(checkpoint.size)

    def _move(self, size: int) -> None:
        """Bring the map to the tree of `size`."""
        while self._waiting and self._waiting[0][0] <= size:
            self._size, changed, feeds = self._waiting.popleft()
            for key, head in changed:
                self._map.set(key, head)
            self._ranges |= _by_key(feeds)

    @property
    def published(self) -> Published:
        """What is published; `Unavailable` TRAIL_EMPTY as long as nothing is."""
        if self._published is None:
            raise Unavailable("TRAIL_EMPTY", "no checkpoint is published yet; ask again")
        return self._published

    def head(self, key: bytes) -> tuple[Published, HeadProof]:
        """Return the proof of what `key` has; `Unavailable` TRAIL_PENDING without a quorum.

        So it is just after a start, and while the quorum is missing for long.
        """
        with self._lock:
            shown = self.published
            proof = self._prove(key, shown)
            nodes = self._ranges.get(key, Range()).nodes
        return shown, replace(_headed(shown, proof), nodes=nodes)

    def newest_head(self, key: bytes) -> tuple[Published, HeadProof]:
        """Return the proof as `head` does; the log's signature is enough while degraded."""
        with self._lock:
            shown = self._alone or self.published
            proof = self._prove(key, shown)
        return shown, _headed(shown, proof)

    def _prove(self, key: bytes, shown: Published) -> MapProof:
        if self._size != shown.checkpoint.size:
            message = "no quorum has cosigned the newest tree yet; ask again"
            raise Unavailable("TRAIL_PENDING", message)
        return self._map.prove(key)


def _headed(shown: Published, proof: MapProof) -> HeadProof:
    at = shown.checkpoint.size - 1
    return HeadProof(epoch=shown.tree.entry(at), proof=shown.proof(at), map=proof.encode())


def _by_key(feeds: Ranges) -> dict[bytes, Range]:
    return {feed_key(*feed): found for feed, found in feeds.items()}
