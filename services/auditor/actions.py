"""The accepted actions of a log: read in its order, and put down so that cases can be folded."""

from collections.abc import Sequence
from typing import NamedTuple

from domain import events as ev
from domain.errors import Conflict, Corrupt, Malformed
from domain.ports import EventStore, Language, Recorded
from domain.trail.checkpoint import MAX_NUMBER
from domain.trail.state import Item
from domain.trail.statement import disclosure_stream, stream_tag

_DIGEST = 32


class Action(NamedTuple):
    """An accepted action, read."""

    entry: int
    """Place in the log, from 0."""
    actor: bytes
    recorded: Recorded
    event: ev.Event


class Actions:
    """Every accepted action so far; their positions count from 1, as in the hub's store."""

    def __init__(self, language: Language, store: EventStore) -> None:
        """Start before the first entry; `store` must be empty."""
        self._language = language
        self._store = store
        self._types = {language.shape(t).number: t for t in language.types()}
        self._digests = bytearray()
        """Digest of the statement at each position."""
        self._versions: dict[str, int] = {}
        self._case_of: dict[bytes, str] = {}
        """Disclosure stream -> case id."""

    def case_of(self, stream: bytes) -> str:
        """Return the case whose disclosures stand in `stream`; empty if there is none."""
        return self._case_of.get(stream, "")

    def digest(self, position: int) -> bytes:
        """Return the digest of the statement at `position`."""
        end = position * _DIGEST
        return bytes(self._digests[end - _DIGEST : end])

    def read(self, index: int, item: Item) -> Action:
        """Return the next accepted action; `Malformed` if it is none that can be folded."""
        entry, said, body = item.entry, item.said, item.body or b""
        type = self._types.get(said.type)
        if type is None:
            raise Malformed("UNKNOWN_EVENT", f"event type {said.type} is not in our schemas")
        if entry.recorded_ms > MAX_NUMBER:
            raise Malformed("RECORDED_MS", "no clock says this time; stores cannot keep it")
        _, event = self._language.read(type, body)
        case_id = event.head.case_id
        if stream_tag(case_id) != said.stream:
            raise Malformed("WRONG_STREAM", "the record is of another case than its statement")
        version = self._versions[case_id] = self._versions.get(case_id, 0) + 1
        self._digests += item.digest
        if version == 1:
            self._case_of[disclosure_stream(case_id)] = case_id
        recorded = Recorded(
            position=len(self._digests) // _DIGEST,
            event_id=event.head.event_id,
            case_id=case_id,
            version=version,
            type=type,
            body=body,
            statement=entry.statement,
            signature=entry.signature,
            recorded_ms=entry.recorded_ms,
        )
        return Action(index, said.actor, recorded, event)

    def keep(self, actions: Sequence[Action]) -> None:
        """Put down what was read, before it is folded; `Corrupt` EVENT_TWICE."""
        if not actions:
            return
        try:
            with self._store.appending() as tx:
                tx.append([action.recorded for action in actions], [])
        except Conflict as e:
            message = "an id of an event from here on stands in the log twice"
            raise Corrupt("EVENT_TWICE", message) from e
