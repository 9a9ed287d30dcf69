"""A bundle of evidence holds, and no changed one does: not by nrm-hub, not by its own verify.py."""

import re
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Refused, Unavailable
from domain.trail import archive
from domain.trail.admission import WAIT_MS
from domain.trail.bundle import DISCLOSURES, REGISTRY, TRAIL, Bundle, Proven, Stream, manifest
from domain.trail.checkpoint import sign
from domain.trail.heads import HeadMap, stream_key
from domain.trail.merkle import inclusion_proof, leaf, root
from domain.trail.notes import Algorithm, Note
from domain.trail.proof import Proof
from domain.trail.statement import Kind, actor_id, disclosure_stream, stream_tag
from services.auditor.bundling import bundle
from services.auditor.case import case
from services.auditor.opening import Own
from services.auditor.report import Report
from services.bootstrap.auditor import enclosed
from tests import agencies as a
from tests.builders import uid
from tests.domain.test_archive import TRICKS
from tests.domain.worked_example import broken
from tests.servers import missing
from tests.trail import audited
from tests.trail.signed import CASE, NOTARY, SignedTrail, public, small_trail
from tests.vectors import key
from tests.witnessed import witness_signer

Change = Callable[[list[Proven]], list[Proven]]

CARRIED = {"README.txt", "verify.py", "policy", "trust.json", "MANIFEST"}
"""What says how to check and whom to trust, and is no evidence; the auditor has copies."""


@pytest.fixture(scope="module")
def trail() -> SignedTrail:
    return small_trail()


@pytest.fixture(scope="module")
def folder(trail: SignedTrail, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("trail")
    audited.write(made, trail)
    return made


@pytest.fixture(scope="module")
def data(folder: Path, trail: SignedTrail) -> bytes:
    return audited.bundled(folder, trail)


@pytest.fixture(scope="module")
def found(data: bytes) -> Bundle:
    return Bundle.decode(data)


def verdicts(data: bytes, trail: SignedTrail) -> tuple[bool, bool]:
    """Return whether the bundle holds by nrm-hub, and by its own verify.py."""
    own = audited.own(trail)
    return audited.holds(data, own), audited.court_finds(data, own) == ""


def test_a_bundle_holds_by_both_verifiers(data: bytes, trail: SignedTrail) -> None:
    report = audited.checked(data, trail)
    assert report.findings == []
    assert [row.kind for row in report.rows] == [
        *("ACTION", "ACTION", "DISCLOSURE", "RECEIPT", "AUDIT"),
    ]
    assert report.complete_as_of_s == audited.SEEN_S
    assert audited.in_court(data, trail) == ""


def test_equal_content_gives_equal_bytes(folder: Path, data: bytes, trail: SignedTrail) -> None:
    assert audited.bundled(folder, trail) == data
    assert Bundle.decode(data).encode() == data


def test_a_bundle_without_the_sealed_records_holds_too(folder: Path, trail: SignedTrail) -> None:
    data = audited.bundled(folder, trail, bodies=False)
    assert verdicts(data, trail) == (True, True)
    assert not any(b"opened" in body for body in archive.decode(data).values())


def test_a_case_that_is_not_there_has_no_bundle(folder: Path, trail: SignedTrail) -> None:
    with audited.tools() as tools, pytest.raises(Refused, match=r"^NO_SUCH_CASE: "):
        bundle(audited.source(folder), audited.own(trail), tools, uid("x"), enclosed(), bodies=True)


def test_a_log_with_findings_gives_no_bundle(tmp_path: Path, trail: SignedTrail) -> None:
    audited.write(tmp_path, trail)
    tile = tmp_path / "tile/0/000.p/14"
    tile.write_bytes(bytes(len(tile.read_bytes())))
    with audited.tools() as tools:
        trail_there = audited.source(tmp_path)
        report, made = bundle(trail_there, audited.own(trail), tools, CASE, enclosed(), bodies=True)
    assert audited.checks(report) == {"TILE"}
    assert made == b""


def entries(found: Bundle, name: str, change: Change) -> Bundle:
    """Return the bundle with a stream's entries changed."""
    old = found.streams[name]
    new = Stream(tuple(change(list(old.entries))), old.head)
    return replace(found, streams={**found.streams, name: new})


def altered(at: int, offset: int) -> Change:
    """Return what flips one bit of an entry."""

    def change(proven: list[Proven]) -> list[Proven]:
        entry = bytearray(proven[at].entry)
        entry[offset] ^= 1
        return [*proven[:at], proven[at]._replace(entry=bytes(entry)), *proven[at + 1 :]]

    return change


def without(*at: int) -> Change:
    return lambda proven: [p for number, p in enumerate(proven) if number not in at]


def swapped(proven: list[Proven]) -> list[Proven]:
    return [proven[1], proven[0], *proven[2:]]


def body(at: int, data: bytes) -> Change:
    return lambda proven: [
        p._replace(body=data) if number == at else p for number, p in enumerate(proven)
    ]


def older(trail: SignedTrail) -> SignedTrail:
    """Return the log as it was at its first checkpoint."""
    before = SignedTrail(trail.log)
    before.agency(a.REFUGE)
    before.agency(a.POLICE)
    before.add(a.POLICE, body=b"opened")
    before.epoch()
    return before


def older_epoch(found: Bundle, trail: SignedTrail) -> Bundle:
    leaves = [entry for entry, _ in trail.leaves]
    nodes = _nodes(leaves)
    proof = Proof(7, tuple(inclusion_proof(7, len(leaves), nodes)), found.checkpoint)
    return replace(found, epoch=leaves[7], epoch_proof=proof)


def _nodes(leaves: list[bytes]) -> Callable[[int, int], bytes]:

    return lambda level, at: root([leaf(e) for e in leaves[at << level : (at + 1) << level]])


def under(found: Bundle, note: bytes) -> Bundle:
    """Return the bundle with another checkpoint, in every proof too."""

    def moved_to(proof: Proof) -> Proof:
        return replace(proof, checkpoint=note)

    streams = {
        name: Stream(tuple(p._replace(proof=moved_to(p.proof)) for p in s.entries), s.head)
        for name, s in found.streams.items()
    }
    proof = moved_to(found.epoch_proof)
    return replace(found, checkpoint=note, epoch_proof=proof, streams=streams)


def forked(trail: SignedTrail) -> bytes:

    other = trail.checkpoint._replace(root=bytes(32))
    cosignatures = audited.cosigned(trail).split(b"\n\n", 1)[1].split(b"\n", 1)[1]
    return (
        other.text.encode() + b"\n" + sign(other, trail.log.signer, 0).line.encode() + cosignatures
    )


def other_head(found: Bundle) -> Bundle:
    own, other = found.streams[TRAIL], found.streams[DISCLOSURES]
    return replace(found, streams={**found.streams, TRAIL: Stream(own.entries, other.head)})


def absent(found: Bundle) -> Bundle:
    empty = HeadMap().prove(stream_key(disclosure_stream(CASE)))
    return replace(found, streams={**found.streams, DISCLOSURES: Stream((), empty)})


def moved(proven: list[Proven]) -> list[Proven]:
    proof = proven[0].proof
    return [proven[0]._replace(proof=replace(proof, index=proof.index + 1)), *proven[1:]]


MUTATIONS: dict[str, Callable[[Bundle, SignedTrail], Bundle]] = {
    "newest entry left out": lambda b, t: entries(b, TRAIL, without(1)),
    "entry in the middle left out": lambda b, t: entries(b, DISCLOSURES, without(1)),
    "first entry left out": lambda b, t: entries(b, TRAIL, without(0)),
    "all entries left out": lambda b, t: entries(b, DISCLOSURES, without(0, 1, 2)),
    "newest fact of the registry left out": lambda b, t: entries(b, REGISTRY, without(5)),
    "two entries exchanged": lambda b, t: entries(b, DISCLOSURES, swapped),
    "entry twice": lambda b, t: entries(b, TRAIL, lambda p: [*p, p[-1]]),
    "payload's digest changed": lambda b, t: entries(b, TRAIL, altered(0, 220)),
    "recorded time changed": lambda b, t: entries(b, TRAIL, altered(0, 330)),
    "signature changed": lambda b, t: entries(b, TRAIL, altered(0, 340)),
    "place in the stream changed": lambda b, t: entries(b, TRAIL, altered(1, 293)),
    "record changed": lambda b, t: entries(b, TRAIL, body(0, b"closed")),
    "record of a refused action put in": lambda b, t: entries(b, TRAIL, body(1, b"refused")),
    "delivery changed": lambda b, t: entries(b, DISCLOSURES, body(0, b"\0\0\0\0")),
    "older EPOCH": older_epoch,
    "EPOCH with another map": lambda b, t: replace(
        b, epoch=b.epoch[:20] + bytes(32) + b.epoch[52:]
    ),
    "older checkpoint, not witnessed": lambda b, t: under(b, older(t).note),
    "cosignatures removed": lambda b, t: under(b, audited.cosigned(t, ())),
    "one cosignature removed": lambda b, t: under(b, audited.cosigned(t, audited.WITNESSES[:1])),
    "another root, cosignatures copied": lambda b, t: under(b, forked(t)),
    "proof of the other stream's end": lambda b, t: other_head(b),
    "proof that nothing is there": lambda b, t: absent(b),
    "another case": lambda b, t: replace(b, case_id=uid("another")),
    "place in the log changed": lambda b, t: entries(b, TRAIL, moved),
}
"""Reference audit 5.5, and more."""


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_bundle_that_lies_holds_by_neither_verifier(
    name: str, found: Bundle, trail: SignedTrail
) -> None:
    assert verdicts(MUTATIONS[name](found, trail).encode(), trail) == (False, False)


def act_under_a_replaced_key(trail: SignedTrail) -> None:
    trail.rotate(a.POLICE)
    trail.add(a.POLICE, body=b"too late")


def challenged_under_the_old_key(trail: SignedTrail) -> None:
    trail.rotate(a.POLICE)
    trail.add(a.POLICE, Kind.AUDIT, body=key("nonce"), actor_time_ms=trail.recorded_ms + 1)


def challenged_too_late(trail: SignedTrail) -> None:
    signed = trail.recorded_ms - WAIT_MS
    trail.add(a.POLICE, Kind.AUDIT, body=key("nonce"), actor_time_ms=signed)


def rotate_without_the_old_key(trail: SignedTrail) -> None:
    trail.rotate(a.POLICE, signed_by="thief")


def by_nobody(trail: SignedTrail) -> None:
    trail.add("nobody", body=b"opened")


def under_another_notary(trail: SignedTrail) -> None:
    trail.add(NOTARY, body=b"not for this key")


def read_as_a_writer(trail: SignedTrail) -> None:

    number, before = trail.state.actor(actor_id(public(a.POLICE)))
    trail.add(
        a.POLICE,
        Kind.AUDIT,
        body=bytes(32),
        actor=actor_id(public(a.POLICE)),
        actor_seq=number,
        actor_prev=before,
    )


def one_registrar(trail: SignedTrail) -> None:
    fact = next(iter(a.facts(a.COURT)))
    trail.fact(fact, by=("registrar-a",))


def short_nonce(trail: SignedTrail) -> None:

    trail.add(a.POLICE, Kind.AUDIT, body=b"short")


@pytest.mark.parametrize(
    "lie",
    [
        by_nobody,
        under_another_notary,
        read_as_a_writer,
        one_registrar,
        short_nonce,
        act_under_a_replaced_key,
        challenged_under_the_old_key,
        challenged_too_late,
        rotate_without_the_old_key,
    ],
)
def test_what_a_dishonest_hub_has_cosigned_is_found_in_the_bundle_too(
    lie: Callable[[SignedTrail], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trail = small_trail()
    lie(trail)
    trail.epoch()
    audited.write(tmp_path, trail)
    # The bundle is made as by somebody who does not look: nothing is found while it is made.
    with monkeypatch.context() as careless:
        careless.setattr("services.auditor.walking.Walk._tell", lambda *_: None)
        careless.setattr("services.auditor.bundling.check_bundle", lambda *_: Report(""))
        data = audited.bundled(tmp_path, trail)
    assert verdicts(data, trail) == (False, False)


def test_no_bundle_is_handed_out_that_does_not_hold(
    folder: Path, trail: SignedTrail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the files of a trail change between the audit and the proofs."""
    other = _nodes([b"another log"] * trail.size)
    monkeypatch.setattr("services.trail.source.Source.nodes", lambda *_: other)
    with pytest.raises(Unavailable, match=r"^TRAIL_CHANGED: "):
        audited.bundled(folder, trail)


def test_who_rotates_a_key_acts_under_the_new_one(tmp_path: Path) -> None:
    trail = small_trail()
    trail.add(trail.rotate(a.POLICE), body=b"in time")
    trail.epoch()
    audited.write(tmp_path, trail)
    assert verdicts(audited.bundled(tmp_path, trail), trail) == (True, True)


def test_what_a_reader_signed_before_its_key_was_replaced_counts_for_both_verifiers(
    tmp_path: Path,
) -> None:
    trail = small_trail()
    signed = trail.recorded_ms
    trail.rotate(a.POLICE)
    trail.add(a.POLICE, Kind.AUDIT, body=key("nonce"), actor_time_ms=signed)
    trail.epoch()
    audited.write(tmp_path, trail)
    assert verdicts(audited.bundled(tmp_path, trail), trail) == (True, True)


def test_an_agency_that_names_a_foreign_root_spoils_nobodys_evidence(tmp_path: Path) -> None:
    """A finding of `audit verify` for ever, as only that agency knows what it was shown."""
    trail = small_trail()
    trail.add(a.REFUGE, body=b"seen", seen_root=leaf(b"a fork"))
    trail.epoch()
    audited.write(tmp_path, trail)
    assert verdicts(audited.bundled(tmp_path, trail), trail) == (True, True)
    with audited.tools() as tools:
        shown = case(audited.source(tmp_path), audited.own(trail), tools, CASE)
    assert shown.findings == []
    assert f"entry {trail.size - 2}: see `audit verify`" in "".join(shown.notes)


@given(change=st.data())
def test_no_change_of_the_archive_passes(
    data: bytes, trail: SignedTrail, change: st.DataObject
) -> None:
    assert verdicts(change.draw(broken(data)), trail) == (False, False)


@given(change=st.data())
def test_no_change_of_the_evidence_passes_with_its_manifest_made_anew(
    data: bytes, trail: SignedTrail, change: st.DataObject
) -> None:
    members = archive.decode(data)
    name = change.draw(st.sampled_from(sorted(members.keys() - CARRIED)))
    what = change.draw(st.sampled_from(["change", "remove", "add"]))
    if what == "remove":
        del members[name]
    elif what == "add":
        members[f"{name}0"] = members[name]
    elif members[name]:
        members[name] = change.draw(broken(members[name]))
    else:
        members[name] = b"1"
    del members["MANIFEST"]
    changed = archive.encode({**members, "MANIFEST": manifest(members)})
    assert verdicts(changed, trail) == (False, False)


@pytest.mark.parametrize("trick", TRICKS)
def test_no_trick_of_an_archive_passes(trick: str, trail: SignedTrail) -> None:
    assert verdicts(TRICKS[trick], trail) == (False, False)


@given(change=st.data())
def test_both_verifiers_read_policy_pins_and_checkpoint_alike(
    found: Bundle, trail: SignedTrail, change: st.DataObject
) -> None:
    """Whatever is written in them, and be it harmless, both say the same of it."""
    what = change.draw(st.sampled_from(["policy", "trust", "checkpoint"]))
    texts = {
        "policy": audited.policy_of(trail),
        "trust": audited.trust_of(trail),
        "checkpoint": audited.cosigned(trail),
    }
    texts[what] = change.draw(broken(texts[what]))
    data = under(found, texts["checkpoint"]).encode()
    own = Own(policy=texts["policy"], trust=texts["trust"])
    ours, courts = audited.holds(data, own), audited.court_finds(data, own) == ""
    assert ours == courts


def test_an_ml_dsa_witness_counts_in_both(tmp_path: Path) -> None:
    trail = small_trail()
    name, algorithm = "neighbour.example/witness", Algorithm.ML_DSA_44_COSIGNATURE
    signer = witness_signer(name, algorithm)
    audited.write(tmp_path, trail)
    lines = [sign(trail.checkpoint, s, audited.SEEN_S) for s in (trail.log.signer, signer)]
    note = Note(trail.checkpoint.text, tuple(lines)).encode()
    policy = f"log {trail.log.vkey.text}\nwitness n {signer.key.text}\nquorum n\n".encode()
    own = Own(policy=policy, trust=audited.trust_of(trail))
    data = under(Bundle.decode(audited.bundled(tmp_path, trail)), note).encode()
    assert audited.holds(data, own)
    assert audited.court_finds(data, own) == ""
    bad = lines[1]._replace(value=lines[1].value[:-1] + bytes([lines[1].value[-1] ^ 1]))
    forged = Note(trail.checkpoint.text, (lines[0], bad)).encode()
    data = under(Bundle.decode(data), forged).encode()
    assert not audited.holds(data, own)
    assert "the signature of neighbour" in audited.court_finds(data, own)


def test_the_bundles_own_policy_does_not_count_for_who_has_one(
    found: Bundle, trail: SignedTrail
) -> None:
    lenient = f"log {trail.log.vkey.text}\nquorum none\n".encode()
    data = replace(under(found, audited.cosigned(trail, ())), policy=lenient).encode()
    assert verdicts(data, trail) == (False, False)
    assert "yours is another policy" in audited.checked(data, trail).text()


def test_another_verifier_in_the_bundle_is_told_of(found: Bundle, trail: SignedTrail) -> None:
    report = audited.checked(replace(found, verifier=b"print('holds')\n").encode(), trail)
    assert "do not run it unread" in report.text()


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own arguments
        words, cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_program_in_the_bundle_stands_alone(
    data: bytes, trail: SignedTrail, tmp_path: Path
) -> None:
    (tmp_path / "verify.py").write_bytes(archive.decode(data)["verify.py"])
    (tmp_path / "case.nrmtrail").write_bytes(data)
    (tmp_path / "policy").write_bytes(audited.policy_of(trail))
    (tmp_path / "trust.json").write_bytes(audited.trust_of(trail))
    words = (sys.executable, "-I", "verify.py", "case.nrmtrail")
    own = ("--policy", "policy", "--trust", "trust.json")
    done = run(*words, *own, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Everything holds" in done.stdout
    assert "NOTE" not in done.stdout
    assert "NOTE" in run(*words, cwd=tmp_path).stdout
    (tmp_path / "case.nrmtrail").write_bytes(data[:-1])
    done = run(*words, *own, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "FAILS: " in done.stdout
    assert run(sys.executable, "-I", "verify.py", cwd=tmp_path).returncode == 2
    assert run(*words[:-1], "missing", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize("whole", [True, False])
def test_in_court_a_verdict_that_cannot_be_written_is_none(
    data: bytes, tmp_path: Path, *, whole: bool
) -> None:
    (tmp_path / "case.nrmtrail").write_bytes(data if whole else data[:-1])
    words = (sys.executable, "-I", audited.COURT.__file__, "case.nrmtrail")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(  # noqa: S603 - our own arguments
            words, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, check=False, text=True
        )
    assert done.returncode == 2
    assert done.stderr == "cannot be written: No space left on device\n"


def test_in_court_no_more_of_a_file_is_read_than_may_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 36)
    monkeypatch.setattr(audited.COURT, "LARGEST", 1_000)
    assert audited.COURT.main([str(tmp_path / "huge")]) == 1
    assert "FAILS: the archive is larger" in capsys.readouterr().out


def test_files_and_signatures_are_checked_by_hand_with_sha256sum_and_openssl(
    data: bytes, tmp_path: Path
) -> None:
    if shutil.which("openssl") is None:
        missing("openssl", "openssl is not on the PATH")
    for name, content in archive.decode(data).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert run("sha256sum", "--strict", "--quiet", "-c", "MANIFEST", cwd=tmp_path).returncode == 0

    lines = re.findall(r"^ {7}(\w.*)$", (tmp_path / "README.txt").read_text(), re.MULTILINE)
    at = lines.index("sed '/^$/Q' checkpoint > text")
    by_the_log, of_the_entry = lines[at : at + 5], lines[at + 5 : at + 8]
    key_line = (tmp_path / "policy").read_text().splitlines()[0].split("+", 2)[2]
    sig_line = (tmp_path / "checkpoint").read_text().splitlines()[4].split(" ")[2]
    commands = "\n".join(by_the_log).replace("KEY", key_line).replace("SIG", sig_line)
    done = run("sh", "-ec", commands, cwd=tmp_path)
    assert done.stdout == "Signature Verified Successfully\n", done.stderr

    police = b64encode(public(a.POLICE)).decode()
    key_and_check = [line.replace("KEY", police) for line in by_the_log[1:3]] + by_the_log[4:]
    done = run("sh", "-ec", "\n".join([*of_the_entry, *key_and_check]), cwd=tmp_path)
    assert done.stdout == "Signature Verified Successfully\n", done.stderr
    (tmp_path / "text").write_bytes(b"nrm-trail/v1/action\n" + bytes(286))
    done = run("sh", "-ec", by_the_log[4], cwd=tmp_path)
    assert "Signature Verified Successfully" not in done.stdout


def test_the_page_in_the_bundle_says_it_in_three_languages(found: Bundle) -> None:
    page = found.readme.decode()
    for words in ("no entry is missing", "aucune\n  inscription ne manque", "لا ينقص منه أي قيد"):
        assert words in page
    assert re.search(r"openssl pkeyutl -verify", page)
    assert not [line for line in page.splitlines() if len(line) > 100]


def test_a_bundle_unpacks_with_any_zip_tool(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "case.nrmtrail").write_bytes(data)
    done = run(sys.executable, "-m", "zipfile", "-e", "case.nrmtrail", "out", cwd=tmp_path)
    assert done.returncode == 0
    unpacked = {
        path.relative_to(tmp_path / "out").as_posix(): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert unpacked == archive.decode(data)


def test_the_streams_of_a_bundle_are_those_of_its_case(found: Bundle) -> None:
    assert found.streams[TRAIL].head.key == stream_key(stream_tag(CASE))
