"""Tessera's fsck, a Go program that shares no code with ours, judges the logs that we write.

tests/trail/fsck pins it as a tool of a Go module: `go get -tool` of another version updates it.
"""

import subprocess
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from domain.ports import Recorded
from domain.standing import Key, Period
from domain.trail.checkpoint import Checkpoint
from domain.trail.notes import NoteSigning, to_base64
from services.auditor.opening import Own
from services.auditor.verifying import verify
from services.notary.signers import Signers
from tests import agencies as a
from tests import builders as b
from tests.services import notary_witnesses, notary_world
from tests.services.notary_witnesses import LOG
from tests.services.notary_world import NotaryWorld
from tests.services.test_audit_challenge import policy_of
from tests.trail import audited
from tests.trail.disclosed import DisclosingHub
from tests.trail.go import build
from tests.trail.signed import OPERATOR, SignedTrail, public
from tests.trail.writing import SIGNER, GrowingLog

FSCK = "github.com/transparency-dev/tessera/cmd/fsck"
SIZES = [1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 70_000, 1_000_000]
JUDGE_SECONDS = 120
"""fsck 1.0.4 waits for ever once each of its workers has met a bad tile."""


@pytest.fixture(scope="session")
def fsck(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build fsck once."""
    return build(FSCK, tmp_path_factory.mktemp("fsck"))


def verdict(fsck: Path, folder: Path, signer: NoteSigning = SIGNER) -> str:
    """Return what fsck says about the log in `folder`; it exits with 0 whatever it found."""
    vkey = folder / "log.vkey"
    vkey.write_text(signer.key.text)
    done = subprocess.run(  # noqa: S603 - our own arguments
        [
            str(fsck),
            f"--storage_url={folder.as_uri()}/",
            f"--public_key={vkey}",
            "--ui=false",
            "--N=4",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=JUDGE_SECONDS,
    )
    return done.stderr


def accepted(said: str, checkpoint: Checkpoint) -> bool:
    """Say whether fsck found the whole log of this checkpoint in good order."""
    root = f"{to_base64(checkpoint.root)} ({checkpoint.root.hex()})"
    found = f"Successfully fsck'd log with size {checkpoint.size} and root {root}"
    return found in said and "fsck failed" not in said


def test_a_growing_log_is_accepted_at_every_size(fsck: Path, tmp_path: Path) -> None:
    log = GrowingLog(tmp_path)
    for size in SIZES:
        checkpoint = log.grow(size)
        said = verdict(fsck, tmp_path)
        assert accepted(said, checkpoint), said


def test_a_log_that_the_notary_wrote_is_accepted_and_audited(
    fsck: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several rounds, a restart between, and no partial tile left of what is full since."""
    monkeypatch.setattr(notary_witnesses, "AT_S", audited.SEEN_S)
    events, signers, trust = acted()

    def publish(world: NotaryWorld) -> None:
        world.published()
        point = Checkpoint(LOG.key.name, world.publishing.size, world.store.newest().tree.root)
        said = verdict(fsck, folder, LOG)
        assert accepted(said, point), said

    folder = tmp_path / "trail"
    with closing(NotaryWorld(tmp_path, signers=signers)) as world:
        at = world.acting.record(*events[:60])
        world.acting.feed(a.SHELTER, at[-1])
        publish(world)
        world.acting.record(*events[60:130])
        publish(world)
    with closing(NotaryWorld(tmp_path, signers=signers)) as world:
        world.publishing.open()
        for first, end in ((130, 131), (131, 400), (400, len(events))):
            world.acting.record(*events[first:end])
            publish(world)
    for bundles in ("tile/0", "tile/entries", "body"):
        assert [path.name for path in (folder / bundles).glob("*.p")] == ["002.p"]
    with audited.tools() as tools:
        report = verify(audited.source(folder), Own(policy=policy_of(world), trust=trust), tools)
    assert report.findings == []
    assert report.complete_as_of_s == audited.SEEN_S


def acted() -> tuple[Sequence[Recorded], Signers, bytes]:
    """Return what agencies did in a case, whose signatures the notary takes, and trust.json."""
    with closing(DisclosingHub([a.CHARITY, a.SHELTER])) as hub:
        assert all(hub.act(e) for e in (b.case_opened(), b.notice_given()))
        assert all(hub.act(b.identity_recorded()) for _ in range(600))
        events, registry = hub.recorded, hub.world.registry
    key, notary = public(OPERATOR), notary_world.public("notary")
    operator = Key(agency=OPERATOR, signing_key=key, opening_key=b"", period=Period(starts=0))
    trust = replace(audited.pins(SignedTrail()), notary=notary, log=LOG.key.text)
    return events, Signers(lambda: registry, operator, notary), trust.dumps().encode()


def flip(path: str, at: int) -> Callable[[GrowingLog, Checkpoint], None]:
    """Return a change of one bit of the byte `at` in a file."""

    def change(log: GrowingLog, _: Checkpoint) -> None:
        file = log.folder / path
        data = bytearray(file.read_bytes())
        data[at] ^= 1
        file.write_bytes(data)

    return change


def sign_size(size: int) -> Callable[[GrowingLog, Checkpoint], None]:
    """Return a change of the size, signed by the log itself."""

    def change(log: GrowingLog, checkpoint: Checkpoint) -> None:
        log.publish(checkpoint._replace(size=size))

    return change


def edit_size(log: GrowingLog, _: Checkpoint) -> None:
    """Change the size and leave the signature."""
    file = log.folder / "checkpoint"
    file.write_bytes(file.read_bytes().replace(b"\n300\n", b"\n256\n"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (flip("tile/entries/000", 300), ": log has"),  # two tiles differ, either is named
        (flip("tile/entries/001.p/44", -1), "tile/0/001.p/44: log has"),
        (flip("tile/0/000", 31), "tile/0/000: log has"),
        (flip("tile/0/001.p/44", 0), "tile/0/001.p/44: log has"),
        (flip("tile/1/000.p/1", 16), "tile/1/000.p/1: log has"),
        (edit_size, "failed to fetch and verify checkpoint"),
        (sign_size(256), "calculated root"),
        (sign_size(299), "error while streaming bundles"),
    ],
)
def test_a_changed_log_is_refused(
    fsck: Path, tmp_path: Path, change: Callable[[GrowingLog, Checkpoint], None], why: str
) -> None:
    log = GrowingLog(tmp_path)
    log.grow(256)
    checkpoint = log.grow(300)
    assert accepted(verdict(fsck, tmp_path), checkpoint)
    change(log, checkpoint)
    said = verdict(fsck, tmp_path)
    assert "fsck failed" in said
    assert why in said
    assert "Successfully" not in said
