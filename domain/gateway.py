"""What a gateway keeps on its agency's machine, and the port of the store that keeps it.

Records stay sealed at rest; they are opened when somebody looks, with keys that the store
holds boxed. Taking a key away therefore closes what it opened.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from domain.action import Action
from domain.messages import FollowedItem, SignedRelease

FOREVER_MS = (1 << 63) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a case worker asks for: one event, in clear, on the agency's own machine."""

    command_id: str
    """UUID chosen by the caller; the same id again gets the same answer and does nothing."""
    type: str
    """Event name, such as ReferralSent."""
    case_id: str | None = None
    """The case; None opens a new one."""
    fields: Mapping[str, Any]
    legal_basis: str = "consent"
    occurred_at: int | None = None
    """When it happened, in ms; now when it is not said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of a command."""

    command_id: str
    event_id: str
    case_id: str
    type: str
    status: str
    """queued, accepted or refused."""
    code: str | None = None
    message: str | None = None
    recorded_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One signed action in the outbox."""

    number: int
    """Order of sending; 0 before it is kept."""
    command_id: str
    """The command it carries out; empty for the gateway's own key events."""
    case_id: str
    actor_seq: int
    action: Action
    retried: bool = False
    """Whether it is already a second sealing of its command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptKey:
    """A data key that the agency holds, boxed."""

    case_id: str
    writer: str
    category: int
    epoch: int
    boxed: bytes
    not_after_ms: int = FOREVER_MS
    """First instant at which it may no longer be used; a reader that is cut off stops by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One event of a case as this agency has it."""

    case_id: str
    event_id: str
    type: str
    writer: str
    record: bytes
    """Sealed body; fields outside the shown categories are digests."""
    statement: bytes
    signature: bytes
    recorded_ms: int
    categories: int
    """Mask of the categories shown."""
    basis: str
    own: bool
    seat: str = ""
    """Purpose of the seat whose feed brought it; empty for what the agency wrote itself."""
    opened: int = 0
    """Fields that were opened once to check them."""
    number: int = 0
    """Order of arrival; 0 before it is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A feed entry that did not hold, kept for somebody to look at."""

    code: str
    lane: int
    seq: int


class GatewayStore(Protocol):
    """The agency's own store. What a method returned from is durable."""

    def together(self, *, durable: bool) -> AbstractContextManager[None]:
        """Keep everything written inside the block, or nothing of it.

        What can be fetched again need not be `durable` against a power cut.
        """
        ...

    def place(self, name: str) -> str:
        """Return how far something was followed; empty at the start."""
        ...

    def result(self, command_id: str) -> Result | None:
        """Return what became of a command, if it was ever taken."""
        ...

    def actor_head(self) -> tuple[int, bytes] | None:
        """Return number and digest of the newest statement signed here."""
        ...

    def enqueue(
        self,
        outgoing: Sequence[Outgoing],
        keys: Sequence[KeptKey],
        deposits: Sequence[SignedRelease],
    ) -> None:
        """Keep signed actions, the keys they use and the deposits of those keys, all or nothing."""
        ...

    def queued(self, limit: int) -> Sequence[Outgoing]:
        """Return up to `limit` actions that have no final answer, in order of signing."""
        ...

    def settle(
        self,
        results: Sequence[tuple[Outgoing, Result]],
        kept: Sequence[Kept],
        lost: Sequence[KeptKey],
    ) -> None:
        """Keep final answers and own events that were accepted; drop keys never opened."""
        ...

    def deposits(self, limit: int) -> Sequence[tuple[int, SignedRelease]]:
        """Return up to `limit` (number, deposit) that the custodian has not confirmed."""
        ...

    def deposited(self, numbers: Sequence[int]) -> None:
        """Forget confirmed deposits."""
        ...

    def arrive(
        self, kept: Sequence[Kept], parked: Sequence[Parked], place: tuple[str, str]
    ) -> None:
        """Keep arrived events, a newer entry of a seat in place of its older, and move `place`."""
        ...

    def facts(self, items: Sequence[FollowedItem]) -> None:
        """Keep checked registry facts."""
        ...

    def registry(self) -> Sequence[FollowedItem]:
        """Return every registry fact kept, in order."""
        ...

    def replace_keys(
        self, changes: Sequence[tuple[str, str, Sequence[KeptKey]]], place: tuple[str, str]
    ) -> None:
        """Hold exactly these keys for each (case, writer) named, and move `place`."""
        ...

    def keys(self, case_id: str) -> Sequence[KeptKey]:
        """Return every key held of a case."""
        ...

    def case(self, case_id: str) -> Sequence[Kept]:
        """Return the events of a case in order of recording."""
        ...

    def newest(self, case_id: str) -> Kept | None:
        """Return the newest event of a case, in order of recording; None if there is none."""
        ...

    def key_events(self, case_id: str) -> Sequence[Kept]:
        """Return the KeyEpochOpened events of a case: the commitments of its keys."""
        ...

    def unopened(self, case_id: str) -> Sequence[Kept]:
        """Return the events of others in a case that show something and were never opened."""
        ...

    def cases(self, limit: int, before: int = 0) -> Sequence[tuple[int, str]]:
        """Return (number of the newest event, case id), newest first, below `before` if given."""
        ...

    def since(self, number: int, limit: int) -> Sequence[Kept]:
        """Return up to `limit` events that arrived after `number`, in order of arrival."""
        ...

    def opened(self, counts: Sequence[tuple[str, str, int]]) -> None:
        """Note (event id, seat, number of fields opened)."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Return how many are queued, refused, kept, parked, opened and waiting to be deposited."""
        ...
