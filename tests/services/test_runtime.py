"""A mechanism in one process: what happens to one part is not hidden from whoever runs it."""

import asyncio
from pathlib import Path

import pytest

from domain.errors import Corrupt, Refused, Unavailable
from services.runtime import Mechanism
from tests.services.running import POLICE, running


async def test_a_part_that_stops_by_itself_is_reported(tmp_path: Path) -> None:
    async with running(tmp_path) as world:

        def broken(limit: int = 0) -> None:
            raise Corrupt("STREAM_GAP", "planted")

        world.mechanism.hub.projector.step = broken  # type: ignore[method-assign,assignment]
        await world.opened(POLICE)
        await asyncio.wait_for(world.mechanism.failed.wait(), 30)


async def test_a_projector_whose_store_is_away_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.runtime.LAST_BACKOFF", 0.05)
    async with running(tmp_path) as world:
        projector, failed = world.mechanism.hub.projector, 0
        step = projector.step

        def away(limit: int = 0) -> object:
            nonlocal failed
            failed += 1
            if failed < 4:
                raise Unavailable("STORE_UNAVAILABLE", "planted")
            return step(limit)

        projector.step = away  # type: ignore[method-assign,assignment]
        await world.opened(POLICE)
        await world.quiet()
        assert failed >= 4
        assert not world.mechanism.failed.is_set()


async def test_a_mechanism_ends_although_a_time_out_swallows_the_cancelling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.gateway.LONG_POLL", 0.2)
    asked = asyncio.Event()

    async def swallowing(*_: object) -> None:
        asked.set()
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            raise Unavailable("PEER_AWAY", "planted") from None

    async with asyncio.timeout(60), running(tmp_path) as world:
        process = world.mechanism.offices[POLICE].process
        process.links[0].feed = swallowing  # type: ignore[method-assign,assignment]
        await world.opened(POLICE)
        await asyncio.wait_for(asked.wait(), 50)


async def test_a_mechanism_that_cannot_start_leaves_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a registry that takes no member, when the start fails, every part has ended."""
    started: list[Mechanism] = []

    async def refused(self: Mechanism, *_: object) -> None:
        started.append(self)
        raise Refused("REGISTRY_WRITER", "planted")

    monkeypatch.setattr(Mechanism, "_register", refused)
    before = set(asyncio.all_tasks())
    with pytest.raises(Refused, match="planted"):
        async with running(tmp_path):
            pass
    notary = started[0].trail.notary
    assert notary.leading.holds is False
    assert set(asyncio.all_tasks()) <= before
