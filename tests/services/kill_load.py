"""The load: stories without end, and clients that remember every answer they were given."""

import asyncio
from collections.abc import Iterator, Sequence

from adapters.http_links import HttpGatewayLink
from domain.errors import Unavailable
from domain.gateway import Command, Result
from services.bootstrap import now_ms
from services.demo.script import Story
from services.demo.stories import seeded

_MANY = 1_000_000
QUEUED = "queued"


class Stories:
    """Seeded stories, one after the other, until it is `over`."""

    def __init__(self, seed: int) -> None:
        self.over = False
        self.begun: list[Story] = []
        self._stories = seeded(seed, _MANY, now_ms())

    def __iter__(self) -> Iterator[Story]:
        return self

    def __next__(self) -> Story:
        if self.over:
            raise StopIteration
        story = next(self._stories)
        self.begun.append(story)
        return story


class Load:
    """What all clients together have sent and seen answered."""

    def __init__(self) -> None:
        self.answered: dict[str, Result] = {}
        """Command id -> the final answer that a client has seen."""
        self.changed: list[tuple[Result, Result]] = []
        """Pairs of answers to one command that differ."""
        self.under_way = 0
        """Commands in requests that have left a client and have no answer yet."""
        self.cut = 0
        """Commands in requests that broke off without an answer."""
        self.serving = asyncio.Event()

    def note(self, results: Sequence[Result]) -> None:
        """Remember the final ones of `results`."""
        for result in results:
            if result.status == QUEUED:
                continue
            first = self.answered.setdefault(result.command_id, result)
            if first != result:
                self.changed.append((first, result))


class Client:
    """One gateway's client: waits while nothing serves; a cut request is the caller's to repeat."""

    def __init__(self, link: HttpGatewayLink, load: Load) -> None:
        self._link = link
        self._load = load

    async def submit(self, commands: Sequence[Command]) -> Sequence[Result]:
        """See `GatewayClient`."""
        await self._load.serving.wait()
        self._load.under_way += len(commands)
        try:
            results = await self._link.submit(commands)
        except Unavailable:
            self._load.cut += len(commands)
            raise
        finally:
            self._load.under_way -= len(commands)
        self._load.note(results)
        return results
