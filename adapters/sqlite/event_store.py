"""The event store on an `eventsourcing` recorder over SQLite: the embedded default.

The recorder's own table holds the sealed record under its Avro full name; statement,
signature and times stand in a side row written in the same transaction.
"""

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

from eventsourcing.persistence import PersistenceError, StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteCursor, SQLiteDatastore

from adapters.sqlite.rows import SealedMapper, answer, dashed, newest, plain, refusal
from domain.errors import Conflict, Refused, Unavailable
from domain.ports import ActorHead, Answer, Recorded, Refusal, Start

_SIDE_TABLES = (
    "CREATE TABLE IF NOT EXISTS entries (position INTEGER PRIMARY KEY,"
    " event_id TEXT UNIQUE NOT NULL, statement BLOB NOT NULL, signature BLOB NOT NULL,"
    " recorded_ms INTEGER NOT NULL,"
    " custody_seq INTEGER)",
    "CREATE TABLE IF NOT EXISTS refusals (id INTEGER PRIMARY KEY, event_id TEXT UNIQUE NOT NULL,"
    " statement BLOB NOT NULL, signature BLOB NOT NULL, recorded_ms INTEGER NOT NULL,"
    " code TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS actors (actor BLOB PRIMARY KEY, seq INTEGER NOT NULL,"
    " digest BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS store (one INTEGER PRIMARY KEY CHECK (one = 1),"
    " incarnation TEXT NOT NULL)",
)
_READ = (
    "SELECT e.rowid AS position, e.originator_id, e.originator_version, e.topic, e.state,"
    " s.event_id, s.statement, s.signature, s.recorded_ms, s.custody_seq"
    " FROM stored_events e JOIN entries s ON s.position = e.rowid "
)
_IN = "IN (SELECT value FROM json_each(?))"
_HEADS = (
    # The newest version of each is looked up; a GROUP BY would count through the whole case.
    "SELECT value AS id, (SELECT MAX(originator_version) FROM stored_events"
    " WHERE originator_id = value) AS v FROM json_each(?)"
)
_LAST_MS = (
    "SELECT (SELECT recorded_ms FROM entries ORDER BY position DESC LIMIT 1) AS a,"
    " (SELECT recorded_ms FROM refusals ORDER BY id DESC LIMIT 1) AS b"
)
_ANSWERS = " UNION ALL ".join(
    (
        f"SELECT event_id, statement, recorded_ms, position, NULL AS code FROM entries"
        f" WHERE event_id {_IN}",
        f"SELECT event_id, statement, recorded_ms, NULL, code FROM refusals WHERE event_id {_IN}",
    )
)


class _LedgerRecorder(SQLiteApplicationRecorder):
    """The library's recorder, with the side tables beside its own."""

    def construct_create_table_statements(self) -> list[str]:
        return [*super().construct_create_table_statements(), *_SIDE_TABLES]

    def _insert_events(
        self, c: SQLiteCursor, stored_events: Sequence[StoredEvent], **_: Any
    ) -> Sequence[int]:
        """Insert in one call, not one an event: under the write lock row ids follow one another."""
        c.execute(self.select_max_notification_id_statement)
        first = (c.fetchone()[0] or 0) + 1
        rows = [(e.originator_id, e.originator_version, e.topic, e.state) for e in stored_events]
        c.executemany(self.insert_events_statement, rows)
        return range(first, first + len(rows))


_MAPPER = SealedMapper()


class SqliteAppending:
    """One write transaction; see the port."""

    def __init__(
        self,
        recorder: _LedgerRecorder,
        cursor: SQLiteCursor,
        cases: Collection[str],
        actors: Collection[bytes],
        events: Collection[str],
    ) -> None:
        """Read what is asked for; the lock is held."""
        self._recorder = recorder
        self._cursor = cursor
        self.start = Start(
            heads=_heads(self._rows, cases),
            actors=self._actors(actors),
            answers=_answers(self._rows, events),
            recorded_ms=self._last_recorded_ms(),
        )

    def _rows(self, sql: str, *parameters: Any) -> list[sqlite3.Row]:
        self._cursor.execute(sql, parameters)
        rows: list[sqlite3.Row] = self._cursor.fetchall()
        return rows

    def _actors(self, actor_ids: Collection[bytes]) -> dict[bytes, ActorHead]:
        places = ",".join("?" * len(actor_ids))
        rows = self._rows(f"SELECT * FROM actors WHERE actor IN ({places})", *actor_ids)
        return {r["actor"]: ActorHead(r["seq"], r["digest"]) for r in rows}

    def _last_recorded_ms(self) -> int:
        row = self._rows(_LAST_MS)[0]
        return max(row["a"] or 0, row["b"] or 0)

    def read_case(self, case_id: str, after: int = 0) -> Sequence[Recorded]:
        """Return the events of a case after version `after`, oldest first."""
        return _read_case(self._rows, case_id, after)

    def adopt(self, incarnation: str) -> None:
        """Take the place of a lost store; `Refused` STORE_NOT_EMPTY if this one holds anything."""
        if self._rows("SELECT 1 FROM entries UNION ALL SELECT 1 FROM refusals LIMIT 1"):
            message = "only an empty store takes another's place; give it an empty folder"
            raise Refused("STORE_NOT_EMPTY", message)
        self._cursor.execute("UPDATE store SET incarnation = ?", (str(UUID(incarnation)),))

    def append(self, events: Sequence[Recorded], refusals: Sequence[Refusal]) -> Sequence[int]:
        """Write `events` and `refusals`; `Conflict` when a version is taken."""
        with _ours():
            stored = [_MAPPER.to_stored_event(e) for e in events]
            positions = self._recorder._insert_events(self._cursor, stored)  # noqa: SLF001 - the library's hook for writing in one's own transaction
            entries = [
                (p, e.event_id, e.statement, e.signature, e.recorded_ms, e.custody_seq)
                for p, e in zip(positions, events, strict=True)
            ]
            self._cursor.executemany("INSERT INTO entries VALUES (?,?,?,?,?,?)", entries)
            self._cursor.executemany(
                "INSERT INTO refusals VALUES (NULL,?,?,?,?,?)",
                [(r.event_id, r.statement, r.signature, r.recorded_ms, r.code) for r in refusals],
            )
            self._cursor.executemany(
                "INSERT INTO actors VALUES (?,?,?) ON CONFLICT (actor) DO UPDATE SET"
                " seq=excluded.seq, digest=excluded.digest WHERE excluded.seq > actors.seq",
                newest([e.statement for e in events] + [r.statement for r in refusals]),
            )
        return positions


class SqliteEventStore:
    """One SQLite file (WAL, synchronous FULL); an empty path keeps everything in memory."""

    def __init__(self, path: str) -> None:
        """Open or create the store at `path`."""
        # A memory that the connections of this store share, and nobody else.
        own = f"file:{uuid4().hex}?mode=memory&cache=shared"
        self._datastore = SQLiteDatastore(path or own, lock_timeout=30)
        self._recorder = _LedgerRecorder(self._datastore)
        with _ours():
            self._recorder.create_table()
        if not self._rows("SELECT one FROM store"):
            with _ours(), self._datastore.transaction(commit=True) as cursor:
                cursor.execute("INSERT OR IGNORE INTO store VALUES (1, ?)", (str(uuid4()),))

    def close(self) -> None:
        """Close every connection."""
        self._datastore.close()

    def incarnation(self) -> str:
        """Return the id that the store got when its file was made."""
        return str(self._rows("SELECT incarnation FROM store")[0]["incarnation"])

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
    ) -> Iterator[SqliteAppending]:
        """Open the one write transaction; it takes the write lock before it reads."""
        with _ours(), self._datastore.get_connection(commit=True) as connection:
            cursor = connection.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield SqliteAppending(self._recorder, cursor, cases, actors, events)
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def _rows(self, sql: str, *parameters: Any) -> list[sqlite3.Row]:
        with _ours(), self._datastore.transaction(commit=False) as cursor:
            cursor.execute(sql, parameters)
            rows: list[sqlite3.Row] = cursor.fetchall()
            return rows

    def heads(self, case_ids: Sequence[str]) -> Mapping[str, int]:
        """Return the version of each case that exists."""
        return _heads(self._rows, case_ids)

    def read_case(self, case_id: str, after: int = 0) -> Sequence[Recorded]:
        """Return the events of a case after version `after`, oldest first."""
        return _read_case(self._rows, case_id, after)

    def read_log(self, after: int, limit: int, types: Sequence[str] = ()) -> Sequence[Recorded]:
        """Return up to `limit` events after position `after`, of `types` if any are named."""
        wanted = f"AND e.topic {_IN} " if types else ""
        parameters = (after, json.dumps(list(types)), limit) if types else (after, limit)
        sql = _READ + f"WHERE e.rowid > ? {wanted}ORDER BY e.rowid LIMIT ?"
        return [_MAPPER.to_domain_event(r) for r in self._rows(sql, *parameters)]

    def read_refusals(self, after: int, limit: int) -> Sequence[Refusal]:
        """Return up to `limit` refusals after number `after`, oldest first."""
        sql = "SELECT * FROM refusals WHERE id > ? ORDER BY id LIMIT ?"
        return [refusal(r) for r in self._rows(sql, after, limit)]

    def read_positions(self, positions: Sequence[int]) -> Mapping[int, Recorded]:
        """Return the events at `positions`."""
        rows = self._rows(_READ + f"WHERE e.rowid {_IN}", json.dumps(list(positions)))
        return {r["position"]: _MAPPER.to_domain_event(r) for r in rows}

    def read_answer(self, event_id: str) -> Answer | None:
        """Return the first answer to `event_id`, if there was one."""
        return _answers(self._rows, [event_id]).get(event_id)

    def head(self) -> int:
        """Return the newest position; 0 when empty."""
        return self._rows("SELECT MAX(rowid) AS head FROM stored_events")[0]["head"] or 0


def _heads(rows: Any, case_ids: Collection[str]) -> dict[str, int]:
    ids = json.dumps([plain(c) for c in case_ids])
    return {dashed(r["id"]): r["v"] for r in rows(_HEADS, ids) if r["v"]}


def _read_case(rows: Any, case_id: str, after: int) -> Sequence[Recorded]:
    sql = _READ + "WHERE e.originator_id = ? AND e.originator_version > ? ORDER BY 3"
    return [_MAPPER.to_domain_event(r) for r in rows(sql, UUID(case_id).hex, after)]


def _answers(rows: Any, event_ids: Collection[str]) -> dict[str, Answer]:
    ids = json.dumps(list(event_ids))
    return {r["event_id"]: answer(r) for r in rows(_ANSWERS, ids, ids)}


@contextmanager
def _ours() -> Iterator[None]:
    """Turn the library's and SQLite's errors into ours; ours pass through."""
    try:
        yield
    except sqlite3.IntegrityError as e:
        raise Conflict("VERSION_TAKEN", "somebody else wrote first; read again and retry") from e
    except (sqlite3.Error, PersistenceError) as e:
        raise Unavailable("STORE_UNAVAILABLE", "the event store did not answer; retry later") from e
