"""One write transaction on PostgreSQL: a round trip to begin, and one to write and end it.

Positions are counted under a lock, not drawn from the recorder's sequence, which leaves gaps
after a transaction that was undone.
"""

from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import Pipeline
from psycopg.abc import Params, QueryNoTemplate
from psycopg.rows import TupleRow

from adapters.postgres import reading
from adapters.postgres.connection import Connection
from adapters.postgres.tables import CHANNEL
from domain.errors import Refused
from domain.ports import Recorded, Refusal, Start
from domain.trail import statement
from domain.trail.statement import Statement

_LOCK: Final = (
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
    # Not the recorder's lock, on its own table: that one waits for every vacuum of the log.
    "LOCK TABLE store IN EXCLUSIVE MODE",
)
_ENDS: Final = (
    "SELECT COALESCE((SELECT MAX(notification_id) FROM stored_events), 0),"
    " COALESCE((SELECT MAX(number) FROM refusals), 0), GREATEST("
    "(SELECT recorded_ms FROM entries ORDER BY position DESC LIMIT 1),"
    " (SELECT recorded_ms FROM refusals ORDER BY number DESC LIMIT 1), 0)"
)
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

    def __init__(
        self,
        connection: Connection,
        pipeline: Pipeline,
        cases: Collection[str],
        actors: Collection[bytes],
        events: Collection[str],
    ) -> None:
        """Take the lock, then read what is asked for and where the log ends.

        Each statement sees what was committed before itself, so none is one with the lock's.
        """
        self._connection = connection
        self._pipeline = pipeline
        self._staged: list[dict[str, Any]] = []
        for sql in _LOCK:
            connection.execute(sql, prepare=True)
        ends, heads, acted, answered = [
            connection.execute(sql, parameters, prepare=True, binary=True)
            for sql, parameters in (
                (_ENDS, ()),
                reading.heads_of(cases),
                reading.actors_of(actors),
                reading.answers_to(events),
            )
        ]
        self._sync()
        self._head, self._number, last_ms = ends.fetchall()[0]
        self.start = Start(
            heads=reading.heads(heads),
            actors=reading.actors(acted),
            answers=reading.answers(answered, events),
            recorded_ms=last_ms,
        )

    def _sync(self) -> None:
        """Wait for the answers; from then on the server takes us for idle, and not for ever."""
        try:
            self._pipeline.sync()
        except psycopg.OperationalError:
            self._connection.close()  # or leaving the pipeline would wait once more
            raise

    def _rows(
        self, sql: QueryNoTemplate, parameters: Params = (), *, planned: bool = True
    ) -> list[TupleRow]:
        cursor = self._connection.execute(sql, parameters, prepare=planned, binary=True)
        self._sync()
        return cursor.fetchall()

    def read_case(self, case_id: str, after: int = 0) -> Sequence[Recorded]:
        """Return the events of a case after version `after`, oldest first."""
        return reading.case(self._rows, case_id, after)

    def append(self, events: Sequence[Recorded], refusals: Sequence[Refusal]) -> Sequence[int]:
        """Stage `events` and `refusals`; whether a version is taken is seen at the end."""
        if not events and not refusals:
            return ()
        self._staged.append(
            {
                "head": self._head,
                "number": self._number,
                **_columns(events),
                **_refused(refusals),
                **_newest(events, refusals),
            }
        )
        first, self._head = self._head + 1, self._head + len(events)
        self._number += len(refusals)
        return range(first, self._head + 1)

    def adopt(self, incarnation: str) -> None:
        """Take the place of a lost store; `Refused` STORE_NOT_EMPTY if this one holds anything."""
        if self._head or self._number:
            message = "only an empty store takes another's place; give it an empty database"
            raise Refused("STORE_NOT_EMPTY", message)
        self._connection.execute("UPDATE store SET incarnation = %s", (UUID(incarnation),))

    def commit(self) -> None:
        """Write what is staged, end the transaction, and wake who follows the log.

        It is durable once the pipeline was left.
        """
        for parameters in self._staged:
            self._connection.execute(_APPEND, parameters, prepare=True)
        if self._staged:
            self._connection.execute(f"NOTIFY {CHANNEL}", prepare=True)
        self._connection.execute("COMMIT", prepare=True)


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
