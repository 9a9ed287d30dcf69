"""How long the newest tree has been without its quorum, and what follows from it.

X-Road's rule: work on for some hours without outside proof of time, then stop. What is stopped
here is the sequencing; accepting goes on in every state.
"""

from collections.abc import Callable
from enum import StrEnum

DEGRADED_MS = 60_000
STOP_MS = 4 * 3_600_000


class State(StrEnum):
    """Of the newest tree."""

    PUBLISHED = "published"
    PENDING = "pending"
    """Witnesses are asked."""
    DEGRADED = "degraded"
    """No quorum for more than a minute; sequencing goes on, the countdown runs."""
    STOPPED = "stopped"
    """No quorum for four hours; an operator mends it and starts the notary anew."""


class Countdown:
    """Counts from the first tree that waits for its quorum."""

    def __init__(self, clock: Callable[[], int]) -> None:
        """`clock` gives ms; nothing waits yet."""
        self._clock = clock
        self._since: int | None = None
        self._stopped = False

    def begin(self) -> None:
        """Note that a tree waits; only the first one since `clear` counts."""
        if self._since is None:
            self._since = self._clock()

    def clear(self) -> None:
        """Note that a quorum was there."""
        self._since = None

    @property
    def state(self) -> State:
        """What holds now; once it has stopped, it stays so."""
        waited = 0 if self._since is None else self._clock() - self._since
        self._stopped = self._stopped or waited >= STOP_MS
        if self._stopped:
            return State.STOPPED
        if self._since is None:
            return State.PUBLISHED
        return State.DEGRADED if waited > DEGRADED_MS else State.PENDING

    @property
    def stopped(self) -> bool:
        """Whether the quorum was missing for too long."""
        return self.state is State.STOPPED

    @property
    def seconds_left(self) -> float:
        """Seconds until it stops if no quorum comes; the whole time while nothing waits."""
        if self.stopped:
            return 0.0
        waited = 0 if self._since is None else self._clock() - self._since
        return max(0.0, (STOP_MS - waited) / 1000)
