"""How long checkpoints have gone on without something that they should have."""

from collections.abc import Hashable

LIMIT_MS = 600_000
"""After so long it is missing."""
STEP_MS = 60_000
"""What one checkpoint more counts at most: time in which there was none accuses nobody."""


class Overdue:
    """Counts, for each thing waited for, the time in which checkpoints came without it."""

    def __init__(self) -> None:
        """Nothing is waited for."""
        self._waited: dict[Hashable, tuple[int, int]] = {}
        """Thing -> (ms waited, newest checkpoint that was without it)."""

    def missed(self, what: Hashable, witnessed_ms: int) -> bool:
        """Note a checkpoint without it, cosigned then; return whether it is missing."""
        waited, last = self._waited.get(what, (0, witnessed_ms))
        waited += min(max(0, witnessed_ms - last), STEP_MS)
        self._waited[what] = waited, max(last, witnessed_ms)
        return waited >= LIMIT_MS

    def found(self, what: Hashable) -> None:
        """Wait for it no longer."""
        self._waited.pop(what, None)
