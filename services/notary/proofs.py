"""Proofs for those who ask: of a statement, of a head, of a case's disclosures."""

from domain.errors import Refused
from domain.notary import HeadProof, NotaryStore, Receipt, Streamed, StreamProof
from domain.trail.entry import Entry
from domain.trail.heads import stream_key
from domain.trail.statement import digest
from services.notary.shown import Shown

ENTRIES = 1_000
"""Entries of one answer at most; who wants more asks from the next number on."""


class Proofs:
    """Everything is under the published checkpoint, save a case's disclosures while degraded."""

    def __init__(self, store: NotaryStore, shown: Shown) -> None:
        """Prove what `shown` shows."""
        self._store = store
        self._shown = shown

    def receipt(self, stream: bytes, statement_digest: bytes) -> Receipt:
        """Return the proof that a statement stands in a stream; `Refused` NOT_IN_TRAIL."""
        published = self._shown.published
        for index in reversed(self.indexes(stream)):
            entry = published.tree.entry(index)
            if digest(Entry.decode(entry).statement) == statement_digest:
                return Receipt(entry=entry, proof=published.proof(index))
        raise Refused("NOT_IN_TRAIL", "no published checkpoint has this statement; ask again")

    def indexes(self, stream: bytes) -> list[int]:
        """Return where in the published log a stream's entries stand."""
        size = self._shown.published.tree.size
        return [index for index in self._store.streamed(stream) if index < size]

    def head(self, key: bytes) -> HeadProof:
        """Return the proof of what a key of the map has, or that it has nothing."""
        return self._shown.head(key)[1]

    def stream(self, stream: bytes, after: int) -> StreamProof:
        """Return a stream's entries from its number `after` on, and the proof of its head."""
        shown, head = self._shown.newest_head(stream_key(stream))
        tree = shown.tree
        found = self._store.streamed(stream, after)
        indexes = [i for i in found if i < tree.size][:ENTRIES]
        entries = [Streamed(index=i, entry=tree.entry(i), body=tree.body(i)) for i in indexes]
        return StreamProof(head=head, entries=tuple(entries))
