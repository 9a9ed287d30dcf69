"""A replay witness cosigns what it replayed, and says which entry fails which check."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.trail_source import FolderSource
from domain.errors import HubError, Refused, Unavailable
from domain.standing import Key, Period
from domain.trail.checkpoint import Checkpoint
from domain.trail.merkle import EMPTY_ROOT, leaf
from domain.trail.replay import Claim, Kept, Replay
from domain.trail.statement import ZEROS, Kind
from domain.witness import AddCheckpoint, Cosigned
from services.directory import Directory
from services.trail.keeping import StateFile
from services.trail.keys import TrailKeys
from services.trail.source import Source
from services.witness.keeping import Keeping
from services.witness.progress import Job, Progress
from services.witness.replaying import Replaying
from services.worker import Worker
from tests import agencies as a
from tests.services.witness_face import serving
from tests.trail.signed import (
    LANGUAGE,
    NOTARY,
    OPERATOR,
    REGISTRARS,
    SIGNING,
    SignedTrail,
    delivery,
    public,
    small_trail,
)
from tests.vectors import key
from tests.witnessed import Log

TRUST = key("trust.json")
LONG = 60.0
"""Seconds, far above what a replay here takes."""


class Held:
    """A state file in memory."""

    def __init__(self, data: bytes | None = None) -> None:
        self.data = data

    def read(self) -> bytes | None:
        return self.data

    def write(self, data: bytes) -> None:
        self.data = data


class Verified:
    """Verifies signatures and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, claims: Iterable[Claim]) -> Sequence[bool]:
        held = SIGNING.verify_all(claims)
        self.count += len(held)
        return held


def progress_of(
    folder: Path,
    *,
    verify: Verified | None = None,
    source: FolderSource | None = None,
    file: StateFile | None = None,
) -> Progress:
    """Return the replay of the trail in a folder, before it takes anything up."""
    operator = Key(
        agency=OPERATOR, signing_key=public(OPERATOR), opening_key=b"", period=Period(starts=0)
    )

    def begin(kept: Kept | None) -> Replay:
        directory = Directory(LANGUAGE, {r: public(r) for r in REGISTRARS}, SIGNING.verify)
        keys = TrailKeys(LANGUAGE, directory, operator)
        return Replay(keys=keys, notary=public(NOTARY), kept=kept)

    keeping = Keeping(file or Held(), begin, Log().origin, TRUST)
    return Progress(Source(source or FolderSource(folder)), keeping, verify or Verified())


@asynccontextmanager
async def replaying(
    folder: Path, newest: Cosigned | None = None, *, seconds: float = LONG, **parts: Any
) -> AsyncIterator[Replaying]:
    """Replay the trail in a folder, in a thread as the process does."""
    part = Replaying(progress_of(folder, **parts), newest, seconds=seconds)
    stop = asyncio.Event()
    working = asyncio.create_task(Worker(part, part.idle).run(stop))
    try:
        yield part
    finally:
        stop.set()
        part.end()
        await working


async def code_of(part: Replaying, checkpoint: Checkpoint) -> str:
    """Return the code with which a checkpoint is not confirmed; empty if it is."""
    try:
        await part.confirm(checkpoint)
    except HubError as e:
        return e.code
    return ""


def cosigned(checkpoint: Checkpoint, *, replayed: bool) -> Cosigned:
    return Cosigned(checkpoint=checkpoint, note=b"", replayed=replayed)


def long_trail(actions: int) -> SignedTrail:
    """A trail of several bundles, with a checkpoint now and then."""
    trail = small_trail()
    for n in range(actions):
        trail.add(a.POLICE, body=b"%d" % n)
        if n % 100 == 99:
            trail.epoch()
    trail.epoch()
    return trail


def test_what_is_replayed_is_known_only_once_its_signatures_hold(tmp_path: Path) -> None:
    """Others ask in their own thread while signatures are verified."""
    checkpoint, known = small_trail().write(tmp_path), list[bool]()

    class Asked(Verified):
        def __call__(self, claims: Iterable[Claim]) -> Sequence[bool]:
            known.append(progress.known(checkpoint))
            return super().__call__(claims)

    progress = progress_of(tmp_path, verify=Asked())
    job = Job(checkpoint, progress.tree)
    while not progress.advance(job):
        pass
    assert known == [False]
    assert progress.known(checkpoint)


async def test_a_trail_that_grows_is_confirmed_at_each_checkpoint(tmp_path: Path) -> None:
    trail = small_trail()
    async with replaying(tmp_path) as part:
        await part.confirm(Checkpoint(trail.log.origin, 0, EMPTY_ROOT))
        first = trail.write(tmp_path)
        await part.confirm(first)
        for n in range(3):
            trail.add(a.REFUGE, body=b"%d" % n)
            trail.epoch()
            await part.confirm(trail.write(tmp_path))
        assert part.tree == trail.state.range
        await part.confirm(first)  # asked again, or late


async def test_every_bundle_is_replayed_and_every_signature_verified(tmp_path: Path) -> None:
    trail, verified = long_trail(600), Verified()
    checkpoint = trail.write(tmp_path)
    async with replaying(tmp_path, verify=verified) as part:
        await part.confirm(checkpoint)
        assert part.lag == 0
    epochs = sum(len(entry) == 60 for entry, _ in trail.leaves)
    assert verified.count == trail.size - epochs > 600


def forged(trail: SignedTrail) -> None:
    trail.add(a.POLICE, body=b"forged", signed_by="stranger")


def refused_and_forged(trail: SignedTrail) -> None:
    trail.add(a.POLICE, body=b"forged", code="NO", signed_by="stranger")


def by_a_stranger(trail: SignedTrail) -> None:
    trail.add("stranger", body=b"unknown")


def disclosed_by_an_agency(trail: SignedTrail) -> None:
    trail.disclose(delivery(2), signed_by=a.POLICE)


def approved_by_one(trail: SignedTrail) -> None:
    trail.fact(a.facts(a.CLINIC)[0], by=("registrar-a", "registrar-a"))


def of_a_number_used(trail: SignedTrail) -> None:
    trail.add(a.POLICE, body=b"again", actor_seq=0, actor_prev=ZEROS)


def seen_elsewhere(trail: SignedTrail) -> None:
    trail.add(a.POLICE, body=b"seen", seen_root=leaf(b"a fork"))


async def test_what_a_reader_signs_counts_under_the_key_that_it_had_then(tmp_path: Path) -> None:
    trail = small_trail()
    signed = trail.recorded_ms
    new = trail.rotate(a.POLICE)
    trail.add(a.POLICE, Kind.AUDIT, body=key("nonce"), actor_time_ms=signed)
    trail.add(new, Kind.AUDIT, body=key("nonce"))
    trail.epoch()
    async with replaying(tmp_path) as part:
        await part.confirm(trail.write(tmp_path))
        trail.add(a.POLICE, Kind.AUDIT, body=key("nonce"))
        trail.epoch()
        with pytest.raises(Refused, match="KEY_NOT_IN_FORCE"):
            await part.confirm(trail.write(tmp_path))


async def test_one_that_says_it_was_shown_another_log_does_not_end_the_replay(
    tmp_path: Path,
) -> None:
    """Any agency can say so; whether it is so, two signed checkpoints show and no entry."""
    trail = small_trail()
    seen_elsewhere(trail)
    trail.epoch()
    async with replaying(tmp_path) as part:
        await part.confirm(trail.write(tmp_path))
        assert part.alarms == 1
        forged(trail)
        trail.epoch()
        with pytest.raises(Refused, match="SIGNATURE"):
            await part.confirm(trail.write(tmp_path))


def fed_out_of_order(trail: SignedTrail) -> None:
    trail.disclose(delivery(3))


WRONG: dict[str, Callable[[SignedTrail], None]] = {
    "SIGNATURE": forged,
    "SIGNATURE ": refused_and_forged,
    "SIGNATURE  ": disclosed_by_an_agency,
    "ACTOR_UNKNOWN": by_a_stranger,
    "REGISTRY_FACT_REFUSED": approved_by_one,
    "ACTOR_CHAIN": of_a_number_used,
}


@pytest.mark.parametrize("check", WRONG)
async def test_what_is_wrong_is_named_with_its_entry(check: str, tmp_path: Path) -> None:
    trail = small_trail()
    good = trail.write(tmp_path)
    index = trail.size
    WRONG[check](trail)
    trail.add(a.REFUGE, body=b"later")
    trail.epoch()
    bad = trail.write(tmp_path)
    async with replaying(tmp_path) as part:
        await part.confirm(good)
        with pytest.raises(Refused) as told:
            await part.confirm(bad)
        assert told.value.code == "REPLAY_FAILED"
        assert told.value.message.startswith(f"entry {index} fails the check {check.strip()}: ")
        assert part.finding is not None
        assert part.tree.size == good.size
        assert await code_of(part, good) == "REPLAY_FAILED"  # it confirms nothing any more


@pytest.mark.parametrize(
    ("changes", "check"),
    [({"map_root": leaf(b"")}, "MAP"), ({"map_keys": 1}, "MAP"), ({"covered": 3}, "EPOCH")],
)
async def test_a_false_epoch_is_named(
    changes: dict[str, object], check: str, tmp_path: Path
) -> None:
    trail = small_trail()
    trail.add(a.POLICE, body=b"more")
    trail.epoch(**changes)
    async with replaying(tmp_path) as part:
        with pytest.raises(Refused, match=f"entry {trail.size - 1} fails the check {check}: "):
            await part.confirm(trail.write(tmp_path))


async def test_a_feed_with_a_gap_is_named_at_its_epoch(tmp_path: Path) -> None:
    trail = small_trail()
    fed_out_of_order(trail)
    trail.epoch()
    async with replaying(tmp_path) as part:
        with pytest.raises(Refused, match=f"entry {trail.size - 1} fails the check FEED: "):
            await part.confirm(trail.write(tmp_path))


async def test_a_checkpoint_ends_with_an_epoch(tmp_path: Path) -> None:
    trail = small_trail()
    trail.add(a.POLICE, body=b"more")
    async with replaying(tmp_path) as part:
        with pytest.raises(Refused, match=f"entry {trail.size - 1} fails the check EPOCH: "):
            await part.confirm(trail.write(tmp_path))


async def test_a_tree_that_was_passed_on_the_way_is_no_checkpoint(tmp_path: Path) -> None:
    """Its entries are right, and it does not end with an EPOCH."""
    trail = small_trail()
    trail.add(a.POLICE, body=b"more")
    between = trail.checkpoint
    trail.epoch()
    async with replaying(tmp_path) as part:
        await part.confirm(trail.write(tmp_path))
        assert await code_of(part, between) == "REPLAY_ROOT"


async def test_another_root_is_not_confirmed(tmp_path: Path) -> None:
    trail = small_trail()
    checkpoint = trail.write(tmp_path)
    other = checkpoint._replace(root=leaf(b"other"))
    async with replaying(tmp_path) as part:
        assert await code_of(part, other) == "REPLAY_ROOT"
        assert await code_of(part, checkpoint) == ""
        assert await code_of(part, other) == "REPLAY_ROOT"


def cut(data: bytes) -> bytes:
    return data[:-1]


def flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    ("path", "change", "code"),
    [
        ("tile/entries/000", cut, "REPLAY_FILE"),
        ("tile/entries/000", flip, "REPLAY_ROOT"),
        ("body/000", cut, "REPLAY_FILE"),
        ("body/000", flip, "REPLAY_FILE"),
        ("tile/entries/001.p/{rest}", cut, "REPLAY_FILE"),
        ("body/001.p/{rest}", flip, "REPLAY_FILE"),
    ],
)
async def test_files_that_are_wrong_say_nothing_of_the_log(
    path: str, change: Callable[[bytes], bytes], code: str, tmp_path: Path
) -> None:
    """Once they are mended, the same checkpoint is confirmed."""
    trail = small_trail()
    while trail.size < 299:
        trail.add(a.POLICE, body=b"more")
    trail.epoch()
    checkpoint = trail.write(tmp_path)
    file = tmp_path / path.format(rest=trail.size - 256)
    whole = file.read_bytes()
    async with replaying(tmp_path) as part:
        file.write_bytes(change(whole))
        assert await code_of(part, checkpoint) == code
        assert part.finding is None
        file.write_bytes(whole)
        assert await code_of(part, checkpoint) == ""


class Fickle(FolderSource):
    """Shows other entries when they are read for the second time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.reads = 0

    def read(self, path: str, most: int) -> bytes | None:
        data = super().read(path, most)
        if not path.startswith("tile/entries") or data is None:
            return data
        self.reads += 1
        return flip(data) if self.reads == 2 else data


async def test_entries_that_change_between_two_readings_are_not_taken(tmp_path: Path) -> None:
    trail = small_trail()
    checkpoint, source = trail.write(tmp_path), Fickle(tmp_path)
    async with replaying(tmp_path, source=source) as part:
        await part.confirm(checkpoint)
        assert source.reads == 4
        assert part.finding is None


async def test_who_asks_too_early_is_told_to_ask_again(tmp_path: Path) -> None:
    trail = long_trail(300)
    checkpoint = trail.write(tmp_path)
    async with replaying(tmp_path, seconds=0.0) as part:
        with pytest.raises(Unavailable, match="REPLAY_BEHIND"):
            await part.confirm(checkpoint)
        async with asyncio.timeout(LONG):
            while await code_of(part, checkpoint) == "REPLAY_BEHIND":  # noqa: ASYNC110 - as a log asks
                await asyncio.sleep(0.01)
        assert await code_of(part, checkpoint) == ""


async def test_over_http_too_early_is_503_and_when_to_ask_again(tmp_path: Path) -> None:
    trail = long_trail(300)
    trail.write(tmp_path)
    async with replaying(tmp_path, seconds=0.0) as part, serving(confirming=part) as witness:
        asked = AddCheckpoint(0, (), trail.note)
        answer = await witness.post(asked)
        assert answer.status == 503
        assert answer.body.startswith(b"REPLAY_BEHIND: ")
        async with asyncio.timeout(LONG):
            while (await witness.post(asked)).status == 503:  # noqa: ASYNC110 - as a log asks
                await asyncio.sleep(0.01)
        found = witness.store.newest(trail.log.origin)
        assert found is not None
        assert found.checkpoint == trail.checkpoint


async def test_after_a_restart_signatures_verified_once_are_not_again(tmp_path: Path) -> None:
    trail, verified = long_trail(300), Verified()
    before = trail.write(tmp_path)
    for _ in range(5):
        trail.add(a.POLICE, body=b"more")
    trail.epoch()
    after = trail.write(tmp_path)
    newest = cosigned(before, replayed=True)
    async with replaying(tmp_path, newest, verify=verified) as part:
        await part.confirm(after)
    assert verified.count == 5


@pytest.mark.parametrize("why", ["never replayed", "another tree"])
async def test_signatures_that_nobody_verified_are(why: str, tmp_path: Path) -> None:
    """What a plain witness cosigned was not replayed; and only an equal root is the same tree."""
    trail, verified = small_trail(), Verified()
    checkpoint = trail.write(tmp_path)
    newest = cosigned(checkpoint, replayed=why != "never replayed")
    if why == "another tree":
        newest = cosigned(checkpoint._replace(root=leaf(b"fork")), replayed=True)
    async with replaying(tmp_path, newest, verify=verified) as part:
        await part.confirm(checkpoint)
    assert verified.count == 11


async def test_a_replay_witness_refuses_over_http_what_does_not_replay(tmp_path: Path) -> None:
    log = Log()
    trail = small_trail(log)
    trail.write(tmp_path)
    async with replaying(tmp_path) as part, serving(confirming=part) as witness:
        answer = await witness.post(AddCheckpoint(0, (), trail.note))
        assert answer.status == 200
        found = witness.store.newest(log.origin)
        assert found is not None
        assert found.replayed
        index = trail.size
        forged(trail)
        trail.epoch()
        trail.write(tmp_path)
        answer = await witness.post(AddCheckpoint(index, trail.consistency(index), trail.note))
        assert answer.status == 422
        assert answer.body.startswith(b"REPLAY_FAILED: entry %d fails the check SIGNATURE" % index)
        metrics = (await witness.ask("GET", "/metrics")).body.decode()
        assert 'nrm_witness_answers_total{code="REPLAY_FAILED"} 1.0' in metrics
        assert witness.store.newest(log.origin) == found
