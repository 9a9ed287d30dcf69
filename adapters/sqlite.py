"""One SQLite file opened the way every store of ours needs it: WAL, synchronous FULL."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from domain.errors import Conflict, Unavailable


def connect(path: str, *tables: str) -> sqlite3.Connection:
    """Open or create the database at `path` (empty: in memory) with `tables` in it."""
    with ours():
        db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        for table in tables:
            db.execute(table)
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run the block in one durable write transaction, or leave nothing of it."""
    with ours():
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")


@contextmanager
def ours() -> Iterator[None]:
    """Turn SQLite's errors into ours; ours pass through."""
    try:
        yield
    except sqlite3.IntegrityError as e:
        raise Conflict("ROW_TAKEN", "somebody else wrote first; read again and retry") from e
    except sqlite3.Error as e:
        raise Unavailable("STORE_UNAVAILABLE", "the store did not answer; retry later") from e
