"""The SQLite file of a gateway, which its two stores share so that they write as one."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from adapters.sqlite.connection import connect, ours, transaction


class GatewayFile:
    """Two connections: one that waits for the disk, for what nobody else has, and a fast one."""

    def __init__(self, path: str) -> None:
        """Open or create the file at `path`; empty keeps it in memory."""
        self.durable = connect(path)
        self._fast = connect(path, synchronous="NORMAL") if path else self.durable

    def close(self) -> None:
        """Close the file."""
        self._fast.close()
        self.durable.close()

    def create(self, *statements: str) -> None:
        """Make tables that are not there, and bring what is there up to date."""
        with ours():
            for statement in statements:
                self.durable.execute(statement)

    @contextmanager
    def together(self, *, durable: bool) -> Iterator[None]:
        """Make everything written inside the block one transaction."""
        with transaction(self.durable if durable else self._fast):
            yield

    @property
    def open(self) -> sqlite3.Connection:
        """The connection whose block is open, so that reading sees what the block has written."""
        return self.durable if self.durable.in_transaction else self._fast

    @property
    def writing(self) -> sqlite3.Connection:
        """The connection whose block is open, else the durable one."""
        return self._fast if self._fast.in_transaction else self.durable

    def rows(self, sql: str, *parameters: object) -> list[sqlite3.Row]:
        """Return what a query finds."""
        with ours():
            return self.open.execute(sql, parameters).fetchall()
