"""When to ask for a case's proof: at the next checkpoint, and less and less often after that."""

from collections.abc import Iterable
from dataclasses import dataclass

FIRST_PAUSE, LAST_PAUSE = 0.1, 30.0
"""Seconds from one question to the next, at least; doubled each time."""
PATIENCE = 1.0
"""Seconds, or pauses if those are longer, after which it is asked without a new checkpoint."""


@dataclass(slots=True)
class _Asked:
    size: int
    """Of the published tree when it was asked last, or began to wait."""
    not_before: float
    at_latest: float
    pause: float = FIRST_PAUSE


class Pace:
    """Cases that wait, in the order in which they began to; times are monotonic seconds."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._asked: dict[str, _Asked] = {}

    def wait_for(self, cases: Iterable[str], size: int, now: float) -> None:
        """Wait for just these; `size` is that of the tree that is known to be published."""
        known = self._asked
        self._asked = {c: known.get(c) or _Asked(size, now, now + PATIENCE) for c in cases}

    def rested(self, now: float) -> bool:
        """Return whether a new checkpoint would be news for one of them."""
        return any(a.not_before <= now for a in self._asked.values())

    def due(self, size: int, now: float) -> list[str]:
        """Return which to ask for, the tree of `size` being published."""
        return [
            case
            for case, a in self._asked.items()
            if a.not_before <= now and (a.size != size or a.at_latest <= now)
        ]

    def asked(self, case: str, size: int, now: float) -> None:
        """Note that it was asked, and pause."""
        one = self._asked[case]
        one.size, one.not_before = size, now + one.pause
        one.at_latest = now + max(PATIENCE, 2 * one.pause)
        one.pause = min(2 * one.pause, LAST_PAUSE)
