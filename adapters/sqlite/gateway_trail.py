"""What a gateway keeps of the trail, in the same SQLite file as the rest; see `GatewayTrail`."""

import sqlite3
from collections.abc import Mapping, Sequence

from adapters.sqlite.connection import transaction
from adapters.sqlite.gateway_file import GatewayFile
from adapters.sqlite.gateway_lanes import LANE_TABLES, SqliteLanes, keep_unproven, set_aside
from adapters.sqlite.reader_chain import CHAIN_TABLES, SqliteReaderChain, confirm_anew
from domain.errors import Refused
from domain.gateway_trail import Alarm, Lane, Own, Seen
from domain.notary import Receipt

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
)
_CATCH_UP = (
    "DELETE FROM places WHERE name LIKE 'feed %'",
    "INSERT OR IGNORE INTO unproven SELECT number FROM outbox WHERE status <> 'queued'",
)
"""A store that is older than the trail reads its feeds once more and asks for every receipt."""


class SqliteGatewayTrail(SqliteLanes, SqliteReaderChain):
    """See the port."""

    def __init__(self, file: GatewayFile) -> None:
        """Keep it in `file`."""
        self._file = file
        known = file.rows("SELECT 1 FROM sqlite_master WHERE name = 'lanes'")
        with transaction(file.durable):
            file.create(*_TABLES, *LANE_TABLES, *CHAIN_TABLES, *(() if known else _CATCH_UP))

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
                db.execute("INSERT OR IGNORE INTO unproven SELECT number FROM receipts")
                confirm_anew(db)
            if anew is not None:
                keep_unproven(db, number, anew)
                set_aside(db, anew)
            if adopt is not None:
                keep_unproven(db, number, adopt)
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
