"""An auditor verifies the whole log from its files; whatever was changed in them is found."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Malformed
from domain.trail.checkpoint import sign
from domain.trail.heads import Head, stream_key
from domain.trail.notes import Note
from domain.trail.statement import ZEROS, stream_tag
from services.auditor.opening import Own
from services.auditor.verifying import verify
from tests import agencies as a
from tests.domain.worked_example import broken
from tests.trail import audited
from tests.trail.signed import CASE, SignedTrail, small_trail
from tests.witnessed import witness_signer

FILES = ("checkpoint", "tile/0/000.p/14", "tile/entries/000.p/14", "body/000.p/14")


@pytest.fixture(scope="module")
def trail() -> SignedTrail:
    return small_trail()


@pytest.fixture(scope="module")
def whole(trail: SignedTrail, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log in which everything holds; a test changes a copy."""
    folder = tmp_path_factory.mktemp("trail")
    audited.write(folder, trail)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "trail")


def flip(folder: Path, path: str, at: int) -> None:
    data = bytearray((folder / path).read_bytes())
    data[at] ^= 1
    (folder / path).write_bytes(data)


def test_a_whole_log_holds_and_the_report_says_as_of_when(whole: Path, trail: SignedTrail) -> None:
    report = audited.verified(whole, trail)
    assert report.findings == []
    assert report.exit_code == 0
    assert report.complete_as_of_s == audited.SEEN_S
    assert {c.check for c in report.checks} == {
        *("CHECKPOINT", "TREE", "CHAINS", "MAP", "BODIES", "SIGNATURE", "CLOCK"),
    }
    assert "11 signatures" in report.text()


def test_in_a_log_of_many_bundles_workers_find_the_one_forged_signature(tmp_path: Path) -> None:
    trail = SignedTrail()
    trail.agency(a.POLICE)
    for number in range(700):
        trail.add(a.POLICE, body=b"act", signed_by=a.REFUGE if number == 600 else "")
    trail.epoch()
    audited.write(tmp_path, trail)
    (found,) = audited.verified(tmp_path, trail).findings
    assert (found.check, found.index) == ("SIGNATURE", 603)


@pytest.mark.parametrize(
    ("path", "at", "failing"),
    [
        ("tile/entries/000.p/14", 2 + 230, {"TILE", "TREE"}),
        ("body/000.p/14", 5, {"BODY"}),
        ("tile/0/000.p/14", 33, {"TILE"}),
        ("checkpoint", -12, {"CHECKPOINT"}),
    ],
)
def test_a_flipped_bit_is_found(
    folder: Path, trail: SignedTrail, path: str, at: int, failing: set[str]
) -> None:
    flip(folder, path, at)
    report = audited.verified(folder, trail)
    assert failing <= audited.checks(report)
    assert report.exit_code == 1


def test_the_finding_names_the_entry(folder: Path, trail: SignedTrail) -> None:
    flip(folder, "tile/0/000.p/14", 5 * 32)
    (found,) = audited.verified(folder, trail).findings
    assert (found.check, found.index) == ("TILE", 5)


def test_a_flipped_bit_in_any_file_of_a_larger_log_is_found(tmp_path: Path) -> None:
    trail = SignedTrail()
    trail.agency(a.POLICE)
    for number in range(600):
        trail.add(a.POLICE, body=b"act %d" % number)
    trail.epoch()
    audited.write(tmp_path, trail)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent != tmp_path]
    assert {"tile/1/000.p/2", "tile/0/001", "tile/entries/002.p/92", "body/000"} <= {
        path.relative_to(tmp_path).as_posix() for path in files
    }
    for path in files:
        data = path.read_bytes()
        flip(tmp_path, path.relative_to(tmp_path).as_posix(), len(data) // 2)
        assert audited.verified(tmp_path, trail).exit_code == 1, path
        path.write_bytes(data)
    assert audited.verified(tmp_path, trail).exit_code == 0


@pytest.mark.parametrize("path", FILES[1:])
def test_a_file_cut_off_or_missing_is_told_of(folder: Path, trail: SignedTrail, path: str) -> None:
    file = folder / path
    file.write_bytes(file.read_bytes()[:-1])
    assert audited.verified(folder, trail).exit_code == 1
    file.unlink()
    report = audited.verified(folder, trail)
    assert report.exit_code == 1
    assert "is not there" in report.text()


def test_without_a_checkpoint_there_is_nothing_to_verify(folder: Path, trail: SignedTrail) -> None:
    (folder / "checkpoint").unlink()
    with pytest.raises(Malformed, match=r"^FILE_MISSING: checkpoint"):
        audited.verified(folder, trail)


def test_a_full_tile_stands_for_the_partial_one_whose_file_is_gone(tmp_path: Path) -> None:
    trail = SignedTrail()
    trail.agency(a.POLICE)
    trail.epoch()
    audited.write(tmp_path, trail)
    note = (tmp_path / "checkpoint").read_bytes()
    for _ in range(300):
        trail.add(a.POLICE, body=b"more")
    trail.epoch()
    audited.write(tmp_path, trail)
    (tmp_path / "checkpoint").write_bytes(note)
    for kind in ("tile/0", "tile/entries", "body"):
        shutil.rmtree(tmp_path / kind / "000.p")
    assert audited.verified(tmp_path, trail).findings == []


@given(data=st.data())
def test_no_change_of_a_file_passes(
    whole: Path, trail: SignedTrail, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(FILES))
    folder = tmp_path_factory.mktemp("changed") / "trail"
    shutil.copytree(whole, folder)
    (folder / path).write_bytes(data.draw(broken((folder / path).read_bytes())))
    try:
        assert audited.verified(folder, trail).exit_code == 1
    except Malformed:
        assert path == "checkpoint"
    finally:
        shutil.rmtree(folder)


def forge_map(trail: SignedTrail) -> None:
    trail.epoch(map_root=bytes(32))


def fork_a_stream(trail: SignedTrail) -> None:
    trail.state.heads.set(stream_key(stream_tag(CASE)), Head(0, ZEROS, 0))
    trail.add(a.POLICE, body=b"fork")
    trail.epoch()


def another_actor_number(trail: SignedTrail) -> None:
    trail.add(a.POLICE, body=b"again", actor_seq=0)
    trail.epoch()


def another_seen_root(trail: SignedTrail) -> None:
    trail.add(a.POLICE, body=b"seen", seen_root=bytes(32))
    trail.epoch()


def backdate(trail: SignedTrail) -> None:
    trail.recorded_ms -= 1000
    trail.add(a.POLICE, body=b"late")
    trail.epoch()


def forge_a_signature(trail: SignedTrail) -> None:
    trail.add(a.POLICE, body=b"not by the police", signed_by=a.REFUGE)
    trail.epoch()


def no_epoch(trail: SignedTrail) -> None:
    trail.add(a.POLICE, body=b"after the last EPOCH")


LIES = [
    (forge_map, "MAP"),
    (fork_a_stream, "STREAM_CHAIN"),
    (another_actor_number, "ACTOR_CHAIN"),
    (another_seen_root, "SEEN"),
    (backdate, "BACKDATED"),
    (forge_a_signature, "SIGNATURE"),
    (no_epoch, "EPOCH"),
]


@pytest.mark.parametrize(("lie", "check"), LIES)
def test_what_a_dishonest_hub_signs_and_has_cosigned_is_found(
    tmp_path: Path, lie: Callable[[SignedTrail], None], check: str
) -> None:
    trail = small_trail()
    lie(trail)
    audited.write(tmp_path, trail)
    assert check in audited.checks(audited.verified(tmp_path, trail))


def test_maps_of_a_large_log_are_kept_in_a_process_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.head_maps.LARGE", 0)
    trail = small_trail()
    forge_map(trail)
    trail.add(a.POLICE, body=b"after it")
    trail.epoch()
    audited.write(tmp_path, trail)
    (found,) = audited.verified(tmp_path, trail).findings
    assert (found.check, found.index) == ("MAP", 14)


def test_cosignatures_count_under_the_auditors_own_policy(folder: Path, trail: SignedTrail) -> None:
    (folder / "checkpoint").write_bytes(audited.cosigned(trail, audited.WITNESSES[:1]))
    (folder / "policy").write_bytes(f"log {trail.log.vkey.text}\nquorum none\n".encode())
    assert "missing both (1 more of w1)" in audited.verified(folder, trail).text()
    with audited.tools() as tools:
        report = verify(audited.source(folder), Own(), tools)
    assert report.findings == []
    assert "the policy asks for no witness" in report.text()


def test_a_cosignature_that_was_copied_to_another_root_is_found(
    folder: Path, trail: SignedTrail
) -> None:
    forked = trail.checkpoint._replace(root=bytes(32))
    lines = [sign(forked, trail.log.signer, 0)]
    lines += [sign(trail.checkpoint, witness_signer(w), 7) for w in audited.WITNESSES]
    (folder / "checkpoint").write_bytes(Note(forked.text, tuple(lines)).encode())
    assert audited.checks(audited.verified(folder, trail)) == {"CHECKPOINT"}


@pytest.mark.parametrize(
    "line", [b"witnes w vkey\n", b"quorum none\n", b"log no+vkey\n", b"\xff\n"]
)
def test_a_policy_that_cannot_be_read_is_bad_usage(
    whole: Path, trail: SignedTrail, line: bytes
) -> None:
    own = Own(policy=audited.policy_of(trail) + line, trust=audited.trust_of(trail))
    with audited.tools() as tools, pytest.raises(Malformed, match=r"^POLICY: line 6"):
        verify(audited.source(whole), own, tools)
