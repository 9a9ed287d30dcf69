"""An auditor over a running mechanism: its folder, its address, and after keys are destroyed."""

import asyncio
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from typer.testing import CliRunner, Result

from domain.ports import EventStore, Recorded, Refusal
from domain.publishing import Published
from domain.trail.checkpoint import Checkpoint
from domain.trail.notes import Note
from services.auditor.comparing import compare
from services.auditor.opening import Own
from services.auditor.report import Report
from services.bootstrap import Parts, Settings
from services.bootstrap.auditor import source_of
from services.bootstrap.hub import event_store
from services.cli import app
from tests.services.running import POLICE, RAPPORTEUR, SHELTER, World, consent, referral, running
from tests.trail.audited import court_finds


def audit(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["audit", *map(str, words)])


async def audited(*words: str | Path) -> Result:
    """Run a command beside the mechanism."""
    return await asyncio.to_thread(audit, *words)


async def referred(world: World) -> str:
    """Let the police refer a person to the shelter; return the case's id."""
    case = await world.opened(POLICE)
    await world.done(POLICE, case, "ConsentGiven", **consent(SHELTER, "IDENTITY", "CASEWORK"))
    await world.done(POLICE, case, "ReferralSent", **referral(SHELTER))
    refused = await world.act(POLICE, case, "CaseOpened", age_group="adult", reason="other")
    assert refused.status == "refused"
    return case


async def test_folder_and_address_give_one_verdict_and_one_bundle(tmp_path: Path) -> None:
    data = tmp_path / "data"
    trail = data / "notary/trail"
    own = ("--trust", trail / "trust.json", "--policy", trail / "policy")
    async with running(data) as world:
        case = await referred(world)
        asked = ("--as", RAPPORTEUR, "--data", data)
        address = f"{world.mechanism.hub_address}/trail"

        async def shown() -> bool:
            done = await audited("case", trail, case, *own)
            assert done.exit_code == 0, done.output
            return (
                done.stdout.count("disclosure by the notary") > 0 and "ReferralSent" in done.stdout
            )

        await world.until(shown)
        await world.quiet()
        over_http = await audited("verify", address, *own, *asked)
        assert over_http.exit_code == 0, over_http.output
        assert "holds    SIGNATURE" in over_http.stdout
        made = await audited("bundle", address, case, "-o", tmp_path / "http", *own, *asked)
        assert made.exit_code == 0, made.output
        refused = await audited("verify", address, *own, "--as", POLICE, "--data", data)
        assert refused.exit_code == 2
        assert "NOT_ALLOWED" in refused.stderr
    assert audit("verify", trail, *own).exit_code == 0
    assert audit("verify-bundle", tmp_path / "http", *own).exit_code == 0
    pins = Own(policy=(trail / "policy").read_bytes(), trust=(trail / "trust.json").read_bytes())
    assert court_finds((tmp_path / "http").read_bytes(), pins) == ""
    # What Kafka is given is what the store has, in its order; so is the trail.
    report = Report("the trail beside the store")
    source = source_of(str(trail), str)
    size = Checkpoint.parse(Note.decode(source.text("checkpoint")).text).size
    compare(source, size, StoreReader(event_store(Parts(Settings(data=data)))), report)
    assert report.findings == []


class StoreReader:
    """The log of a hub's store, as its relay publishes it."""

    def __init__(self, store: EventStore) -> None:
        self._events = store.read_log(0, 10_000)
        self._refusals = store.read_refusals(0, 10_000)

    def published(self) -> Published:
        return Published(incarnation="", position=len(self._events), refusals=len(self._refusals))

    def events(self, _: Published) -> Sequence[Recorded]:
        return self._events

    def refusals(self, _: Published) -> Sequence[Refusal]:
        return self._refusals


async def test_destroyed_keys_change_no_verdict(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with running(data) as world:
        case = await referred(world)
        trail = data / "notary/trail"

        async def shown() -> bool:
            return "ReferralSent" in (await audited("case", trail, case)).stdout

        await world.until(shown)
    before = audit("verify", trail), audit("bundle", trail, case, "-o", tmp_path / "before")
    assert [done.exit_code for done in before] == [0, 0]
    with sqlite3.connect(data / "custodian/shred.db") as db:
        assert db.execute("DELETE FROM shred_keys WHERE case_id = ?", (case,)).rowcount == 1
    db.close()
    for keys in ("gateways", "custodian", "registrars"):
        shutil.rmtree(data / keys)
    assert audit("verify", trail).stdout == before[0].stdout
    assert audit("bundle", trail, case, "-o", tmp_path / "after").exit_code == 0
    assert (tmp_path / "after").read_bytes() == (tmp_path / "before").read_bytes()
    assert audit("verify-bundle", tmp_path / "after").exit_code == 0
