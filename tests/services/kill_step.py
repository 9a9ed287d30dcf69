"""`nrm-hub` that, once armed by SIGUSR1, kills itself right after its n-th durable write.

Between two writes that belong together is where a crash hurts; a clock seldom strikes there.
"""

import os
import signal
import sqlite3
from functools import partial
from itertools import count
from typing import Any

from services.cli import main

WRITES = "KILL_AFTER_WRITES"
_armed: list[int] = []


class _Mortal(sqlite3.Connection):
    """A connection that counts what it has made durable."""

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        cursor = super().execute(sql, *parameters)
        if sql == "COMMIT":
            _written()
        return cursor

    def commit(self) -> None:
        super().commit()
        _written()


_writes = count(1)


def _written() -> None:
    if _armed and next(_writes) == _armed[0]:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, lambda *_: _armed.append(int(os.environ[WRITES])))
    sqlite3.connect = partial(sqlite3.connect, factory=_Mortal)  # type: ignore[assignment]
    main()
