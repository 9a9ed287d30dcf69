"""The right to be the only one: an advisory lock that lives and dies with one connection."""

from adapters.leasing import tried
from adapters.postgres.connection import Connection, connect, lock_number, ours
from domain.errors import Unavailable

_TRY_SECONDS = 0.1
"""How often somebody else's lease is tried; the server frees it when that one's end is noticed."""


class PostgresLease:
    """See the port `Lease`."""

    def __init__(self, dsn: str, name: str) -> None:
        """Compete for `name` with every process over the database `dsn`."""
        self._dsn = dsn
        self._number = lock_number(f"lease {name}")
        self._connection: Connection | None = None
        self._held = False

    def acquire(self, seconds: float) -> bool:
        """Return whether the lease is held, waiting up to `seconds` for who has it now."""
        if self._held:
            self.check()
            return True
        return tried(self._try, seconds, _TRY_SECONDS)

    def _try(self) -> bool:
        try:
            if self._connection is None:
                self._connection = connect(self._dsn)
            with ours():
                sql = "SELECT pg_try_advisory_lock(%s)"
                row = self._connection.execute(sql, (self._number,)).fetchone()
        except Unavailable:
            self.close()
            raise
        self._held = row == (True,)
        return self._held

    def check(self) -> None:
        """Raise `Unavailable` LEASE_LOST when the connection that holds the lock is gone."""
        try:
            if not self._held or self._connection is None:
                raise Unavailable("LEASE_LOST", "the lease is not held; acquire it")
            with ours():
                self._connection.execute("SELECT 1")
        except Unavailable as e:
            self.close()
            raise Unavailable("LEASE_LOST", "the lease is gone; acquire it again") from e

    def close(self) -> None:
        """Give the lease back."""
        connection, self._connection, self._held = self._connection, None, False
        if connection is not None:
            connection.close()
