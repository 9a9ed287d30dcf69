"""Notices of cases that a shelter reads, posted on a fixed schedule, whatever comes back."""

import asyncio
from itertools import cycle
from time import perf_counter

from adapters.http_links import HttpHubLink
from domain.messages import Submission
from domain.secret import Secret
from services.bootstrap import Parts
from tests.bench.cases import Sent, WrittenCase
from tests.bench.children import OPENERS, SHELTER
from tests.bench.ledger import check
from tests.bench.town import Town


class Noticing:
    """The openers of a mechanism, with cases of theirs and links to the hub."""

    def __init__(self, parts: Parts, hub: str, cases: int) -> None:
        """Reach nothing yet."""
        town = _Members(parts, 0, 0)
        self._links = {
            agency: HttpHubLink(hub, agency, town.sealer(agency).public_key, town.seed(agency))
            for agency in OPENERS
        }
        self._cases = [WrittenCase(town, OPENERS[n % len(OPENERS)], SHELTER) for n in range(cases)]

    async def open(self) -> int:
        """Open every case, with one notice each; return how many notices that makes."""
        for case in self._cases:
            await self._submit(case.opener, [sent for step in case.opening() for sent in step])
        return len(self._cases)

    async def post(self, per_second: int, seconds: int) -> list[float]:
        """Return ms from sent to answered of each notice, which are prepared before."""
        due = [
            (n / per_second, case)
            for n, case in zip(range(per_second * seconds), cycle(self._cases))
        ]
        plans = {
            agency: [(at, case.notice()) for at, case in due if case.opener == agency]
            for agency in OPENERS
        }
        answered: list[float] = []

        async def send(agency: str, started: float) -> None:
            for at, notice in plans[agency]:
                await asyncio.sleep(max(0.0, started + at - perf_counter()))
                sent = perf_counter()
                await self._submit(agency, notice)
                answered.append((perf_counter() - sent) * 1000)

        started = perf_counter()
        await asyncio.gather(*(send(agency, started) for agency in OPENERS))
        return answered

    async def close(self) -> None:
        """Close the links."""
        for link in self._links.values():
            await link.close()

    async def _submit(self, agency: str, sent: list[Sent]) -> None:
        actions = tuple(action for _, action in sent)
        check((await self._links[agency].submit(Submission(actions=actions))).outcomes)


class _Members(Town):
    """The mechanism's members, whose keys lie in their gateways' keystores."""

    def seed(self, agency: str) -> Secret:
        """Return the seed of a member's signing key."""
        return self.parts.secret(f"gateways/{agency}", "signing")
