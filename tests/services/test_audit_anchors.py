"""Time from outside is checked for a log and for a bundle, and nothing false passes for it."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from domain.errors import Malformed
from domain.trail import archive
from domain.trail.anchors import INDEX, Anchored, encode_index, paths
from domain.trail.bundle import Bundle, manifest
from domain.trail.checkpoint import Checkpoint, sign
from domain.trail.merkle import check_consistency, consistency_proof, leaf, root
from domain.trail.notes import Note
from services.auditor.anchors import check_anchors
from services.auditor.evidence import check_bundle
from services.auditor.report import Report
from services.auditor.verifying import verify
from services.bootstrap.anchoring import stamp_checks
from services.bootstrap.auditor import enclosed
from services.cli import app
from tests import agencies as a
from tests.trail import audited
from tests.trail.signed import SignedTrail, small_trail
from tests.tsa import Authority, run_openssl
from tests.witnessed import witness_signer

SIZES = (8, 11, 14)
"""Of the small trail's checkpoints; its case has the entries 6, 8, 9, 11 and 12."""


class World(NamedTuple):
    """A log that an authority has stamped at three sizes."""

    trail: SignedTrail
    folder: Path
    authority: Authority


def stamped(trail: SignedTrail, size: int, **changes: object) -> bytes:
    """Return the checkpoint of `size` as it was published."""
    leaves = [leaf(entry) for entry, _ in trail.leaves[:size]]
    made = Checkpoint(trail.log.origin, size, root(leaves))._replace(**changes)  # type: ignore[arg-type]
    return Note(made.text, (sign(made, trail.log.signer, 0),)).encode()


def put(folder: Path, size: int, note: bytes, answer: bytes) -> None:
    for path, data in zip(paths(size), (note, answer), strict=True):
        (folder / path).write_bytes(data)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "right")


@pytest.fixture
def world(tmp_path: Path, authority: Authority) -> World:
    trail, folder = small_trail(), tmp_path / "trail"
    audited.write(folder, trail)
    (folder / "anchors").mkdir()
    for size in SIZES:
        note = stamped(trail, size)
        put(folder, size, note, authority.stamp(note))
    (folder / INDEX).write_bytes(encode_index([Anchored(size, 1) for size in SIZES]))
    return World(trail, folder, authority)


def verified(world: World) -> Report:
    with audited.tools() as tools:
        used = replace(tools, stamps=stamp_checks(world.authority.ca))
        return verify(audited.source(world.folder), audited.own(world.trail), used)


def checked(data: bytes, world: World) -> Report:
    with audited.tools() as tools:
        used = replace(tools, stamps=stamp_checks(world.authority.ca))
        return check_bundle(data, audited.own(world.trail), used, "x", enclosed().verifier)


def test_a_log_says_since_when_its_entries_were_there(world: World) -> None:
    report = verified(world)
    assert report.findings == []
    (said,) = (c.message for c in report.checks if c.check == "ANCHOR")
    assert said.startswith("3 time-stamps; the first 8 entries were there at 20")


def test_without_an_authority_of_ones_own_nothing_is_said_about_time(world: World) -> None:
    report = audited.verified(world.folder, world.trail)
    assert report.findings == []
    assert "ANCHOR" not in report.text()


def test_a_log_without_time_stamps_is_told_of(tmp_path: Path, authority: Authority) -> None:
    trail = small_trail()
    audited.write(tmp_path / "trail", trail)
    report = verified(World(trail, tmp_path / "trail", authority))
    assert report.findings == []
    assert "no time-stamp lies beside this log" in report.text()


def of_another_tree(world: World) -> None:
    note = stamped(world.trail, 11, root=bytes(32))
    put(world.folder, 11, note, world.authority.stamp(note))


def of_another_log(world: World) -> None:
    note = stamped(world.trail, 11, origin="another.example/trail")
    put(world.folder, 11, note, world.authority.stamp(note))


def of_another_size(world: World) -> None:
    for path, other in zip(paths(11), paths(8), strict=True):
        (world.folder / path).write_bytes((world.folder / other).read_bytes())


def over_other_bytes(world: World) -> None:
    put(world.folder, 11, stamped(world.trail, 11), world.authority.stamp(b"others"))


def by_another_authority(world: World) -> None:
    other = Authority(world.folder.with_name("other"))
    put(world.folder, 11, stamped(world.trail, 11), other.stamp(stamped(world.trail, 11)))


def no_time_stamp(world: World) -> None:
    put(world.folder, 11, stamped(world.trail, 11), b"junk")


def no_checkpoint(world: World) -> None:
    put(world.folder, 11, b"junk", world.authority.stamp(b"junk"))


LIES = [of_another_tree, of_another_log, of_another_size, over_other_bytes]
LIES += [by_another_authority, no_time_stamp, no_checkpoint]


@pytest.mark.parametrize("lie", LIES)
def test_a_time_stamp_that_does_not_hold_is_found(
    lie: Callable[[World], None], world: World
) -> None:
    lie(world)
    report = verified(world)
    assert [f.check for f in report.findings] == ["ANCHOR"]
    assert "11" in report.findings[0].message


class Times:
    """Gives each checkpoint a time of its own."""

    def __init__(self, *times_ms: int) -> None:
        self._left = [*times_ms]

    def time_ms(self, answer: bytes, data: bytes) -> int:
        return self._left.pop(0)


def test_a_larger_log_that_was_there_before_a_smaller_one_is_found(world: World) -> None:
    report, later, at = Report("x"), world.trail.checkpoint, world.trail.recorded_ms
    check_anchors(audited.source(world.folder), later, Times(at + 1, at + 1, at), report)
    assert [f.message for f in report.findings] == [
        "the time-stamp at size 14 is older than one before it"
    ]
    again = Report("x")
    check_anchors(audited.source(world.folder), later, Times(at, at, at), again)
    assert again.findings == []


def test_a_log_that_is_dated_forward_is_found_by_its_time_stamp(
    tmp_path: Path, authority: Authority
) -> None:
    """Witnesses may have signed whatever time they liked."""
    trail, folder = SignedTrail(), tmp_path / "trail"
    trail.recorded_ms = 4_000_000_000_000
    trail.agency(a.POLICE)
    trail.add(a.POLICE, body=b"opened")
    trail.epoch()
    audited.write(folder, trail)
    signers = [trail.log.signer, *map(witness_signer, audited.WITNESSES)]
    point = trail.checkpoint
    lines = tuple(sign(point, signer, 4_000_000_000) for signer in signers)
    (folder / "checkpoint").write_bytes(Note(point.text, lines).encode())
    (folder / "anchors").mkdir()
    note = stamped(trail, trail.size)
    put(folder, trail.size, note, authority.stamp(note))
    (folder / INDEX).write_bytes(encode_index([Anchored(trail.size, 1)]))
    world = World(trail, folder, authority)
    (found,) = verified(world).findings
    assert (found.check, found.index) == ("CLOCK", trail.size - 1)
    assert audited.checks(checked(audited.bundled(folder, trail), world)) == {"CLOCK"}


def test_time_stamps_of_a_larger_log_are_left_for_later(world: World) -> None:
    listed = [Anchored(size, 1) for size in (*SIZES, world.trail.size + 1)]
    (world.folder / INDEX).write_bytes(encode_index(listed))
    report = verified(world)
    assert report.findings == []
    assert "1 time-stamps are of a larger log than this" in report.notes


def test_a_list_that_cannot_be_read_is_said(world: World) -> None:
    (world.folder / INDEX).write_bytes(b"no list\n")
    with pytest.raises(Malformed, match=r"^ANCHORS: "):
        verified(world)


def test_a_bundle_has_the_first_time_stamp_over_each_entry_of_its_case(world: World) -> None:
    # given
    (world.folder / INDEX).write_bytes(encode_index([Anchored(s, 1) for s in (8, 14)]))
    # when
    data = audited.bundled(world.folder, world.trail)
    # then: the case's first entries lie under the first, the rest under the last
    assert [a.size for a in Bundle.decode(data).anchors] == [8, 14]
    report = checked(data, world)
    assert report.findings == []
    said = [c.message for c in report.checks if c.check == "ANCHOR"]
    assert [words.rpartition(" at ")[0] for words in said] == [
        "the first 8 entries were there",
        "the first 14 entries were there",
    ]
    # and: without an authority of one's own it holds all the same, and says so
    assert audited.in_court(data, world.trail) == ""
    assert "say --tsa-ca to have them checked" in audited.checked(data, world.trail).text()


def test_a_court_checks_the_time_by_hand(world: World, tmp_path: Path) -> None:
    data = audited.bundled(world.folder, world.trail)
    for name, content in archive.decode(data).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "TSA.PEM").write_bytes(world.authority.ca.read_bytes())
    lines = re.findall(r"^ {7}openssl ts (.*)$", (tmp_path / "README.txt").read_text(), re.M)
    assert len(lines) == 2
    for line in lines:
        run_openssl(*line.replace("SIZE", "8").split(), cwd=tmp_path)
    (tmp_path / "anchors/8.checkpoint").write_bytes(b"others")
    with pytest.raises(AssertionError, match="message imprint mismatch"):
        run_openssl(*lines[0].replace("SIZE", "8").split(), cwd=tmp_path)


@pytest.mark.parametrize("lie", LIES)
def test_a_bundle_with_a_time_stamp_that_does_not_hold_is_found_out(
    lie: Callable[[World], None], world: World
) -> None:
    # given: somebody who does not look makes the bundle
    found = Bundle.decode(audited.bundled(world.folder, world.trail))
    lie(world)
    note, answer = ((world.folder / path).read_bytes() for path in paths(11))
    anchors = tuple(
        a._replace(checkpoint=note, answer=answer) if a.size == 11 else a for a in found.anchors
    )
    # when
    data = replace(found, anchors=anchors).encode()
    # then: verify.py finds what needs no authority
    assert {f.check for f in checked(data, world).findings} == {"ANCHOR"}
    of_this_log = note == stamped(world.trail, 11)
    assert (audited.in_court(data, world.trail) == "") == of_this_log
    assert (audited.checked(data, world.trail).findings == []) == of_this_log


@pytest.mark.parametrize(
    "change",
    [
        {"anchors/8.tsr": None},
        {"anchors/8.checkpoint": None},
        {"anchors/8.consistency": None},
        {"anchors/8.consistency": b""},
        {"anchors/8.consistency": b"AAAA\n"},
        {"anchors/8.consistency": b"?\n"},
        {"anchors/08.tsr": b"x"},
        {"anchors/index": b""},
        {f"anchors/{'9' * 60}.tsr": b"x"},
    ],
)
def test_anchors_that_are_not_whole_are_refused(
    change: dict[str, bytes | None], world: World
) -> None:
    members = archive.decode(audited.bundled(world.folder, world.trail)) | change
    kept = {n: d for n, d in members.items() if d is not None and n != "MANIFEST"}
    data = archive.encode({**kept, "MANIFEST": manifest(kept)})
    assert not audited.holds(data, audited.own(world.trail))
    assert audited.in_court(data, world.trail)


def test_both_verifiers_take_the_same_proofs_that_a_log_only_grew() -> None:
    leaves = [leaf(bytes([n])) for n in range(20)]

    def nodes(level: int, index: int) -> bytes:
        return root(leaves[index << level : (index + 1) << level])

    for size2 in range(1, len(leaves) + 1):
        for size1 in range(1, size2 + 1):
            ends = root(leaves[:size1]), root(leaves[:size2])
            proof = consistency_proof(size1, size2, nodes)
            check_consistency(size1, size2, *ends, proof)
            said = [audited.COURT.begins_with(size1, ends[0], size2, ends[1], proof)]
            wrong = [proof[1:], [*proof, leaf(b"")], [leaf(b""), *proof[1:]]]
            said += [
                audited.COURT.begins_with(size1, ends[0], size2, ends[1], w)
                for w in wrong
                if w != proof
            ]
            said.append(audited.COURT.begins_with(size1, leaf(b""), size2, ends[1], proof))
            assert said == [True] + [False] * (len(said) - 1), (size1, size2)


def test_the_authority_is_said_at_the_terminal(world: World, tmp_path: Path) -> None:
    own = ["--policy", f"{world.folder}/policy", "--trust", f"{world.folder}/trust.json"]
    file = tmp_path / "case.nrmtrail"
    file.write_bytes(audited.bundled(world.folder, world.trail))
    for command, what in (("verify", world.folder), ("verify-bundle", file)):
        words = ["audit", command, str(what), *own, "--tsa-ca"]
        done = CliRunner().invoke(app, [*words, str(world.authority.ca)])
        assert done.exit_code == 0
        assert "holds    ANCHOR: " in done.stdout
        refused = CliRunner().invoke(app, [*words, str(world.folder / "policy")])
        assert (refused.exit_code, refused.stderr[:16]) == (2, "failed: TSA_CA: ")
