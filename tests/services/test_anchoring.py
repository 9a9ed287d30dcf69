"""Checkpoints are time-stamped now and then; whatever the authority does, the notary works on."""

import asyncio
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

import pytest

from adapters.trail_files import FolderTrailFiles
from domain.errors import Malformed, Unavailable
from domain.trail.anchors import INDEX, Anchored, Stamped, decode_index
from domain.trail.checkpoint import Checkpoint
from domain.trail.merkle import leaf
from services.bootstrap import Parts, Settings
from services.bootstrap.anchoring import build_anchoring
from services.notary.anchoring import CLOCK_MS, RETRY_MS, Anchoring
from tests.services.running import running
from tests.tsa import Authority, run_openssl, serving

HOUR = 3_600_000
T0 = 1_700_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> int:
        return self.now


class Tsa:
    """An authority that answers as it is told, by our clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.ahead_ms = clock, 0
        self.asked: list[bytes] = []
        self.fails: Exception | None = None
        self.waits: threading.Event | None = None

    def stamp(self, data: bytes) -> Stamped:
        self.asked.append(data)
        if self.waits:
            self.waits.wait()
        if self.fails:
            raise self.fails
        return Stamped(b"answer to " + data, self.clock.now + self.ahead_ms)


class World(NamedTuple):
    """A notary's anchoring over a folder."""

    folder: Path
    clock: Clock
    tsa: Tsa
    anchoring: Anchoring

    def publish(self, size: int) -> bytes:
        """Publish a checkpoint and wait until what it began has ended."""
        note = f"checkpoint of {size}\n".encode()
        self.anchoring.published(Checkpoint("o", size, leaf(note)), note)
        for thread in threading.enumerate():
            if thread.name == "anchor":
                thread.join()
        return note

    def listed(self) -> tuple[Anchored, ...]:
        return decode_index(FolderTrailFiles(self.folder).read(INDEX))

    def again(self) -> "World":
        """Start anew over the same folder."""
        files = FolderTrailFiles(self.folder)
        return self._replace(anchoring=Anchoring(files, self.tsa, self.clock, HOUR / 1000))


@pytest.fixture
def world(tmp_path: Path) -> World:
    clock = Clock()
    tsa = Tsa(clock)
    return World(
        tmp_path, clock, tsa, Anchoring(FolderTrailFiles(tmp_path), tsa, clock, HOUR / 1000)
    )


def test_the_stamp_lies_beside_the_bytes_that_it_is_about(world: World) -> None:
    note = world.publish(5)
    assert (world.folder / "anchors/5.checkpoint").read_bytes() == note
    assert (world.folder / "anchors/5.tsr").read_bytes() == b"answer to " + note
    assert world.listed() == (Anchored(5, T0),)
    assert (world.anchoring.overdue_seconds, world.anchoring.code) == (0, "")


def test_there_is_one_an_hour_at_most_also_after_a_restart(world: World) -> None:
    world.publish(5)
    world.clock.now += HOUR - 1
    for later in (world, world.again()):
        later.publish(6)
        assert len(world.tsa.asked) == 1
        assert later.anchoring.overdue_seconds == 0
    world.clock.now += 1
    world.publish(7)
    assert [a.size for a in world.listed()] == [5, 7]


def test_an_idle_trail_is_not_stamped_again_and_nothing_is_overdue(world: World) -> None:
    world.publish(5)
    world.clock.now += 10 * HOUR
    world.publish(5)
    assert len(world.tsa.asked) == 1
    assert world.anchoring.overdue_seconds == 0
    world.publish(6)
    assert [a.size for a in world.listed()] == [5, 6]


@pytest.mark.parametrize("fails", [Unavailable("TSA_AWAY", "it is"), OSError("no disk"), None])
def test_an_authority_that_fails_is_asked_again_each_minute(
    world: World, fails: Exception | None
) -> None:
    # given: it is away, or breaks something, or its clock is wrong
    world.tsa.fails, world.tsa.ahead_ms = fails, 0 if fails else CLOCK_MS + 1
    codes = {"no disk": "ANCHOR_FAILED", "TSA_AWAY: it is": "TSA_AWAY", "None": "TSA_CLOCK"}
    # when
    for tries in range(1, 4):
        world.publish(tries)
        world.publish(tries)
        assert len(world.tsa.asked) == tries
        assert world.anchoring.code == codes[str(fails)]
        world.clock.now += RETRY_MS
    # then
    assert world.anchoring.overdue_seconds == 3 * RETRY_MS / 1000
    assert world.listed() == ()
    # and: once it answers, all is well
    world.tsa.fails, world.tsa.ahead_ms = None, 0
    world.publish(9)
    assert [a.size for a in world.listed()] == [9]
    assert (world.anchoring.overdue_seconds, world.anchoring.code) == (0, "")


def test_publishing_never_waits_for_an_authority(world: World) -> None:
    world.tsa.waits = threading.Event()
    for size in range(1, 4):  # would not come back if it waited
        world.anchoring.published(Checkpoint("o", size, leaf(b"")), b"checkpoint")
    world.tsa.waits.set()
    assert world.publish(4)
    assert len(world.tsa.asked) == 1


def test_a_list_that_cannot_be_read_is_left_as_it_is(world: World) -> None:
    (world.folder / "anchors").mkdir()
    (world.folder / INDEX).write_bytes(b"no list")
    world.publish(5)
    assert world.anchoring.code == "ANCHORS"
    assert (world.folder / INDEX).read_bytes() == b"no list"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"NRM_TSA_URL": "http://tsa.example"}, "TSA_CA"),
        ({"NRM_TSA_CA": "ca.pem"}, "TSA_CA"),
        ({"NRM_TSA_URL": "http://tsa.example", "NRM_TSA_CA": "no-such-file"}, "TSA_CA"),
        ({"NRM_TSA_URL": "http://tsa.example", "NRM_TSA_CA": __file__}, "TSA_CA"),
        ({"NRM_TSA_SECONDS": "0"}, "TSA_SECONDS"),
        ({"NRM_TSA_SECONDS": "nan"}, "TSA_SECONDS"),
    ],
)
def test_a_setting_that_cannot_hold_is_refused(
    settings: dict[str, str], code: str, tmp_path: Path
) -> None:
    with pytest.raises(Malformed, match=f"^{code}: "):
        build_anchoring(Parts(Settings.from_env(tmp_path, settings)), FolderTrailFiles(tmp_path))


def test_without_an_authority_nothing_is_stamped(tmp_path: Path) -> None:
    parts = Parts(Settings.from_env(tmp_path, {}))
    assert build_anchoring(parts, FolderTrailFiles(tmp_path)) is None


async def test_a_running_mechanism_has_its_trail_time_stamped(tmp_path: Path) -> None:
    # given
    authority = Authority(tmp_path / "tsa")
    folder = tmp_path / "data" / "notary" / "trail"
    with serving(lambda query: (200, authority.reply(query))) as address:
        # when
        async with running(tmp_path / "data", tsa_url=address, tsa_ca=authority.ca) as world:
            await world.until((folder / INDEX).exists)
            (only,) = decode_index((folder / INDEX).read_bytes())
            stamp, note = f"anchors/{only.size}.tsr", f"anchors/{only.size}.checkpoint"
            # then: everybody gets it
            base, said = f"{world.mechanism.hub_address}/trail", {}
            for path in (stamp, note, INDEX):
                said[path] = await asyncio.to_thread(got, f"{base}/{path}")
            with pytest.raises(urllib.error.HTTPError, match="404"):
                await asyncio.to_thread(got, f"{base}/anchors/..%2fcheckpoint")
    assert said == {path: (folder / path).read_bytes() for path in said}
    # and: it holds by hand
    words = ("-verify", "-in", stamp, "-data", note, "-CAfile", str(authority.ca))
    run_openssl(*words, cwd=folder)
    assert authority.asked == 1


def got(address: str) -> bytes:
    """Return what anybody gets at an address."""
    with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310 - our own server
        return bytes(answer.read())
