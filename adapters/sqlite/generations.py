"""Generations of the feeds in one SQLite file: which is live is one number in one row."""

import sqlite3

from adapters.sqlite.connection import ours, transaction
from domain.errors import Conflict, Refused

TABLES = (
    "CREATE TABLE IF NOT EXISTS live (id INTEGER PRIMARY KEY CHECK (id = 1),"
    " generation INTEGER NOT NULL, newest INTEGER NOT NULL)",
    "INSERT OR IGNORE INTO live VALUES (1, 1, 1)",
)
_BEHIND = (
    "SELECT 1 FROM progress a LEFT JOIN progress b ON b.generation = ? AND b.lane = a.lane"
    " WHERE a.generation = (SELECT generation FROM live)"
    " AND a.position > COALESCE(b.position, 0) LIMIT 1"
)
_DIFFERENT = (
    "SELECT 1 FROM feed a LEFT JOIN feed b"
    " ON b.generation = ? AND b.seat = a.seat AND b.lane = a.lane AND b.seq = a.seq"
    " WHERE a.generation = (SELECT generation FROM live)"
    " AND (a.position, a.case_id, a.mask, a.basis, a.supersedes)"
    " IS NOT (b.position, b.case_id, b.mask, b.basis, b.supersedes) LIMIT 1"
)
_CLEARED = 10_000
"""Rows removed in one transaction, so that a writer waits little."""
_CLEAR = (
    "DELETE FROM feed WHERE (generation, seat, lane, seq) IN"
    " (SELECT generation, seat, lane, seq FROM feed WHERE generation NOT IN"
    " (SELECT generation FROM live UNION SELECT newest FROM live) LIMIT ?)"
)
_CLEAR_REST = (
    "DELETE FROM heads WHERE generation NOT IN"
    " (SELECT generation FROM live UNION SELECT newest FROM live)",
    "DELETE FROM progress WHERE generation NOT IN"
    " (SELECT generation FROM live UNION SELECT newest FROM live)",
)


class Generation:
    """The live generation, whichever that is, or one beside it."""

    def __init__(self, db: sqlite3.Connection, beside: int | None = None) -> None:
        """Stand for generation `beside`, or for the live one."""
        self._db = db
        self._beside = beside
        self.writes = self.number()
        """The generation that writes belong to, as `begin` found it."""

    def number(self) -> int:
        """Return the generation that is read now."""
        return self._beside or self._row()[0]

    def begin(self) -> int:
        """Return the generation that is written from now on."""
        self.writes = self.number()
        return self.writes

    def check(self) -> None:
        """Raise `Conflict` when what is written is neither live nor the newest beside it."""
        live, newest = self._row()
        if self.writes != (newest if self._beside else live):
            raise Conflict("FEEDS_SWITCHED", "another generation took its place; begin again")

    def beside(self) -> "Generation":
        """Return a new one beside the live one, and remove every other."""
        with transaction(self._db):
            sql = "UPDATE live SET newest = newest + 1 RETURNING newest"
            made = Generation(self._db, self._db.execute(sql).fetchone()["newest"])
        removed = _CLEARED
        while removed == _CLEARED:
            with transaction(self._db):
                removed = self._db.execute(_CLEAR, (_CLEARED,)).rowcount
        with transaction(self._db):
            for sql in _CLEAR_REST:
                self._db.execute(sql)
        return made

    def switch(self) -> None:
        """Make this one live, if it has all that the live one has."""
        with transaction(self._db):
            self.check()
            if self._db.execute(_BEHIND, (self.writes,)).fetchone():
                raise Conflict("FEEDS_BEHIND", "the live feeds came further; project on and retry")
            if self._db.execute(_DIFFERENT, (self.writes,)).fetchone():
                message = "the log gives other feeds than the live ones; tell an auditor"
                raise Refused("FEEDS_DIFFER", message)
            self._db.execute("UPDATE live SET generation = ?", (self.writes,))
        self._beside = None

    def _row(self) -> tuple[int, int]:
        with ours():
            row = self._db.execute("SELECT generation, newest FROM live").fetchone()
        return row["generation"], row["newest"]
