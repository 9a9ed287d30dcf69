"""What a gateway keeps of the trail, in the same SQLite file as the rest; see `GatewayTrail`."""

import sqlite3
from collections.abc import Mapping, Sequence

from adapters.sqlite.connection import transaction
from adapters.sqlite.gateway_file import GatewayFile
from domain.errors import Refused
from domain.gateway_trail import Alarm, Arrived, Confirmation, Lane, Own, Seen
from domain.notary import Receipt, SignedStatement
from domain.trail import statement
from domain.trail.merkle import HASH_SIZE, Range

_TABLES = (
    "CREATE TABLE IF NOT EXISTS seen (one INTEGER PRIMARY KEY CHECK (one = 1),"
    " size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS alarms (number INTEGER PRIMARY KEY, code TEXT NOT NULL,"
    " about TEXT NOT NULL, raised_ms INTEGER NOT NULL, decided TEXT NOT NULL,"
    " UNIQUE (code, about))",
    "CREATE TABLE IF NOT EXISTS evidence (alarm INTEGER, name TEXT, data BLOB NOT NULL,"
    " PRIMARY KEY (alarm, name)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS receipts (number INTEGER PRIMARY KEY, entry BLOB NOT NULL,"
    " proof TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS arrived (purpose TEXT, lane INTEGER, seq INTEGER,"
    " case_id TEXT NOT NULL, leaf BLOB NOT NULL, arrived_ms INTEGER NOT NULL,"
    " confirmed INTEGER NOT NULL, PRIMARY KEY (purpose, lane, seq)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS arrived_unconfirmed ON arrived (case_id)"
    " WHERE confirmed = 0 AND case_id <> ''",
    "CREATE TABLE IF NOT EXISTS lanes (purpose TEXT, lane INTEGER, newest INTEGER NOT NULL,"
    " size INTEGER NOT NULL, nodes BLOB NOT NULL, PRIMARY KEY (purpose, lane)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS confirmations (seq INTEGER PRIMARY KEY, statement BLOB NOT NULL,"
    " signature BLOB NOT NULL, body BLOB)",
    "CREATE TABLE IF NOT EXISTS sent (seq INTEGER PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS adopting (purpose TEXT, lane INTEGER, PRIMARY KEY (purpose, lane))"
    " WITHOUT ROWID",
)
_UNPROVEN = (
    "FROM arrived WHERE purpose = ? AND lane = ? AND seq >"
    " (SELECT size FROM lanes WHERE lanes.purpose = arrived.purpose AND lanes.lane = arrived.lane)"
)
_CATCH_UP = (
    "DELETE FROM places WHERE name LIKE 'feed %'",
    "INSERT OR IGNORE INTO unproven SELECT number FROM outbox WHERE status <> 'queued'",
)
"""A store that is older than the trail reads its feeds once more and asks for every receipt."""


class SqliteGatewayTrail:
    """See the port."""

    def __init__(self, file: GatewayFile) -> None:
        """Keep it in `file`."""
        self._file = file
        known = file.rows("SELECT 1 FROM sqlite_master WHERE name = 'lanes'")
        with transaction(file.durable):
            file.create(*_TABLES, *(() if known else _CATCH_UP))

    def seen(self) -> Seen | None:
        """Return the newest checkpoint that was verified, if any."""
        rows = self._file.rows("SELECT size, root, note FROM seen")
        return Seen(*rows[0]) if rows else None

    def see(self, seen: Seen) -> None:
        """Keep a newer one, or the same with newer cosignatures."""
        with transaction(self._file.open) as db:
            _see(db, seen)

    def alarm(self, alarm: Alarm) -> bool:
        """Keep an alarm; False when it is kept already."""
        with transaction(self._file.writing) as db:
            row = (alarm.code, alarm.about, alarm.raised_ms, alarm.decided)
            sql = "INSERT OR IGNORE INTO alarms VALUES (NULL,?,?,?,?)"
            made = db.execute(sql, row)
            if not made.rowcount:
                return False
            files = [(made.lastrowid, name, data) for name, data in alarm.evidence.items()]
            db.executemany("INSERT INTO evidence VALUES (?,?,?)", files)
        return True

    def alarms(self, *, evidence: bool = False) -> Sequence[Alarm]:
        """Return every alarm, oldest first."""
        found = self._file.rows("SELECT * FROM alarms ORDER BY number")
        return [
            Alarm(
                code=r["code"],
                about=r["about"],
                raised_ms=r["raised_ms"],
                evidence=self._evidence(r["number"]) if evidence else {},
                number=r["number"],
                decided=r["decided"],
            )
            for r in found
        ]

    def _evidence(self, number: int) -> Mapping[str, bytes]:
        sql = "SELECT name, data FROM evidence WHERE alarm = ? ORDER BY name"
        return {r["name"]: r["data"] for r in self._file.rows(sql, number)}

    def decide(
        self,
        number: int,
        decided: str,
        *,
        seen: Seen | None = None,
        anew: Lane | None = None,
        adopt: Lane | None = None,
    ) -> None:
        """Note what was decided about an alarm."""
        with transaction(self._file.durable) as db:
            sql = "UPDATE alarms SET decided = ? WHERE number = ? AND decided = ''"
            if not db.execute(sql, (decided, number)).rowcount:
                raise Refused("NO_SUCH_ALARM", f"no alarm {number} waits for a decision")
            if seen is not None:
                _see(db, seen)
                db.execute("UPDATE lanes SET size = 0, nodes = x''")
            if anew is not None:
                _keep_unproven(db, number, anew)
                _set_aside(db, anew)
            if adopt is not None:
                _keep_unproven(db, number, adopt)
                db.execute("INSERT OR IGNORE INTO adopting VALUES (?,?)", adopt)

    def unproven(self, after: int, limit: int) -> Sequence[Own]:
        """Return up to `limit` recorded actions without receipt, after a place in the outbox."""
        sql = (
            "SELECT number, statement, signature, code, recorded_ms"
            " FROM unproven JOIN outbox USING (number) WHERE number > ? ORDER BY number LIMIT ?"
        )
        return [
            Own(r["number"], r["statement"], r["signature"], r["code"] or "", r["recorded_ms"])
            for r in self._file.rows(sql, after, limit)
        ]

    def prove(self, number: int, receipt: Receipt) -> None:
        """Keep the receipt of an action."""
        with transaction(self._file.open) as db:
            row = (number, receipt.entry, receipt.proof)
            db.execute("INSERT OR REPLACE INTO receipts VALUES (?,?,?)", row)
            db.execute("DELETE FROM unproven WHERE number = ?", (number,))

    def receipts(self, after: int, limit: int) -> Sequence[tuple[int, Receipt]]:
        """Return up to `limit` (place in the outbox, receipt), in order."""
        sql = "SELECT * FROM receipts WHERE number > ? ORDER BY number LIMIT ?"
        return [
            (r["number"], Receipt(entry=r["entry"], proof=r["proof"]))
            for r in self._file.rows(sql, after, limit)
        ]

    def newest_of(self, lane: Lane) -> int:
        """Return the highest number that arrived in a lane; 0 if none did."""
        rows = self._file.rows("SELECT newest FROM lanes WHERE purpose = ? AND lane = ?", *lane)
        return int(rows[0]["newest"]) if rows else 0

    def arrived(self, entries: Sequence[Arrived]) -> None:
        """Keep entries of feeds; one that is kept already stays as it is."""
        newest: dict[Lane, int] = {}
        for one in entries:
            newest[one.lane] = max(one.seq, newest.get(one.lane, 0))
        with transaction(self._file.open) as db:
            db.executemany(
                "INSERT OR IGNORE INTO arrived VALUES (?,?,?,?,?,?,0)",
                [(*e.lane, e.seq, e.case_id, e.leaf, e.arrived_ms) for e in entries],
            )
            db.executemany(
                "INSERT INTO lanes VALUES (?,?,?,0,x'') ON CONFLICT (purpose, lane)"
                " DO UPDATE SET newest = MAX(newest, excluded.newest)",
                [(*lane, seq) for lane, seq in newest.items()],
            )

    def entries(self, lane: Lane, after: int, limit: int) -> Sequence[Arrived]:
        """Return up to `limit` entries of a lane after a number, in order."""
        sql = (
            "SELECT * FROM arrived WHERE purpose = ? AND lane = ? AND seq > ? ORDER BY seq LIMIT ?"
        )
        return [_arrived(r) for r in self._file.rows(sql, *lane, after, limit)]

    def proven(self, lane: Lane) -> Range:
        """Return the compact range over a lane's entries that a checkpoint has proven whole."""
        sql = "SELECT size, nodes FROM lanes WHERE purpose = ? AND lane = ?"
        rows = self._file.rows(sql, *lane)
        if not rows:
            return Range()
        nodes = rows[0]["nodes"]
        hashes = (nodes[at : at + HASH_SIZE] for at in range(0, len(nodes), HASH_SIZE))
        return Range(rows[0]["size"], tuple(hashes))

    def extend(self, lane: Lane, proven: Range) -> None:
        """Keep the range that is proven now."""
        with transaction(self._file.open) as db:
            sql = "UPDATE lanes SET size = ?, nodes = ? WHERE purpose = ? AND lane = ?"
            db.execute(sql, (proven.size, b"".join(proven.nodes), *lane))

    def adopting(self) -> Sequence[Lane]:
        """Return the lanes of which it was decided to go on from what the trail has."""
        return [Lane(*r) for r in self._file.rows("SELECT purpose, lane FROM adopting")]

    def adopt(self, lane: Lane, theirs: Range, never: Sequence[int]) -> None:
        """Go on from the trail's range; entries of the numbers `never` are not confirmed."""
        with transaction(self._file.open) as db:
            sql = (
                "INSERT INTO lanes VALUES (?,?,?,?,?) ON CONFLICT (purpose, lane) DO UPDATE SET"
                " newest = MAX(newest, excluded.newest), size = excluded.size,"
                " nodes = excluded.nodes"
            )
            db.execute(sql, (*lane, theirs.size, theirs.size, b"".join(theirs.nodes)))
            sql = "UPDATE arrived SET case_id = '' WHERE purpose = ? AND lane = ? AND seq = ?"
            db.executemany(sql, [(*lane, seq) for seq in never])
            db.execute("DELETE FROM adopting WHERE purpose = ? AND lane = ?", lane)

    def open_lanes(self) -> Sequence[Lane]:
        """Return the lanes with entries that no checkpoint has proven yet."""
        rows = self._file.rows("SELECT purpose, lane FROM lanes WHERE size < newest")
        return [Lane(*r) for r in rows]

    def unconfirmed(self, limit: int) -> Sequence[Arrived]:
        """Return up to `limit` proven entries that no RECEIPT confirms, case by case."""
        sql = (
            "SELECT arrived.* FROM arrived JOIN lanes USING (purpose, lane)"
            " WHERE confirmed = 0 AND case_id <> '' AND seq <= size"
            " ORDER BY case_id, purpose, seq LIMIT ?"
        )
        return [_arrived(r) for r in self._file.rows(sql, limit)]

    def reader_head(self) -> tuple[int, bytes] | None:
        """Return number and digest of the newest RECEIPT that was signed here."""
        sql = "SELECT seq, statement FROM confirmations ORDER BY seq DESC LIMIT 1"
        rows = self._file.rows(sql)
        return (rows[0]["seq"], statement.digest(rows[0]["statement"])) if rows else None

    def confirm(self, confirmation: Confirmation, entries: Sequence[Arrived]) -> None:
        """Keep a RECEIPT to be sent, and that it confirms `entries`."""
        with transaction(self._file.durable) as db:
            _keep(db, confirmation)
            db.executemany(
                "UPDATE arrived SET confirmed = 1 WHERE purpose = ? AND lane = ? AND seq = ?",
                [(*e.lane, e.seq) for e in entries],
            )

    def resign(self, new: Sequence[Confirmation]) -> None:
        """Begin the reader's chain anew with these."""
        with transaction(self._file.durable) as db:
            db.execute("DELETE FROM confirmations")
            db.execute("DELETE FROM sent")
            for confirmation in new:
                _keep(db, confirmation)

    def confirmations(self, limit: int) -> Sequence[Confirmation]:
        """Return up to `limit` RECEIPTs that the notary has not taken, in order."""
        return self._confirmations(limit, taken=False)

    def sent(self, limit: int) -> Sequence[Confirmation]:
        """Return up to `limit` RECEIPTs that were taken and do not stand there yet, in order."""
        return self._confirmations(limit, taken=True)

    def _confirmations(self, limit: int, *, taken: bool) -> Sequence[Confirmation]:
        sql = (
            "SELECT * FROM confirmations WHERE body IS NOT NULL"
            " AND (seq IN (SELECT seq FROM sent)) = ? ORDER BY seq LIMIT ?"
        )
        return [
            Confirmation(
                seq=r["seq"],
                signed=SignedStatement(
                    statement=r["statement"], signature=r["signature"], body=r["body"]
                ),
            )
            for r in self._file.rows(sql, taken, limit)
        ]

    def acknowledged(self, seq: int) -> None:
        """Note that the notary has taken a RECEIPT."""
        with transaction(self._file.open) as db:
            db.execute("INSERT OR IGNORE INTO sent VALUES (?)", (seq,))

    def stands(self, seq: int) -> None:
        """Note that a RECEIPT is proven to stand in the trail, which has its body now."""
        with transaction(self._file.open) as db:
            db.execute("UPDATE confirmations SET body = NULL WHERE seq = ?", (seq,))
            db.execute("DELETE FROM sent WHERE seq = ?", (seq,))

    def unsent(self) -> None:
        """Have everything that does not stand in the trail sent again."""
        with transaction(self._file.open) as db:
            db.execute("DELETE FROM sent")

    def counts(self) -> Mapping[str, int]:
        """Return how many receipts are kept and due, entries and RECEIPTs not proven yet."""
        sql = (
            "SELECT (SELECT COUNT(*) FROM receipts) AS receipts,"
            " (SELECT COUNT(*) FROM unproven) AS receipts_waiting,"
            " (SELECT COALESCE(SUM(newest - size), 0) FROM lanes) AS feed_entries_unproven,"
            " (SELECT COUNT(*) FROM confirmations WHERE body IS NOT NULL)"
            " AS confirmations_waiting,"
            " (SELECT COUNT(*) FROM alarms WHERE decided = '') AS trail_alarms"
        )
        return dict(self._file.rows(sql)[0])

    def oldest_unproven_ms(self) -> int | None:
        """Return when the oldest action without receipt was recorded, in ms."""
        oldest = self.unproven(0, 1)
        return oldest[0].recorded_ms if oldest else None


def _see(db: sqlite3.Connection, seen: Seen) -> None:
    db.execute("INSERT OR REPLACE INTO seen VALUES (1,?,?,?)", seen)


def _keep_unproven(db: sqlite3.Connection, number: int, lane: Lane) -> None:
    """Keep what is not proven of a lane as evidence of an alarm."""
    found = db.execute(f"SELECT seq, leaf {_UNPROVEN} ORDER BY seq", lane).fetchall()
    leaves = "".join(f"{seq} {leaf.hex()}\n" for seq, leaf in found)
    db.execute("INSERT INTO evidence VALUES (?,'unproven.leaves',?)", (number, leaves.encode()))


def _set_aside(db: sqlite3.Connection, lane: Lane) -> None:
    """Have a lane read anew: forget what is not proven of it, and read its seat's feed again."""
    db.execute(f"DELETE {_UNPROVEN}", lane)
    db.execute("UPDATE lanes SET newest = size WHERE purpose = ? AND lane = ?", lane)
    db.execute("DELETE FROM places WHERE name = ?", (f"feed {lane.purpose}",))


def _keep(db: sqlite3.Connection, confirmation: Confirmation) -> None:
    signed = confirmation.signed
    row = (confirmation.seq, signed.statement, signed.signature, signed.body)
    db.execute("INSERT INTO confirmations VALUES (?,?,?,?)", row)


def _arrived(r: sqlite3.Row) -> Arrived:
    lane = Lane(r["purpose"], r["lane"])
    return Arrived(lane, r["seq"], r["case_id"], r["leaf"], r["arrived_ms"])
