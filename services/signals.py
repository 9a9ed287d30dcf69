"""Wake-ups inside one process: who waits for news of a topic is told when there is some."""

import asyncio
from collections import defaultdict
from collections.abc import Hashable, Iterable


class Signals:
    """Waiting by topic. A wake-up is a hint to look again; nothing travels in it."""

    def __init__(self) -> None:
        """Start with nobody waiting."""
        self._waiting: dict[Hashable, set[asyncio.Future[None]]] = defaultdict(set)
        self._closed = False

    def close(self) -> None:
        """Let nobody wait any longer, now or later: the process is about to end."""
        self._closed = True
        self.notify(list(self._waiting))

    def notify(self, topics: Iterable[Hashable]) -> None:
        """Wake everybody who waits for one of `topics`."""
        for topic in topics:
            for future in self._waiting.pop(topic, ()):
                if not future.done():
                    future.set_result(None)

    def listen(self, topic: Hashable) -> asyncio.Future[None]:
        """Return what is done at the next `notify` of `topic`; call before looking."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_result(None)
            return future
        self._waiting[topic].add(future)
        future.add_done_callback(self._waiting[topic].discard)
        return future

    @property
    def closed(self) -> bool:
        """Whether the process is about to end."""
        return self._closed


async def wait(future: asyncio.Future[None], seconds: float) -> bool:
    """Return whether `future` was done within `seconds`; afterwards it no longer waits."""
    done, _ = await asyncio.wait([future], timeout=seconds)
    if not done:
        future.cancel()
    return bool(done)
