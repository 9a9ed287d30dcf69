"""An auditor who comes back goes on from what was verified, and finds what a whole audit finds."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.state_file import PathStateFile
from adapters.trail_source import FolderSource
from domain.errors import Malformed
from domain.trail.kept import Preface, sealed
from domain.trail.tiles import encode_bodies
from services.auditor.opening import Own
from services.auditor.report import Report
from services.auditor.verifying import verify
from services.trail.source import Source
from services.trust import Trust
from tests import agencies as a
from tests.domain.worked_example import broken
from tests.services.test_audit_kafka import listed
from tests.services.test_audit_verify import LIES, another_seen_root
from tests.trail import audited
from tests.trail.signed import SignedTrail, small_trail
from tests.vectors import key


class Reading(FolderSource):
    """A folder that notes what is read from it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.paths: list[str] = []

    def read(self, path: str, most: int) -> bytes | None:
        self.paths.append(path)
        return super().read(path, most)

    def numbers(self, kind: str) -> set[int]:
        """Return the numbers of the bundles or tiles of a kind that were read."""
        below = [path.removeprefix(kind) for path in self.paths if path.startswith(kind)]
        return {int(path.partition(".")[0]) for path in below}


@pytest.fixture
def state(tmp_path: Path) -> PathStateFile:
    return PathStateFile(tmp_path / "verified")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "trail"


def kept(state: PathStateFile) -> Preface:
    data = state.read()
    assert data is not None
    return Preface.of(data)


def grown(trail: SignedTrail, size: int) -> SignedTrail:
    """Let a trail grow to just that size; a checkpoint ends it."""
    while trail.size < size - 1:
        trail.add(a.POLICE, body=b"act %d" % trail.size)
    trail.epoch()
    return trail


def verified(folder: Path, trail: SignedTrail, state: PathStateFile) -> Report:
    audited.write(folder, trail)
    return audited.verified(folder, trail, state)


@pytest.mark.parametrize(
    ("before", "after", "bundles"),
    [
        (600, 900, {2, 3}),
        (512, 600, {2}),
        (512, 512, set()),
        (600, 600, {2}),
        (255, 257, {0, 1}),
        (256, 300, {1}),
    ],
)
def test_only_what_came_after_is_read(
    folder: Path, state: PathStateFile, before: int, after: int, bundles: set[int]
) -> None:
    trail = grown(small_trail(), before)
    assert verified(folder, trail, state).findings == []
    if after > before:
        grown(trail, after)
    audited.write(folder, trail)
    read = Reading(folder)
    with audited.tools() as tools:
        report = verify(Source(read), audited.own(trail), tools, state)
    assert report.findings == []
    assert read.numbers("tile/entries/") == read.numbers("body/") == bundles
    assert read.numbers("tile/0/") == bundles
    signed = after - before - (after > before)
    text = report.text()
    assert f"SIGNATURE: {signed} signatures, from entry {before} on" in text
    assert f"entries 0 to {before - 1} were verified on an earlier run" in text
    assert f"the {before} entries verified before are in it" in text
    assert kept(state).checkpoint == trail.checkpoint


def test_keys_are_known_from_before_and_may_be_replaced(folder: Path, state: PathStateFile) -> None:
    trail = small_trail()
    verified(folder, trail, state)
    trail.add(trail.rotate(a.POLICE), body=b"under the new key")
    trail.epoch()
    assert verified(folder, trail, state).findings == []
    trail.add(a.POLICE, body=b"under the old key")
    trail.epoch()
    report = verified(folder, trail, state)
    assert [(f.check, f.index) for f in report.findings] == [("KEY_NOT_IN_FORCE", trail.size - 2)]


@pytest.mark.parametrize(("lie", "check"), LIES)
def test_what_is_wrong_after_it_is_found_as_from_the_start_until_it_is_gone(
    folder: Path, state: PathStateFile, lie: Callable[[SignedTrail], None], check: str
) -> None:
    trail = small_trail()
    before = trail.checkpoint
    verified(folder, trail, state)
    lie(trail)
    audited.write(folder, trail)
    whole = audited.verified(folder, trail)
    assert check in audited.checks(whole)
    assert audited.verified(folder, trail, state).findings == whole.findings
    assert kept(state).checkpoint == (trail.checkpoint if check == "SEEN" else before)
    assert audited.verified(folder, trail, state).findings == whole.findings


def test_a_foreign_root_is_told_of_by_every_later_run(folder: Path, state: PathStateFile) -> None:
    trail = small_trail()
    another_seen_root(trail)
    assert [f.index for f in verified(folder, trail, state).findings] == [14]
    for _ in range(2):
        trail.add(a.REFUGE, body=b"later")
        trail.epoch()
        report = verified(folder, trail, state)
        assert [(f.check, f.index) for f in report.findings] == [("SEEN", 14)]
        assert report.exit_code == 1
        assert kept(state).checkpoint == trail.checkpoint


def test_beside_kafka_everything_is_read_whatever_an_actor_says(
    folder: Path, state: PathStateFile
) -> None:
    trail = small_trail()
    another_seen_root(trail)
    verified(folder, trail, state)
    with audited.tools() as tools:
        own = audited.own(trail)
        report = verify(audited.source(folder), own, tools, state, listed(trail))
        assert audited.checks(report) == {"SEEN"}
        assert "8 events and 1 refusals on Kafka" in report.text()
        assert "from the start, not from the state: --kafka needs every entry" in report.text()
        less = listed(trail)
        less.shown = less.shown[1:]
        report = verify(audited.source(folder), own, tools, state, less)
        assert audited.checks(report) == {"SEEN", "KAFKA"}


def test_under_another_trust_everything_is_verified_again(
    folder: Path, state: PathStateFile
) -> None:
    trail = small_trail()
    verified(folder, trail, state)
    pins = replace(Trust.loads(audited.trust_of(trail)), custodian=key("another custodian"))
    own = Own(policy=audited.policy_of(trail), trust=pins.dumps().encode())
    with audited.tools() as tools:
        report = verify(audited.source(folder), own, tools, state)
        assert report.findings == []
        assert "from the start, not from the state: it was kept under another" in report.text()
        assert "SIGNATURE: 11 signatures\n" in report.text()
        again = verify(audited.source(folder), own, tools, state)
        assert "SIGNATURE: 0 signatures, from entry 14 on" in again.text()


def test_what_an_older_version_kept_is_verified_again_and_must_be_continued(
    folder: Path, state: PathStateFile
) -> None:
    trail = small_trail()
    verified(folder, trail, state)
    older = kept(state)._replace(version=0).encode()
    state.write(sealed(older + b"in a form that nobody reads any more"))
    report = verified(folder, grown(trail, 20), state)
    assert report.findings == []
    assert "it is of version 0 of a replay, which is 1 now" in report.text()
    assert "the 14 entries verified before are in it" in report.text()
    assert kept(state).version == 1


def shorter(trail: SignedTrail) -> SignedTrail:
    """Return the log that a dishonest hub builds anew, without its newest entry."""
    rebuilt = SignedTrail(trail.log)
    rebuilt.agency(a.REFUGE)
    rebuilt.agency(a.POLICE)
    rebuilt.add(a.POLICE, body=b"opened")
    rebuilt.epoch()
    return rebuilt


def test_a_log_without_its_newest_entries_is_found_by_who_verified_them(
    folder: Path, state: PathStateFile, tmp_path: Path
) -> None:
    trail = small_trail()
    assert verified(folder, trail, state).findings == []
    audited.write(tmp_path / "shorter", shorter(trail))
    # Honest in itself: only somebody who remembers more can tell.
    assert audited.verified(tmp_path / "shorter", trail).findings == []
    (found,) = audited.verified(tmp_path / "shorter", trail, state).findings
    assert "goes backwards: 14 entries were verified, 8 shown" in found.message


@pytest.mark.parametrize("size", [20, 256, 300, 700])
def test_another_log_of_that_name_is_found(
    folder: Path, state: PathStateFile, tmp_path: Path, size: int
) -> None:
    trail = grown(small_trail(), size)
    verified(folder, trail, state)
    forked = shorter(trail)
    forked.add(a.POLICE, body=b"another history")
    grown(forked, 800)
    audited.write(tmp_path / "forked", forked)
    report = audited.verified(tmp_path / "forked", forked, state)
    assert [(f.check, f.index) for f in report.findings] == [("CONSISTENCY", size - 1)]
    assert kept(state).checkpoint == trail.checkpoint


def test_a_file_of_before_that_was_changed_is_found_by_a_whole_audit_alone(
    folder: Path, state: PathStateFile
) -> None:
    """The state says that it was right; the report says who does not look."""
    trail = grown(small_trail(), 600)
    verified(folder, trail, state)
    bundle = folder / "body/000"
    data = bytearray(bundle.read_bytes())
    data[-1] ^= 1
    bundle.write_bytes(data)
    assert verified(folder, grown(trail, 620), state).findings == []
    assert audited.checks(audited.verified(folder, trail)) == {"BODY"}


@pytest.mark.parametrize("path", ["tile/1/000.p/2", "tile/entries/002.p/88", "body/002.p/88"])
def test_a_file_at_the_edge_that_is_missing_or_cut_off_is_told_of(
    folder: Path, state: PathStateFile, path: str
) -> None:
    trail = grown(small_trail(), 600)
    verified(folder, trail, state)
    file = folder / path
    file.write_bytes(file.read_bytes()[:-1])
    assert audited.verified(folder, trail, state).exit_code == 1
    file.unlink()
    report = audited.verified(folder, trail, state)
    assert report.exit_code == 1
    assert "is not there" in report.text()


def test_at_the_edge_tiles_that_have_grown_stand_for_those_of_before(
    folder: Path, state: PathStateFile
) -> None:
    trail = grown(small_trail(), 600)
    verified(folder, trail, state)
    audited.write(folder, grown(trail, 900))
    for file in ("tile/1/000.p/2", "tile/0/002.p/88", "tile/entries/002.p/88", "body/002.p/88"):
        (folder / file).unlink()
    assert audited.verified(folder, trail, state).findings == []


@given(data=st.data())
def test_no_change_of_what_came_after_passes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    state, trail = PathStateFile(folder / "verified"), small_trail()
    verified(folder / "trail", trail, state)
    held = len(encode_bodies(body for _, body in trail.leaves))
    audited.write(folder / "trail", grown(trail, 20))
    path = data.draw(st.sampled_from(["checkpoint", "tile/0", "tile/entries", "body"]))
    file = folder / "trail" / (path if path == "checkpoint" else f"{path}/000.p/20")
    whole, at = file.read_bytes(), held if path == "body" else 0
    file.write_bytes(whole[:at] + data.draw(broken(whole[at:])))
    try:
        assert audited.verified(folder / "trail", trail, state).exit_code == 1
    except Malformed:
        assert path == "checkpoint"
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"nrm-replay@v1\n", b"nrm-replay@v1\n\n\n"])
def test_a_state_file_that_is_none_is_refused(
    folder: Path, state: PathStateFile, data: bytes
) -> None:
    state.write(data)
    with pytest.raises(Malformed, match=r"^STATE: .*; verify without this state file"):
        verified(folder, small_trail(), state)
    assert state.read() == data


def test_a_disk_that_is_full_does_not_take_the_verdict(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    report = verified(folder, small_trail(), PathStateFile(tmp_path / "file" / "verified"))
    assert report.exit_code == 0
    assert "the state file stays as it was" in report.text()


def test_a_damaged_state_file_is_refused(folder: Path, state: PathStateFile) -> None:
    trail = small_trail()
    verified(folder, trail, state)
    data = state.read() or b""
    for at in range(0, len(data), 97):
        state.write(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :])
        with pytest.raises(Malformed, match=r"^STATE: "):
            audited.verified(folder, trail, state)
