"""Wake-ups by LISTEN and NOTIFY: the log after an append, seats after their feeds were written."""

import json
from collections.abc import Collection
from typing import Final

from psycopg import Notify, sql

from adapters.postgres.connection import Connection, connect, ours
from adapters.postgres.tables import CHANNEL
from domain.vocabulary import Seat

FEEDS: Final = "feeds"
"""Channel of the seats that have news, a line of JSON (ASCII) each."""
_PAYLOAD_BYTES = 7_999
"""What one notification takes (PostgreSQL manual, NOTIFY)."""


class PostgresNotices:
    """See the port `Notices`."""

    def __init__(self, dsn: str) -> None:
        """Listen on a connection of its own, made when first waited for."""
        self._dsn = dsn
        self._connection: Connection | None = None

    def close(self) -> None:
        """Listen no more."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def wait(self, seconds: float) -> frozenset[str | Seat]:
        """Return what has news, waiting up to `seconds` for some; `Unavailable` when away."""
        connection = self._connection or self._listen()
        try:
            with ours():
                heard = list(connection.notifies(timeout=seconds, stop_after=1))
        except BaseException:
            self.close()
            raise
        return frozenset(news for notify in heard for news in _news(notify))

    def _listen(self) -> Connection:
        connection = connect(self._dsn)
        try:
            with ours():
                for channel in (CHANNEL, FEEDS):
                    connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection


def _news(notify: Notify) -> list[str | Seat]:
    if notify.channel == CHANNEL:
        return ["log"]
    return [Seat(*json.loads(line)) for line in notify.payload.split("\n")]


def payloads(seats: Collection[Seat]) -> list[str]:
    """Return what tells of `seats`: as few notifications as they fit in."""
    told: list[str] = []
    room = 0
    for line in (json.dumps(seat) for seat in seats):
        room -= len(line) + 1
        if room < 0:
            told.append(line)
            room = _PAYLOAD_BYTES - len(line)
        else:
            told[-1] += "\n" + line
    return told
