"""One agency's gateway: the outbox, the inbox and the loops that run them.

A hub or custodian that is away delays and loses nothing: every loop tries again, ever slower.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from domain.errors import HubError, Refused
from domain.gateway import Command, GatewayStore, Result
from domain.messages import Why, WhyQuestion
from domain.ports import CustodianLink, HubLink
from services.gateway.inbox import Inbox
from services.gateway.outbox import BATCH, Outbox
from services.gateway.trail import Watching
from services.polling import LONG_POLL, polled
from services.signals import Signals, wait

FIRST_BACKOFF, LAST_BACKOFF = 0.05, 5.0
ANSWER_SECONDS = 10.0
NEWS = "news"
"""Topic of `Signals` for whatever arrives or is answered."""

Step = Callable[[], Awaitable[bool]]
"""Work in pieces; says whether there was any."""

log = logging.getLogger(__name__)


class Gateway:
    """What an agency's staff and systems talk to."""

    def __init__(
        self,
        *,
        agency: str,
        outbox: Outbox,
        inbox: Inbox,
        store: GatewayStore,
        hub: HubLink,
        custodian: CustodianLink,
        signals: Signals,
        watching: Watching,
    ) -> None:
        """Join the parts."""
        self.agency = agency
        self.outbox = outbox
        self.inbox = inbox
        self.signals = signals
        self.watching = watching
        self._store = store
        self._hub = hub
        self._custodian = custodian

    async def submit(
        self, commands: Sequence[Command], seconds: float = ANSWER_SECONDS
    ) -> list[Result]:
        """Take commands; see `Outbox.submit`."""
        return await self.outbox.submit(commands, seconds)

    async def pull_feed(self, purpose: str) -> bool:
        """Take one page of the seat's feed; return whether anything came."""
        cursor = self.cursor(purpose)
        page = await self._hub.feed(purpose, cursor, LONG_POLL)
        if not page.items:
            return False
        for event in await self.inbox.take(purpose, page, cursor):
            self.outbox.saw(event.case_id, event.statement)
        self.signals.notify([NEWS])
        return True

    async def pull_releases(self) -> bool:
        """Take one page of key releases; return whether anything came."""
        page = await self._custodian.releases(self.releases_seen, LONG_POLL)
        if not page.items:
            return False
        self.inbox.take_releases(page)
        self.signals.notify([NEWS])
        return True

    async def send(self) -> bool:
        """Send what is queued; return whether there was any."""
        sent = await self.outbox.send()
        if sent:
            self.signals.notify([NEWS])
        return sent

    async def run(self, purposes: Sequence[str]) -> None:
        """Send and read until cancelled; without purposes there is nothing to read."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._loop(self.send, self.outbox.actions_waiting))
            tasks.create_task(self._loop(self.outbox.hand_over, self.outbox.deposits_waiting))
            tasks.create_task(self.watching.run(lambda: self.signals.closed))
            if purposes:
                tasks.create_task(self.read(purposes))

    async def read(self, purposes: Sequence[str]) -> None:
        """Pull the feed of each seat, and key releases, until cancelled."""
        self.watching.watch.deliveries.purposes.update(purposes)
        pulls: list[Step] = [self.pull_releases, *(partial(self.pull_feed, p) for p in purposes)]
        async with asyncio.TaskGroup() as tasks:
            for pull in pulls:
                tasks.create_task(self._loop(partial(polled, pull), None))

    async def _loop(self, step: Step, news: asyncio.Event | None) -> None:
        """Repeat `step`; wait for `news` when nothing was there, longer each time it failed."""
        backoff, said = FIRST_BACKOFF, ""
        # Not only until cancelled: a time-out at the same moment swallows the cancelling.
        while not self.signals.closed:
            try:
                busy = await step()
            except HubError as e:
                if e.code != said:
                    log.warning("%s", e)
                said = e.code
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, LAST_BACKOFF)
                continue
            backoff, said = FIRST_BACKOFF, ""
            if self.outbox.blocked is not None and news is self.outbox.actions_waiting:
                await asyncio.sleep(LAST_BACKOFF)
            elif not busy and news is not None:
                await news.wait()

    async def why(self, asked: WhyQuestion) -> Why:
        """Return the hub's consent decision, with its reason."""
        return await self._hub.why(asked)

    def agencies(self) -> list[Mapping[str, Any]]:
        """Return the active agencies of the checked directory, with the purposes of each."""
        return self.inbox.agencies()

    def case(self, case_id: str) -> list[Mapping[str, Any]]:
        """Return the events of a case, opened as far as keys allow, in order of recording."""
        kept = self._store.case(case_id)
        if not kept:
            raise Refused("NO_SUCH_CASE", "there is no such case in which you have a part")
        return self.inbox.opened(case_id, kept)

    def cases(self, limit: int, before: int = 0) -> Sequence[tuple[int, str]]:
        """Return (number of the newest event, case id), newest first."""
        return self._store.cases(limit, before)

    async def since(self, number: int, seconds: float) -> list[Mapping[str, Any]]:
        """Return events that arrived after `number`, opened; wait up to `seconds` for one."""
        news = self.signals.listen(NEWS)
        kept = self._store.since(number, BATCH)
        if not kept and await wait(news, seconds):
            kept = self._store.since(number, BATCH)
        news.cancel()
        return [view for one in kept for view in self.inbox.opened(one.case_id, [one])]

    def cursor(self, purpose: str) -> str:
        """Return how far the seat's feed was taken."""
        return self._store.place(f"feed {purpose}")

    @property
    def releases_seen(self) -> int:
        """How far the custodian's releases were taken."""
        return int(self._store.place("releases") or 0)

    def counts(self) -> Mapping[str, int]:
        """Return the counts of outbox and inbox, and those of the trail."""
        counts = {**self._store.counts(), "alarms": self.inbox.alarms}
        return {**counts, **self.watching.counts()}
