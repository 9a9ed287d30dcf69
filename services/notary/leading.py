"""The two parts of a notary at work, each in a thread: one sequences, one publishes.

Only who holds the lease works, for two writers of one folder would spoil each other's files.
What must not be passed over stops the trail and not the process: accepting goes on beside it.
"""

import logging
import threading
from collections.abc import Callable

from domain.errors import HubError, Unavailable
from domain.ports import Lease
from services.notary.publishing import Publishing
from services.notary.sequencer import Sequencer

LEASE_SECONDS = 0.2
"""How long one step waits for the lease."""
FAILED = "NOTARY_FAILED"
log = logging.getLogger(__name__)


class Leading:
    """What both parts share: the lease, and why the trail has stopped if it has."""

    def __init__(self, lease: Lease, begin: Callable[[], None], seconds: float) -> None:
        """`begin` is done once the lease is held; `seconds` lie between two rounds."""
        self._lease = lease
        self._begin = begin
        self._seconds = seconds
        self.holds = False
        self.broken = ""
        """Reason code of what stopped the trail; an operator mends it and starts anew."""
        self.news = threading.Event()
        """Set when there is a new tree."""
        self._ending = threading.Event()

    def hold(self) -> bool:
        """Return whether this is the notary that works; `Unavailable` when it has stopped."""
        self._check()
        held = self._lease.acquire(LEASE_SECONDS)
        if held and not self.holds:
            self.work(self._begin)
            self.holds = True
        return held

    def _check(self) -> None:
        if self.broken:
            raise Unavailable(self.broken, "the trail has stopped; see the log and the runbook")

    def work(self, do: Callable[[], object]) -> bool:
        """Return what `do` returns; whatever a retry cannot mend stops the trail."""
        self._check()
        try:
            return bool(do())
        except Unavailable:
            raise
        except HubError as e:
            log.exception("the trail has stopped")
            self.broken = e.code
        except Exception:
            log.exception("the trail has stopped")
            self.broken = FAILED
        self._check()
        return False

    def rest(self, seconds: float) -> None:
        """Wait until the next round may be made."""
        self._ending.wait(min(seconds, self._seconds))

    def listen(self, seconds: float) -> None:
        """Wait for a new tree, or for one to be due that came too soon after the last."""
        self.news.wait(min(seconds, self._seconds / 4))
        if not self._ending.is_set():
            self.news.clear()

    def end(self) -> None:
        """Let nobody rest any more: the process is about to end."""
        self._ending.set()
        self.news.set()

    def close(self) -> None:
        """Give the lease back."""
        self.holds = False
        self._lease.close()


class Sequencing:
    """Rounds while there are more; then one each interval."""

    def __init__(self, leading: Leading, sequencer: Sequencer) -> None:
        """Work once `leading` does."""
        self._leading = leading
        self._sequencer = sequencer
        sequencer.on_tree = leading.news.set

    def step(self) -> bool:
        """Make some rounds."""
        return self._leading.hold() and self._leading.work(self._sequencer.step)

    def close(self) -> None:
        """Give the lease back."""
        self._leading.close()


class Announcing:
    """Publishing, one checkpoint a step."""

    def __init__(self, leading: Leading, publishing: Publishing, close: Callable[[], None]) -> None:
        """`close` gives back what the witnesses are asked with."""
        self._leading = leading
        self._publishing = publishing
        self._close = close

    def step(self) -> bool:
        """Publish the newest tree."""
        return self._leading.holds and self._leading.work(self._publishing.step)

    def close(self) -> None:
        """Let go of the witnesses."""
        self._close()
