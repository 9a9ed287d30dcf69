"""What the leases have in common: who holds one has it, and who does not tries now and then."""

from collections.abc import Callable
from time import monotonic, sleep


def tried(once: Callable[[], bool], seconds: float, every: float) -> bool:
    """Return whether `once` succeeded, tried for `seconds` and `every` so many; once at least."""
    until = monotonic() + seconds
    while not once():
        if monotonic() >= until:
            return False
        sleep(every)
    return True
