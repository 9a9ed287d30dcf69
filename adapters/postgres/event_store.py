"""The event store on an `eventsourcing` recorder over PostgreSQL, for hubs in numbers.

The recorder's own table holds the sealed record under its Avro full name; statement, signature
and times stand in a side row.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import psycopg
from psycopg import errors
from psycopg.abc import Params, QueryNoTemplate
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from adapters.postgres import reading
from adapters.postgres.appending import PostgresAppending
from adapters.postgres.connection import Connection, Connections, migrate
from adapters.postgres.tables import tables
from domain.errors import Conflict
from domain.ports import Answer, Recorded, Refusal


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
    def appending(
        self,
        cases: Collection[str] = (),
        actors: Collection[bytes] = (),
        events: Collection[str] = (),
    ) -> Iterator[PostgresAppending]:
        """Open the one write transaction of all processes."""
        with self._connections.lend() as connection:
            try:
                with connection.pipeline() as pipeline:
                    transaction = PostgresAppending(connection, pipeline, cases, actors, events)
                    yield transaction
                    transaction.commit()
            except errors.UniqueViolation as e:
                _undo(connection)
                message = "somebody else wrote first; read again and retry"
                raise Conflict("VERSION_TAKEN", message) from e
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
        return reading.heads(self._rows(*reading.heads_of(case_ids)))

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
        asked = [event_id]
        return reading.answers(self._rows(*reading.answers_to(asked)), asked).get(event_id)

    def head(self) -> int:
        """Return the newest position; 0 when empty."""
        return reading.head(self._rows)


def _undo(connection: Connection) -> None:
    """Roll back if the server still listens; if it does not, it finds out by itself."""
    open_ = {TransactionStatus.INTRANS, TransactionStatus.INERROR}
    with suppress(psycopg.Error):
        if connection.info.transaction_status in open_:
            connection.execute("ROLLBACK")
