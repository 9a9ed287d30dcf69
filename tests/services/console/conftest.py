"""Browsers on a console: one logged in, one not, one over a real trail."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.services.console.browser import Browser, FakeGateway, browser_of
from tests.services.console.documents import CASE, given, named, sent
from tests.services.console.trail_desk import Desk, desk_at
from tests.services.notary_world import NotaryWorld


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    events = [named("Amal"), given(), sent()]
    async with browser_of(FakeGateway({CASE: events})) as one:
        await one.log_in()
        yield one


@pytest.fixture
async def stranger() -> AsyncIterator[Browser]:
    async with browser_of(FakeGateway({CASE: [named("Amal")]})) as one:
        yield one


@pytest.fixture
def world(tmp_path: Path) -> Iterator[NotaryWorld]:
    made = NotaryWorld(tmp_path)
    yield made
    made.close()


@pytest.fixture
async def desk(world: NotaryWorld) -> AsyncIterator[Desk]:
    async with desk_at(world) as one:
        yield one
