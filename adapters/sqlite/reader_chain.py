"""The RECEIPTs that an agency's reader has signed, until each stands in the trail."""

import sqlite3
from collections.abc import Sequence

from adapters.sqlite.connection import transaction
from adapters.sqlite.gateway_file import GatewayFile
from domain.gateway_trail import Arrived, Confirmation
from domain.notary import SignedStatement
from domain.trail import statement
from domain.trail.deliveries import leaves_of

CHAIN_TABLES = (
    "CREATE TABLE IF NOT EXISTS confirmations (seq INTEGER PRIMARY KEY, statement BLOB NOT NULL,"
    " signature BLOB NOT NULL, body BLOB)",
    "CREATE TABLE IF NOT EXISTS sent (seq INTEGER PRIMARY KEY)",
)


class SqliteReaderChain:
    """The part of `GatewayTrail` that is about the reader's chain."""

    _file: GatewayFile

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


def confirm_anew(db: sqlite3.Connection) -> None:
    """Have confirmed once more what no RECEIPT is proven to confirm."""
    bodies = db.execute("SELECT body FROM confirmations WHERE body IS NOT NULL").fetchall()
    leaves = {leaf for row in bodies for leaf in leaves_of(row["body"])}
    if leaves:
        confirmed = db.execute("SELECT * FROM arrived WHERE confirmed = 1").fetchall()
        places = [tuple(r)[:3] for r in confirmed if r["leaf"] in leaves]
        sql = "UPDATE arrived SET confirmed = 0 WHERE purpose = ? AND lane = ? AND seq = ?"
        db.executemany(sql, places)
    db.execute("DELETE FROM confirmations WHERE body IS NOT NULL")
    db.execute("DELETE FROM sent")


def _keep(db: sqlite3.Connection, confirmation: Confirmation) -> None:
    signed = confirmation.signed
    row = (confirmation.seq, signed.statement, signed.signature, signed.body)
    db.execute("INSERT INTO confirmations VALUES (?,?,?,?)", row)
