"""nrm-hub with a clock that is wrong, and may be set while it runs.

`python -m tests.failures.wrong_clock FILE hub ...`: the file says by how many seconds. It is
Python's clock that is wrong: libfaketime 0.9.10 breaks either `time.sleep` or every wait with
a time-out of Python 3.11. The time since the machine began stays as it is.
"""

import sys
import time
from pathlib import Path

from tests.agencies import DAY


class WrongClock:
    """The clock of the processes that are started with it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.ahead_ms = 0
        """How far it runs ahead of ours."""
        self.set(0)

    def set(self, days: int, seconds: int = 0) -> None:
        """Let it be so far ahead from now on."""
        self.ahead_ms = days * DAY + seconds * 1000
        new = self.file.with_suffix(".new")
        new.write_text(f"{self.ahead_ms // 1000}")
        new.rename(self.file)


def _be_wrong(file: Path) -> None:
    right, right_ns = time.time, time.time_ns

    def ahead() -> int:
        return int(file.read_text())

    time.time = lambda: right() + ahead()
    time.time_ns = lambda: right_ns() + ahead() * 1_000_000_000


if __name__ == "__main__":
    _be_wrong(Path(sys.argv.pop(1)))
    from services.cli import main  # what it imports finds the clock as it is now

    main()
