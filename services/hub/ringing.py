"""The clocks at work: what falls due is recorded as the coordinator's act."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from domain.errors import Unavailable
from domain.gateway import Command, Result
from services.hub.clocks import Clocks
from services.signals import Signals

CLOCK_SECONDS = 1.0

Submit = Callable[[Sequence[Command]], Awaitable[Sequence[Result]]]
log = logging.getLogger(__name__)


class Ringing:
    """Records what falls due, as the coordinator, until `signals` are closed."""

    def __init__(
        self,
        clocks: Clocks,
        submit: Submit,
        signals: Signals,
        rang: Callable[[str, str], None],
    ) -> None:
        """`rang` is told the type of each event and what became of it."""
        self._clocks = clocks
        self._submit = submit
        self._signals = signals
        self._rang = rang
        self.beat = time.monotonic()
        """When the loop last went round."""

    async def run(self) -> None:
        """Look every second; what could not be recorded now is tried again."""
        while not self._signals.closed:
            self.beat = time.monotonic()
            try:
                await self._ring()
            except Unavailable as e:
                log.warning("the clocks wait: %s", e.code)
            await asyncio.sleep(CLOCK_SECONDS)

    async def _ring(self) -> None:
        self._clocks.follow()
        commands = self._clocks.ring()
        if not commands:
            return
        results = await self._submit(commands)
        self._clocks.settled()
        for result in results:
            self._rang(result.type, result.status)
            if result.status == "refused":
                log.warning("a clock's event was refused: %s", result.code)
