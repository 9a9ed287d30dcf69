"""The event store on an `eventsourcing` recorder over SQLite: the embedded default.

The recorder's own table holds the sealed record under its Avro full name; statement,
signature and times stand in a side row written in the same transaction.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

from eventsourcing.persistence import Mapper, PersistenceError, StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteCursor, SQLiteDatastore

from domain.errors import Conflict, Unavailable
from domain.ports import ActorHead, Answer, Recorded, Refusal
from domain.trail import statement
from domain.trail.statement import Statement

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
)
_READ = (
    "SELECT e.rowid AS position, e.originator_id, e.originator_version, e.topic, e.state,"
    " s.event_id, s.statement, s.signature, s.recorded_ms, s.custody_seq"
    " FROM stored_events e JOIN entries s ON s.position = e.rowid "
)
_IN = "IN (SELECT value FROM json_each(?))"
_HEADS = (
    "SELECT originator_id, MAX(originator_version) AS v FROM stored_events"
    f" WHERE originator_id {_IN} GROUP BY originator_id"
)
_ANSWERS = " UNION ALL ".join(
    (
        f"SELECT event_id, statement, recorded_ms, position, NULL AS code FROM entries"
        f" WHERE event_id {_IN}",
        f"SELECT event_id, statement, recorded_ms, NULL, code FROM refusals WHERE event_id {_IN}",
    )
)


class SealedMapper(Mapper[UUID]):
    """Stored topic = Avro full name, stored state = the sealed record's body, nothing added."""

    def __init__(self) -> None:
        """Take no transcoder: the body is already what is stored."""

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """Return the recorder's row of a `Recorded`."""
        return StoredEvent(
            UUID(domain_event.case_id), domain_event.version, domain_event.type, domain_event.body
        )

    def to_domain_event(self, stored_event: Any) -> Any:
        """Return the `Recorded` of a row of `_READ`."""
        row = stored_event
        return Recorded(
            position=row["position"],
            event_id=row["event_id"],
            case_id=_dashed(row["originator_id"]),
            version=row["originator_version"],
            type=row["topic"],
            body=row["state"],
            statement=row["statement"],
            signature=row["signature"],
            recorded_ms=row["recorded_ms"],
            custody_seq=row["custody_seq"],
        )


class _LedgerRecorder(SQLiteApplicationRecorder):
    """The library's recorder, with the side tables beside its own."""

    def construct_create_table_statements(self) -> list[str]:
        return [*super().construct_create_table_statements(), *_SIDE_TABLES]


_MAPPER = SealedMapper()


class SqliteAppending:
    """One write transaction; see the port."""

    def __init__(self, recorder: _LedgerRecorder, cursor: SQLiteCursor) -> None:
        self._recorder = recorder
        self._cursor = cursor

    def _rows(self, sql: str, *parameters: Any) -> list[sqlite3.Row]:
        self._cursor.execute(sql, parameters)
        rows: list[sqlite3.Row] = self._cursor.fetchall()
        return rows

    def heads(self, case_ids: Sequence[str]) -> Mapping[str, int]:
        """Return the version of each case that exists."""
        return _heads(self._rows, case_ids)

    def actors(self, actor_ids: Sequence[bytes]) -> Mapping[bytes, ActorHead]:
        """Return the head of each actor that has acted."""
        found: dict[bytes, ActorHead] = {}
        for actor in actor_ids:
            for r in self._rows("SELECT seq, digest FROM actors WHERE actor = ?", actor):
                found[actor] = ActorHead(r["seq"], r["digest"])
        return found

    def answers(self, event_ids: Sequence[str]) -> Mapping[str, Answer]:
        """Return the first answer to each event id that had one."""
        return _answers(self._rows, event_ids)

    def last_recorded_ms(self) -> int:
        """Return the newest `recorded_ms`; 0 at the start."""
        row = self._rows(
            "SELECT (SELECT recorded_ms FROM entries ORDER BY position DESC LIMIT 1) AS a,"
            " (SELECT recorded_ms FROM refusals ORDER BY id DESC LIMIT 1) AS b"
        )[0]
        return max(row["a"] or 0, row["b"] or 0)

    def read_case(self, case_id: str, after: int = 0) -> Sequence[Recorded]:
        """Return the events of a case after version `after`, oldest first."""
        return _read_case(self._rows, case_id, after)

    def append(self, events: Sequence[Recorded], refusals: Sequence[Refusal]) -> Sequence[int]:
        """Write `events` and `refusals`; `Conflict` when a version is taken."""
        with _ours():
            stored = [_MAPPER.to_stored_event(e) for e in events]
            positions = list(self._recorder._insert_events(self._cursor, stored) or ())  # noqa: SLF001 - the library's hook for writing in one's own transaction
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
                [_actor_row(e.statement) for e in events]
                + [_actor_row(r.statement) for r in refusals],
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

    def close(self) -> None:
        """Close every connection."""
        self._datastore.close()

    @contextmanager
    def appending(self) -> Iterator[SqliteAppending]:
        """Open the one write transaction; it takes the write lock before it reads."""
        with _ours(), self._datastore.get_connection(commit=True) as connection:
            cursor = connection.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield SqliteAppending(self._recorder, cursor)
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


def _heads(rows: Any, case_ids: Sequence[str]) -> dict[str, int]:
    ids = json.dumps([c.replace("-", "") for c in case_ids])
    return {_dashed(r["originator_id"]): r["v"] for r in rows(_HEADS, ids)}


def _dashed(h: str) -> str:
    """Return the UUID that the recorder keeps as 32 hex digits; building a UUID costs 2 us."""
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def _read_case(rows: Any, case_id: str, after: int) -> Sequence[Recorded]:
    sql = _READ + "WHERE e.originator_id = ? AND e.originator_version > ? ORDER BY 3"
    return [_MAPPER.to_domain_event(r) for r in rows(sql, UUID(case_id).hex, after)]


def _answers(rows: Any, event_ids: Sequence[str]) -> dict[str, Answer]:
    ids = json.dumps(list(event_ids))
    return {
        r["event_id"]: Answer(
            statement_digest=statement.digest(r["statement"]),
            actor=Statement.decode(r["statement"]).actor,
            recorded_ms=r["recorded_ms"],
            position=r["position"],
            code=r["code"],
        )
        for r in rows(_ANSWERS, ids, ids)
    }


def _actor_row(signed: bytes) -> tuple[bytes, int, bytes]:
    said = Statement.decode(signed)
    return said.actor, said.actor_seq, statement.digest(signed)


@contextmanager
def _ours() -> Iterator[None]:
    """Turn the library's and SQLite's errors into ours; ours pass through."""
    try:
        yield
    except sqlite3.IntegrityError as e:
        raise Conflict("VERSION_TAKEN", "somebody else wrote first; read again and retry") from e
    except (sqlite3.Error, PersistenceError) as e:
        raise Unavailable("STORE_UNAVAILABLE", "the event store did not answer; retry later") from e
