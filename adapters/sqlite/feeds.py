"""The feeds of all seats in one SQLite file: the embedded default."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from uuid import UUID

from adapters.sqlite import generations
from adapters.sqlite.connection import connect, ours, transaction
from adapters.sqlite.generations import Generation
from domain.errors import Conflict, Refused
from domain.feed import LANES, Cursor, Entry, Heads, Progress, Skip
from domain.vocabulary import Seat

LAYOUT = 2
"""Of the tables; stands in the file's `user_version`."""
_TABLES = (
    f"PRAGMA user_version={LAYOUT}",  # first, so that a crash here leaves no file that is refused
    "CREATE TABLE IF NOT EXISTS seats (id INTEGER PRIMARY KEY, agency TEXT NOT NULL,"
    " purpose TEXT NOT NULL, UNIQUE (agency, purpose))",
    "CREATE TABLE IF NOT EXISTS feed (generation INTEGER, seat INTEGER, lane INTEGER, seq INTEGER,"
    " position INTEGER NOT NULL, case_id BLOB NOT NULL, mask INTEGER NOT NULL,"
    " basis TEXT NOT NULL, supersedes INTEGER,"
    " PRIMARY KEY (generation, seat, lane, seq)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS feed_case ON feed (generation, case_id)",
    "CREATE TABLE IF NOT EXISTS heads (generation INTEGER, seat INTEGER, lane INTEGER,"
    " seq INTEGER NOT NULL, PRIMARY KEY (generation, seat, lane)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS progress (generation INTEGER, lane INTEGER,"
    " position INTEGER NOT NULL, log_offset INTEGER NOT NULL,"
    " PRIMARY KEY (generation, lane)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS skips (id INTEGER PRIMARY KEY, lane INTEGER NOT NULL,"
    " log_offset INTEGER NOT NULL, digest BLOB NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL,"
    " skipped_ms INTEGER NOT NULL)",
)


class _Feeds:
    """See the port `Feeds`."""

    def __init__(self, db: sqlite3.Connection, generation: Generation) -> None:
        self._db = db
        self._generation = generation
        self._seats: dict[Seat, int] = {}
        self._names: dict[int, Seat] = {}
        self._load_seats()

    def _load_seats(self) -> None:
        with ours():
            rows = self._db.execute("SELECT id, agency, purpose FROM seats").fetchall()
        self._seats = {Seat(r["agency"], r["purpose"]): r["id"] for r in rows}
        self._names = {number: seat for seat, number in self._seats.items()}

    def progress(self) -> Sequence[Progress]:
        """Return how far each lane was projected; writes go on from here."""
        sql = "SELECT lane, position, log_offset FROM progress WHERE generation = ?"
        with ours():
            rows = self._db.execute(sql, (self._generation.begin(),)).fetchall()
        found = {r["lane"]: Progress(r["position"], r["log_offset"]) for r in rows}
        return [found.get(lane, Progress()) for lane in range(LANES)]

    def heads(self) -> Heads:
        """Return the newest sequence number of every seat and lane that has entries."""
        sql = "SELECT seat, lane, seq FROM heads WHERE generation = ?"
        with ours():
            rows = self._db.execute(sql, (self._generation.number(),)).fetchall()
        return {(self._name(r["seat"]), r["lane"]): r["seq"] for r in rows}

    def of_case(self, case_id: str) -> Sequence[Entry]:
        """Return every entry about a case, each seat's in the order of writing."""
        sql = "SELECT * FROM feed WHERE generation = ? AND case_id = ? ORDER BY seat, lane, seq"
        place = self._generation.number(), UUID(case_id).bytes
        with ours():
            rows = self._db.execute(sql, place).fetchall()
        return [self._entry(r) for r in rows]

    def write(
        self, entries: Sequence[Entry], moved: Mapping[int, tuple[Progress, Progress]]
    ) -> None:
        """Add `entries` and move the lanes, in one transaction."""
        try:
            with transaction(self._db):
                self._move(moved)
                self._add(entries)
        except BaseException:
            self._load_seats()  # a seat numbered in a transaction that was undone has no number
            raise

    def _move(self, moved: Mapping[int, tuple[Progress, Progress]]) -> None:
        self._generation.check()
        for lane, (before, after) in moved.items():
            place = (self._generation.writes, lane)
            self._db.execute("INSERT OR IGNORE INTO progress VALUES (?, ?, 0, 0)", place)
            done = self._db.execute(
                "UPDATE progress SET position = ?, log_offset = ? WHERE generation = ?"
                " AND lane = ? AND position = ? AND log_offset = ?",
                (after.position, after.offset, *place, before.position, before.offset),
            )
            if done.rowcount != 1:
                raise Conflict("LANE_MOVED", f"lane {lane} stands elsewhere; read its progress")

    def _add(self, entries: Sequence[Entry]) -> None:
        generation, heads = self._generation.writes, dict[tuple[int, int, int], int]()
        rows = []
        for e in entries:
            place = (generation, self._number(e.seat), e.lane)
            heads[place] = max(e.seq, heads.get(place, 0))
            case_id = bytes.fromhex(e.case_id.replace("-", ""))
            rows.append((*place, e.seq, e.position, case_id, e.mask, e.basis, e.supersedes))
        self._db.executemany("INSERT INTO feed VALUES (?,?,?,?,?,?,?,?,?)", rows)
        self._db.executemany(
            "INSERT INTO heads VALUES (?,?,?,?)"
            " ON CONFLICT DO UPDATE SET seq = MAX(seq, excluded.seq)",
            [(*place, seq) for place, seq in heads.items()],
        )

    def _number(self, seat: Seat) -> int:
        if seat not in self._seats:
            row = self._db.execute(
                "INSERT INTO seats (agency, purpose) VALUES (?, ?)"
                " ON CONFLICT DO UPDATE SET agency = agency RETURNING id",
                seat,
            ).fetchone()
            self._seats[seat] = row["id"]
            self._names[row["id"]] = seat
        return self._seats[seat]

    def _name(self, number: int) -> Seat:
        if number not in self._names:
            self._load_seats()
        return self._names[number]

    def skip(self, skip: Skip, moved: tuple[Progress, Progress]) -> None:
        """Keep `skip` and move its lane, in one transaction."""
        with transaction(self._db):
            self._move({skip.lane: moved})
            self._db.execute(
                "INSERT INTO skips VALUES (NULL,?,?,?,?,?,?)",
                (skip.lane, skip.offset, skip.digest, skip.by, skip.reason, skip.skipped_ms),
            )

    def skips(self) -> Sequence[Skip]:
        """Return what was ever skipped, oldest first."""
        with ours():
            rows = self._db.execute("SELECT * FROM skips ORDER BY id").fetchall()
        return [
            Skip(
                lane=r["lane"],
                offset=r["log_offset"],
                digest=r["digest"],
                by=r["by"],
                reason=r["reason"],
                skipped_ms=r["skipped_ms"],
            )
            for r in rows
        ]

    def read(self, seat: Seat, after: Cursor, limit: int) -> Sequence[Entry]:
        """Return up to `limit` entries of `seat` after the cursor, a fair share from each lane."""
        if seat not in self._seats:
            self._load_seats()  # another process may have begun it
        number = self._seats.get(seat)
        if number is None:
            return ()
        generation = self._generation.number()
        sql = (
            "SELECT * FROM feed WHERE generation = ? AND seat = ? AND lane = ? AND seq > ?"
            " ORDER BY seq LIMIT ?"
        )
        found: list[Entry] = []
        for lane in range(LANES):
            share = -(-(limit - len(found)) // (LANES - lane))
            place = (generation, number, lane, after.seqs[lane], share)
            with ours():
                rows = self._db.execute(sql, place).fetchall()
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

    def beside(self) -> "_Feeds":
        """Return an empty generation beside the live one, over the same connection."""
        return _Feeds(self._db, self._generation.beside())

    def switch(self) -> None:
        """Make this generation, which `beside` returned, the live one."""
        self._generation.switch()


class SqliteFeeds(_Feeds):
    """The feeds in a file, its live generation."""

    def __init__(self, path: str) -> None:
        """Open or create the feeds at `path`; empty keeps them in memory.

        `Refused` FEEDS_LAYOUT for a file that another version of the hub wrote.
        """
        if path and Path(path).exists():
            _check_layout(path)
        db = connect(path, *generations.TABLES, *_TABLES)
        super().__init__(db, Generation(db))

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _check_layout(path: str) -> None:
    with closing(connect(path)) as db, ours():
        layout = db.execute("PRAGMA user_version").fetchone()[0]
        empty = not db.execute("SELECT 1 FROM sqlite_master").fetchone()
    if layout != LAYOUT and not empty:
        message = f"feeds of layout {layout}, not {LAYOUT}: remove the file, the log rebuilds it"
        raise Refused("FEEDS_LAYOUT", message)
