"""While the hub is away a gateway takes commands, loses none, and doubles none."""

import asyncio
from pathlib import Path
from uuid import uuid4

from domain.gateway import Command
from services.bootstrap import Parts, Settings, build_gateway
from tests.services.running import POLICE, running


async def test_a_command_taken_while_the_hub_is_away_is_carried_out_once_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as world:
        await world.opened(POLICE)
    nobody = "http://127.0.0.1:9"
    away = build_gateway(Parts(Settings(data=tmp_path)), POLICE, nobody, nobody)
    commands = [
        Command(
            command_id=str(uuid4()),
            type="CaseOpened",
            case_id=str(uuid4()),
            fields={"age_group": "adult", "reason": "other"},
        )
        for _ in range(5)
    ]
    loops = asyncio.create_task(away.gateway.run(()))
    results = await away.gateway.submit(commands, seconds=0.3)
    loops.cancel()
    for link in away.links:
        await link.close()
    assert {r.status for r in results} == {"queued"}
    async with running(tmp_path) as world:
        again = await world.link(POLICE).submit(commands)
        await world.quiet()
        assert [r.status for r in again] == ["accepted"] * 5
        assert [r.event_id for r in again] == [r.event_id for r in results]
        for result in again:
            kinds = [r.type for r in world.mechanism.hub.store.read_case(result.case_id)]
            assert kinds == ["nrm.v1.KeyEpochOpened", "nrm.v1.CaseOpened"]
