"""A gateway's store in one SQLite file on the agency's machine; see the port `GatewayStore`."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

from adapters.sqlite.connection import transaction
from adapters.sqlite.gateway_file import GatewayFile
from adapters.sqlite.shown import COLUMNS, columns_of, shown
from domain.action import Action
from domain.gateway import Kept, KeptKey, Outgoing, Parked, Result
from domain.messages import FollowedItem, SignedRelease
from domain.trail import statement

_TABLES = (
    "CREATE TABLE IF NOT EXISTS places (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS outbox (number INTEGER PRIMARY KEY, command_id TEXT NOT NULL,"
    " event_id TEXT UNIQUE NOT NULL, case_id TEXT NOT NULL, type TEXT NOT NULL,"
    " actor_seq INTEGER UNIQUE NOT NULL, record BLOB, statement BLOB NOT NULL,"
    " signature BLOB NOT NULL, retried INTEGER NOT NULL, status TEXT NOT NULL, code TEXT,"
    " message TEXT, recorded_ms INTEGER)",
    "CREATE INDEX IF NOT EXISTS outbox_command ON outbox (command_id)",
    "CREATE INDEX IF NOT EXISTS outbox_queued ON outbox (number) WHERE status = 'queued'",
    "CREATE TABLE IF NOT EXISTS unproven (number INTEGER PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS deposits (number INTEGER PRIMARY KEY, release BLOB NOT NULL,"
    " signature BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS keys (case_id TEXT, writer TEXT, category INTEGER, epoch INTEGER,"
    " boxed BLOB NOT NULL, not_after INTEGER NOT NULL,"
    " PRIMARY KEY (case_id, writer, category, epoch)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY, case_id TEXT NOT NULL,"
    " event_id TEXT NOT NULL, seat TEXT NOT NULL, type TEXT NOT NULL, writer TEXT NOT NULL,"
    " record BLOB NOT NULL, statement BLOB NOT NULL, signature BLOB NOT NULL,"
    " recorded_ms INTEGER NOT NULL, categories INTEGER NOT NULL, basis TEXT NOT NULL,"
    " own INTEGER NOT NULL, opened INTEGER NOT NULL, UNIQUE (event_id, seat))",
    "CREATE INDEX IF NOT EXISTS events_case ON events (case_id)",
    f"CREATE TABLE IF NOT EXISTS facts (seq INTEGER PRIMARY KEY, {COLUMNS})",
    "CREATE TABLE IF NOT EXISTS parked (code TEXT NOT NULL, lane INTEGER, seq INTEGER)",
)
_KEEP = (
    "INSERT INTO events VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?,?,?)"
    " ON CONFLICT (event_id, seat) DO UPDATE SET number = (SELECT MAX(number) + 1 FROM events),"
    " record = excluded.record, categories = excluded.categories, basis = excluded.basis,"
    " opened = 0"
)


class SqliteGatewayStore:
    """See the port."""

    def __init__(self, path: str) -> None:
        """Open or create the store at `path`; empty keeps it in memory."""
        self.file = GatewayFile(path)
        self.file.create(*_TABLES)
        self._rows = self.file.rows

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def together(self, *, durable: bool) -> AbstractContextManager[None]:
        """Make everything written inside the block one transaction; see the port."""
        return self.file.together(durable=durable)

    def place(self, name: str) -> str:
        """Return how far something was followed; empty at the start."""
        rows = self._rows("SELECT value FROM places WHERE name = ?", name)
        return str(rows[0]["value"]) if rows else ""

    def _move(self, place: tuple[str, str]) -> None:
        self.file.open.execute("INSERT OR REPLACE INTO places VALUES (?,?)", place)

    def result(self, command_id: str) -> Result | None:
        """Return what became of a command, if it was ever taken."""
        sql = "SELECT * FROM outbox WHERE command_id = ? ORDER BY number DESC LIMIT 1"
        rows = self._rows(sql, command_id)
        return _result(rows[0]) if rows else None

    def actor_head(self) -> tuple[int, bytes] | None:
        """Return number and digest of the newest statement signed here."""
        sql = "SELECT actor_seq, statement FROM outbox ORDER BY actor_seq DESC LIMIT 1"
        rows = self._rows(sql)
        return (rows[0]["actor_seq"], statement.digest(rows[0]["statement"])) if rows else None

    def enqueue(
        self,
        outgoing: Sequence[Outgoing],
        keys: Sequence[KeptKey],
        deposits: Sequence[SignedRelease],
    ) -> None:
        """Keep signed actions, the keys they use and the deposits of those keys."""
        with transaction(self.file.durable) as db:
            db.executemany(
                "INSERT INTO outbox VALUES (NULL,?,?,?,?,?,?,?,?,?,'queued',NULL,NULL,NULL)",
                [_outbox_row(o) for o in outgoing],
            )
            _put_keys(db, keys)
            db.executemany(
                "INSERT INTO deposits VALUES (NULL,?,?)",
                [(d.release, d.signature) for d in deposits],
            )

    def queued(self, limit: int) -> Sequence[Outgoing]:
        """Return up to `limit` actions that have no final answer, in order of signing."""
        sql = "SELECT * FROM outbox WHERE status = 'queued' ORDER BY number LIMIT ?"
        return [_outgoing(r) for r in self._rows(sql, limit)]

    def settle(
        self,
        results: Sequence[tuple[Outgoing, Result]],
        kept: Sequence[Kept],
        lost: Sequence[KeptKey],
    ) -> None:
        """Keep final answers and own events; the outbox forgets the record, the events have it."""
        with transaction(self.file.open) as db:
            db.executemany(
                "UPDATE outbox SET status = ?, code = ?, message = ?, recorded_ms = ?,"
                " record = NULL WHERE number = ?",
                [(r.status, r.code, r.message, r.recorded_ms, o.number) for o, r in results],
            )
            unproven = [(o.number,) for o, _ in results]
            db.executemany("INSERT OR IGNORE INTO unproven VALUES (?)", unproven)
            db.executemany(_KEEP, [_event_row(k) for k in kept])
            db.executemany(
                "DELETE FROM keys WHERE case_id = ? AND writer = ? AND category = ? AND epoch = ?",
                [(k.case_id, k.writer, k.category, k.epoch) for k in lost],
            )

    def deposits(self, limit: int) -> Sequence[tuple[int, SignedRelease]]:
        """Return up to `limit` (number, deposit) that the custodian has not confirmed."""
        rows = self._rows("SELECT * FROM deposits ORDER BY number LIMIT ?", limit)
        return [
            (r["number"], SignedRelease(release=r["release"], signature=r["signature"]))
            for r in rows
        ]

    def deposited(self, numbers: Sequence[int]) -> None:
        """Forget confirmed deposits."""
        with transaction(self.file.open) as db:
            db.executemany("DELETE FROM deposits WHERE number = ?", [(n,) for n in numbers])

    def arrive(
        self, kept: Sequence[Kept], parked: Sequence[Parked], place: tuple[str, str]
    ) -> None:
        """Keep arrived events and move `place`."""
        with transaction(self.file.open) as db:
            db.executemany(_KEEP, [_event_row(k) for k in kept])
            rows = [(p.code, p.lane, p.seq) for p in parked]
            db.executemany("INSERT INTO parked VALUES (?,?,?)", rows)
            self._move(place)

    def facts(self, items: Sequence[FollowedItem]) -> None:
        """Keep checked registry facts."""
        rows = [(i.seq, *columns_of(i.event)) for i in items]
        with transaction(self.file.open) as db:
            db.executemany("INSERT OR IGNORE INTO facts VALUES (?,?,?,?,?,?)", rows)

    def registry(self) -> Sequence[FollowedItem]:
        """Return every registry fact kept, in order."""
        return [
            FollowedItem(position=0, case_id="", seq=r["seq"], event=shown(r))
            for r in self._rows("SELECT * FROM facts ORDER BY seq")
        ]

    def replace_keys(
        self, changes: Sequence[tuple[str, str, Sequence[KeptKey]]], place: tuple[str, str]
    ) -> None:
        """Hold exactly these keys for each (case, writer) named, and move `place`."""
        with transaction(self.file.open) as db:
            for case_id, writer, keys in changes:
                db.execute("DELETE FROM keys WHERE case_id = ? AND writer = ?", (case_id, writer))
                _put_keys(db, keys)
            self._move(place)

    def keys(self, case_id: str) -> Sequence[KeptKey]:
        """Return every key held of a case."""
        return [
            KeptKey(
                case_id=r["case_id"],
                writer=r["writer"],
                category=r["category"],
                epoch=r["epoch"],
                boxed=r["boxed"],
                not_after_ms=r["not_after"],
            )
            for r in self._rows("SELECT * FROM keys WHERE case_id = ?", case_id)
        ]

    def case(self, case_id: str) -> Sequence[Kept]:
        """Return the events of a case in order of recording."""
        sql = "SELECT * FROM events WHERE case_id = ? ORDER BY recorded_ms, number"
        return [_kept(r) for r in self._rows(sql, case_id)]

    def newest(self, case_id: str) -> Kept | None:
        """Return the newest event of a case, in order of recording; None if there is none."""
        sql = (
            "SELECT * FROM events WHERE case_id = ? ORDER BY recorded_ms DESC, number DESC LIMIT 1"
        )
        rows = self._rows(sql, case_id)
        return _kept(rows[0]) if rows else None

    def key_events(self, case_id: str) -> Sequence[Kept]:
        """Return the KeyEpochOpened events of a case."""
        sql = "SELECT * FROM events WHERE case_id = ? AND type LIKE '%.KeyEpochOpened'"
        return [_kept(r) for r in self._rows(sql, case_id)]

    def unopened(self, case_id: str) -> Sequence[Kept]:
        """Return the events of others in a case that show something and were never opened."""
        sql = (
            "SELECT * FROM events WHERE case_id = ? AND own = 0 AND opened = 0 AND categories <> 0"
            " AND type NOT LIKE '%.KeyEpochOpened'"
        )
        return [_kept(r) for r in self._rows(sql, case_id)]

    def cases(self, limit: int, before: int = 0) -> Sequence[tuple[int, str]]:
        """Return (number of the newest event, case id), newest first."""
        sql = (
            "SELECT MAX(number) AS newest, case_id FROM events GROUP BY case_id"
            " HAVING newest < ? ORDER BY newest DESC LIMIT ?"
        )
        rows = self._rows(sql, before or 1 << 62, limit)
        return [(r["newest"], r["case_id"]) for r in rows]

    def since(self, number: int, limit: int) -> Sequence[Kept]:
        """Return up to `limit` events that arrived after `number`, in order of arrival."""
        sql = "SELECT * FROM events WHERE number > ? ORDER BY number LIMIT ?"
        return [_kept(r) for r in self._rows(sql, number, limit)]

    def opened(self, counts: Sequence[tuple[str, str, int]]) -> None:
        """Note (event id, seat, number of fields opened)."""
        with transaction(self.file.open) as db:
            db.executemany(
                "UPDATE events SET opened = ? WHERE event_id = ? AND seat = ?",
                [(n, event_id, seat) for event_id, seat, n in counts],
            )

    def counts(self) -> Mapping[str, int]:
        """Return how many are queued, refused, kept, parked, opened and waiting to be deposited."""
        sql = (
            "SELECT (SELECT COUNT(*) FROM outbox WHERE status = 'queued') AS queued,"
            " (SELECT COUNT(*) FROM outbox WHERE status = 'refused') AS refused,"
            " (SELECT COUNT(*) FROM events) AS kept, (SELECT COUNT(*) FROM parked) AS parked,"
            " (SELECT COALESCE(SUM(opened), 0) FROM events WHERE own = 0) AS opened,"
            " (SELECT COUNT(*) FROM deposits) AS deposits"
        )
        return dict(self._rows(sql)[0])


def _put_keys(db: sqlite3.Connection, keys: Sequence[KeptKey]) -> None:
    rows = [(k.case_id, k.writer, k.category, k.epoch, k.boxed, k.not_after_ms) for k in keys]
    db.executemany("INSERT OR REPLACE INTO keys VALUES (?,?,?,?,?,?)", rows)


def _outbox_row(o: Outgoing) -> tuple[object, ...]:
    a = o.action
    return (
        o.command_id,
        a.event_id,
        o.case_id,
        a.type,
        o.actor_seq,
        a.record,
        a.statement,
        a.signature,
        o.retried,
    )


def _outgoing(r: sqlite3.Row) -> Outgoing:
    return Outgoing(
        number=r["number"],
        command_id=r["command_id"],
        case_id=r["case_id"],
        actor_seq=r["actor_seq"],
        action=Action(
            event_id=r["event_id"],
            type=r["type"],
            record=r["record"],
            statement=r["statement"],
            signature=r["signature"],
        ),
        retried=bool(r["retried"]),
    )


def _result(r: sqlite3.Row) -> Result:
    return Result(
        command_id=r["command_id"],
        event_id=r["event_id"],
        case_id=r["case_id"],
        type=r["type"].rpartition(".")[2],
        status=r["status"],
        code=r["code"],
        message=r["message"],
        recorded_ms=r["recorded_ms"],
    )


def _event_row(k: Kept) -> tuple[object, ...]:
    return (
        k.case_id,
        k.event_id,
        k.seat,
        k.type,
        k.writer,
        k.record,
        k.statement,
        k.signature,
        k.recorded_ms,
        k.categories,
        k.basis,
        k.own,
        k.opened,
    )


def _kept(r: sqlite3.Row) -> Kept:
    return Kept(
        case_id=r["case_id"],
        event_id=r["event_id"],
        type=r["type"],
        writer=r["writer"],
        record=r["record"],
        statement=r["statement"],
        signature=r["signature"],
        recorded_ms=r["recorded_ms"],
        categories=r["categories"],
        basis=r["basis"],
        own=bool(r["own"]),
        seat=r["seat"],
        opened=r["opened"],
        number=r["number"],
    )
