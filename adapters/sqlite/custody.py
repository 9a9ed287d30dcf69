"""The custodian's store, in SQLite."""

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from adapters.sqlite.connection import connect, ours, transaction
from adapters.sqlite.shown import COLUMNS, columns_of, shown
from domain.custody import HeldKey, HeldRelease, Proven, SeenLog, Split, Waiting
from domain.errors import Refused
from domain.messages import FollowedItem
from domain.vocabulary import Seat

_TABLES = (
    "CREATE TABLE IF NOT EXISTS followed (case_id TEXT, seq INTEGER, position INTEGER NOT NULL,"
    f" {COLUMNS}, PRIMARY KEY (case_id, seq)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS keys (case_id TEXT, writer TEXT, category INTEGER, epoch INTEGER,"
    " boxed BLOB NOT NULL, PRIMARY KEY (case_id, writer, category, epoch)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS withdrawals (case_id TEXT, consent_id TEXT, received_ms INTEGER)",
    "CREATE INDEX IF NOT EXISTS withdrawals_case ON withdrawals (case_id)",
    "CREATE TABLE IF NOT EXISTS releases (recipient TEXT, case_id TEXT, writer TEXT,"
    " seq INTEGER NOT NULL, state BLOB NOT NULL, boxed BLOB NOT NULL,"
    " PRIMARY KEY (case_id, recipient, writer)) WITHOUT ROWID",
    "CREATE UNIQUE INDEX IF NOT EXISTS releases_seq ON releases (recipient, seq)",
    "CREATE TABLE IF NOT EXISTS recipients (recipient TEXT PRIMARY KEY, seq INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS progress (id INTEGER PRIMARY KEY CHECK (id = 1), position INTEGER)",
    "INSERT OR IGNORE INTO progress VALUES (1, 0)",
    "CREATE TABLE IF NOT EXISTS proven (case_id TEXT, agency TEXT, purpose TEXT, writer TEXT,"
    " category INTEGER, epoch INTEGER, size INTEGER NOT NULL, witnessed INTEGER NOT NULL,"
    " PRIMARY KEY (case_id, agency, purpose, writer, category, epoch)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS unwitnessed ON proven (case_id) WHERE NOT witnessed",
    "CREATE TABLE IF NOT EXISTS facts (id INTEGER PRIMARY KEY CHECK (id = 1),"
    " count INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS waiting (case_id TEXT PRIMARY KEY, since_ms INTEGER NOT NULL,"
    " releases INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS seen (log TEXT PRIMARY KEY, size INTEGER NOT NULL,"
    " root BLOB NOT NULL, note BLOB NOT NULL, quorum_ms INTEGER)",
    "CREATE TABLE IF NOT EXISTS splits (number INTEGER PRIMARY KEY, log TEXT NOT NULL,"
    " seen BLOB NOT NULL, shown BLOB NOT NULL, raised_ms INTEGER NOT NULL, decided TEXT NOT NULL)",
    "CREATE UNIQUE INDEX IF NOT EXISTS undecided ON splits (log) WHERE decided = ''",
)
_SIZE = 4
"""Bytes of the length before each boxed release in a row."""


class SqliteCustody:
    """See the port `Custody`."""

    def __init__(self, path: str) -> None:
        """Open or create the store at `path`; empty keeps it in memory."""
        self._db = connect(path, *_TABLES)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make everything written inside the block durable as one, or leave nothing of it."""
        with transaction(self._db):
            yield

    def _rows(self, sql: str, *parameters: object) -> list[sqlite3.Row]:
        with ours():
            return self._db.execute(sql, parameters).fetchall()

    def position(self) -> int:
        """Return how far the hub's log was followed."""
        return int(self._rows("SELECT position FROM progress")[0]["position"])

    def follow(self, items: Sequence[FollowedItem], position: int) -> None:
        """Keep `items` and move to `position` in one transaction."""
        rows = [(i.case_id, i.seq, i.position, *columns_of(i.event)) for i in items]
        with transaction(self._db) as db:
            db.executemany("INSERT OR IGNORE INTO followed VALUES (?,?,?,?,?,?,?,?)", rows)
            db.execute("UPDATE progress SET position = ? WHERE position < ?", (position, position))

    def followed(self, case_id: str, after: int = 0) -> Sequence[FollowedItem]:
        """Return the events of a case after its number `after`, in order."""
        sql = "SELECT * FROM followed WHERE case_id = ? AND seq > ? ORDER BY seq"
        return [_followed(r) for r in self._rows(sql, case_id, after)]

    def hold(self, keys: Sequence[HeldKey]) -> None:
        """Keep deposited keys; one that is held already stays as it is."""
        rows = [(k.case_id, k.writer, k.category, k.epoch, k.boxed) for k in keys]
        with transaction(self._db) as db:
            db.executemany("INSERT OR IGNORE INTO keys VALUES (?,?,?,?,?)", rows)

    def held(self, case_id: str) -> Sequence[HeldKey]:
        """Return every key held of a case."""
        return [
            HeldKey(
                case_id=case_id,
                writer=r["writer"],
                category=r["category"],
                epoch=r["epoch"],
                boxed=r["boxed"],
            )
            for r in self._rows("SELECT * FROM keys WHERE case_id = ?", case_id)
        ]

    def withdraw(self, case_id: str, consent_id: str | None, received_ms: int) -> None:
        """Keep a withdrawal that came straight from a gateway."""
        row = (case_id, consent_id, received_ms)
        with transaction(self._db) as db:
            db.execute("INSERT INTO withdrawals VALUES (?,?,?)", row)

    def withdrawals(self, case_id: str) -> Sequence[tuple[str | None, int]]:
        """Return (consent id or None, received_ms) of each such withdrawal."""
        rows = self._rows("SELECT * FROM withdrawals WHERE case_id = ?", case_id)
        return [(r["consent_id"], r["received_ms"]) for r in rows]

    def releases_of_case(self, case_id: str) -> Sequence[HeldRelease]:
        """Return the newest release of each recipient and writer."""
        rows = self._rows("SELECT * FROM releases WHERE case_id = ?", case_id)
        return [_release(r) for r in rows]

    def put_releases(self, releases: Sequence[HeldRelease]) -> None:
        """Replace each recipient's release of a case and writer; `seq` is set here."""
        with transaction(self._db) as db:
            for held in releases:
                seq = db.execute(
                    "INSERT INTO recipients VALUES (?, 1) ON CONFLICT (recipient)"
                    " DO UPDATE SET seq = seq + 1 RETURNING seq",
                    (held.recipient,),
                ).fetchone()["seq"]
                packed = b"".join(len(b).to_bytes(_SIZE, "big") + b for b in held.boxed)
                db.execute(
                    "INSERT OR REPLACE INTO releases VALUES (?,?,?,?,?,?)",
                    (held.recipient, held.case_id, held.writer, seq, held.state, packed),
                )

    def releases(self, recipient: str, after: int, limit: int) -> Sequence[HeldRelease]:
        """Return up to `limit` of the recipient's changes after `after`, in order."""
        sql = "SELECT * FROM releases WHERE recipient = ? AND seq > ? ORDER BY seq LIMIT ?"
        return [_release(r) for r in self._rows(sql, recipient, after, limit)]

    def proven(self, case_id: str) -> Sequence[Proven]:
        """Return what the trail has shown of a case, in order."""
        rows = self._rows("SELECT * FROM proven WHERE case_id = ?", case_id)
        return [_proven(r) for r in rows]

    def prove(self, case_id: str, proven: Collection[Proven]) -> None:
        """Keep `proven` in place of what was kept of the case."""
        rows = [(case_id, *p.seat, *p.key, p.size, p.witnessed) for p in proven]
        with transaction(self._db) as db:
            db.execute("DELETE FROM proven WHERE case_id = ?", (case_id,))
            db.executemany("INSERT INTO proven VALUES (?,?,?,?,?,?,?,?)", rows)

    def facts(self) -> int:
        """Return how many facts the registry had when the trail had last shown all of them."""
        rows = self._rows("SELECT count FROM facts")
        return int(rows[0]["count"]) if rows else 0

    def show_facts(self, count: int) -> None:
        """Note that the trail has shown all `count` facts of the registry."""
        with transaction(self._db) as db:
            db.execute("INSERT OR REPLACE INTO facts VALUES (1, ?)", (count,))

    def unwitnessed(self) -> Mapping[str, int]:
        """Return each case with keys proven without a quorum -> size of the tree that did it."""
        sql = "SELECT case_id, max(size) AS size FROM proven WHERE NOT witnessed GROUP BY case_id"
        return {r["case_id"]: r["size"] for r in self._rows(sql)}

    def waiting(self) -> Mapping[str, Waiting]:
        """Return what waits for a proof, by case."""
        rows = self._rows("SELECT * FROM waiting")
        return {r["case_id"]: Waiting(r["since_ms"], r["releases"]) for r in rows}

    def waits(self, case_id: str) -> Waiting | None:
        """Return what of a case waits; None if nothing does."""
        rows = self._rows("SELECT since_ms, releases FROM waiting WHERE case_id = ?", case_id)
        return Waiting(*rows[0]) if rows else None

    def wait(self, case_id: str, waiting: Waiting | None) -> None:
        """Note what of a case waits; None: nothing does."""
        with transaction(self._db) as db:
            if waiting is None:
                db.execute("DELETE FROM waiting WHERE case_id = ?", (case_id,))
            else:
                db.execute("INSERT OR REPLACE INTO waiting VALUES (?,?,?)", (case_id, *waiting))

    def seen(self, log: str) -> SeenLog | None:
        """Return what was seen of the log with this verifier key."""
        sql = "SELECT size, root, note, quorum_ms FROM seen WHERE log = ?"
        rows = self._rows(sql, log)
        return SeenLog(*rows[0]) if rows else None

    def see(self, log: str, seen: SeenLog) -> None:
        """Keep `seen` in place of what was seen of the log before."""
        with transaction(self._db) as db:
            db.execute("INSERT OR REPLACE INTO seen VALUES (?,?,?,?,?)", (log, *seen))

    def split(self, log: str, split: Split) -> None:
        """Keep the proof of a split view, if none waits for a decision already."""
        with transaction(self._db) as db:
            db.execute("INSERT OR IGNORE INTO splits VALUES (NULL,?,?,?,?,?)", (log, *split))

    def splits(self, log: str) -> Sequence[Split]:
        """Return every split view of the log, oldest first."""
        sql = "SELECT seen, shown, raised_ms, decided FROM splits WHERE log = ? ORDER BY number"
        return [Split(*r) for r in self._rows(sql, log)]

    def decide(self, log: str, decided: str, seen: SeenLog | None = None) -> None:
        """Note what was decided about the split view that waits."""
        with transaction(self._db) as db:
            sql = "UPDATE splits SET decided = ? WHERE log = ? AND decided = ''"
            if not db.execute(sql, (decided, log)).rowcount:
                raise Refused("NO_SPLIT_VIEW", "no split view waits for a decision")
            if seen is not None:
                self.see(log, seen)
                db.execute("UPDATE proven SET witnessed = 0, size = 0")


def _proven(r: sqlite3.Row) -> Proven:
    return Proven(
        seat=Seat(r["agency"], r["purpose"]),
        key=(r["writer"], r["category"], r["epoch"]),
        size=r["size"],
        witnessed=bool(r["witnessed"]),
    )


def _followed(r: sqlite3.Row) -> FollowedItem:
    return FollowedItem(position=r["position"], case_id=r["case_id"], seq=r["seq"], event=shown(r))


def _release(r: sqlite3.Row) -> HeldRelease:
    packed, boxed = r["boxed"], []
    while packed:
        end = _SIZE + int.from_bytes(packed[:_SIZE], "big")
        boxed.append(packed[_SIZE:end])
        packed = packed[end:]
    return HeldRelease(
        seq=r["seq"],
        case_id=r["case_id"],
        recipient=r["recipient"],
        writer=r["writer"],
        state=r["state"],
        boxed=tuple(boxed),
    )
