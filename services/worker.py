"""A part that works by itself: step after step in a thread of its own, until told to end.

What is away is tried again, later each time. Anything else that a part raises ends it, and so
its process: whoever supervises that starts it anew, and the logs say why.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from domain.errors import Unavailable

FIRST_BACKOFF, LAST_BACKOFF = 0.05, 5.0
IDLE_SECONDS = 1.0

log = logging.getLogger(__name__)


class Part(Protocol):
    """Work in bounded pieces."""

    def step(self) -> bool:
        """Do one piece; return whether there was any. `Unavailable` is tried again."""
        ...

    def close(self) -> None:
        """Give back what the part holds."""
        ...


class Worker:
    """Runs one part; `idle` blocks until there may be news, or for the seconds it is given."""

    def __init__(self, part: Part, idle: Callable[[float], object] = time.sleep) -> None:
        """Work does not begin before `run`."""
        self._part = part
        self._idle = idle
        self._ended = threading.Event()
        self.beat = time.monotonic()
        """When the loop last went round; a part that hangs stops it."""
        self.waiting = ""
        """Reason code of what is away just now; empty when the part works."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, or until cancelled; raise what the part raised."""
        working = asyncio.create_task(asyncio.to_thread(self._work))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._ended.set()  # nobody can cancel a thread, and a process waits for its threads
            stopping.cancel()
        await working

    def _work(self) -> None:
        backoff = FIRST_BACKOFF
        try:
            while not self._ended.is_set():
                self.beat = time.monotonic()
                try:
                    busy = self._part.step()
                    if not busy:
                        self._idle(IDLE_SECONDS)
                except Unavailable as e:
                    if self.waiting != e.code:
                        log.warning("waiting: %s", e)
                    self.waiting = e.code
                    self._ended.wait(backoff)
                    backoff = min(2 * backoff, LAST_BACKOFF)
                    continue
                self.waiting, backoff = "", FIRST_BACKOFF
        finally:
            self._part.close()
