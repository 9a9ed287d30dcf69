"""`append_postgres` and `group_commit_postgres`: the store on PostgreSQL, and message-db beside it.

The server is the one of NRM_DATABASE_URL, or one of our own with fsync.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

from adapters.postgres.event_store import PostgresEventStore
from domain.ports import Recorded
from services.local.postgres import GivenPostgres, Postgres, given
from tests.bench.measuring import Measured, paired, seconds
from tests.bench.stores import APPENDED, BATCH, ROUNDS, Stock, append_to, grouped, recorded_parts

MESSAGE_DB = "@eventide/message-db@1.3.1"
_BARE = (
    "CREATE TABLE events (position bigserial PRIMARY KEY, case_id uuid NOT NULL,"
    " version bigint NOT NULL, type text, body bytea, event_id uuid, statement bytea,"
    " signature bytea, recorded_ms bigint, custody_seq bigint, UNIQUE (case_id, version))"
)
_UNNEST = (
    "INSERT INTO events (case_id, version, type, body, event_id, statement, signature,"
    " recorded_ms, custody_seq) SELECT * FROM unnest(%b::text[]::uuid[], %b::bigint[],"
    " %b::text[], %b::bytea[], %b::text[]::uuid[], %b::bytea[], %b::bytea[], %b::bigint[],"
    " %b::bigint[])"
)
_WRITE = "SELECT message_store.write_message(%s, %s, %s, %s::text::jsonb, NULL, %s::bigint)"


def append_postgres(folder: Path) -> Iterator[Measured]:
    """Append the same events in transactions of 100 to the store, bare, and to message-db."""
    parts = recorded_parts(folder)
    with postgres_server(folder) as server:
        with fresh_database(server) as ours, fresh_database(server) as bare:
            value, ratio = _beside(parts, ours, _Bare(bare))
        against = f"bare unnest inserts of the same bytes, {BATCH} a transaction"
        yield _figure("append_postgres", value, ratio, against)
        sql = _message_db(folder)
        if sql is None:
            sys.stderr.write("NOT MEASURED: message-db, which npm would bring; npm is missing\n")
            return
        with fresh_database(server) as ours, fresh_database(server) as theirs:
            value, ratio = _beside(parts, ours, _MessageDb(theirs, sql))
        against = (
            f"message-db 1.3, write_message of the same bytes, {BATCH} pipelined a transaction"
        )
        yield _figure("append_message_db", value, ratio, against)


def group_commit_postgres(folder: Path) -> Iterator[Measured]:
    """`group_commit` over PostgreSQL, against the stock recorder over the same server."""
    with (
        postgres_server(folder) as server,
        fresh_database(server) as ours,
        fresh_database(server) as stock,
        closing(PostgresEventStore(ours)) as store,
        stock_datastore(stock) as datastore,
    ):
        recorder = PostgresApplicationRecorder(datastore)
        yield from grouped("group_commit_postgres", folder, store, Stock(recorder))


def stock_datastore(address: str) -> PostgresDatastore:
    """Return what the library's own recorder needs to use the database at `address`."""
    url = urlsplit(address)
    host, port = url.hostname or "", url.port or 5432
    return PostgresDatastore(url.path[1:], host, port, url.username or "", url.password or "")


def _beside(
    parts: Sequence[Sequence[Recorded]], ours: str, peer: "_Bare | _MessageDb"
) -> tuple[float, float]:
    with closing(PostgresEventStore(ours)) as store, closing(peer):
        return paired(
            ROUNDS,
            lambda n: APPENDED / seconds(lambda: append_to(store, parts[n])),
            lambda n: peer.rate(parts[n]),
        )


def _figure(name: str, value: float, ratio: float, against: str) -> Measured:
    return Measured(name=name, value=value, unit="events/s", ratio=ratio, against=against)


@contextmanager
def postgres_server(folder: Path) -> Iterator[GivenPostgres]:
    """Run a server in `folder` for the block, or lend the one that NRM_DATABASE_URL names."""
    existing = given(os.environ)
    if existing is not None:
        yield existing
        return
    server = Postgres(folder / "postgres")
    server.start()
    try:
        yield server
    finally:
        server.delete()


@contextmanager
def fresh_database(server: GivenPostgres) -> Iterator[str]:
    """Lend the address of an empty database for the block."""
    name = f"nrm_bench_{uuid4().hex}"
    yield server.create_database(name)
    server.drop_database(name)


class _Bare:
    """One table with as many columns, and one statement a transaction."""

    def __init__(self, database: str) -> None:
        self._db = psycopg.connect(database, autocommit=True)
        self._db.execute(_BARE)

    def close(self) -> None:
        self._db.close()

    def rate(self, events: Sequence[Recorded]) -> float:
        """Return events a second."""
        return APPENDED / seconds(lambda: self._insert(events))

    def _insert(self, events: Sequence[Recorded]) -> None:
        for at in range(0, len(events), BATCH):
            rows = [
                (
                    e.case_id,
                    e.version,
                    e.type,
                    e.body,
                    e.event_id,
                    e.statement,
                    e.signature,
                    e.recorded_ms,
                    e.custody_seq or 0,
                )
                for e in events[at : at + BATCH]
            ]
            columns = [list(column) for column in zip(*rows, strict=True)]
            self._db.execute(_UNNEST, columns, prepare=True)


class _MessageDb:
    """message-db's own function, which takes a stream's expected version as we do."""

    def __init__(self, database: str, sql: Path) -> None:
        self._db = psycopg.connect(database, autocommit=True)
        self._db.execute("SET client_min_messages = warning")
        for folder in ("schema", "extensions", "tables", "types", "functions", "indexes"):
            for file in sorted((sql / folder).glob("*.sql")):
                self._db.execute(file.read_bytes())
        self._db.execute("SET search_path = message_store, public")
        self._newest: defaultdict[str, int] = defaultdict(lambda: -1)
        """Stream -> its version, which message-db counts from 0; -1 before there is one."""

    def close(self) -> None:
        self._db.close()

    def rate(self, events: Sequence[Recorded]) -> float:
        """Return messages a second; their JSON, in which bytes are Base64, is made before."""
        rows = [self._message(e) for e in events]
        return APPENDED / seconds(lambda: self._write(rows))

    def _message(self, event: Recorded) -> tuple[Any, ...]:
        kept = {"record": event.body, "statement": event.statement, "signature": event.signature}
        data = json.dumps({name: base64.b64encode(value).decode() for name, value in kept.items()})
        newest = self._newest[event.case_id]
        self._newest[event.case_id] += 1
        return event.event_id, f"case-{event.case_id}", event.type, data, newest

    def _write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        for at in range(0, len(rows), BATCH):
            with self._db.pipeline(), self._db.transaction():
                for row in rows[at : at + BATCH]:
                    self._db.execute(_WRITE, row, prepare=True)


def _message_db(folder: Path) -> Path | None:
    """Return the folder of message-db's SQL, brought by npm; None without npm."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), MESSAGE_DB]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)
    return folder / "node_modules" / "@eventide" / "message-db" / "database"
