"""Plays stories against gateways: many at once, each strictly in order, in bounded memory.

Command ids follow from the story, so playing it again after a crash continues it: what was
carried out gets its first answer, and nothing is done twice.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from domain.errors import HubError
from domain.gateway import Command, Result
from services.demo.script import ACCEPTED, Step, Story

BATCH = 50
"""Commands a request carries at most."""
CONCURRENCY = 200
"""Stories under way at once."""
IN_FLIGHT = 2
"""Requests to one gateway at once: one is answered while the next is made."""
KEPT = 20
FIRST_BACKOFF, LAST_BACKOFF = 0.05, 2.0


class GatewayClient(Protocol):
    """One agency's gateway, as the software of its staff reaches it."""

    async def submit(self, commands: Sequence[Command]) -> Sequence[Result]:
        """Return what became of each command, in order; `Unavailable` while nobody answers."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Unexpected:
    """A step that did not get the answer that it must get; codes alone."""

    kind: str
    case_id: str
    place: int
    type: str
    expect: str
    got: str


@dataclass(slots=True, kw_only=True)
class Played:
    """What was done, counted as it goes."""

    cases: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Reason code -> how many."""
    unexpected: int = 0
    first_unexpected: list[Unexpected] = field(default_factory=list)

    @property
    def actions(self) -> int:
        """Every step that got its final answer."""
        return self.accepted + self.refused.total()

    def note(self, story: Story, place: int, step: Step, result: Result) -> None:
        """Count the final answer to one step."""
        got = ACCEPTED if result.status == ACCEPTED else result.code or result.status
        if got == ACCEPTED:
            self.accepted += 1
        else:
            self.refused[got] += 1
        if got != step.expect:
            self.unexpected += 1
            if len(self.first_unexpected) < KEPT:
                self.first_unexpected.append(_unexpected(story, place, step, got))


def _unexpected(story: Story, place: int, step: Step, got: str) -> Unexpected:
    return Unexpected(
        kind=story.kind,
        case_id=story.case_id,
        place=place,
        type=step.type,
        expect=step.expect,
        got=got,
    )


class _Desk:
    """The way to one gateway: commands of many stories, a batch at a time."""

    def __init__(self, gateway: GatewayClient) -> None:
        self._gateway = gateway
        self._waiting: asyncio.Queue[tuple[Command, asyncio.Future[Result]]] = asyncio.Queue()

    async def ask(self, command: Command) -> Result:
        """Return the final answer to `command`, however long that takes."""
        answered: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((command, answered))
        return await answered

    async def run(self) -> None:
        """Serve until cancelled."""
        backoff = FIRST_BACKOFF
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            open_still = await self._submit(batch)
            for one in open_still:
                self._waiting.put_nowait(one)
            if not open_still:
                backoff = FIRST_BACKOFF
                continue
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, LAST_BACKOFF)

    async def _submit(
        self, batch: list[tuple[Command, asyncio.Future[Result]]]
    ) -> list[tuple[Command, asyncio.Future[Result]]]:
        """Answer what got its final answer; return what must be asked again, as it is."""
        try:
            results = await self._gateway.submit([command for command, _ in batch])
            pairs = list(zip(batch, results, strict=True))
        except Exception as e:  # noqa: BLE001 - every story must be answered, whatever broke
            if isinstance(e, HubError) and e.retriable:
                return batch
            for _, answered in batch:
                if not answered.done():
                    answered.set_exception(e)
            return []
        for (_, answered), result in pairs:
            if result.status != "queued" and not answered.done():
                answered.set_result(result)
        return [one for one, result in pairs if result.status == "queued"]


async def drive(
    stories: Iterable[Story],
    gateways: Mapping[str, GatewayClient],
    *,
    concurrency: int = CONCURRENCY,
    progress: Callable[[Played], None] = lambda _: None,
) -> Played:
    """Play every story; `gateways` is by agency id, and `progress` is told after each story.

    A step that gets another answer than it must is counted, and the story goes on. What a
    gateway cannot take at all (`Malformed`, a broken connection that is no `Unavailable`)
    ends the play with that error.
    """
    played = Played()
    desks = {agency: _Desk(gateway) for agency, gateway in gateways.items()}
    shared = iter(stories)
    players = [
        asyncio.create_task(_play(shared, desks, played, progress)) for _ in range(concurrency)
    ]
    clerks = [asyncio.create_task(d.run()) for d in desks.values() for _ in range(IN_FLIGHT)]
    try:
        await asyncio.gather(*players)
    finally:
        for task in (*players, *clerks):
            task.cancel()
        await asyncio.gather(*players, *clerks, return_exceptions=True)
    return played


async def _play(
    stories: Iterator[Story],
    desks: Mapping[str, _Desk],
    played: Played,
    progress: Callable[[Played], None],
) -> None:
    for story in stories:
        for place, step in enumerate(story.steps):
            command = Command(
                command_id=story.command_id(place),
                type=step.type,
                case_id=story.case_id,
                fields=step.fields,
                legal_basis=step.legal_basis,
            )
            played.note(story, place, step, await desks[step.agency].ask(command))
        played.cases += 1
        progress(played)
