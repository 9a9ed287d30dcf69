"""Anchoring: published checkpoints are time-stamped by an authority, now and then.

In a thread of its own: an authority that is away, slow or wrong holds up nothing.
"""

import logging
import threading
from collections.abc import Callable

from domain.errors import HubError, NotAuthentic
from domain.notary import TrailFiles
from domain.trail.anchors import (
    INDEX,
    Anchored,
    TimeStamping,
    decode_index,
    encode_index,
    paths,
)
from domain.trail.checkpoint import Checkpoint

RETRY_MS = 60_000
"""From one failure to the next try."""
CLOCK_MS = 300_000
"""How far the authority's clock and ours may be apart."""
log = logging.getLogger(__name__)


class Anchoring:
    """Has a new size time-stamped once `seconds` have passed since the newest time-stamp."""

    def __init__(
        self, files: TrailFiles, tsa: TimeStamping, clock: Callable[[], int], seconds: float
    ) -> None:
        """`clock` gives ms."""
        self._files = files
        self._tsa = tsa
        self._clock = clock
        self._interval_ms = round(seconds * 1000)
        self._next_ms = 0
        self._since_ms: int | None = None
        self._thread: threading.Thread | None = None
        self.code = ""
        """Why the newest try failed; empty if it did not."""

    def published(self, checkpoint: Checkpoint, note: bytes) -> None:
        """Begin to have this published checkpoint time-stamped, if it is time; never waits."""
        busy = self._thread is not None and self._thread.is_alive()
        if busy or self._clock() < self._next_ms:
            return
        self._thread = threading.Thread(
            target=self._work, args=(checkpoint.size, note), name="anchor", daemon=True
        )
        self._thread.start()

    @property
    def overdue_seconds(self) -> float:
        """For how long a time-stamp has been due that is not there; 0 if none is."""
        since = self._since_ms
        return 0.0 if since is None else max(0, self._clock() - since) / 1000

    def _work(self, size: int, note: bytes) -> None:
        try:
            self._anchor(size, note)
        except HubError as e:
            if self.code != e.code:
                log.warning("no time-stamp: %s", e)
            self._failed(e.code)
        except Exception:
            log.exception("no time-stamp")
            self._failed("ANCHOR_FAILED")

    def _failed(self, code: str) -> None:
        self.code = code
        self._next_ms = self._clock() + min(RETRY_MS, self._interval_ms)

    def _anchor(self, size: int, note: bytes) -> None:
        now = self._clock()
        known = decode_index(self._files.read(INDEX))
        if known and (size <= known[-1].size or now < known[-1].time_ms + self._interval_ms):
            self._next_ms = known[-1].time_ms + self._interval_ms
            return
        self._since_ms = self._since_ms or now
        answer, time_ms = self._tsa.stamp(note)
        if abs(time_ms - self._clock()) > CLOCK_MS:
            raise NotAuthentic("TSA_CLOCK", "the authority's clock and ours are minutes apart")
        where = paths(size)
        index = encode_index([*known, Anchored(size, time_ms)])
        self._files.write({where[0]: note, where[1]: answer, INDEX: index})
        self._next_ms = time_ms + self._interval_ms
        self._since_ms, self.code = None, ""
