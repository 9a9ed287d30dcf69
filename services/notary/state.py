"""The notary's running state: begun from its store, not from the log's first leaf."""

from collections.abc import Sequence

from domain.errors import Corrupt
from domain.notary import Changes, Listed, NotaryStore, TrailFiles
from domain.trail.delivered import Delivered, Feed
from domain.trail.deliveries import Delivery
from domain.trail.entry import Entry, read
from domain.trail.heads import Head, HeadMap
from domain.trail.merkle import EMPTY_ROOT, Range
from domain.trail.state import Item, State
from domain.trail.statement import digest, disclosure_stream
from services.notary.tree import Tree

ROOTS = 1_000
"""Of trees that are held; entries name one of the last seconds."""


class _Heads(HeadMap):
    """The map, which notes what changes in it."""

    def __init__(self) -> None:
        super().__init__()
        self.changed: dict[bytes, Head] = {}

    def set(self, key: bytes, head: Head) -> None:
        self.changed[key] = head
        super().set(key, head)


class _Delivered(Delivered):
    """What was delivered; what a case's readers got is looked up in the trail itself."""

    def __init__(self, store: NotaryStore, files: TrailFiles) -> None:
        super().__init__(store.feeds())
        self._store = store
        self._files = files

    def _mark(
        self, stream: bytes, digest: bytes, deliveries: Sequence[Delivery], leaves: Sequence[bytes]
    ) -> None:
        """Hold nothing of it in memory."""

    def newest(self, stream: bytes, agency: str, leaves: Sequence[bytes]) -> bytes | None:
        """Return the digest of the newest DISCLOSURE that delivered one of `leaves`.

        Those of the round that is being made are not in the store yet, nor are they read yet.
        """
        return newest_disclosure(self._store, self._files, stream, agency, leaves)


class _Roots(dict[int, bytes]):
    """Roots by size; only the newest are held, of which the last are not in the store yet."""

    def __init__(self, store: NotaryStore, newest: Range) -> None:
        super().__init__({newest.size: newest.root})
        self._store = store

    def __setitem__(self, size: int, root: bytes) -> None:
        super().__setitem__(size, root)
        if len(self) > ROOTS:
            del self[next(iter(self))]

    def get(self, size: int, default: object = None) -> bytes | None:  # type: ignore[override]
        return super().get(size) or (self._store.root_at(size) if size else EMPTY_ROOT)


class RunningState(State):
    """The state after the newest tree of a store."""

    heads: _Heads

    def __init__(self, store: NotaryStore, files: TrailFiles) -> None:
        """Read what the store has; `Corrupt` TRAIL_MAP when its map is not the newest EPOCH's."""
        newest = store.newest()
        super().__init__(
            newest.tree,
            newest.recorded_ms,
            heads=_Heads(),
            delivered=_Delivered(store, files),
            checkpoints=_Roots(store, newest.tree),
            seen=store.seen(),
        )
        for key, head in store.heads():
            self.heads.set(key, head)
        if self.size:
            epoch = read(Tree(files, self.size).entry(self.size - 1))
            if isinstance(epoch, Entry) or epoch.map_root != self.heads.root():
                raise Corrupt("TRAIL_MAP", "the store's heads are not those of the newest EPOCH")
        self._streamed: list[tuple[bytes, int, bytes]] = []
        self._fed: set[Feed] = set()
        self._saw: set[bytes] = set()
        self._listed: dict[bytes, Listed] = {}
        self._cases: set[bytes] = set()
        self.forget()

    def add(self, item: Item) -> None:
        """Take an entry as the next leaf."""
        self._streamed.append((item.said.stream, self.size, item.digest))
        if item.deliveries:
            self._fed |= {Feed(*d[:3]) for d in item.deliveries}
            for leaf, delivery in zip(item.leaves, item.deliveries, strict=True):
                self._listed[leaf] = Listed(item.said.stream, delivery.agency, self.size)
        if item.said.seen_size:
            self._saw.add(item.said.actor)
        super().add(item)

    def know(self, case_id: str) -> None:
        """Note that the log has an accepted action of a case."""
        self._cases.add(disclosure_stream(case_id))

    def changes(self, dropped: Sequence[int]) -> Changes:
        """Return what has changed since `forget`."""
        return Changes(
            heads=dict(self.heads.changed),
            feeds={feed: self.delivered.feed(feed) for feed in self._fed},
            seen={actor: self.seen(actor) for actor in self._saw},
            streamed=self._streamed,
            listed=self._listed,
            cases=self._cases,
            dropped=dropped,
        )

    def forget(self) -> None:
        """Begin to note changes anew: those up to here are in the store."""
        self.heads.changed = {}
        self._streamed, self._listed = [], {}
        self._fed, self._saw, self._cases = set(), set(), set()


def newest_disclosure(
    store: NotaryStore, files: TrailFiles, stream: bytes, agency: str, leaves: Sequence[bytes]
) -> bytes | None:
    """Return the digest of the newest DISCLOSURE in a stream that delivered one of `leaves`.

    None unless all of them were delivered to `agency` there.
    """
    found = store.listed(leaves)
    if not leaves or any(leaf not in found for leaf in leaves):
        return None
    if any(listed[:2] != (stream, agency) for listed in found.values()):
        return None
    newest = max(listed.place for listed in found.values())
    return digest(Entry.decode(Tree(files, store.newest().tree.size).entry(newest)).statement)
