"""Where the log stands after its newest leaf: tree, chains, map, feeds and checkpoints.

The notary's running state, and that of everybody who replays the log. It believes what it is
given; whether a leaf may stand in the log is asked of `admission` before. Memory: about 400
bytes for each stream, actor and feed, 200 for each checkpoint, and what `Delivered` says.
"""

from collections.abc import Mapping

from domain.errors import Malformed
from domain.trail.delivered import Delivered, Feed
from domain.trail.deliveries import Delivery, deliveries_of, leaves_of
from domain.trail.entry import Entry, Epoch
from domain.trail.heads import Head, HeadMap, actor_key, feed_key, stream_key
from domain.trail.merkle import EMPTY_ROOT, Range, leaf
from domain.trail.statement import Kind, digest

_MOST = (1 << 64) - 1
_EMPTY = Range()


class Item:
    """An entry with its body, taken apart once."""

    __slots__ = ("body", "deliveries", "digest", "entry", "fault", "leaf", "leaves", "said")

    def __init__(self, data: bytes, entry: Entry, body: bytes | None) -> None:
        """Take the bytes of `entry` and its body; None for a body that is not at hand."""
        self.entry = entry
        self.said = entry.said
        self.digest = digest(entry.statement)
        """By which other statements name this one."""
        self.leaf = leaf(data)
        self.body = body
        self.deliveries: list[Delivery] = []
        """What an accepted DISCLOSURE lists."""
        self.leaves: list[bytes] = []
        """Of what an accepted DISCLOSURE lists or an accepted RECEIPT confirms."""
        self.fault = ""
        """Why the body of such an entry cannot be read."""
        if self.said.kind in _LISTING and body and not entry.code:
            self._read(body)

    def _read(self, body: bytes) -> None:
        try:
            if self.said.kind == Kind.DISCLOSURE:
                self.deliveries = deliveries_of(body)
                self.leaves = [d.leaf for d in self.deliveries]
            else:
                self.leaves = leaves_of(body)
        except Malformed as e:
            self.fault = e.message


_LISTING = frozenset({Kind.DISCLOSURE, Kind.RECEIPT})


class State:
    """The log as far as it was taken; one leaf after the other is added."""

    def __init__(
        self,
        tree: Range = _EMPTY,
        recorded_ms: int = 0,
        *,
        heads: HeadMap | None = None,
        delivered: Delivered | None = None,
        checkpoints: dict[int, bytes] | None = None,
        seen: Mapping[bytes, int] | None = None,
    ) -> None:
        """Begin with the empty log, or right after an EPOCH with all that was known then.

        `checkpoints` are roots by size, that of `tree` among them; `seen` is the newest size
        that each actor has seen. Nothing is checked here.
        """
        self.size = tree.size
        """Leaves in the log."""
        self.recorded_ms = recorded_ms
        """The newest of the entries."""
        self.heads = HeadMap() if heads is None else heads
        self.delivered = Delivered() if delivered is None else delivered
        self._range = tree
        self._pending: list[bytes] = []
        """Leaf hashes that are not in the range yet: many at once cost less."""
        self._checkpoints = {0: EMPTY_ROOT} if checkpoints is None else checkpoints
        self._seen = dict(seen or {})

    @property
    def range(self) -> Range:
        """The compact range over all leaves."""
        if self._pending:
            self._range = self._range.extend(self._pending)
            self._pending = []
        return self._range

    def stream(self, stream: bytes) -> tuple[int, bytes]:
        """Return what the stream's next entry has as stream_seq and stream_prev."""
        return self.heads.due(stream_key(stream))

    def actor(self, actor: bytes) -> tuple[int, bytes]:
        """Return what the actor's next statement has as actor_seq and actor_prev."""
        return self.heads.due(actor_key(actor))

    def checkpoint(self, size: int) -> bytes | None:
        """Return the root of the checkpoint of that size, if there was one."""
        return self._checkpoints.get(size)

    def seen(self, actor: bytes) -> int:
        """Return the size of the newest checkpoint that an accepted entry of the actor names."""
        return self._seen.get(actor, 0)

    @property
    def checkpoints(self) -> Mapping[int, bytes]:
        """Roots of all checkpoints by size, and of the empty log."""
        return self._checkpoints

    @property
    def newest_seen(self) -> Mapping[bytes, int]:
        """Actor -> what `seen` says of it, if that is not 0."""
        return self._seen

    def epoch(self) -> Epoch:
        """Return the EPOCH that would be the next leaf."""
        return Epoch(self.size, len(self.heads), self.heads.root(), self.recorded_ms)

    def add(self, item: Item) -> None:
        """Take an entry as the next leaf."""
        said, entry = item.said, item.entry
        # No honest number is the last one; a claimed one must not end the replay.
        stream_next, actor_next = entry.stream_seq + 1 & _MOST, said.actor_seq + 1 & _MOST
        self.heads.set(stream_key(said.stream), Head(stream_next, item.leaf, self.size))
        self.heads.set(actor_key(said.actor), Head(actor_next, item.digest, self.size))
        self.recorded_ms = max(self.recorded_ms, entry.recorded_ms)
        larger = said.seen_size > self.seen(said.actor) and not entry.code
        if larger and self.checkpoint(said.seen_size) == said.seen_root:
            self._seen[said.actor] = said.seen_size
        if item.deliveries:
            for feed in self.delivered.add(said.stream, item.digest, item.deliveries, item.leaves):
                self._feed(feed)
        self._pending.append(item.leaf)
        self.size += 1

    def close(self, leaf_hash: bytes) -> None:
        """Take an EPOCH as the next leaf, by its leaf hash: the log has a checkpoint here."""
        self.skip(leaf_hash)
        self._checkpoints[self.size] = self.range.root

    def skip(self, leaf_hash: bytes) -> None:
        """Take a leaf of which nothing is known but its hash."""
        self._pending.append(leaf_hash)
        self.size += 1

    def _feed(self, feed: Feed) -> None:
        whole = self.delivered.feed(feed)
        self.heads.set(feed_key(*feed), Head(whole.size, whole.root, self.size))
