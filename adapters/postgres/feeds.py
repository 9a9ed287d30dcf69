"""The feeds of all seats in PostgreSQL, for projectors in numbers."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, Final, LiteralString

from psycopg.rows import TupleRow

from adapters.postgres import generations
from adapters.postgres.connection import (
    LONG_SECONDS,
    Connection,
    Connections,
    connect,
    migrate,
    ours,
)
from adapters.postgres.notices import FEEDS, payloads
from domain.errors import Conflict
from domain.feed import LANES, Cursor, Entry, Heads, Progress, Skip
from domain.vocabulary import Seat

_TABLES: Final = (
    "CREATE TABLE seats (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, agency text NOT NULL,"
    " purpose text NOT NULL, UNIQUE (agency, purpose))",
    *generations.TABLES,
    "CREATE TABLE skips (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    " lane smallint NOT NULL, log_offset bigint NOT NULL, digest bytea NOT NULL,"
    " by text NOT NULL, reason text NOT NULL, skipped_ms bigint NOT NULL)",
)
_GENERATION: Final = "COALESCE(%(beside)b::int, (SELECT generation FROM feed_live))"
_PROGRESS: Final = (
    "SELECT g.n, p.lane, p.position, p.log_offset"
    f" FROM (SELECT {_GENERATION} AS n) g LEFT JOIN feed_progress p ON p.generation = g.n"
)
_HEADS: Final = (
    "SELECT s.agency, s.purpose, h.lane, h.seq FROM feed_heads h JOIN seats s ON s.id = h.seat"
    f" WHERE h.generation = {_GENERATION}"
)
_ENTRY: Final = (
    "s.agency, s.purpose, f.lane, f.seq, f.position, f.case_id::text, f.mask, f.basis, f.supersedes"
)
_OF_CASE: Final = (
    f"SELECT {_ENTRY} FROM feed f JOIN seats s ON s.id = f.seat"
    f" WHERE f.generation = (SELECT {_GENERATION}) AND f.case_id = %(case)b::text::uuid"
    " ORDER BY f.seat, f.lane, f.seq"
)
# Lane by lane, each gets an equal part of what the lanes before it have left: as numbers have
# no gaps, the heads say how many there are, and every lane is one range of the index.
_READ: Final = (
    "WITH RECURSIVE s AS (SELECT id, agency, purpose FROM seats"
    " WHERE agency = %(agency)b AND purpose = %(purpose)b),"
    f" g AS (SELECT {_GENERATION} AS n),"
    " share (lane, low, taken, rest) AS (SELECT -1, 0::bigint, 0::bigint, %(limit)b::bigint"
    " UNION ALL SELECT share.lane + 1, t.low, t.taken, rest - t.taken FROM share, LATERAL (SELECT"
    " (%(after)b::bigint[])[share.lane + 2] AS low, GREATEST(0, LEAST("
    f"(rest + {LANES - 2} - share.lane) / ({LANES - 1} - share.lane),"
    " COALESCE((SELECT h.seq FROM feed_heads h WHERE h.generation = (SELECT n FROM g)"
    " AND h.seat = (SELECT id FROM s) AND h.lane = share.lane + 1), 0)"
    " - (%(after)b::bigint[])[share.lane + 2])) AS taken) t"
    f" WHERE share.lane < {LANES - 1})"
    f" SELECT {_ENTRY} FROM share JOIN s ON share.taken > 0 JOIN feed f"
    " ON f.generation = (SELECT n FROM g) AND f.seat = (SELECT id FROM s) AND f.lane = share.lane"
    " AND f.seq > share.low AND f.seq <= share.low + share.taken ORDER BY f.lane, f.seq"
)
_WRITE: Final = (
    "WITH moved AS (UPDATE feed_progress p SET position = m.position, log_offset = m.log_offset"
    " FROM unnest(%(lanes)b::smallint[], %(old_positions)b::bigint[], %(old_offsets)b::bigint[],"
    " %(positions)b::bigint[], %(offsets)b::bigint[])"
    " AS m (lane, old_position, old_offset, position, log_offset)"
    " WHERE p.generation = %(generation)b::int AND p.lane = m.lane"
    " AND p.position = m.old_position AND p.log_offset = m.old_offset RETURNING 1),"
    " added AS (INSERT INTO feed SELECT %(generation)b::int, seat, lane, seq, position, case_id,"
    " mask, basis, NULLIF(supersedes, 0) FROM unnest(%(seats)b::int[],"
    " %(entry_lanes)b::smallint[], %(seqs)b::bigint[], %(at)b::bigint[],"
    " %(cases)b::text[]::uuid[], %(masks)b::int[], %(bases)b::text[], %(supersedes)b::bigint[])"
    " AS e (seat, lane, seq, position, case_id, mask, basis, supersedes)),"
    " heads AS (INSERT INTO feed_heads AS h SELECT %(generation)b::int, n.* FROM"
    " unnest(%(head_seats)b::int[], %(head_lanes)b::smallint[], %(head_seqs)b::bigint[]) AS n"
    " ON CONFLICT (generation, seat, lane) DO UPDATE SET seq = GREATEST(h.seq, excluded.seq))"
    " SELECT (SELECT COUNT(*) FROM moved),"
    f" (SELECT COUNT(pg_notify('{FEEDS}', news)) FROM unnest(%(news)b::text[]) AS news)"
)
_NEW_SEATS: Final = (
    "INSERT INTO seats (agency, purpose) SELECT * FROM unnest(%s::text[], %s::text[])"
    " ON CONFLICT DO NOTHING"
)
_SKIP: Final = (
    "INSERT INTO skips (lane, log_offset, digest, by, reason, skipped_ms)"
    " VALUES (%s, %s, %s, %s, %s, %s)"
)
_SKIPS: Final = "SELECT lane, log_offset, digest, by, reason, skipped_ms FROM skips ORDER BY id"


class _Feeds:
    """See the port `Feeds`."""

    def __init__(self, dsn: str, connections: Connections, beside: int | None = None) -> None:
        """Stand for generation `beside`, or for the live one, whichever that is."""
        self._dsn = dsn
        self._connections = connections
        self._beside = beside
        self._seats: dict[Seat, int] = {}
        self._writes = 0
        """The generation that writes belong to, as `progress` found it."""
        self.progress()

    def _rows(self, sql: LiteralString, **parameters: Any) -> list[TupleRow]:
        parameters["beside"] = self._beside
        with self._connections.lend() as connection:
            return connection.execute(sql, parameters, prepare=True, binary=True).fetchall()

    def progress(self) -> Sequence[Progress]:
        """Return how far each lane was projected; writes go on from here."""
        found = self._rows(_PROGRESS)
        self._writes = found[0][0]
        places = {lane: Progress(position, offset) for _, lane, position, offset in found}
        return [places.get(lane, Progress()) for lane in range(LANES)]

    def heads(self) -> Heads:
        """Return the newest sequence number of every seat and lane that has entries."""
        return {(Seat(r[0], r[1]), r[2]): r[3] for r in self._rows(_HEADS)}

    def of_case(self, case_id: str) -> Sequence[Entry]:
        """Return every entry about a case, each seat's in the order of writing."""
        return [_entry(r) for r in self._rows(_OF_CASE, case=case_id)]

    def read(self, seat: Seat, after: Cursor, limit: int) -> Sequence[Entry]:
        """Return up to `limit` entries of `seat` after the cursor, a fair share from each lane."""
        rows = self._rows(
            _READ, agency=seat.agency, purpose=seat.purpose, after=list(after.seqs), limit=limit
        )
        return [_entry(r) for r in rows]

    def write(
        self, entries: Sequence[Entry], moved: Mapping[int, tuple[Progress, Progress]]
    ) -> None:
        """Add `entries` and move the lanes, in one transaction."""
        seats = self._numbered({e.seat for e in entries})
        with self._connections.lend() as connection, connection.transaction():
            self._write(connection, entries, moved, seats)

    def _write(
        self,
        connection: Connection,
        entries: Sequence[Entry],
        moved: Mapping[int, tuple[Progress, Progress]],
        seats: Mapping[Seat, int],
    ) -> None:
        parameters = {
            "generation": self._writes,
            "news": [] if self._beside else payloads(seats),
            **_moves(moved),
            **_columns(entries, seats),
        }
        cursor = connection.execute(_WRITE, parameters, prepare=True, binary=True)
        if cursor.fetchall()[0][0] != len(moved):
            raise Conflict("LANE_MOVED", "a lane stands elsewhere; read the progress and go on")

    def _numbered(self, seats: set[Seat]) -> dict[Seat, int]:
        """Return the number of each of `seats`; a new one gets its own, for good."""
        new = [seat for seat in seats if seat not in self._seats]
        if new:
            columns = [list(column) for column in zip(*new, strict=True)]
            with self._connections.lend() as connection:
                connection.execute(_NEW_SEATS, columns)
                rows = connection.execute("SELECT agency, purpose, id FROM seats").fetchall()
            self._seats = {Seat(agency, purpose): number for agency, purpose, number in rows}
        return {seat: self._seats[seat] for seat in seats}

    def skip(self, skip: Skip, moved: tuple[Progress, Progress]) -> None:
        """Keep `skip` and move its lane, in one transaction."""
        row = (skip.lane, skip.offset, skip.digest, skip.by, skip.reason, skip.skipped_ms)
        with self._connections.lend() as connection, connection.transaction():
            self._write(connection, (), {skip.lane: moved}, {})
            connection.execute(_SKIP, row)

    def skips(self) -> Sequence[Skip]:
        """Return what was ever skipped, oldest first."""
        return [
            Skip(lane=r[0], offset=r[1], digest=r[2], by=r[3], reason=r[4], skipped_ms=r[5])
            for r in self._rows(_SKIPS)
        ]

    def beside(self) -> "_Feeds":
        """Return an empty generation beside the live one, over the same connections."""
        with self._connections.lend() as connection:
            number = generations.make(connection)
        return _Feeds(self._dsn, self._connections, number)

    def switch(self) -> None:
        """Make this generation, which `beside` returned, the live one."""
        with closing(connect(self._dsn)) as connection, ours():
            connection.answer_seconds = LONG_SECONDS
            connection.execute("SET statement_timeout = 0")
            generations.switch(connection, self._writes)
        self._beside = None


class PostgresFeeds(_Feeds):
    """The feeds in a database, its live generation."""

    def __init__(self, dsn: str) -> None:
        """Open the feeds in the database `dsn`, making the tables if there are none."""
        migrate(dsn, "feeds", [_TABLES])
        super().__init__(dsn, Connections(dsn))

    def close(self) -> None:
        """Close every connection."""
        self._connections.close()


def _moves(moved: Mapping[int, tuple[Progress, Progress]]) -> dict[str, list[int]]:
    return {
        "lanes": list(moved),
        "old_positions": [before.position for before, _ in moved.values()],
        "old_offsets": [before.offset for before, _ in moved.values()],
        "positions": [after.position for _, after in moved.values()],
        "offsets": [after.offset for _, after in moved.values()],
    }


def _columns(entries: Sequence[Entry], seats: Mapping[Seat, int]) -> dict[str, list[Any]]:
    heads: dict[tuple[int, int], int] = {}
    for e in entries:
        place = seats[e.seat], e.lane
        heads[place] = max(e.seq, heads.get(place, 0))
    return {
        "seats": [seats[e.seat] for e in entries],
        "entry_lanes": [e.lane for e in entries],
        "seqs": [e.seq for e in entries],
        "at": [e.position for e in entries],
        "cases": [e.case_id for e in entries],
        "masks": [e.mask for e in entries],
        "bases": [e.basis for e in entries],
        "supersedes": [e.supersedes or 0 for e in entries],
        "head_seats": [seat for seat, _ in heads],
        "head_lanes": [lane for _, lane in heads],
        "head_seqs": list(heads.values()),
    }


def _entry(r: TupleRow) -> Entry:
    return Entry(
        seat=Seat(r[0], r[1]),
        lane=r[2],
        seq=r[3],
        position=r[4],
        case_id=r[5],
        mask=r[6],
        basis=r[7],
        supersedes=r[8],
    )
