"""The tables of the event store: that of the `eventsourcing` recorder, and ours beside it."""

from collections.abc import Sequence
from typing import Final

from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

from adapters.postgres.connection import Statement

CHANNEL: Final = "stored_events"
"""The recorder's channel: subscriptions of the library wake up too."""
_SIDE_TABLES: Sequence[Statement] = (
    "CREATE TABLE entries (position bigint PRIMARY KEY, event_id uuid UNIQUE NOT NULL,"
    " statement bytea NOT NULL, signature bytea NOT NULL, recorded_ms bigint NOT NULL,"
    " custody_seq bigint)",
    # `key` is the UUID under which an event id is looked up: a refused action may have called
    # itself anything.
    "CREATE TABLE refusals (number bigint PRIMARY KEY, key uuid UNIQUE NOT NULL,"
    " event_id bytea NOT NULL, statement bytea NOT NULL, signature bytea NOT NULL,"
    " recorded_ms bigint NOT NULL, code text NOT NULL)",
    # Rows are written again and again: room in each page keeps that out of the index.
    "CREATE TABLE actors (actor bytea PRIMARY KEY, seq bigint NOT NULL, digest bytea NOT NULL)"
    " WITH (fillfactor = 50)",
    "CREATE TABLE store (one boolean PRIMARY KEY DEFAULT true CHECK (one),"
    " incarnation uuid NOT NULL)",
    "INSERT INTO store (incarnation) VALUES (gen_random_uuid())",
)


class _Unopened(PostgresDatastore):
    """A datastore without a database: the recorder over it says what its table is."""

    def __init__(self) -> None:
        super().__init__(dbname="", host="", port="", user="", password="")

    def register_type_adapters(self) -> None:
        """Do nothing: the composite type serves the library's way of inserting, not ours."""


def tables() -> list[Statement]:
    """Return what makes the store's tables; of the recorder's, its table and index alone.

    Its database functions take no lock and lose events to readers, so there are none.
    """
    recorder = PostgresApplicationRecorder(_Unopened(), events_table_name=CHANNEL)
    own = [s for s in recorder.sql_create_statements if _makes_table(s.as_string())]
    return [*own, *_SIDE_TABLES]


def _makes_table(sql: str) -> bool:
    return sql.lstrip().startswith(("CREATE TABLE", "CREATE UNIQUE INDEX"))
