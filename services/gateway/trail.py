"""A gateway's watch over the trail: checkpoints, its receipts, its feeds, its confirmations.

Whatever happens to the trail, nothing here holds up sending and reading: what could not be
done is done in a later round.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from domain.errors import HubError, Unavailable
from domain.gateway_trail import GatewayTrail
from services.gateway.checkpoints import Checkpoints
from services.gateway.confirming import Confirming
from services.gateway.deliveries import Deliveries
from services.gateway.receipts import Receipts

POLL_SECONDS = 1.0
LAST_BACKOFF = 30.0
FAILED = "TRAIL_FAILED"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailWatch:
    """The parts of the watch."""

    trail: GatewayTrail
    checkpoints: Checkpoints
    receipts: Receipts
    deliveries: Deliveries
    confirming: Confirming


class Watching:
    """Runs the parts, one after the other: what one learns the next may rely on."""

    def __init__(self, watch: TrailWatch) -> None:
        """Nothing was looked at yet."""
        self._watch = watch
        self._more = True
        self.codes: dict[str, str] = {}
        """Part -> reason code of why its last round ended early; empty when it did not."""

    @property
    def watch(self) -> TrailWatch:
        """The parts."""
        return self._watch

    async def step(self) -> bool:
        """Make one round; return whether the trail could be asked."""
        watch, new = self._watch, False

        async def poll() -> bool:
            nonlocal new
            new = await watch.checkpoints.poll()
            return False

        await self._part("checkpoint", poll)
        if self.codes["checkpoint"]:
            return False
        if new or self._more or watch.deliveries.due:
            more = [
                await self._part("receipts", watch.receipts.collect),
                await self._part("feeds", watch.deliveries.check),
                await self._part("proving", watch.confirming.prove),
                await self._part("confirming", watch.confirming.confirm),
            ]
            self._more = any(more)
        self._more |= await self._part("sending", watch.confirming.send)
        return True

    async def run(self, closed: Callable[[], bool]) -> None:
        """Make rounds until cancelled or `closed`; rarer while the trail is away."""
        pause = POLL_SECONDS
        while not closed():
            pause = POLL_SECONDS if await self.step() else min(2 * pause, LAST_BACKOFF)
            await asyncio.sleep(pause)

    def says(self) -> Mapping[str, object]:
        """Return what /ready shows of the trail."""
        size, _ = self._watch.checkpoints.seen()
        state = next((code for code in self.codes.values() if code), "UP")
        return {"trail": {"state": state, "seen_size": size, "alarms": self.open_alarms()}}

    def open_alarms(self) -> Mapping[str, int]:
        """Return how many alarms of each code nobody has decided about."""
        return Counter(a.code for a in self._watch.trail.alarms() if not a.decided)

    def seen_ms(self) -> int | None:
        """Return when the newest checkpoint was cosigned; None before the first of this run."""
        return self._watch.checkpoints.witnessed_ms or None

    def counts(self) -> Mapping[str, int]:
        """Return counts for whoever asks how the gateway does."""
        size, _ = self._watch.checkpoints.seen()
        return {**self._watch.trail.counts(), "trail_size": size}

    async def _part(self, name: str, work: Callable[[], Awaitable[bool]]) -> bool:
        """Return whether there is more to do; what fails is more to do."""
        code, before, more = "", self.codes.get(name, ""), True
        try:
            more = await work()
        except HubError as e:
            code = e.code
            if code != before and not isinstance(e, Unavailable):
                log.warning("the trail, %s: %s", name, e)
        except Exception:
            code = FAILED
            if code != before:
                log.exception("the trail, %s", name)
        self.codes[name] = code
        return more
