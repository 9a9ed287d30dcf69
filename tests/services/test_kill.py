"""The whole mechanism is killed under load, again and again; nothing acknowledged is lost."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

from domain import events as ev
from domain.vocabulary import Seat
from services.bootstrap import COORDINATOR, Parts, Settings, gateway_link
from services.demo.cast import CAST
from services.demo.demo import settled
from services.demo.drive import Played, drive
from services.runtime import OPERATOR, Mechanism
from tests.services import kill_checks as check
from tests.services.kill_child import LIMIT, Child, free_ports
from tests.services.kill_load import Client, Load, Stories
from tests.services.kill_reader import Reader

KILLS = int(os.environ.get("KILLS", "30"))
SEED = int(os.environ.get("KILL_SEED", "1"))
CONCURRENCY = 60
FLOWING = 20
"""Fresh answers after a start by which load is known to flow."""
WRITES = 50
"""A child that kills itself does so before as many writes."""
SEATS = tuple(Seat(m.id, p) for m in CAST for p in sorted(m.purposes))
AGENCIES = (COORDINATOR, *(m.id for m in CAST))


@contextmanager
def child_over(data: Path) -> Iterator[Child]:
    """Start a mechanism over `data`; end it whatever happens."""
    child = Child(data, free_ports())
    try:
        child.start()
        yield child
    finally:
        child.end()


@asynccontextmanager
async def reading(parts: Parts, child: Child) -> AsyncIterator[list[Reader]]:
    """Follow every feed from now on."""
    readers = [Reader(parts, child.hub, seat) for seat in SEATS]
    tasks = [asyncio.create_task(reader.run()) for reader in readers]
    try:
        yield readers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for reader in readers:
            await reader.close()


@asynccontextmanager
async def playing(
    parts: Parts, child: Child, load: Load, stories: Stories
) -> AsyncIterator[asyncio.Task[Played]]:
    """Play `stories` against the child's gateways."""
    links = {i: gateway_link(parts, i, address) for i, address in child.gateways.items()}
    clients = {i: Client(link, load) for i, link in links.items()}
    task = asyncio.create_task(drive(stories, clients, concurrency=CONCURRENCY))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for link in links.values():
            await link.close()


async def kill_under_load(child: Child, load: Load, rng: Random) -> bool:
    """Kill the child at a random moment or after a random write, and start it again.

    Return whether that cut off commands under way; a kill that did not does not count.
    """
    answered, cut = len(load.answered), load.cut
    await child.until(lambda: len(load.answered) >= answered + FLOWING, "load that flows")
    if rng.random() < 0.5:
        await child.kill_itself()
    else:
        await asyncio.sleep(rng.uniform(0.3, 1.5))
        await child.until(lambda: load.under_way > 0, "commands under way")
        child.kill()
    load.serving.clear()
    async with asyncio.timeout(LIMIT):
        while load.under_way:  # noqa: ASYNC110 - each client finds out for itself
            await asyncio.sleep(0.01)
    child.start(writes=rng.randrange(1, WRITES))
    await child.serving()
    load.serving.set()
    return load.cut > cut


async def caught_up(readers: list[Reader], data: Path) -> None:
    """Wait until each reader has seen as many entries as its feed has."""
    feeds = check.feeds_of(data, SEATS)
    async with asyncio.timeout(LIMIT):
        for reader in readers:
            while len(reader.seen) < len(feeds[reader.seat]):  # noqa: ASYNC110 - another task
                await asyncio.sleep(0.05)


def faults(mechanism: Mechanism, parts: Parts, load: Load, readers: list[Reader]) -> Iterator[str]:
    """Say everything that does not hold."""
    data = parts.settings.data
    log, feeds = check.log_of(mechanism, data), check.feeds_of(data, SEATS)
    yield from (f"two answers to one command: {pair}" for pair in load.changed)
    yield from check.lost(log, load.answered.values())
    yield from check.doubled(log, data, AGENCIES)
    yield from check.broken_chains(log)
    yield from check.crooked_feeds(feeds, mechanism, parts)
    for reader in readers:
        yield from check.misread(reader.seat, reader.seen, feeds[reader.seat], log)
    yield from check.unsettled(mechanism, log)
    yield from check.stuck(mechanism)
    for member in CAST:
        yield from check.misfiled(member.id, parts, log, feeds)
    yield from check.unread(mechanism)


@pytest.mark.timeout(1_800)
async def test_killed_under_load_it_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    data, load, stories = tmp_path / "data", Load(), Stories(SEED)
    rng = Random(f"kill under load {SEED}")  # noqa: S311 - moments, not keys
    with child_over(data) as child:
        await child.serving()
        load.serving.set()
        parts = Parts(Settings(data=data))
        async with reading(parts, child) as readers:
            async with playing(parts, child, load, stories) as play:
                kills = 0
                while kills < KILLS:
                    kills += await kill_under_load(child, load, rng)
                stories.over = True
                await child.until(play.done, "the last stories")
                played = play.result()
            assert await child.stop() == 0
            async with Mechanism(parts, CAST, child.port) as mechanism:
                async with asyncio.timeout(LIMIT):
                    await settled(mechanism)
                await caught_up(readers, data)
                found = list(faults(mechanism, parts, load, readers))
        cuts = [reader.cuts for reader in readers]
        print(f"{kills} kills, {played.actions} actions, {load.cut} cut off; streams {cuts}")  # noqa: T201 - evidence
        assert (found, played.first_unexpected) == ([], [])
        assert len(load.answered) == sum(len(story.steps) for story in stories.begun)
        assert sum(cuts) >= KILLS, "the readers were hardly ever cut off"


@pytest.mark.timeout(600)
async def test_killed_while_it_registers_members_it_registers_each_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    rng = Random(f"kill at the start {SEED}")  # noqa: S311 - moments, not keys
    with child_over(data) as child:
        for facts in sorted(rng.sample(range(18), 5)):
            registered = partial(has_fact, data, facts)
            await child.until(registered, f"registry fact {facts + 1}", 0)
            await asyncio.sleep(rng.uniform(0, 0.01))
            child.kill()
            child.start()
        await child.serving()
        assert await child.stop() == 0
    async with Mechanism(Parts(Settings(data=data)), CAST) as mechanism:
        async with asyncio.timeout(LIMIT):
            await settled(mechanism)
        log = check.log_of(mechanism, data)
        assert list(check.doubled(log, data, AGENCIES)) == []
        assert list(check.broken_chains(log)) == []
        assert list(check.stuck(mechanism)) == []
        # What was signed before a kill goes out first; the repeat then learns that it is done.
        assert {r.code for r in log.refusals} <= {"ALREADY_DONE"}
    expected = sum(2 + len(member.roles) for member in (OPERATOR, *CAST))
    assert [e.case_id for e in log.events] == [ev.REGISTRY_STREAM] * expected


def has_fact(data: Path, facts: int) -> bool:
    """Return whether the registry has more than `facts` facts, as the hub's own file says."""
    sql = f"SELECT 1 FROM stored_events WHERE originator_id = '{UUID(int=0).hex}'"  # noqa: S608
    try:
        return len(check.rows(data / "hub" / "events.db", sql)) > facts
    except sqlite3.OperationalError:
        return False  # the hub has not made it yet
