"""The event store on an `eventsourcing` recorder over PostgreSQL, for hubs in numbers.

The recorder's own table holds the sealed record under its Avro full name; statement, signature
and times stand in a side row. Positions are counted under a lock, not drawn from the recorder's
sequence, which leaves gaps after a transaction that was undone.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import errors
from psycopg.abc import Params, QueryNoTemplate
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from adapters.postgres import reading
from adapters.postgres.connection import Connection, Connections, migrate
from adapters.postgres.tables import CHANNEL, tables
from domain.errors import Conflict, Refused
from domain.ports import ActorHead, Answer, Recorded, Refusal
from domain.trail import statement
from domain.trail.statement import Statement

_BEGIN: Final = (
    # Not the recorder's lock, on its own table: that one waits for every vacuum of the log.
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; LOCK TABLE store IN EXCLUSIVE MODE;"
    " SELECT COALESCE((SELECT MAX(notification_id) FROM stored_events), 0),"
    " COALESCE((SELECT MAX(number) FROM refusals), 0), GREATEST("
    "(SELECT recorded_ms FROM entries ORDER BY position DESC LIMIT 1),"
    " (SELECT recorded_ms FROM refusals ORDER BY number DESC LIMIT 1), 0)"
)
_COMMIT: Final = f"NOTIFY {CHANNEL}; COMMIT"
_APPEND: Final = (
    "WITH events AS (INSERT INTO stored_events"
    " (originator_id, originator_version, topic, state, notification_id)"
    " SELECT case_id, version, topic, state, %(head)b::bigint + n"
    " FROM unnest(%(cases)b::text[]::uuid[], %(versions)b::bigint[], %(types)b::text[],"
    " %(bodies)b::bytea[]) WITH ORDINALITY AS e (case_id, version, topic, state, n)),"
    " sides AS (INSERT INTO entries SELECT %(head)b::bigint + n, id, said, signed, ms,"
    " NULLIF(custody, 0) FROM unnest(%(ids)b::text[]::uuid[], %(said)b::bytea[],"
    " %(signed)b::bytea[], %(ms)b::bigint[], %(custody)b::bigint[]) WITH ORDINALITY"
    " AS s (id, said, signed, ms, custody, n)),"
    " refused AS (INSERT INTO refusals SELECT %(number)b::bigint + n, key, id, said, signed, ms,"
    " code FROM unnest(%(keys)b::text[]::uuid[], %(refused)b::bytea[], %(no_said)b::bytea[],"
    " %(no_signed)b::bytea[], %(no_ms)b::bigint[], %(codes)b::text[]) WITH ORDINALITY"
    " AS r (key, id, said, signed, ms, code, n))"
    " INSERT INTO actors AS a SELECT * FROM unnest(%(actors)b::bytea[], %(seqs)b::bigint[],"
    " %(digests)b::bytea[]) ON CONFLICT (actor) DO UPDATE SET seq = excluded.seq,"
    " digest = excluded.digest WHERE excluded.seq > a.seq"
)


class PostgresAppending:
    """One write transaction; see the port."""

    def __init__(self, connection: Connection) -> None:
        """Begin: take the lock, then read where the log ends."""
        self._connection = connection
        cursor = connection.execute(_BEGIN)
        while cursor.nextset():
            pass
        ends: tuple[int, int, int] = cursor.fetchall()[0]
        self._head, self._number, self._last_ms = ends
        self._wrote = False

    def _rows(
        self, sql: QueryNoTemplate, parameters: Params = (), *, planned: bool = True
    ) -> list[TupleRow]:
        cursor = self._connection.execute(sql, parameters, prepare=planned, binary=True)
        return cursor.fetchall()

    def heads(self, case_ids: Sequence[str]) -> Mapping[str, int]:
        """Return the version of each case that exists."""
        return reading.heads(self._rows, case_ids)

    def actors(self, actor_ids: Sequence[bytes]) -> Mapping[bytes, ActorHead]:
        """Return the head of each actor that has acted."""
        return reading.actors(self._rows, actor_ids)

    def answers(self, event_ids: Sequence[str]) -> Mapping[str, Answer]:
        """Return the first answer to each event id that had one."""
        return reading.answers(self._rows, event_ids)

    def last_recorded_ms(self) -> int:
        """Return the newest `recorded_ms`; 0 at the start."""
        return self._last_ms

    def read_case(self, case_id: str, after: int = 0) -> Sequence[Recorded]:
        """Return the events of a case after version `after`, oldest first."""
        return reading.case(self._rows, case_id, after)

    def append(self, events: Sequence[Recorded], refusals: Sequence[Refusal]) -> Sequence[int]:
        """Write `events` and `refusals`; `Conflict` when a version is taken."""
        if not events and not refusals:
            return ()
        parameters = {
            "head": self._head,
            "number": self._number,
            **_columns(events),
            **_refused(refusals),
            **_newest(events, refusals),
        }
        try:
            self._connection.execute(_APPEND, parameters, prepare=True)
        except errors.UniqueViolation as e:
            message = "somebody else wrote first; read again and retry"
            raise Conflict("VERSION_TAKEN", message) from e
        first, self._head = self._head + 1, self._head + len(events)
        self._number += len(refusals)
        times = chain((e.recorded_ms for e in events), (r.recorded_ms for r in refusals))
        self._last_ms = max(self._last_ms, *times)
        self._wrote = True
        return range(first, self._head + 1)

    def adopt(self, incarnation: str) -> None:
        """Take the place of a lost store; `Refused` STORE_NOT_EMPTY if this one holds anything."""
        if self._head or self._number:
            message = "only an empty store takes another's place; give it an empty database"
            raise Refused("STORE_NOT_EMPTY", message)
        self._connection.execute("UPDATE store SET incarnation = %s", (UUID(incarnation),))

    def commit(self) -> None:
        """End the transaction durably, and wake who follows the log."""
        self._connection.execute(_COMMIT if self._wrote else "COMMIT")


class PostgresEventStore:
    """See the port `EventStore`. Any number of processes may write to one database."""

    def __init__(self, dsn: str) -> None:
        """Open the store in the database `dsn`, making its tables if there are none."""
        self._connections = Connections(dsn)
        migrate(dsn, "event_store", [tables()])

    def close(self) -> None:
        """Close every connection."""
        self._connections.close()

    def incarnation(self) -> str:
        """Return the id that the store got when its tables were made."""
        return str(self._rows("SELECT incarnation::text FROM store")[0][0])

    def adopt(self, incarnation: str) -> None:
        """Take the place of a lost store; `Refused` STORE_NOT_EMPTY if this one holds anything."""
        with self.appending() as transaction:
            transaction.adopt(incarnation)

    @contextmanager
    def appending(self) -> Iterator[PostgresAppending]:
        """Open the one write transaction of all processes."""
        with self._connections.lend() as connection:
            try:
                transaction = PostgresAppending(connection)
                yield transaction
                transaction.commit()
            except BaseException:
                _undo(connection)
                raise

    def _rows(
        self, sql: QueryNoTemplate, parameters: Params = (), *, planned: bool = True
    ) -> list[TupleRow]:
        with self._connections.lend() as connection:
            cursor = connection.execute(sql, parameters, prepare=planned, binary=True)
            return cursor.fetchall()

    def heads(self, case_ids: Sequence[str]) -> Mapping[str, int]:
        """Return the version of each case that exists."""
        return reading.heads(self._rows, case_ids)

    def read_case(self, case_id: str, after: int = 0) -> Sequence[Recorded]:
        """Return the events of a case after version `after`, oldest first."""
        return reading.case(self._rows, case_id, after)

    def read_log(self, after: int, limit: int, types: Sequence[str] = ()) -> Sequence[Recorded]:
        """Return up to `limit` events after position `after`, of `types` if any are named."""
        return reading.log(self._rows, after, limit, types)

    def read_refusals(self, after: int, limit: int) -> Sequence[Refusal]:
        """Return up to `limit` refusals after number `after`, oldest first."""
        return reading.refusals(self._rows, after, limit)

    def read_positions(self, positions: Sequence[int]) -> Mapping[int, Recorded]:
        """Return the events at `positions`."""
        return reading.at(self._rows, positions)

    def read_answer(self, event_id: str) -> Answer | None:
        """Return the first answer to `event_id`, if there was one."""
        return reading.answers(self._rows, [event_id]).get(event_id)

    def head(self) -> int:
        """Return the newest position; 0 when empty."""
        return reading.head(self._rows)


def _undo(connection: Connection) -> None:
    """Roll back if the server still listens; if it does not, it finds out by itself."""
    open_ = {TransactionStatus.INTRANS, TransactionStatus.INERROR}
    with suppress(psycopg.Error):
        if connection.info.transaction_status in open_:
            connection.execute("ROLLBACK")


def _columns(events: Sequence[Recorded]) -> dict[str, list[Any]]:
    return {
        "cases": [e.case_id for e in events],
        "versions": [e.version for e in events],
        "types": [e.type for e in events],
        "bodies": [e.body for e in events],
        "ids": [e.event_id for e in events],
        "said": [e.statement for e in events],
        "signed": [e.signature for e in events],
        "ms": [e.recorded_ms for e in events],
        "custody": [e.custody_seq or 0 for e in events],
    }


def _refused(refusals: Sequence[Refusal]) -> dict[str, list[Any]]:
    return {
        "keys": [reading.key_of(r.event_id) for r in refusals],
        "refused": [r.event_id.encode() for r in refusals],
        "no_said": [r.statement for r in refusals],
        "no_signed": [r.signature for r in refusals],
        "no_ms": [r.recorded_ms for r in refusals],
        "codes": [r.code for r in refusals],
    }


def _newest(events: Sequence[Recorded], refusals: Sequence[Refusal]) -> dict[str, list[Any]]:
    """Return the newest statement of each actor: a row is written once a statement of SQL."""
    newest: dict[bytes, tuple[int, bytes]] = {}
    for signed in chain((e.statement for e in events), (r.statement for r in refusals)):
        said = Statement.decode(signed)
        if said.actor not in newest or said.actor_seq > newest[said.actor][0]:
            newest[said.actor] = said.actor_seq, signed
    return {
        "actors": list(newest),
        "seqs": [seq for seq, _ in newest.values()],
        "digests": [statement.digest(signed) for _, signed in newest.values()],
    }
