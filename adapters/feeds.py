"""The feeds of all seats in one SQLite file: the embedded default."""

import sqlite3
from collections.abc import Sequence
from uuid import UUID

from adapters.sqlite import connect, ours, transaction
from domain.feed import LANES, Cursor, Entry, Heads
from domain.vocabulary import Seat

_TABLES = (
    "CREATE TABLE IF NOT EXISTS seats (id INTEGER PRIMARY KEY, agency TEXT NOT NULL,"
    " purpose TEXT NOT NULL, UNIQUE (agency, purpose))",
    "CREATE TABLE IF NOT EXISTS feed (seat INTEGER, lane INTEGER, seq INTEGER,"
    " position INTEGER NOT NULL, case_id BLOB NOT NULL, mask INTEGER NOT NULL,"
    " basis TEXT NOT NULL, supersedes INTEGER, PRIMARY KEY (seat, lane, seq)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS feed_case ON feed (case_id)",
    "CREATE TABLE IF NOT EXISTS progress (id INTEGER PRIMARY KEY CHECK (id = 1), position INTEGER)",
    "INSERT OR IGNORE INTO progress VALUES (1, 0)",
)


class SqliteFeeds:
    """See the port `Feeds`."""

    def __init__(self, path: str) -> None:
        """Open or create the feeds at `path`; empty keeps them in memory."""
        self._db = connect(path, *_TABLES)
        self._seats: dict[Seat, int] = {}
        self._names: dict[int, Seat] = {}
        self._load_seats()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _load_seats(self) -> None:
        with ours():
            rows = self._db.execute("SELECT id, agency, purpose FROM seats").fetchall()
        self._seats = {Seat(r["agency"], r["purpose"]): r["id"] for r in rows}
        self._names = {number: seat for seat, number in self._seats.items()}

    def position(self) -> int:
        """Return the log position up to which the feeds are complete."""
        with ours():
            row = self._db.execute("SELECT position FROM progress").fetchone()
        return int(row["position"])

    def heads(self) -> Heads:
        """Return the newest sequence number of every seat and lane that has entries."""
        sql = "SELECT seat, lane, MAX(seq) AS head FROM feed GROUP BY seat, lane"
        with ours():
            rows = self._db.execute(sql).fetchall()
        return {(self._name(r["seat"]), r["lane"]): r["head"] for r in rows}

    def of_case(self, case_id: str) -> Sequence[Entry]:
        """Return every entry about a case, each seat's in the order of writing."""
        sql = "SELECT * FROM feed WHERE case_id = ? ORDER BY seat, lane, seq"
        with ours():
            rows = self._db.execute(sql, (UUID(case_id).bytes,)).fetchall()
        return [self._entry(r) for r in rows]

    def write(self, entries: Sequence[Entry], position: int) -> None:
        """Add `entries` and move to `position`, in one transaction."""
        try:
            with transaction(self._db):
                rows = [
                    (
                        self._number(e.seat),
                        e.lane,
                        e.seq,
                        e.position,
                        UUID(e.case_id).bytes,
                        e.mask,
                        e.basis,
                        e.supersedes,
                    )
                    for e in entries
                ]
                self._db.executemany("INSERT INTO feed VALUES (?,?,?,?,?,?,?,?)", rows)
                self._db.execute("UPDATE progress SET position = ?", (position,))
        except BaseException:
            self._load_seats()  # a seat numbered in a transaction that was undone has no number
            raise

    def _number(self, seat: Seat) -> int:
        if seat not in self._seats:
            row = self._db.execute(
                "INSERT INTO seats (agency, purpose) VALUES (?, ?) RETURNING id", seat
            ).fetchone()
            self._seats[seat] = row["id"]
            self._names[row["id"]] = seat
        return self._seats[seat]

    def _name(self, number: int) -> Seat:
        if number not in self._names:
            self._load_seats()
        return self._names[number]

    def read(self, seat: Seat, after: Cursor, limit: int) -> Sequence[Entry]:
        """Return up to `limit` entries of `seat` after the cursor, a fair share from each lane."""
        if seat not in self._seats:
            self._load_seats()  # another process may have begun it
        number = self._seats.get(seat)
        if number is None:
            return ()
        sql = "SELECT * FROM feed WHERE seat = ? AND lane = ? AND seq > ? ORDER BY seq LIMIT ?"
        found: list[Entry] = []
        for lane in range(LANES):
            share = -(-(limit - len(found)) // (LANES - lane))
            with ours():
                rows = self._db.execute(sql, (number, lane, after.seqs[lane], share)).fetchall()
            found += [self._entry(r) for r in rows]
        return found

    def _entry(self, r: sqlite3.Row) -> Entry:
        return Entry(
            seat=self._name(r["seat"]),
            lane=r["lane"],
            seq=r["seq"],
            position=r["position"],
            case_id=str(UUID(bytes=r["case_id"])),
            mask=r["mask"],
            basis=r["basis"],
            supersedes=r["supersedes"],
        )
