"""Proofs for those who ask: of a statement, of a head, of a case's disclosures."""

from domain.errors import Refused
from domain.notary import HeadProof, NotaryStore, Receipt, Streamed, StreamProof
from domain.trail.heads import stream_key
from services.notary.shown import Shown

ENTRIES = 1_000
"""Entries, or indexes, of one answer at most; who wants more asks from the next number on."""
PAGE_BYTES = 4 << 20
"""Entries and bodies of one answer at most, unless it has one entry alone."""


class Proofs:
    """Everything is under the published checkpoint, save a case's disclosures while degraded."""

    def __init__(self, store: NotaryStore, shown: Shown) -> None:
        """Prove what `shown` shows."""
        self._store = store
        self._shown = shown

    def receipt(self, stream: bytes, statement_digest: bytes) -> Receipt:
        """Return the proof that a statement stands in a stream; `Refused` NOT_IN_TRAIL."""
        published = self._shown.published
        index = self._store.place_of(stream, statement_digest)
        if index is None or index >= published.tree.size:
            raise Refused("NOT_IN_TRAIL", "no published checkpoint has this statement; ask again")
        return Receipt(entry=published.tree.entry(index), proof=published.proof(index))

    def indexes(self, stream: bytes, after: int = 0) -> list[int]:
        """Return where in the published log a stream's entries stand, from number `after` on."""
        size = self._shown.published.tree.size
        return [i for i in self._store.streamed(stream, after, ENTRIES) if i < size]

    def head(self, key: bytes) -> HeadProof:
        """Return the proof of what a key of the map has, or that it has nothing."""
        return self._shown.head(key)[1]

    def stream(self, stream: bytes, after: int) -> StreamProof:
        """Return a stream's entries from its number `after` on, and the proof of its head."""
        shown, head = self._shown.newest_head(stream_key(stream))
        tree, entries, left = shown.tree, list[Streamed](), PAGE_BYTES
        for index in self._store.streamed(stream, after, ENTRIES):
            if index >= tree.size:
                break
            item = Streamed(index=index, entry=tree.entry(index), body=tree.body(index))
            left -= len(item.entry) + len(item.body)
            if entries and left < 0:
                break
            entries.append(item)
        return StreamProof(head=head, entries=tuple(entries))
