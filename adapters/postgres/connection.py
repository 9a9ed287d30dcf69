"""PostgreSQL as our stores use it: connections that fail soon, errors as ours, tables in versions.

A call never waits longer than `ANSWER_SECONDS` for the server, and while the server is away
calls fail at once: the hub's event loop stands still for no dead database.
"""

import hashlib
import select
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import chain
from time import monotonic
from typing import LiteralString

import psycopg
from psycopg import errors
from psycopg.abc import RV, PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from psycopg.sql import Composed

from domain.errors import Conflict, HubError, Malformed, Refused, Unavailable

STATEMENT_SECONDS = 5
"""After this the server gives a statement up; waiting for a lock counts."""
ANSWER_SECONDS = STATEMENT_SECONDS + 2
"""After this we give the server up; later than the server does, whose answer says more."""
LONG_SECONDS = 3_600
"""The same for what is done once, with nobody waiting."""
_REST_SECONDS = 1.0
"""How long calls fail at once after a connection could not be made."""
_REST_FACTOR = 4
"""The same as a multiple of the time that was lost on trying, if that is longer."""
_NETWORK: Mapping[str, str | int] = {
    "application_name": "nrm-hub",
    "connect_timeout": 2,  # seconds, the least that libpq takes
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 3_000,  # milliseconds
}
_SESSION: Mapping[str, int] = {
    "statement_timeout": STATEMENT_SECONDS * 1_000,
    # Who is stopped or cut off inside a transaction must not hold up the others for long.
    "idle_in_transaction_session_timeout": 2 * STATEMENT_SECONDS * 1_000,
    "tcp_keepalives_idle": 2,
    "tcp_keepalives_interval": 1,
    "tcp_keepalives_count": 3,
}
_DURABLE = (
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') = 'off'"
)

Statement = LiteralString | Composed


class Connection(psycopg.Connection[TupleRow]):
    """A connection on which no call waits for ever."""

    answer_seconds: float = ANSWER_SECONDS

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for the server's answer, `answer_seconds` unless told otherwise."""
        return super().wait(gen, interval, self.answer_seconds if timeout is None else timeout)


def connect(dsn: str) -> Connection:
    """Connect to `dsn` (URL or key=value words); each statement is a transaction of its own.

    `Unavailable` when no connection can be made. What `dsn` says goes before our limits.
    """
    words = _words(dsn)
    session = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
    options = f"{session} {words.get('options', '')}"
    with ours():
        try:
            limited = make_conninfo("", **{**_NETWORK, **words, "options": options})
            connection = Connection.connect(limited, autocommit=True)
        except psycopg.OperationalError as e:
            raise _no_connection(words, e) from e
        try:
            connection.execute(_DURABLE)
        except BaseException:
            connection.close()
            raise
    return connection


def _words(dsn: str) -> dict[str, str]:
    try:
        return {name: str(value) for name, value in conninfo_to_dict(dsn).items()}
    except psycopg.ProgrammingError as e:
        message = "the database's address is no PostgreSQL URL and no key=value words"
        raise Malformed("DATABASE_ADDRESS", message) from e


def _no_connection(words: Mapping[str, str], error: psycopg.Error) -> Unavailable:
    """Name the place and what the server said; neither holds the password."""
    place = f"{words.get('host', '')}:{words.get('port', '')}/{words.get('dbname', '')}"
    said = str(error).strip().rpartition("\n")[2]
    message = f"no connection to the database {place}; retry later ({said})"
    return Unavailable("STORE_UNAVAILABLE", message)


class Connections:
    """Connections to one database, each lent to one caller at a time and used again."""

    def __init__(self, dsn: str) -> None:
        """Connect to `dsn` when first asked."""
        self._dsn = dsn
        self._idle: list[Connection] = []
        self._resting_until = 0.0

    def close(self) -> None:
        """Close every connection that is not lent."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def lend(self) -> Iterator[Connection]:
        """Lend a connection for the block; one that failed in it is not used again."""
        connection = self._take()
        try:
            with ours():
                yield connection
        except Unavailable:
            connection.close()
            self.close()  # what ended one has most likely ended all
            raise
        finally:
            if connection.info.transaction_status is TransactionStatus.IDLE:
                self._idle.append(connection)
            else:
                connection.close()

    def _take(self) -> Connection:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._connect()
            if _silent(connection):
                return connection
            connection.close()

    def _connect(self) -> Connection:
        started = monotonic()
        if started < self._resting_until:
            raise Unavailable("STORE_UNAVAILABLE", "the database is away; retry later")
        try:
            return connect(self._dsn)
        except Unavailable:
            lost = monotonic() - started
            self._resting_until = monotonic() + max(_REST_SECONDS, _REST_FACTOR * lost)
            raise


def _silent(connection: Connection) -> bool:
    """Return whether the server has said nothing unasked; its last word would be that it ends."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)


class ours:  # noqa: N801 - reads as a word in `with`
    """Turns PostgreSQL's errors into ours; ours pass through."""

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        """Raise `Conflict` for a row that is taken, `Unavailable` for the rest of PostgreSQL."""
        if isinstance(error, psycopg.Error):
            raise _ours(error) from error


def _ours(error: psycopg.Error) -> HubError:
    match error:
        case psycopg.IntegrityError() | errors.DeadlockDetected() | errors.SerializationFailure():
            return Conflict("ROW_TAKEN", "somebody else wrote first; read again and retry")
        case errors.DiskFull():
            message = "the database's disk is full: make room, then retry"
        case errors.QueryCanceled() | errors.LockNotAvailable():
            message = f"the database took more than {STATEMENT_SECONDS} s; retry later"
        case _:
            message = f"the database did not answer ({error.sqlstate or 'cut off'}); retry later"
    return Unavailable("STORE_UNAVAILABLE", message)


def lock_number(name: str) -> int:
    """Return the advisory lock that `name` stands for, as PostgreSQL counts them (int8)."""
    digest = hashlib.sha256(b"nrm-hub " + name.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def migrate(dsn: str, name: str, steps: Sequence[Sequence[Statement]]) -> None:
    """Bring the tables called `name` to version `len(steps)`; who starts at once takes turns.

    `Refused` STORE_NEWER when a newer program has been here.
    """
    with closing(connect(dsn)) as connection, ours(), connection.transaction():
        connection.answer_seconds = LONG_SECONDS
        connection.execute("SET LOCAL statement_timeout = 0")
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock_number("migrations"),))
        version = _version(connection, name)
        if version > len(steps):
            message = f"tables {name} are version {version}, known here is {len(steps)}: update"
            raise Refused("STORE_NEWER", message)
        for statement in chain.from_iterable(steps[version:]):
            connection.execute(statement)
        if version < len(steps):
            connection.execute(
                "INSERT INTO versions VALUES (%s, %s)"
                " ON CONFLICT (name) DO UPDATE SET version = excluded.version",
                (name, len(steps)),
            )


def _version(connection: Connection, name: str) -> int:
    """Return the version of the tables called `name`; 0 before there are any."""
    # Asked first, so that a role that may not create tables can run what another has made.
    found = connection.execute("SELECT to_regclass('versions')").fetchone()
    if found == (None,):
        connection.execute("CREATE TABLE versions (name text PRIMARY KEY, version int NOT NULL)")
    row = connection.execute("SELECT version FROM versions WHERE name = %s", (name,)).fetchone()
    return int(row[0]) if row else 0
