"""Where a replay is kept, so that the next one goes on from there: auditor and witness alike."""

from typing import Protocol


class StateFile(Protocol):
    """One place for the newest of what was kept."""

    def read(self) -> bytes | None:
        """Return what was kept, if anything was; `Malformed` STATE if it cannot be read."""
        ...

    def write(self, data: bytes) -> None:
        """Put `data` in the place of what was kept, whole or not at all; durable when it returns.

        `Unavailable` TRAIL_FILES when the disk fails.
        """
        ...
