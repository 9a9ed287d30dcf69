"""A running mechanism is audited over HTTP, and from its files once every key is gone."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from domain.trail.quorum import Policy
from services.cli import app
from tests.services import trail_checks as check
from tests.services.cluster_checks import entries_of, log_of
from tests.services.running import (
    AUTHORITY,
    POLICE,
    RAPPORTEUR,
    SHELTER,
    World,
    consent,
    referral,
    running,
)

SOME_CASE = "00000000-0000-4000-8000-000000000001"


def audit(*words: object) -> Result:
    return CliRunner().invoke(app, ["audit", *map(str, words)])


async def audited(world: World, command: str, *words: object, agency: str = RAPPORTEUR) -> Any:
    """Return what an audit of the running trail says, as `agency`; it must hold."""
    address = f"{world.mechanism.hub_address}/trail"
    own = ("--as", agency, "--data", world.parts.settings.data, "--json")
    done = await asyncio.to_thread(audit, command, address, *words, *own)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


async def referred_and_withdrawn(world: World) -> str:
    """Return a case of which SHELTER was shown an identity that it may see no more."""
    case = await world.opened(POLICE)
    act = consent(SHELTER, "IDENTITY", "PROTECTION")
    await world.done(POLICE, case, "ConsentGiven", **act)
    await world.done(POLICE, case, "ReferralSent", **referral(SHELTER))
    await published(world)
    taken_back = {"consent_id": act["consent_id"], "given_by": "self", "words": "no"}
    await world.done(POLICE, case, "ConsentWithdrawn", **taken_back)
    await published(world)
    return case


async def published(world: World) -> None:
    """Wait until everything that was accepted and fed is under a published checkpoint."""
    await world.quiet()
    data, hub = world.parts.settings.data, world.mechanism.hub
    policy = Policy.parse((data / "policy").read_bytes())

    def whole() -> bool:
        tree = check.published(data / "notary" / "trail", policy)
        return check.has_all(tree, *log_of(hub.store)) and check.has_fed(
            tree, entries_of(hub.feeds)
        )

    await world.until(whole)


async def test_a_mechanism_is_audited_while_it_runs_and_after_its_keys_are_gone(
    tmp_path: Path,
) -> None:
    data = tmp_path / "mechanism"
    async with running(data) as world:
        case = await referred_and_withdrawn(world)
        found = await audited(world, "disclosures")
        assert found["findings"] == []
        assert "just what the rules give" in json.dumps(found["checks"])
        saw = (await audited(world, "who-saw", case, "--at", "2100-01-01"))["saw"]
        identity = [s for s in saw if s["event_type"].endswith("IdentityRecorded")]
        assert [s["categories"] for s in identity] == [["IDENTITY"], []]
        assert {s["agency"] for s in identity} == {SHELTER}
        for agency in (RAPPORTEUR, AUTHORITY):
            asked = await audited(world, "challenge", case, agency=agency)
            assert "is the challenge" in json.dumps(asked["checks"])
        await check_refusals(world)
    folder = data / "notary" / "trail"
    asked = [("disclosures", folder), ("who-saw", folder, case, "--at", "2100-01-01")]
    before = [audit(*words).stdout for words in asked]
    kept = shutil.move(folder, tmp_path / "kept")
    shutil.rmtree(data)
    shutil.move(kept, folder)
    assert [audit(*words).stdout for words in asked] == before
    assert all(text.endswith("Everything checked holds.\n") for text in before)


async def check_refusals(world: World) -> None:
    """Entries are for who oversees alone; a challenge needs an address, a case and who asks."""
    address, data = f"{world.mechanism.hub_address}/trail", world.parts.settings.data
    for words, agency, code in (
        (("disclosures", address), SHELTER, "NOT_ALLOWED"),
        (("challenge", address, "case"), SHELTER, "CASE_ID"),
        (("challenge", data, SOME_CASE), SHELTER, "SOURCE"),
        (("challenge", address, SOME_CASE), "stranger", "AGENCY_KEYS"),
    ):
        done = await asyncio.to_thread(audit, *words, "--as", agency, "--data", data)
        assert (done.exit_code, done.stdout) == (2, "")
        assert code in done.stderr
    away = ("http://127.0.0.1:1/trail", SOME_CASE, "--as", SHELTER, "--data", data)
    assert (await asyncio.to_thread(audit, "challenge", *away)).exit_code == 3
