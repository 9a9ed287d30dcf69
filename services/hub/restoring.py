"""Make the event store anew from Kafka alone, and prove that nothing is missing.

Every record is checked as if it came from a stranger: registrars' approvals, signatures, the
statement over the record, places without gaps. The end must be where the relay had come to.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from domain import events as ev
from domain.errors import Corrupt, HubError, NotAuthentic, Refused
from domain.messages import Shown
from domain.ports import EventStore, Recorded, Refusal
from domain.publishing import NOTHING, Published, event_digest
from domain.standing import Key
from domain.trail import statement
from domain.trail.statement import Statement
from services.directory import Directory, Verify

BATCH = 200


class LogReader(Protocol):
    """The log as Kafka holds it."""

    def published(self) -> Published | None:
        """Return where the relay had come to; None when nothing was ever published."""
        ...

    def events(self, published: Published) -> Iterable[Recorded]:
        """Yield every event up to there in the order of its position; `Corrupt` at a gap."""
        ...

    def refusals(self, published: Published) -> Iterable[Refusal]:
        """Yield every refusal up to there in the order of its number; `Corrupt` at a gap."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was brought back, and as what."""

    incarnation: str
    events: int
    cases: int
    refusals: int


class Restoring:
    """One restoration into an empty store."""

    def __init__(
        self,
        *,
        reader: LogReader,
        store: EventStore,
        directory: Directory,
        operator: Key,
        verify: Verify,
        progress: Callable[[int, int], None],
    ) -> None:
        """Check against an empty `directory`; `progress` is told events done and in all."""
        self._reader = reader
        self._store = store
        self._directory = directory
        self._operator = operator
        self._operator_id = statement.actor_id(operator.signing_key)
        self._verify = verify
        self._progress = progress
        self._cases: dict[str, int] = {}
        """Case id -> version of its newest event."""

    def run(self) -> Restored:
        """Bring everything back; `Refused` when there is nothing or the store is not empty.

        `Corrupt` names the first record that cannot be right. What was written by then stays, so
        begin again with an empty database.
        """
        told = self._reader.published()
        if told is None:
            raise Refused("LOG_EMPTY", "nothing was ever published; is this the right hub id?")
        self._store.adopt(told.incarnation)
        end = self._events(told)
        refused = self._refusals(told)
        said = (told.position, told.digest, told.refusals)
        if (end, self._digest(end), refused) != said:
            message = (
                f"the relay had come to event {told.position} and refusal {told.refusals};"
                f" Kafka holds {end} and {refused}: tell an auditor, do not go on with this store"
            )
            raise Corrupt("LOG_SHORT", message)
        return Restored(
            incarnation=told.incarnation, events=end, cases=len(self._cases), refusals=refused
        )

    def _events(self, told: Published) -> int:
        end, events = 0, iter(self._reader.events(told))
        while batch := list(islice(events, BATCH)):
            for event in batch:
                self._check(event)
            with self._store.appending() as tx:
                placed = tx.append(batch, [])
            if list(placed) != [e.position for e in batch]:
                raise Corrupt("LOG_GAP", f"position {placed[0]} is not what Kafka has there")
            end = batch[-1].position
            self._progress(end, told.position)
        return end

    def _refusals(self, told: Published) -> int:
        end, refusals = 0, iter(self._reader.refusals(told))
        while batch := list(islice(refusals, BATCH)):
            for refusal in batch:
                self._check_refusal(refusal)
            with self._store.appending() as tx:
                tx.append([], batch)
            end = batch[-1].number
        return end

    def _digest(self, position: int) -> bytes:
        newest = self._store.read_positions([position]).get(position)
        return event_digest(newest) if newest else NOTHING

    def _check(self, event: Recorded) -> None:
        """Refuse an event that its agency did not sign, or that is not next in its case."""
        shown = Shown(
            type=event.type,
            record=event.body,
            statement=event.statement,
            signature=event.signature,
            recorded_ms=event.recorded_ms,
        )
        try:
            if event.case_id == ev.REGISTRY_STREAM:
                self._directory.take(event.version, shown)
            else:
                self._check_case(event, shown)
        except HubError as e:
            message = f"position {event.position}: {e.code}; tell an auditor"
            raise Corrupt("LOG_NOT_AUTHENTIC", message) from e

    def _check_case(self, event: Recorded, shown: Shown) -> None:
        _, said, _ = self._directory.checked(shown)
        if (said.head.case_id, said.head.event_id) != (event.case_id, event.event_id):
            raise NotAuthentic("WRONG_STREAM", "the record is of another case or event")
        if event.version != self._cases.get(event.case_id, 0) + 1:
            raise Corrupt("STREAM_GAP", "an event of the case is missing before this one")
        self._cases[event.case_id] = event.version

    def _check_refusal(self, refusal: Refusal) -> None:
        said = Statement.decode(refusal.statement)
        key = self._operator if said.actor == self._operator_id else None
        key = key or self._directory.registry.key_of(said.actor)
        signed = statement.signed_bytes(refusal.statement)
        if key is None or not self._verify(key.signing_key, signed, refusal.signature):
            message = f"refusal {refusal.number} is not signed by a known agency; tell an auditor"
            raise Corrupt("LOG_NOT_AUTHENTIC", message)
