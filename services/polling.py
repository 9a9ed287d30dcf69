"""Long polls: who makes one wait for news is asked again at once, who does not more rarely."""

from collections.abc import Awaitable, Callable
from time import monotonic

from domain.errors import Unavailable

LONG_POLL = 20.0
"""Seconds that a peer is asked to wait until it has news."""


async def polled(pull: Callable[[], Awaitable[bool]]) -> bool:
    """Return what `pull` does; `Unavailable` PEER_HASTY when nothing came and nobody waited.

    A peer, or a proxy before it, that answers a long poll at once is asked ever more rarely.
    """
    asked = monotonic()
    if await pull():
        return True
    if monotonic() - asked < LONG_POLL / 2:
        raise Unavailable("PEER_HASTY", "a long poll was answered early, with nothing; ask later")
    return False
