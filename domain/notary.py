"""What the notary needs from outside, and the proofs that it hands out.

The notary is the single writer of the trail: it puts what was recorded into one order, writes
the tree's files, decides on a size by compare-and-swap, signs, and publishes what witnesses
have cosigned. Formats: docs/formats.md.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from domain.trail.delivered import Feed
from domain.trail.heads import Head
from domain.trail.merkle import Range
from domain.trail.notes import Signature, VerifierKey


class Sources(NamedTuple):
    """How far what stands in the trail was read. How far a feed was, its head in the map says."""

    position: int = 0
    """Newest event of the event store."""
    refusal: int = 0
    """Newest refusal of the event store."""
    intake: int = 0
    """Newest receipt or challenge of the notary's own intake."""


class Sequenced(NamedTuple):
    """A tree that the notary has decided on: there is never another of this size."""

    tree: Range = Range()
    sources: Sources = Sources()
    recorded_ms: int = 0
    """The newest of all entries."""


class Listed(NamedTuple):
    """Where a delivery stands: the DISCLOSURE at `place` in the log lists it."""

    stream: bytes
    agency: str
    place: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a new tree changed in the notary's running state."""

    heads: Mapping[bytes, Head] = field(default_factory=dict)
    """Key in the map -> what it has now."""
    feeds: Mapping[Feed, Range] = field(default_factory=dict)
    """Feed -> compact range over its delivery leaves."""
    seen: Mapping[bytes, int] = field(default_factory=dict)
    """Actor -> the newest size that it has seen."""
    streamed: Sequence[tuple[bytes, int, bytes]] = ()
    """(stream, index, digest of the statement) of each new entry, in the log's order."""
    listed: Mapping[bytes, Listed] = field(default_factory=dict)
    """Leaf of each new delivery -> where it stands."""
    cases: Collection[bytes] = ()
    """Disclosure streams of the cases that have a new action, accepted ones."""
    dropped: Sequence[int] = ()
    """Numbers of the intake that were not admitted after all."""


class Posted(NamedTuple):
    """A receipt or challenge that a reader signed and the notary took."""

    statement: bytes
    signature: bytes
    body: bytes
    number: int = 0
    """Place in the intake, from 1 on; 0 before it is kept."""


class NotaryStore(Protocol):
    """The compare-and-swap store of the tree; never to be restored from a backup.

    What a method returned from is durable. Reading never waits for writing.
    """

    def newest(self) -> Sequenced:
        """Return the newest tree; that of size 0 at the start."""
        ...

    def advance(self, old_size: int, new: Sequenced, changes: Changes) -> None:
        """Make `new` the newest tree, with what it changed, in one transaction.

        `Conflict` TREE_MOVED, and nothing is kept, unless the newest tree is of `old_size`.
        """
        ...

    def root_at(self, size: int) -> bytes | None:
        """Return the root of the tree that was decided on at `size`, if one was."""
        ...

    def sizes(self, since: int, before: int) -> Sequence[int]:
        """Return the sizes of trees decided on, from `since` on, below `before`."""
        ...

    def heads(self) -> Iterator[tuple[bytes, Head]]:
        """Return key and head of everything in the newest tree's map."""
        ...

    def feeds(self) -> Mapping[Feed, Range]:
        """Return the compact range of each feed."""
        ...

    def seen(self) -> Mapping[bytes, int]:
        """Return the newest size that each actor has seen, if it is not 0."""
        ...

    def streamed(self, stream: bytes, after: int = 0, most: int | None = None) -> Sequence[int]:
        """Return the log indexes of a stream's entries from its number `after` on, in order.

        All of them, or `most`.
        """
        ...

    def place_of(self, stream: bytes, statement_digest: bytes) -> int | None:
        """Return the log index of the entry of a statement in a stream, if it has one."""
        ...

    def has_case(self, stream: bytes) -> bool:
        """Return whether `stream` is the disclosure stream of a case with an accepted action."""
        ...

    def listed(self, leaves: Sequence[bytes]) -> Mapping[bytes, Listed]:
        """Return where those of `leaves` stand that are leaves of deliveries in the log."""
        ...

    def take(self, posted: Posted) -> int:
        """Keep what a reader posted and return its number; a repeat gets its first number.

        `Conflict` READER_SEQ when another statement of its actor has this number.
        """
        ...

    def has_taken(self, statement: bytes) -> bool:
        """Return whether this very statement was taken, and not dropped since."""
        ...

    def posted(self, actor: bytes) -> Posted | None:
        """Return the newest that this actor posted."""
        ...

    def challenges(self, actor: bytes) -> int:
        """Return how many challenges of this actor are in the intake and not in the log yet."""
        ...

    def waiting(self, after: int, limit: int) -> Sequence[Posted]:
        """Return up to `limit` of the intake after number `after`, in order."""
        ...


class TrailFiles(Protocol):
    """The trail's folder, laid out as C2SP tlog-tiles says. One process writes it at a time.

    Paths are relative, such as `tile/0/000`. `Unavailable` TRAIL_FILES when the disk fails.
    """

    def read(self, path: str) -> bytes | None:
        """Return the file at `path`, or None if there is none."""
        ...

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write each file whole, in place of an older one; durable when it returns."""
        ...

    def publish(self, checkpoint: bytes) -> None:
        """Put a signed checkpoint in place of the published one; durable when it returns."""
        ...

    def remove(self, folders: Iterable[str]) -> None:
        """Remove folders of partial tiles whose full tile exists; who has none is passed over."""
        ...


class Stands(NamedTuple):
    """A witness's answer that it holds another size than the proof begins with."""

    size: int


class Witnessing(Protocol):
    """One witness, over C2SP tlog-witness. It blocks for seconds at most.

    `Unavailable` when it is away, late or busy; `Refused` when it does not accept the checkpoint
    (it does not know the log, holds a fork, or found the proof wrong).
    """

    @property
    def key(self) -> VerifierKey:
        """The key with which it cosigns, as the policy names it."""
        ...

    def add_checkpoint(
        self, old_size: int, proof: Sequence[bytes], note: bytes
    ) -> Sequence[Signature] | Stands:
        """Show it a signed checkpoint and the consistency proof from `old_size`; 0 has none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedStatement:
    """A RECEIPT or an AUDIT challenge as a reader posts it."""

    statement: bytes
    signature: bytes
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof that a statement stands in the trail."""

    entry: bytes
    proof: str
    """C2SP tlog-proof, under a published checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadProof:
    """Proof of one head of the map, or that there is none, under a published checkpoint."""

    epoch: bytes
    """The checkpoint's EPOCH entry."""
    proof: str
    """C2SP tlog-proof of the EPOCH entry."""
    map: str
    """`nrm-map-proof@v1` under the EPOCH's map root."""
    nodes: tuple[bytes, ...] = ()
    """Of a feed's lane: the nodes of the compact range over it, whose root the head is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """One entry of a stream."""

    index: int
    entry: bytes
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamProof:
    """A stream from one of its numbers up to its head: chain and head prove that it is whole."""

    head: HeadProof
    entries: tuple[Streamed, ...] = field(default=())
