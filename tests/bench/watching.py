"""`feed_latency` and `withdrawal`: a whole mechanism in a process of its own, seen from outside."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import uuid4

import uvloop

from adapters.http_links import HttpCustodianLink, HttpGatewayLink, HttpHubLink
from domain.gateway import Command
from domain.messages import FeedItem, FeedPage, ReleasePage
from domain.ports import Language
from services.bootstrap import Parts, Settings, gateway_link, now_ms
from tests.bench.cases import NOTICE, PERSON, consent, referral
from tests.bench.children import OPENERS, SHELTER, child
from tests.bench.measuring import Measured, latency
from tests.bench.noticing import Noticing

PER_SECOND = 100
SECONDS = 10
LATENCY_CASES = 20
CASES = 300
WITHDRAWALS = 100
LONG_POLL = 10.0
PATIENCE = 20.0


class Watch:
    """The shelter's own view: its feed, its releases, and when each thing arrived."""

    def __init__(self, parts: Parts, hub: str, custodian: str) -> None:
        """Prove to be the shelter."""
        part = f"gateways/{SHELTER}"
        proof = (SHELTER, parts.public_key(part), parts.secret(part, "signing"))
        self._hub, self._custodian = HttpHubLink(hub, *proof), HttpCustodianLink(custodian, *proof)
        self._language: Language = parts.language
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.notices: list[tuple[int, float]] = []
        """(recorded, arrived) of each notice, in ms since 1970."""
        self.open: dict[str, set[tuple[int, int]]] = defaultdict(set)
        """Case -> entries that show a field."""
        self.released: dict[str, set[str]] = defaultdict(set)
        """Case -> writers whose keys are released."""

    async def __aenter__(self) -> "Watch":
        """Begin to watch."""
        self._tasks = [
            asyncio.create_task(self._follow_feed()),
            asyncio.create_task(self._follow_releases()),
        ]
        for task in self._tasks:
            task.add_done_callback(lambda _: self._news.set())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._hub.close()
        await self._custodian.close()

    async def until(self, holds: Callable[[], bool]) -> float:
        """Return when `holds` came true, in ms since 1970."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self._news.clear()
                await self._news.wait()
                for task in self._tasks:
                    if task.done():
                        task.result()
        return time.time() * 1000

    async def _follow_feed(self) -> None:
        page = FeedPage(items=(), cursor="")
        while True:
            page = await self._hub.feed("protection_support", page.cursor, LONG_POLL)
            now = time.time() * 1000
            for item in page.items:
                self._take(item, now)
            self._news.set()

    def _take(self, item: FeedItem, now: float) -> None:
        _, event = self._language.read(item.event.type, item.event.record)
        entries = self.open[event.head.case_id]
        if item.supersedes is not None:
            entries.discard((item.lane, item.supersedes))
        if item.categories:
            entries.add((item.lane, item.seq))
        if item.supersedes is None and item.event.type.endswith(".InformationNoticeGiven"):
            self.notices.append((item.event.recorded_ms, now))

    async def _follow_releases(self) -> None:
        page = ReleasePage(items=(), seq=0)
        while True:
            page = await self._custodian.releases(page.seq, LONG_POLL)
            for item in page.items:
                writers = self.released[item.case_id]
                (writers.add if item.releases else writers.discard)(item.writer)
            self._news.set()


def feed_latency(folder: Path) -> Iterator[Measured]:
    """Post notices of cases that a shelter reads, on a fixed schedule, whatever comes back."""
    with child("mechanism", str(folder)) as (said, _):
        parts = Parts(Settings(data=folder))
        readable, answered = uvloop.run(_latencies(parts, said))
    yield latency("feed_latency", readable, answered, "p99 of the answer to the POST itself")


async def _latencies(parts: Parts, said: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Return ms from recorded to readable, and from sent to answered."""
    noticing = Noticing(parts, said["hub"], LATENCY_CASES)
    opened = await noticing.open()
    async with Watch(parts, said["hub"], said["custodian"]) as watch:
        await watch.until(lambda: len(watch.notices) == opened)
        watch.notices.clear()
        answered = await noticing.post(PER_SECOND, SECONDS)
        await watch.until(lambda: len(watch.notices) == len(answered))
        await noticing.close()
        return [arrived - recorded for recorded, arrived in watch.notices], answered


def withdrawal(folder: Path) -> Iterator[Measured]:
    """Withdraw consent through the gateways, one at a time, beside many cases that stay open."""
    with child("mechanism", str(folder)) as (said, _):
        parts = Parts(Settings(data=folder))
        cut, read = uvloop.run(_withdrawals(parts, said))
    against = "p99 of a notice, from recorded to readable, taking turns with the withdrawals"
    yield latency("withdrawal", cut, read, against)


async def _withdrawals(parts: Parts, said: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Return ms from a withdrawal, and from a notice, to the shelter's seeing it."""
    links = [gateway_link(parts, agency, said["gateways"][agency]) for agency in OPENERS]
    cases = {str(uuid4()): link for _, link in zip(range(CASES), cycle(links))}
    consents = {case_id: str(uuid4()) for case_id in cases}
    cut, read = [], []
    async with Watch(parts, said["hub"], said["custodian"]) as watch:
        for case_id, link in cases.items():
            await _open(link, case_id, consents[case_id])
        await watch.until(lambda: all(watch.open[c] and watch.released[c] for c in cases))
        ids = list(cases)
        for leaving, staying in zip(ids[:WITHDRAWALS], ids[WITHDRAWALS:], strict=False):
            cut.append(await _cut_off(watch, cases[leaving], leaving, consents[leaving]))
            read.append(await _readable(watch, cases[staying], staying))
    for link in links:
        await link.close()
    return cut, read


async def _cut_off(watch: Watch, link: HttpGatewayLink, case_id: str, consent_id: str) -> float:
    """Withdraw; return ms until no entry shows a field and no key is released."""
    fields = {"consent_id": consent_id, "given_by": "self", "words": "no more"}
    recorded = await _done(link, [_command("ConsentWithdrawn", case_id, fields)])
    return (
        await watch.until(lambda: not (watch.open[case_id] or watch.released[case_id])) - recorded
    )


async def _readable(watch: Watch, link: HttpGatewayLink, case_id: str) -> float:
    """Give one more notice; return ms until it stands in the feed."""
    watch.notices.clear()
    recorded = await _done(link, [_command("InformationNoticeGiven", case_id, NOTICE)])
    return await watch.until(lambda: bool(watch.notices)) - recorded


def _command(name: str, case_id: str, fields: dict[str, Any]) -> Command:
    return Command(command_id=str(uuid4()), type=name, case_id=case_id, fields=fields)


async def _open(link: HttpGatewayLink, case_id: str, consent_id: str) -> None:
    """Open a case, with the shelter's part in it."""
    now = now_ms()
    opened = {"age_group": "adult", "reason": "police_operation"}
    given = consent(consent_id, SHELTER, now)
    steps = (
        ("CaseOpened", opened),
        ("PersonIdentityRecorded", PERSON),
        ("InformationNoticeGiven", NOTICE),
        ("ConsentGiven", given),
        ("ReferralSent", referral(str(uuid4()), SHELTER, now)),
    )
    await _done(link, [_command(name, case_id, fields) for name, fields in steps])


async def _done(link: HttpGatewayLink, commands: list[Command]) -> int:
    """Return when the last of `commands` was recorded; every one must be accepted."""
    results = await link.submit(commands)
    for result in results:
        if result.status != "accepted":
            raise RuntimeError(f"the bench's command was {result.status}: {result.code}")
    return results[-1].recorded_ms or 0
