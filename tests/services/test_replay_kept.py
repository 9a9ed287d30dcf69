"""A replay witness that is started again goes on from what it kept, and trusts that no further."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from domain.errors import Malformed, Refused, Unavailable
from domain.trail.checkpoint import Checkpoint
from domain.trail.kept import Preface, decode, encode, sealed
from domain.trail.merkle import leaf
from domain.trail.statement import disclosure_stream
from services.witness import keeping
from services.witness.progress import Job, Progress
from tests import agencies as a
from tests.services.test_audit_state import Reading, shorter
from tests.services.test_replaying import (
    TRUST,
    Held,
    Verified,
    code_of,
    cosigned,
    forged,
    long_trail,
    progress_of,
    replaying,
    seen_elsewhere,
)
from tests.trail.signed import CASE, SignedTrail, delivery, small_trail
from tests.vectors import key
from tests.witnessed import Log

ASIDE = "the kept state is set aside, everything is replayed"


def of(file: Held) -> Checkpoint:
    """Return the checkpoint up to which a replay was kept."""
    assert file.data is not None
    return Preface.of(file.data).checkpoint


def signatures(trail: SignedTrail, start: int = 0) -> int:
    """Return how many entries from `start` on are signed."""
    return sum(len(entry) != 60 for entry, _ in trail.leaves[start:])


@dataclass
class Kept:
    """A trail in a folder that a witness replayed, and the state file that it left."""

    folder: Path
    trail: SignedTrail = field(default_factory=lambda: long_trail(300))
    file: Held = field(default_factory=Held)

    async def replayed(self) -> Checkpoint:
        checkpoint = self.trail.write(self.folder)
        async with replaying(self.folder, file=self.file) as part:
            await part.confirm(checkpoint)
        return checkpoint

    def grow(self, entries: int = 5) -> Checkpoint:
        for number in range(entries):
            self.trail.add(a.REFUGE, body=b"more %d" % number)
        self.trail.epoch()
        return self.trail.write(self.folder)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


async def test_at_a_clean_end_it_is_kept_and_a_restart_replays_only_the_rest(kept: Kept) -> None:
    before = await kept.replayed()
    assert of(kept.file) == before
    after, read, verified = kept.grow(), Reading(kept.folder), Verified()
    newest = cosigned(before, replayed=True)
    async with replaying(kept.folder, newest, file=kept.file, source=read, verify=verified) as part:
        await part.confirm(after)
        await part.confirm(before)
    assert verified.count == 5
    assert read.numbers("tile/entries/") == read.numbers("body/") == {1}
    assert of(kept.file) == after


async def test_what_was_cosigned_after_it_was_kept_is_replayed_without_signatures(
    kept: Kept,
) -> None:
    """As after a kill: what it cosigned is ahead of what it kept."""
    await kept.replayed()
    killed, after, verified = kept.grow(), kept.grow(7), Verified()
    newest = cosigned(killed, replayed=True)
    async with replaying(kept.folder, newest, file=kept.file, verify=verified) as part:
        await part.confirm(after)
    assert verified.count == 7


async def test_what_was_kept_may_be_ahead_of_what_was_cosigned(kept: Kept) -> None:
    """As after a kill between the two: it was replayed, and nobody got a cosignature."""
    before = await kept.replayed()
    after, verified = kept.grow(), Verified()
    async with replaying(kept.folder, file=kept.file) as part:
        await part.confirm(after)
    for newest in (None, cosigned(before, replayed=True)):
        async with replaying(kept.folder, newest, file=kept.file, verify=verified) as part:
            await part.confirm(after)
    assert verified.count == 0


def test_while_it_goes_on_it_is_kept_now_and_then(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "KEEP_EACH", 20)
    kept.trail, sizes = small_trail(), []
    progress = progress_of(kept.folder, file=kept.file)
    for _ in range(8):
        job = Job(kept.grow(9), progress.tree)
        while not progress.advance(job):
            assert kept.file.data is None or of(kept.file).size in sizes
        progress.keep(if_due=True)
        sizes.append(of(kept.file).size)
    assert sizes == [24, 24, 44, 44, 64, 64, 84, 84]


async def test_nothing_is_kept_from_a_wrong_entry_on_and_the_verdict_stays(kept: Kept) -> None:
    good = await kept.replayed()
    forged(kept.trail)
    bad = kept.grow()
    for _ in range(2):
        verified = Verified()
        async with replaying(kept.folder, file=kept.file, verify=verified) as part:
            with pytest.raises(Refused, match=f"entry {good.size} fails the check SIGNATURE"):
                await part.confirm(bad)
            assert part.finding is not None
        assert verified.count > signatures(kept.trail)  # the rest, and then all of it
        assert of(kept.file) == good


def test_killed_at_any_moment_it_never_cosigns_what_is_wrong(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "KEEP_EACH", 1)
    kept.trail = small_trail()
    good = [kept.grow(), kept.grow(250), kept.grow(50)]
    forged(kept.trail)
    bad, left = kept.grow(300), [kept.file.data]

    def replay(progress: Progress, checkpoint: Checkpoint) -> None:
        job = Job(checkpoint, progress.tree)
        while not progress.advance(job):
            left.append(kept.file.data)
        progress.keep(if_due=True)
        left.append(kept.file.data)

    progress = progress_of(kept.folder, file=kept.file)
    for checkpoint in good:
        replay(progress, checkpoint)
    with pytest.raises(Refused, match="SIGNATURE"):
        replay(progress, bad)
    progress.keep()
    assert {Preface.of(data).checkpoint for data in left if data} == set(good)
    for data in {kept.file.data, *left}:
        again = progress_of(kept.folder, file=Held(data))
        again.take_up()
        replay(again, good[-1])
        with pytest.raises(Refused, match="SIGNATURE"):
            replay(again, bad)


async def test_what_an_actor_said_against_the_log_is_counted_after_a_restart(kept: Kept) -> None:
    seen_elsewhere(kept.trail)
    kept.grow()
    await kept.replayed()
    async with replaying(kept.folder, file=kept.file) as part:
        await part.confirm(kept.grow())
        assert part.alarms == 1


def damaged(data: bytes) -> bytes:
    return data[:-40] + bytes([data[-40] ^ 1]) + data[-39:]


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def none(_: bytes) -> bytes:
    return b""


def older(data: bytes) -> bytes:
    return sealed(Preface.of(data)._replace(version=0).encode())


def of_another_log(data: bytes) -> bytes:
    return encode(decode(data), "another.example/trail", TRUST)


def under_another_trust(data: bytes) -> bytes:
    return encode(decode(data), Log().origin, key("another trust.json"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (damaged, "its checksum is another"),
        (cut, "its checksum is another"),
        (none, "none of a replay"),
        (older, "version 0 of a replay"),
        (of_another_log, "of another log"),
        (under_another_trust, "another trust.json"),
    ],
)
async def test_a_state_that_cannot_be_used_is_set_aside(
    kept: Kept, caplog: pytest.LogCaptureFixture, change: Callable[[bytes], bytes], why: str
) -> None:
    checkpoint, verified = await kept.replayed(), Verified()
    kept.file.data = change(kept.file.data or b"")
    with caplog.at_level(logging.WARNING):
        async with replaying(kept.folder, file=kept.file, verify=verified) as part:
            await part.confirm(checkpoint)
    assert f"{ASIDE}: " in caplog.text
    assert why in caplog.text
    assert verified.count == signatures(kept.trail)
    assert of(kept.file) == checkpoint


@pytest.mark.parametrize("cosigned_size", ["none", "smaller", "larger"])
async def test_a_state_of_a_fork_is_set_aside_once_the_log_shows_another_tree(
    kept: Kept, caplog: pytest.LogCaptureFixture, cosigned_size: str
) -> None:
    trail = shorter(kept.trail)
    fork = Kept(kept.folder / "fork", trail, kept.file)
    fork.grow(300)
    await fork.replayed()
    kept.trail = small_trail()
    newest = {
        "smaller": kept.trail.write(kept.folder),
        "none": kept.grow(50),
        "larger": kept.grow(400),
    }[cosigned_size]
    after, verified = kept.grow(), Verified()
    held = None if cosigned_size == "none" else cosigned(newest, replayed=False)
    async with replaying(kept.folder, held, file=kept.file, verify=verified) as part:
        await part.confirm(after)
        assert part.tree == kept.trail.state.range
    assert caplog.text.count(ASIDE) == 1
    assert verified.count == signatures(kept.trail)
    assert of(kept.file) == after


async def test_no_verdict_against_a_log_rests_on_what_was_kept(
    kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    """Here it has lost what was delivered, which no tree shows; so a true receipt looks false."""
    shown = delivery(2)
    disclosed = kept.trail.disclose(shown)
    kept.grow()
    await kept.replayed()
    found = decode(kept.file.data or b"")
    found.state.delivered.cases[disclosure_stream(CASE)].marks.clear()
    kept.file.data = encode(found, Log().origin, TRUST)
    kept.trail.receive(a.REFUGE, disclosed, shown)
    after = kept.grow()
    async with replaying(kept.folder, file=kept.file) as part:
        assert await code_of(part, after) == ""
        assert part.finding is None
    assert "fails the check RECEIPT" in caplog.text
    assert of(kept.file) == after


async def test_a_checkpoint_that_is_none_is_refused_though_much_was_kept(kept: Kept) -> None:
    checkpoint = await kept.replayed()
    other = checkpoint._replace(root=leaf(b"other"))
    async with replaying(kept.folder, file=kept.file) as part:
        assert await code_of(part, other) == "REPLAY_ROOT"
        assert await code_of(part, checkpoint) == ""
        assert await code_of(part, other) == "REPLAY_ROOT"


class Failing(Held):
    """A disk that is full."""

    def write(self, data: bytes) -> None:
        raise Unavailable("TRAIL_FILES", "no space left")


class Locked(Held):
    """A file of somebody else."""

    def read(self) -> bytes | None:
        raise Malformed("STATE", "it cannot be read")


@pytest.mark.parametrize("file", [Failing(), Locked()])
async def test_a_file_that_cannot_be_written_or_read_holds_nothing_up(
    kept: Kept, caplog: pytest.LogCaptureFixture, file: Held
) -> None:
    kept.file = file
    await kept.replayed()
    assert "could not be kept" in caplog.text or ASIDE in caplog.text
