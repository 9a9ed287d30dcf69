"""What the rules and use cases need from outside, said in their own words."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from domain.action import Action
from domain.events import Event
from domain.feed import Cursor, Entry, Heads, Progress, Skip
from domain.messages import (
    Answers,
    Deposits,
    FeedPage,
    FollowedPage,
    ReleasePage,
    Submission,
    Why,
    WhyQuestion,
)
from domain.record import Field, Record, Shape
from domain.vocabulary import Seat


class Language(Protocol):
    """The published schemas: events to bytes and back.

    Every refusal of foreign bytes or documents is `Malformed`; nothing else escapes.
    """

    def shape(self, type: str) -> Shape:
        """Return what is known of `type`; `Malformed` UNKNOWN_EVENT otherwise."""
        ...

    def record(self, type: str, body: bytes) -> Record:
        """Split the unframed Avro body of the sealed view into its fields."""
        ...

    def body(self, record: Record) -> bytes:
        """Return the unframed Avro body of `record`; the inverse of `record`."""
        ...

    def event(self, record: Record) -> Event:
        """Return the ROUTING fields of `record` as the event that the rules see."""
        ...

    def read(self, type: str, body: bytes) -> tuple[Record, Event]:
        """Return what `record` and `event` return, from one reading of `body`."""
        ...

    def routing(self, type: str, body: bytes) -> Event:
        """Return what `event` returns, from a body that was accepted once: nothing is checked."""
        ...

    def clear(self, type: str, document: Mapping[str, Any]) -> tuple[Field, ...]:
        """Check a JSON document against the clear view; field values are plain Avro bytes."""
        ...

    def opened(self, type: str, fields: Mapping[str, bytes]) -> dict[str, Any]:
        """Return the JSON document of plain Avro bytes by path, upcast to the newest version."""
        ...

    def types(self) -> Sequence[str]:
        """Return the full names of all event types."""
        ...

    def newest(self, name: str) -> str:
        """Return the full name of the newest version of the event called `name`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One event as the log holds it."""

    position: int
    """Place in the log, from 1; 0 before it is written."""
    event_id: str
    case_id: str
    version: int
    """Place in the case's stream, from 1."""
    type: str
    body: bytes
    """Unframed Avro body with every field sealed."""
    statement: bytes
    signature: bytes
    recorded_ms: int
    """When the hub recorded it; never goes down along the log."""
    custody_seq: int | None = None
    """Place among the case's events that the custodian follows, from 1; None for the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An action that the rules refused, kept because it used up its actor's number."""

    event_id: str
    statement: bytes
    signature: bytes
    recorded_ms: int
    code: str
    number: int = 0
    """Place among the refusals, from 1 without gaps; 0 before it is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was first answered to an event id."""

    statement_digest: bytes
    actor: bytes
    """`actor_id` of the key that made the statement."""
    recorded_ms: int
    position: int | None
    """Place in the log; None when it was refused."""
    code: str | None
    """Reason code; None when it was accepted."""


@dataclass(frozen=True, slots=True)
class ActorHead:
    """The newest statement of an actor."""

    seq: int
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a write transaction finds once it has the lock: true until it writes."""

    heads: Mapping[str, int]
    """Version of each case asked for that exists."""
    actors: Mapping[bytes, ActorHead]
    """Head of each actor asked for that has acted."""
    answers: Mapping[str, Answer]
    """First answer to each event id asked for that had one."""
    recorded_ms: int
    """The newest `recorded_ms` of events and refusals; 0 at the start."""


class Appending(Protocol):
    """One write transaction of the event store; it holds the lock, so what it read stays true."""

    @property
    def start(self) -> Start:
        """What stood when the lock was taken."""
        ...

    def read_case(self, case_id: str, after: int = 0) -> Sequence[Recorded]:
        """Return the events of a case after version `after`, oldest first; before `append`."""
        ...

    def append(self, events: Sequence[Recorded], refusals: Sequence[Refusal]) -> Sequence[int]:
        """Write all or nothing when the transaction ends; return the positions of `events`.

        `Recorded.position` and `Refusal.number` are ignored. A version or an event id that is
        taken is a `Conflict` VERSION_TAKEN, here or at the end of the block.
        """
        ...


class EventStore(Protocol):
    """Append-only streams of events, one a case, and one log over all of them.

    What an `appending` block wrote is durable when the block ends, or none of it is.
    Positions are 1, 2, 3 and so on, without gaps, in the order in which transactions end, so a
    reader that has seen position n will never miss an event before it. So are the numbers of
    refusals.
    """

    def incarnation(self) -> str:
        """Return the store's own id, a UUID made when it was created and kept by its backups."""
        ...

    def adopt(self, incarnation: str) -> None:
        """Take the place of a lost store; `Refused` STORE_NOT_EMPTY if this one holds anything."""
        ...

    def appending(
        self,
        cases: Collection[str] = (),
        actors: Collection[bytes] = (),
        events: Collection[str] = (),
    ) -> AbstractContextManager[Appending]:
        """Open the one write transaction; a second caller waits.

        Its `start` tells of the case ids, actor ids and event ids that are named here.
        """
        ...

    def heads(self, case_ids: Sequence[str]) -> Mapping[str, int]:
        """Return the version of each case that exists."""
        ...

    def read_case(self, case_id: str, after: int = 0) -> Sequence[Recorded]:
        """Return the events of a case after version `after`, oldest first; empty if none."""
        ...

    def read_log(self, after: int, limit: int, types: Sequence[str] = ()) -> Sequence[Recorded]:
        """Return up to `limit` events after position `after`, of `types` if any are named."""
        ...

    def read_refusals(self, after: int, limit: int) -> Sequence[Refusal]:
        """Return up to `limit` refusals after number `after`, oldest first."""
        ...

    def read_positions(self, positions: Sequence[int]) -> Mapping[int, Recorded]:
        """Return the events at `positions`."""
        ...

    def read_answer(self, event_id: str) -> Answer | None:
        """Return the first answer to `event_id`, if there was one."""
        ...

    def head(self) -> int:
        """Return the newest position; 0 when empty."""
        ...


class Feeds(Protocol):
    """The feeds of every seat, and how far each lane was projected: one database.

    Entries and progress are written together or not at all. A generation is a projection from
    the beginning of the log; one is live. Several processes may write, each its own lanes.
    """

    def progress(self) -> Sequence[Progress]:
        """Return how far each lane of this generation was projected; writes go on from here."""
        ...

    def heads(self) -> Heads:
        """Return the newest sequence number of every seat and lane that has entries."""
        ...

    def of_case(self, case_id: str) -> Sequence[Entry]:
        """Return every entry about a case, each seat's in the order in which they were written."""
        ...

    def write(
        self, entries: Sequence[Entry], moved: Mapping[int, tuple[Progress, Progress]]
    ) -> None:
        """Add `entries` and move each lane in `moved` from the first progress to the second.

        `Conflict` when a lane stands elsewhere, a sequence number is taken, or another
        generation went live since `progress` was called: call that again and go on from there.
        """
        ...

    def skip(self, skip: Skip, moved: tuple[Progress, Progress]) -> None:
        """Keep `skip` and move its lane in this generation, as one; `Conflict` as `write`."""
        ...

    def skips(self) -> Sequence[Skip]:
        """Return what was ever skipped, oldest first, whatever generation was live then."""
        ...

    def read(self, seat: Seat, after: Cursor, limit: int) -> Sequence[Entry]:
        """Return up to `limit` entries of `seat` after the cursor, in order within each lane."""
        ...

    def beside(self) -> "Feeds":
        """Return an empty generation beside the live one, in place of an unfinished one."""
        ...

    def switch(self) -> None:
        """Make this generation, which `beside` returned, the live one; readers see no change.

        `Conflict` FEEDS_BEHIND while a lane of the live one has come further; `Refused`
        FEEDS_DIFFER when it has an entry that is not in this one just so. Nothing is changed then.
        """
        ...


class Notices(Protocol):
    """Wake-ups from other processes: a hint to look again; what was missed while away is lost."""

    def wait(self, seconds: float) -> frozenset[str | Seat]:
        """Return what has news: "log" after an append, a seat after its feed was written.

        Blocks up to `seconds`; empty when nothing came. `Unavailable` when the server is away.
        """
        ...


class Lease(Protocol):
    """The right to be the only one, held by a process as long as it lives."""

    def acquire(self, seconds: float) -> bool:
        """Return whether the lease is held, waiting up to `seconds` for who has it now."""
        ...

    def check(self) -> None:
        """Raise `Unavailable` LEASE_LOST when the lease is no longer held."""
        ...

    def close(self) -> None:
        """Give the lease back."""
        ...


class Boxing(Protocol):
    """Wraps small secrets at rest under one key; `aad` names the place a box belongs to."""

    def seal(self, clear: bytes, aad: bytes) -> bytes:
        """Return `clear` sealed for the place that `aad` names."""
        ...

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """Return what was sealed for this place; `Unreadable` BAD_TAG otherwise."""
        ...


class HubLink(Protocol):
    """A gateway's or custodian's way to its hub. Away or late is `Unavailable`; retry."""

    async def submit(self, submission: Submission) -> Answers:
        """Send actions in order and return their outcomes."""
        ...

    async def feed(self, purpose: str, cursor: str, wait: float) -> FeedPage:
        """Return a page of the seat's feed, waiting up to `wait` seconds for one."""
        ...

    async def registry(self, after: int) -> FollowedPage:
        """Return registry facts after fact number `after`."""
        ...

    async def custody(self, after: int, wait: float) -> FollowedPage:
        """Return what the custodian follows after log position `after`."""
        ...

    async def why(self, asked: WhyQuestion) -> Why:
        """Return the hub's consent decision."""
        ...


class CustodianLink(Protocol):
    """A gateway's way to the custodian. Away or late is `Unavailable`; retry."""

    async def deposit(self, deposits: Deposits) -> None:
        """Hand over wrapped data keys."""
        ...

    async def withdraw(self, action: Action) -> None:
        """Tell of a withdrawal at once."""
        ...

    async def releases(self, after: int, wait: float) -> ReleasePage:
        """Return changes in what this agency may open, after number `after`."""
        ...
