"""Given two notaries, or one that cannot go on, one trail is written; accepting goes on."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from adapters.file_lease import FileLease
from domain.errors import Corrupt, Unavailable
from services.demo.cast import SHELTER
from services.notary.countdown import State
from services.notary.leading import FAILED, Leading, Sequencing
from tests.services import trail_checks as check
from tests.services.notary_world import NotaryWorld
from tests.services.running import running

LEADER = """
import sys, time
from pathlib import Path
from adapters.file_lease import FileLease
from services.notary.leading import Leading, Sequencing
from tests.services.notary_world import NotaryWorld
folder = Path(sys.argv[1])
world = NotaryWorld(folder)
part = Sequencing(Leading(FileLease(folder / "lease"), lambda: None, 0.01), world.sequencer)
part.step()
print(world.store.newest().tree.size, flush=True)
time.sleep(600)
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[NotaryWorld]:
    with closing(NotaryWorld(tmp_path)) as world:
        yield world


def leading(world: NotaryWorld, begin: Callable[[], None] = lambda: None) -> Leading:
    return Leading(FileLease(world.folder / "lease"), begin, 0.01)


def test_a_second_notary_waits_until_the_first_is_killed(world: NotaryWorld) -> None:
    acting = world.acting
    events = [acting.event(), acting.event()]
    acting.record(events[0])
    command = [sys.executable, "-c", LEADER, str(world.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:  # noqa: S603 - our own
        assert first.stdout is not None
        assert first.stdout.readline() == "2\n"
        second = Sequencing(leading(world), world.sequencer)
        acting.record(events[1])
        assert not second.step()
        assert world.store.newest().tree.size == 2, "it writes nothing"
        first.send_signal(signal.SIGKILL)
        first.wait()
        second.step()
        second.close()
    world.published()
    assert check.has_all(check.published(world.folder / "trail", world.policy), events, [])
    assert world.replayed().findings == []


def test_what_a_retry_cannot_mend_stops_the_trail_and_not_the_process(world: NotaryWorld) -> None:
    own = leading(world)
    part = Sequencing(own, world.sequencer)
    world.acting.event()  # signed, and lost before it was recorded
    world.acting.record(world.acting.event())
    for _ in range(3):
        with pytest.raises(Unavailable, match="TRAIL_ORDER"):
            part.step()
    assert own.broken == "TRAIL_ORDER"
    part.close()


def test_a_fault_of_the_program_stops_the_trail_too(
    world: NotaryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = leading(world)
    part = Sequencing(own, world.sequencer)
    monkeypatch.setattr(world.store, "newest", lambda: None)
    with pytest.raises(Unavailable, match=FAILED):
        part.step()
    part.close()


def test_what_is_away_is_tried_again(world: NotaryWorld) -> None:
    tried: list[int] = []

    def begin() -> None:
        tried.append(1)
        if len(tried) == 1:
            raise Unavailable("TRAIL_FILES", "the trail's disk answered I/O error")

    part = Sequencing(leading(world, begin), world.sequencer)
    with pytest.raises(Unavailable, match="TRAIL_FILES"):
        part.step()
    part.step()
    assert len(tried) == 2
    part.close()


def test_nothing_begins_over_a_folder_that_is_not_its_own(world: NotaryWorld) -> None:
    def begin() -> None:
        raise Corrupt("TRAIL_FORKED", "the published checkpoint is none of this store")

    part = Sequencing(leading(world, begin), world.sequencer)
    world.acting.record(world.acting.event())
    for _ in range(2):
        with pytest.raises(Unavailable, match="TRAIL_FORKED"):
            part.step()
    assert world.store.newest().tree.size == 0
    part.close()


async def test_the_hub_goes_on_accepting_while_the_trail_has_stopped(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        notary = world.mechanism.trail.notary
        await world.until(lambda: notary.publisher.size)
        notary.leading.broken = "TRAIL_FORKED"
        case = await world.opened(SHELTER)
        await world.quiet()
        assert "CaseOpened" in await world.events(SHELTER, case)
        async with (
            aiohttp.ClientSession() as session,
            session.get(world.mechanism.hub_address + "/ready") as answer,
        ):
            found = await answer.json()
        assert answer.status == 200
        assert found["trail"]["state"] == "TRAIL_FORKED"


async def test_without_its_witnesses_a_mechanism_accepts_and_counts_down(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        notary = world.mechanism.trail.notary
        await world.until(lambda: notary.publisher.size)
        for witness in world.mechanism.trail.witnesses.values():
            witness.store.close()  # whatever it is asked, it cannot keep it
        size = notary.publisher.size
        await world.opened(SHELTER)
        await world.until(lambda: notary.store.newest().tree.size > size)
        await world.until(lambda: notary.publishing.waiting == "QUORUM_MISSING")
        assert notary.publisher.countdown.state is State.PENDING
        assert notary.publisher.size == size
