"""A projector process that reads Kafka and can kill itself around one of its writes.

Its settings stand in the environment. KILL names where and at which write it dies: "before"
the write (all is applied, nothing committed), "inside" (before the COMMIT), "after" it.
"""

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

from adapters.kafka.client import Broker
from adapters.sqlite.event_store import SqliteEventStore
from domain.errors import Unavailable
from domain.feed import Entry, Progress
from tests.services.kafka_projectors import opened, projection

_point, _, _at = os.environ.get("KILL", "").partition(":")
_writes = count(1)
_now = [0]


def _die(point: str) -> None:
    if point == _point and _now[0] == int(_at):
        os.kill(os.getpid(), signal.SIGKILL)


class _Mortal(sqlite3.Connection):
    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            _die("inside")
        return super().execute(sql, *parameters)


class _Feeds:
    """Feeds whose writes may be the end."""

    def __init__(self, feeds: Any) -> None:
        self._feeds = feeds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._feeds, name)

    def write(
        self, entries: Sequence[Entry], moved: Mapping[int, tuple[Progress, Progress]]
    ) -> None:
        _now[0] = next(_writes)
        _die("before")
        self._feeds.write(entries, moved)
        _die("after")


def main() -> None:
    """Project until told to end."""
    sqlite3.connect = partial(sqlite3.connect, factory=_Mortal)  # type: ignore[assignment]
    ended = list[int]()
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    given = json.loads(os.environ["PROJECTOR"])
    store, feeds = SqliteEventStore(given["store"]), _Feeds(opened(given["feeds"]))
    broker = Broker.from_env(os.environ)
    options = {"instance": given["instance"], "limit": given["limit"]}
    with projection(broker, given["hub"], store, feeds, **options) as one:
        while not ended:
            try:
                one.step()
            except Unavailable as e:
                sys.stderr.write(f"{e}\n")


if __name__ == "__main__":
    main()
