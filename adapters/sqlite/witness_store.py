"""A witness's memory in one SQLite file."""

from adapters.sqlite.connection import connect, ours, transaction
from domain.errors import NotAuthentic
from domain.trail.checkpoint import Checkpoint
from domain.witness import Cosigned, OtherSize

_TABLES = (
    "CREATE TABLE IF NOT EXISTS cosigned (origin TEXT PRIMARY KEY, size INTEGER NOT NULL,"
    " root BLOB NOT NULL, note BLOB NOT NULL, replayed INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS forks (origin TEXT PRIMARY KEY, held BLOB NOT NULL,"
    " shown BLOB NOT NULL) WITHOUT ROWID",
)


class SqliteWitnessStore:
    """See the port `WitnessStore`."""

    def __init__(self, path: str) -> None:
        """Open or create the store at `path`; empty keeps it in memory."""
        self._db = connect(path, *_TABLES)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def newest(self, origin: str) -> Cosigned | None:
        """Return the newest checkpoint that was cosigned for a log."""
        with ours():
            row = self._db.execute("SELECT * FROM cosigned WHERE origin = ?", (origin,)).fetchone()
        if row is None:
            return None
        checkpoint = Checkpoint(origin, row["size"], row["root"])
        return Cosigned(checkpoint=checkpoint, note=row["note"], replayed=bool(row["replayed"]))

    def advance(self, old: int, cosigned: Cosigned) -> None:
        """Compare and swap in one transaction; its lock is what makes two requests take turns."""
        origin, size, root = cosigned.checkpoint
        with transaction(self._db) as db:
            newest = self.newest(origin)
            held = newest.checkpoint if newest else Checkpoint(origin, 0, b"")
            if held.size != old or size < old:
                raise OtherSize(held.size)
            if newest and held.size == size and held.root != root:
                raise NotAuthentic("TWO_ROOTS", f"another root was cosigned for size {size}")
            db.execute(
                "INSERT OR REPLACE INTO cosigned VALUES (?,?,?,?,?)",
                (origin, size, root, cosigned.note, cosigned.replayed),
            )

    def keep_fork(self, origin: str, held: bytes, shown: bytes) -> None:
        """Keep the two notes unless two of this log are kept already."""
        with transaction(self._db) as db:
            db.execute("INSERT OR IGNORE INTO forks VALUES (?,?,?)", (origin, held, shown))

    def forks(self) -> dict[str, tuple[bytes, bytes]]:
        """Return the kept notes by origin."""
        with ours():
            rows = self._db.execute("SELECT * FROM forks").fetchall()
        return {r["origin"]: (r["held"], r["shown"]) for r in rows}
