"""Is an action what it claims to be? Asked before anything is decided, outside the lock.

What cannot be tied to an agency's key is refused and leaves nothing. What can be, and is no
event all the same, goes on with its fault: it uses up its actor's number.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from domain import events as ev
from domain.action import Action
from domain.errors import Malformed, NotAuthentic, Refused
from domain.ports import Language
from domain.record import Record
from domain.standing import Key
from domain.trail import statement
from domain.trail.describes import check_describes
from domain.trail.statement import Kind, Statement, stream_tag

_REGISTRY = stream_tag(ev.REGISTRY_STREAM)
_EVENT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """An action whose statement could be read and whose actor is known."""

    action: Action
    said: Statement
    digest: bytes
    key: Key
    record: Record | None = None
    event: ev.Event | None = None
    fault: Refused | None = None
    """Why the record cannot be an event; it is recorded as a refusal like any other."""


class Checker:
    """Checks actions against the language and the keys of agencies."""

    def __init__(
        self, language: Language, key_of: Callable[[bytes], Key | None], operator: str
    ) -> None:
        """`key_of` gives the key behind an actor id; `operator` is who writes the registry."""
        self._language = language
        self._key_of = key_of
        self._operator = operator

    def check(self, action: Action, sender: str) -> Checked:
        """Return the action of agency `sender`, read; `NotAuthentic` when it is nobody's."""
        # Nobody signed the id by itself, and everybody is to find the action under it.
        if not _EVENT_ID.fullmatch(action.event_id):
            raise Malformed("EVENT_ID", "an event id is a UUID in lower-case text")
        said = Statement.decode(action.statement)
        if said.kind != Kind.ACTION:
            # No refusal of it could be entered in the trail either.
            raise Malformed("STATEMENT_KIND", "the statement is of no action")
        key = self._key_of(said.actor)
        if key is None or key.agency != sender:
            raise NotAuthentic("ACTOR_UNKNOWN", "no key of your agency made this statement")
        if said.stream == _REGISTRY and sender != self._operator:
            # Even refused, it would stand in every bundle of evidence.
            raise NotAuthentic("REGISTRY_WRITER", "the coordinator writes the registry's facts")
        if said.payload != sha256(action.record).digest():
            raise NotAuthentic("PAYLOAD_MISMATCH", "the statement is about other bytes")
        record, event, fault = self._read(action, said, sender)
        return Checked(
            action=action,
            said=said,
            digest=statement.digest(action.statement),
            key=key,
            record=record,
            event=event,
            fault=fault,
        )

    def _read(
        self, action: Action, said: Statement, sender: str
    ) -> tuple[Record, ev.Event, None] | tuple[None, None, Refused]:
        """Return the record and the event that `action` carries, or why it carries none."""
        try:
            record, event = self._language.read(action.type, action.record)
        except Refused as e:
            return None, None, e
        if said.stream != stream_tag(event.head.case_id):
            # Even refused, it would stand in that stream, and whoever reads it has to read on.
            raise NotAuthentic("WRONG_STREAM", "the statement is of another case than its record")
        try:
            self._same_thing(action, said, record, event, sender)
        except Refused as e:
            return None, None, e
        return record, event, None

    def _same_thing(
        self, action: Action, said: Statement, record: Record, event: ev.Event, sender: str
    ) -> None:
        """Refuse a statement that is not about this record, or a record about somebody else."""
        check_describes(said, record, self._language.shape(action.type), event.head.case_id)
        if event.head.event_id != action.event_id:
            raise Malformed("EVENT_ID_MISMATCH", "the record carries another event id")
        if event.head.agency != sender:
            raise Malformed("AGENCY_MISMATCH", "the record names another agency as actor")
        registry_stream = event.head.case_id == ev.REGISTRY_STREAM
        if isinstance(event, ev.RegistryEvent) is not registry_stream:
            raise Malformed("WRONG_STREAM", "registry facts and cases have streams of their own")
