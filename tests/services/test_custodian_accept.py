"""Given a log with two faces, the custodian releases nothing new until its people accept one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from domain.custody import SPLIT_VIEW, Custody, SeenLog, Split
from domain.notary import StreamProof
from domain.trail.checkpoint import Checkpoint, sign
from domain.trail.notes import Note
from services.cli import app
from services.cli.common import REFUSED
from tests.agencies import sha
from tests.services.running import SHELTER, World, running
from tests.services.test_custodian import released
from tests.services.test_gate import Between, consented, metric, true

DECISION = ["--by", "head of the body", "--reason", "the other was an old copy"]


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path / "data") as world:
        yield world


async def accept(world: World, *words: str, code: int = 0) -> str:
    data = str(world.parts.settings.data)
    command = ["custodian-accept", *words, "--data", data]
    done = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert done.exit_code == code, done.output
    return done.output


def custody(world: World) -> Custody:
    return world.mechanism.custodian.custodian._custody  # noqa: SLF001


def saw_another_log(world: World) -> bytes:
    """Let the custodian have seen another tree of the size that it saw; return its signed note."""
    vkey = world.parts.trust.log
    seen = custody(world).seen(vkey)
    assert seen is not None
    other = Checkpoint(world.parts.settings.origin, seen.size, sha("another tree"))
    note = Note(other.text, (sign(other, world.parts.log_signer(), 0),)).encode()
    custody(world).see(vkey, SeenLog(other.size, other.root, note, seen.quorum_ms))
    return note


async def test_after_a_split_view_people_accept_a_side_and_both_notes_are_kept(
    world: World, tmp_path: Path
) -> None:
    before, _ = await consented(world)
    await true(lambda: released(world, SHELTER, before))
    release = released(world, SHELTER, before)
    said = await accept(world, str(tmp_path / "proof"), code=REFUSED)
    assert "NO_SPLIT_VIEW" in said

    other, vkey = saw_another_log(world), world.parts.trust.log
    case, _ = await consented(world)
    await true(lambda: custody(world).splits(vkey))
    assert world.mechanism.custodian.vitals.says()["trail"]["state"] == SPLIT_VIEW  # type: ignore[index]
    assert metric(world, "nrm_custodian_bad_proofs_total") > 0

    proof = tmp_path / "proof"
    said = await accept(world, str(proof))
    assert "OPEN" in said
    (split,) = custody(world).splits(vkey)
    assert (proof / "split-1" / "seen.checkpoint").read_bytes() == split.seen == other
    assert (proof / "split-1" / "shown.checkpoint").read_bytes() == split.shown
    assert "DECISION" in await accept(world, str(proof), "--follow", "shown", code=REFUSED)
    assert "FOLLOW" in await accept(world, str(proof), "--follow", "both", *DECISION, code=REFUSED)
    assert released(world, SHELTER, case) == []
    assert released(world, SHELTER, before) == release, "what was released stays"

    said = await accept(world, str(proof), "--follow", "shown", *DECISION)
    assert "decided by head of the body: the other was an old copy" in said
    await true(lambda: released(world, SHELTER, case))
    await true(lambda: not world.mechanism.custodian.custodian.unwitnessed)
    assert released(world, SHELTER, before) == release, "it was proven again"
    again = await accept(world, str(proof), "--follow", "seen", *DECISION, code=REFUSED)
    assert "NO_SPLIT_VIEW" in again
    assert custody(world).splits(vkey)[0].seen == other, "the proof stays after the decision"


def test_where_no_custodian_ran_nothing_is_accepted(tmp_path: Path) -> None:
    command = ["custodian-accept", str(tmp_path / "proof"), "--data", str(tmp_path / "empty")]
    done = CliRunner().invoke(app, command)
    assert (done.exit_code, "NO_CUSTODIAN" in done.output) == (REFUSED, True)
    assert not (tmp_path / "proof").exists()


async def test_what_was_read_before_a_split_view_was_seen_is_not_proven_after_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Given a proof on its way, when meanwhile another shows a second log, it counts no more."""
    vkey, gate = world.parts.trust.log, world.mechanism.custodian.gate
    between = gate._link = Between(gate._link)  # noqa: SLF001 - the test stands between

    def meanwhile(page: StreamProof) -> StreamProof:
        custody(world).split(vkey, Split(b"seen", b"shown", 0))
        return page

    between.says = meanwhile
    case, _ = await consented(world)
    await true(lambda: custody(world).splits(vkey) and SPLIT_VIEW in caplog.text)
    assert released(world, SHELTER, case) == []
    between.says = lambda page: page
    custody(world).decide(vkey, "head: the other was a copy")
    await true(lambda: released(world, SHELTER, case))
