"""SQLite files opened the way our stores need them: WAL, errors as ours."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from domain.errors import Conflict, Unavailable


def connect(path: str, *tables: str, synchronous: str = "FULL") -> sqlite3.Connection:
    """Open or create the database at `path` (empty: in memory) with `tables` in it.

    With `synchronous` NORMAL a commit outlives the process but may not outlive a power cut,
    which takes the last commits together: for what can be fetched again.
    """
    with ours():
        db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={synchronous}")
        for table in tables:
            db.execute(table)
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run the block in one durable write transaction, or leave nothing of it.

    A block inside another is part of the outer one's transaction.
    """
    if db.in_transaction:
        yield db
        return
    with ours():
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")


class ours:  # noqa: N801 - reads as a word in `with`
    """Turns SQLite's errors into ours; ours pass through. A class, for it stands in every read."""

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        """Raise `Conflict` for a row that is taken, `Unavailable` for the rest of SQLite."""
        if isinstance(error, sqlite3.IntegrityError):
            message = "somebody else wrote first; read again and retry"
            raise Conflict("ROW_TAKEN", message) from error
        if isinstance(error, sqlite3.Error):
            message = "the store did not answer; retry later"
            raise Unavailable("STORE_UNAVAILABLE", message) from error
