"""The trail of a running mechanism: cosigned by its own witnesses, replayed by a stranger's."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from domain.errors import Refused, Unavailable
from domain.trail.notes import Signature, VerifierKey
from domain.trail.quorum import Policy, Witnessed, open_checkpoint
from domain.witness import AddCheckpoint
from services.bootstrap.witness import Watched, WitnessProcess, build_witness
from services.own_trail import WITNESSES
from tests.services.kill_child import LIMIT
from tests.services.running import (
    POLICE,
    RAPPORTEUR,
    SHELTER,
    World,
    consent,
    referral,
    running,
)
from tests.witnessed import VERIFIER, cosigned_at


async def published(world: World, at_least: int) -> tuple[bytes, Witnessed]:
    """Return the published checkpoint once it is of that size, opened under its policy."""
    address = f"{world.mechanism.hub_address}/trail"
    async with aiohttp.ClientSession() as session, asyncio.timeout(LIMIT):
        while True:
            async with session.get(f"{address}/checkpoint") as answer:
                note = await answer.read()
            if answer.status == 200:
                async with session.get(f"{address}/policy") as answer:
                    policy = Policy.parse(await answer.read())
                witnessed = open_checkpoint(note, policy, VERIFIER)
                if witnessed.checkpoint.size >= at_least:
                    return note, witnessed
            await asyncio.sleep(0.05)


@asynccontextmanager
async def neighbour(world: World, body: str, agency: str) -> AsyncIterator[WitnessProcess]:
    """Run a third witness, which replays over HTTP as `agency`."""
    parts = world.parts
    watched = Watched(
        logs=[VerifierKey.parse(parts.trust.log)],
        replay=f"{world.mechanism.hub_address}/trail",
        agency=agency,
    )
    built, stop = build_witness(parts, body, watched), asyncio.Event()
    assert built.worker is not None
    working = asyncio.create_task(built.worker.run(stop))
    try:
        yield built
    finally:
        stop.set()
        await working
        built.store.close()


async def answered(built: WitnessProcess, asked: AddCheckpoint) -> Sequence[Signature]:
    """Ask again, as a log does, as long as the witness is busy replaying."""
    async with asyncio.timeout(LIMIT):
        while True:
            with suppress(Unavailable):
                return await built.face.witness.add_checkpoint(asked)
            await asyncio.sleep(0.05)


async def test_a_stranger_replays_what_the_mechanism_lived_and_cosigns_it(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        _, before = await published(world, 1)
        case = await world.opened(POLICE)
        await world.done(POLICE, case, "ConsentGiven", **consent(SHELTER, "IDENTITY"))
        await world.done(POLICE, case, "ReferralSent", **referral(SHELTER))
        refused = await world.act(SHELTER, case, "CaseOpened", age_group="adult", reason="other")
        assert refused.status == "refused"
        await world.quiet()
        note, witnessed = await published(world, before.checkpoint.size + 6)
        assert set(witnessed.cosigned_s) == set(WITNESSES)
        asked = AddCheckpoint(0, (), note)
        async with neighbour(world, "neighbour", RAPPORTEUR) as built:
            witness = built.face.witness
            (line,) = await answered(built, asked)
            assert cosigned_at(witnessed.checkpoint, witness.keys[0], line)
            assert line.name == "neighbour.nrm.gb/witness"
        async with neighbour(world, "curious", POLICE) as built:
            with pytest.raises(Refused, match="NOT_ALLOWED"):
                await answered(built, asked)
            assert built.store.newest(witnessed.checkpoint.origin) is None
