"""A hub's writer without its HTTP face, and a log that it wrote."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from itertools import islice

from prometheus_client import CollectorRegistry

from adapters.metrics import HubMetrics
from adapters.signing import check_public_key
from adapters.sqlite.event_store import SqliteEventStore
from domain.action import Outcome
from domain.ports import EventStore
from services.bootstrap import COORDINATOR, now_ms
from services.hub.accepting import Accepting
from services.hub.casebook import CaseBook
from tests.bench.cases import Sent, by_sender
from tests.bench.town import Town

CHUNK = 500


def writer(town: Town, store: EventStore) -> Accepting:
    """Return the hub's writer over `store`."""
    parts = town.parts
    return Accepting(
        store=store,
        language=parts.language,
        book=CaseBook(parts.language),
        world=parts.world,
        registrars=parts.registrars(),
        operator=town.operator(),
        check_key=check_public_key,
        verify=parts.signing.verify_all,
        clock=now_ms,
        on_commit=lambda _: None,
        metrics=HubMetrics(CollectorRegistry()),
    )


@contextlib.asynccontextmanager
async def running(accepting: Accepting) -> AsyncIterator[Accepting]:
    """Run the writer while the block runs."""
    task = asyncio.create_task(accepting.run())
    try:
        yield accepting
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def put(accepting: Accepting, sent: Iterable[Sent]) -> None:
    """Have every action recorded, in order; the first refusal ends the bench."""
    rest = iter(sent)
    while chunk := list(islice(rest, CHUNK)):
        runs = [accepting.submit(actions, agency) for agency, actions in by_sender(chunk)]
        for outcomes in await asyncio.gather(*runs):
            check(outcomes)


def check(outcomes: Iterable[Outcome]) -> None:
    """Raise unless every action was accepted: a refusal costs less than what is measured."""
    for outcome in outcomes:
        if not outcome.accepted:
            raise RuntimeError(f"the bench's action was refused: {outcome.code}")


def write_log(town: Town, path: str, sent: Iterable[Sent]) -> SqliteEventStore:
    """Return a store at `path` with the town's agencies registered and `sent` recorded."""
    store = SqliteEventStore(path)

    async def run() -> None:
        async with running(writer(town, store)) as accepting:
            await put(accepting, ((COORDINATOR, fact) for fact in town.facts()))
            await put(accepting, sent)

    asyncio.run(run())
    return store
