"""The replay: every entry under a checkpoint looked at before the checkpoint is cosigned.

Requests wait for it; it works beside them, bundle by bundle, in a thread of its own. A restart
goes on from what was kept of it. Without that it replays from the beginning, and up to the
newest cosigned checkpoint without signatures, for an equal root means the same entries.
"""

import asyncio
import logging
import threading
from collections.abc import Callable

from domain.errors import Refused, Unavailable
from domain.trail.checkpoint import Checkpoint
from domain.trail.merkle import Range
from domain.trail.replay import Finding
from domain.witness import Cosigned
from services.witness.progress import Job, Progress

WAIT_SECONDS = 6.0
"""For so long a request waits; a log asks again, and the replay goes on meanwhile."""
log = logging.getLogger(__name__)


class Replaying:
    """`Confirming` for the event loop, and a part of the process that works in a thread."""

    def __init__(
        self,
        progress: Progress,
        newest: Cosigned | None,
        *,
        seconds: float = WAIT_SECONDS,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        """Take up what was kept and go up to the `newest` cosigned checkpoint at once.

        `close` gives back what the trail is read with.
        """
        self._progress = progress
        self._seconds = seconds
        self._close = close
        self._started = False
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._ending = False
        self._job: Job | None = None
        self._next: Job | None = None
        if newest is not None:
            self._job = Job(newest.checkpoint, self.tree, verify=not newest.replayed)

    @property
    def tree(self) -> Range:
        """What was replayed and found right."""
        return self._progress.tree

    @property
    def finding(self) -> Finding | None:
        """The first entry that is not right; nothing is confirmed any more."""
        return self._progress.finding

    @property
    def alarms(self) -> int:
        """Entries whose actor says that it was shown another log, as many as a replay keeps."""
        return self._progress.alarms

    @property
    def lag(self) -> int:
        """Entries that were shown and not replayed yet."""
        jobs = [job for job in (self._job, self._next) if job is not None]
        return max([job.checkpoint.size - self.tree.size for job in jobs], default=0)

    async def confirm(self, checkpoint: Checkpoint) -> None:
        """Return once all entries up to the checkpoint were replayed and give it.

        `Refused` REPLAY_FAILED names the check and the entry, REPLAY_ROOT says that the entries
        give another checkpoint, REPLAY_FILE names a file; `Unavailable` REPLAY_BEHIND after a
        while: ask again.
        """
        if self._progress.known(checkpoint):
            return
        job = self._ask(checkpoint)
        try:
            async with asyncio.timeout(self._seconds):
                await asyncio.shield(asyncio.wrap_future(job.done))
        except TimeoutError:
            message = f"{self.tree.size} of {checkpoint.size} entries are replayed; ask again"
            raise Unavailable("REPLAY_BEHIND", message) from None

    def _ask(self, checkpoint: Checkpoint) -> Job:
        """Return the open job for a checkpoint; a new one takes the place of one not begun."""
        with self._lock:
            for job in (self._job, self._next):
                if job is not None and job.checkpoint == checkpoint:
                    return job
            if self._next is not None:
                later = Unavailable("REPLAY_BEHIND", "a newer checkpoint was shown meanwhile")
                self._next.done.set_exception(later)
            self._next = Job(checkpoint, self.tree)
            self._news.set()
            return self._next

    def idle(self, seconds: float) -> None:
        """Wait until there may be something to replay; after `end`, not at all."""
        self._news.wait(seconds)
        if not self._ending:
            self._news.clear()

    def end(self) -> None:
        """Let nobody wait any more: the process is about to end."""
        self._ending = True
        self._news.set()

    def close(self) -> None:
        """Keep the replay, and give back what the trail is read with."""
        try:
            self._progress.keep()
        finally:
            self._close()

    def step(self) -> bool:
        """Take one bundle; return whether there was any. `Unavailable` when it is not there."""
        if not self._started:
            self._take_up()
        job = self._begun()
        if job is None:
            return False
        try:
            ended = self._progress.advance(job)
        except Refused as e:
            log.error("the replay of size %d ends: %s", job.checkpoint.size, e)  # noqa: TRY400
            self._end(job, e)
        else:
            if ended:
                self._end(job, None)
                self._progress.keep(if_due=True)
        return True

    def _take_up(self) -> None:
        self._started = True
        self._progress.take_up()
        if self._job is not None:
            self._job.begin(self.tree)

    def _begun(self) -> Job | None:
        with self._lock:
            if self._job is None and self._next is not None:
                # What was replayed meanwhile need not be hashed again.
                self._job, self._next = self._next, None
                self._job.begin(self.tree)
            return self._job

    def _end(self, job: Job, error: Refused | None) -> None:
        with self._lock:
            self._job = None
        if error is None:
            job.done.set_result(None)
        else:
            job.done.set_exception(error)
