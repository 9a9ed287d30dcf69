"""What arrived in each lane of a gateway's feeds, and how much of it is proven whole."""

import sqlite3
from collections.abc import Sequence

from adapters.sqlite.connection import transaction
from adapters.sqlite.gateway_file import GatewayFile
from domain.gateway_trail import Arrived, Lane
from domain.trail.merkle import HASH_SIZE, Range

LANE_TABLES = (
    "CREATE TABLE IF NOT EXISTS arrived (purpose TEXT, lane INTEGER, seq INTEGER,"
    " case_id TEXT NOT NULL, leaf BLOB NOT NULL, arrived_ms INTEGER NOT NULL,"
    " confirmed INTEGER NOT NULL, PRIMARY KEY (purpose, lane, seq)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS arrived_unconfirmed ON arrived (case_id)"
    " WHERE confirmed = 0 AND case_id <> ''",
    "CREATE TABLE IF NOT EXISTS lanes (purpose TEXT, lane INTEGER, newest INTEGER NOT NULL,"
    " size INTEGER NOT NULL, nodes BLOB NOT NULL, PRIMARY KEY (purpose, lane)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS adopting (purpose TEXT, lane INTEGER, PRIMARY KEY (purpose, lane))"
    " WITHOUT ROWID",
)
_UNPROVEN = (
    "FROM arrived WHERE purpose = ? AND lane = ? AND seq >"
    " (SELECT size FROM lanes WHERE lanes.purpose = arrived.purpose AND lanes.lane = arrived.lane)"
)


class SqliteLanes:
    """The part of `GatewayTrail` that is about feeds."""

    _file: GatewayFile

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


def keep_unproven(db: sqlite3.Connection, number: int, lane: Lane) -> None:
    """Keep what is not proven of a lane as evidence of an alarm."""
    found = db.execute(f"SELECT seq, leaf {_UNPROVEN} ORDER BY seq", lane).fetchall()
    leaves = "".join(f"{seq} {leaf.hex()}\n" for seq, leaf in found)
    db.execute("INSERT INTO evidence VALUES (?,'unproven.leaves',?)", (number, leaves.encode()))


def set_aside(db: sqlite3.Connection, lane: Lane) -> None:
    """Have a lane read anew: forget what is not proven of it, and read its seat's feed again."""
    db.execute(f"DELETE {_UNPROVEN}", lane)
    db.execute("UPDATE lanes SET newest = size WHERE purpose = ? AND lane = ?", lane)
    db.execute("DELETE FROM places WHERE name = ?", (f"feed {lane.purpose}",))


def _arrived(r: sqlite3.Row) -> Arrived:
    lane = Lane(r["purpose"], r["lane"])
    return Arrived(lane, r["seq"], r["case_id"], r["leaf"], r["arrived_ms"])
