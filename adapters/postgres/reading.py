"""What is read of the event store: queries, and their rows as ours.

Every query is an index range or a probe a key. Lists go over as arrays in binary (`%b`): as
text, bytes would double and be escaped one by one.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, LiteralString, Protocol
from uuid import UUID

from psycopg.abc import Params
from psycopg.rows import TupleRow

from domain.ports import ActorHead, Answer, Recorded, Refusal
from domain.trail import statement
from domain.trail.statement import Statement

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_COLUMNS: Final = (
    "SELECT e.notification_id, e.originator_id::text, e.originator_version, e.topic, e.state,"
    " s.event_id::text, s.statement, s.signature, s.recorded_ms, s.custody_seq"
)
_JOIN: Final = " JOIN entries s ON s.position = e.notification_id "
_CASE: Final = (
    _COLUMNS
    + " FROM stored_events e"
    + _JOIN
    + "WHERE e.originator_id = %b::text::uuid AND e.originator_version > %b"
    " ORDER BY e.originator_version"
)
_RANGE: Final = (
    # Positions have no gaps: the range is the limit, and both tables are read by it.
    _COLUMNS
    + " FROM stored_events e"
    + _JOIN
    + "WHERE e.notification_id > %(after)b AND e.notification_id <= %(last)b"
    " AND s.position > %(after)b AND s.position <= %(last)b ORDER BY e.notification_id"
)
_FIRST_OF_TYPES: Final = (
    " FROM (SELECT * FROM stored_events WHERE notification_id > %b AND topic = ANY(%b::text[])"
    " ORDER BY notification_id LIMIT %b) e"
)
_OF_TYPES: Final = _COLUMNS + _FIRST_OF_TYPES + _JOIN + "ORDER BY e.notification_id"
_AT: Final = (
    _COLUMNS + " FROM stored_events e" + _JOIN + "WHERE e.notification_id = ANY(%b::bigint[])"
)
_HEADS: Final = (
    "SELECT c.id::text, (SELECT originator_version FROM stored_events WHERE originator_id = c.id"
    " ORDER BY originator_version DESC LIMIT 1)"
    " FROM unnest(%b::text[]::uuid[]) AS c (id)"
)
_ACTORS: Final = "SELECT actor, seq, digest FROM actors WHERE actor = ANY(%b::bytea[])"
_ANSWERS: Final = (
    "SELECT event_id::text, statement, recorded_ms, position, NULL FROM entries"
    " WHERE event_id = ANY(%(keys)b::text[]::uuid[]) UNION ALL"
    " SELECT key::text, statement, recorded_ms, NULL, code FROM refusals"
    " WHERE key = ANY(%(keys)b::text[]::uuid[])"
)
_REFUSALS: Final = (
    "SELECT number, event_id, statement, signature, recorded_ms, code FROM refusals"
    " WHERE number > %b ORDER BY number LIMIT %b"
)
_HEAD: Final = "SELECT COALESCE(MAX(notification_id), 0) FROM stored_events"


class Rows(Protocol):
    """Runs one query; it is planned once a connection unless `planned` is False."""

    def __call__(self, sql: Any, parameters: Any = (), *, planned: bool = True) -> list[TupleRow]:
        """Return its rows."""
        ...


Question = tuple[LiteralString, Params]
"""A query and its parameters."""


def heads_of(case_ids: Collection[str]) -> Question:
    """Ask for the version of each case."""
    return _HEADS, ([c for c in case_ids if _UUID.fullmatch(c)],)


def heads(found: Iterable[TupleRow]) -> dict[str, int]:
    """Return the version of each case that exists."""
    return {case_id: version for case_id, version in found if version is not None}


def actors_of(actor_ids: Collection[bytes]) -> Question:
    """Ask for the head of each actor."""
    return _ACTORS, (list(actor_ids),)


def actors(found: Iterable[TupleRow]) -> dict[bytes, ActorHead]:
    """Return the head of each actor that has acted."""
    return {r[0]: ActorHead(r[1], r[2]) for r in found}


def answers_to(event_ids: Collection[str]) -> Question:
    """Ask for the first answer to each event id."""
    return _ANSWERS, {"keys": [key_of(e) for e in event_ids]}


def answers(found: Iterable[TupleRow], event_ids: Collection[str]) -> dict[str, Answer]:
    """Return the first answer to each of `event_ids` that had one."""
    rows = {r[0]: r for r in found}
    return {e: _answer(rows[key]) for e in event_ids if (key := key_of(e)) in rows}


def case(rows: Rows, case_id: str, after: int) -> list[Recorded]:
    """Return the events of a case after version `after`, oldest first."""
    return [_recorded(r) for r in rows(_CASE, (case_id, after))]


def log(rows: Rows, after: int, limit: int, types: Sequence[str]) -> list[Recorded]:
    """Return up to `limit` events after position `after`, of `types` if any are named."""
    if types:
        # Planned for these very types: how many events they are makes all the difference.
        found = rows(_OF_TYPES, (after, list(types), limit), planned=False)
    else:
        found = rows(_RANGE, {"after": after, "last": after + limit})
    return [_recorded(r) for r in found]


def refusals(rows: Rows, after: int, limit: int) -> list[Refusal]:
    """Return up to `limit` refusals after number `after`, oldest first."""
    return [_refusal(r) for r in rows(_REFUSALS, (after, limit))]


def at(rows: Rows, positions: Sequence[int]) -> Mapping[int, Recorded]:
    """Return the events at `positions`."""
    return {r[0]: _recorded(r) for r in rows(_AT, (list(positions),))}


def head(rows: Rows) -> int:
    """Return the newest position; 0 when empty."""
    return int(rows(_HEAD)[0][0])


def key_of(event_id: str) -> str:
    """Return the UUID under which an event id is looked up: itself, or a digest of any other."""
    if _UUID.fullmatch(event_id):
        return event_id
    return str(UUID(bytes=sha256(event_id.encode()).digest()[:16]))


def _recorded(r: TupleRow) -> Recorded:
    return Recorded(
        position=r[0],
        case_id=r[1],
        version=r[2],
        type=r[3],
        body=r[4],
        event_id=r[5],
        statement=r[6],
        signature=r[7],
        recorded_ms=r[8],
        custody_seq=r[9],
    )


def _refusal(r: TupleRow) -> Refusal:
    return Refusal(
        number=r[0],
        event_id=r[1].decode(),
        statement=r[2],
        signature=r[3],
        recorded_ms=r[4],
        code=r[5],
    )


def _answer(r: TupleRow) -> Answer:
    return Answer(
        statement_digest=statement.digest(r[1]),
        actor=Statement.decode(r[1]).actor,
        recorded_ms=r[2],
        position=r[3],
        code=r[4],
    )
