"""One entry and its proof stand alone: what they say is true, or it is not said."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Malformed
from domain.trail import archive
from domain.trail.entry import Entry
from domain.trail.merkle import inclusion_proof, leaf, root
from domain.trail.proof import Proof
from domain.trail.statement import actor_id
from services.auditor.opening import Own
from services.auditor.proving import Proven, proof
from tests import agencies as a
from tests.domain.worked_example import broken
from tests.services.test_audit_cli import audit
from tests.trail import audited
from tests.trail.example import BUNDLE
from tests.trail.signed import OPERATOR, SignedTrail, delivery, public, small_trail

PAGE = Path(__file__).parents[2] / "docs/auditing.md"


@pytest.fixture(scope="module")
def trail() -> SignedTrail:
    return small_trail()


def files(trail: SignedTrail, index: int) -> tuple[bytes, bytes]:
    """Return proof and entry, as an agency hands them over."""

    def nodes(level: int, number: int) -> bytes:
        below = trail.leaves[number << level : (number + 1) << level]
        return root([leaf(data) for data, _ in below])

    way = tuple(inclusion_proof(index, trail.size, nodes))
    return Proof(index, way, audited.cosigned(trail)).encode(), trail.leaves[index][0]


def proven(trail: SignedTrail, index: int, own: Own | None = None) -> Proven:
    with audited.tools() as tools:
        return proof(*files(trail, index), own or audited.own(trail), tools, "it")


def newest(trail: SignedTrail) -> int:
    """End a checkpoint; return the index of the entry before its end."""
    trail.epoch()
    return trail.size - 2


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (1, ("an action of an agency: AgencyDesignated", "(the registry), number 1", "accepted")),
        (6, ("an action of an agency", "number 0 in it", "accepted")),
        (8, ("an action of an agency", "number 1 in it", "refused: CONSENT_MISSING")),
        (9, ("what the notary says was disclosed", "(the notary), its number 0", "accepted")),
        (11, ("what a reader confirms", "number 1 in it", "accepted")),
        (12, ("a challenge", "number 2 in it", "accepted")),
        (13, ("the map of heads", "13 entries", "recorded")),
    ],
)
def test_what_the_entry_is_is_said(trail: SignedTrail, index: int, said: tuple[str, ...]) -> None:
    report = proven(trail, index)
    assert report.exit_code == 0
    text = report.text()
    assert text.startswith(f"Entry {index} of the log:\n")
    assert [words for words in said if words not in text] == []
    assert "the witnesses saw this checkpoint at:\n    2026-06-01T09:00:00Z  w0\n" in text
    assert f'"index": {index}' in report.json()


def test_whose_it_is_is_said_where_the_pins_prove_it_alone(trail: SignedTrail) -> None:
    signed = {0: "operator", 9: "notary", 6: "", 12: "", 13: ""}
    policy_alone = Own(policy=audited.policy_of(trail))
    for index, who in signed.items():
        report = proven(trail, index)
        assert report.signed_by == who
        assert (who != "") == (f"SIGNATURE: by the pinned key of the {who}" in report.text())
        assert proven(trail, index, policy_alone).signed_by == ""
    assert "its actor signed it" in proven(trail, 6).text()
    assert actor_id(public(a.POLICE)).hex() in proven(trail, 6).text()


def by_another(trail: SignedTrail) -> None:
    trail.add(OPERATOR, body=b"-", signed_by=a.POLICE)


def by_no_notary(trail: SignedTrail) -> None:
    trail.disclose(delivery(2), actor=actor_id(public(a.POLICE)))


def dated_forward(trail: SignedTrail) -> None:
    trail.recorded_ms = audited.SEEN_S * 1000 + 600_001
    trail.add(a.POLICE, body=b"-")


@pytest.mark.parametrize(
    ("lie", "check"),
    [(by_another, "SIGNATURE"), (by_no_notary, "SIGNER"), (dated_forward, "CLOCK")],
)
def test_an_entry_that_cannot_be_is_found(lie: Callable[[SignedTrail], object], check: str) -> None:
    trail = small_trail()
    lie(trail)
    report = proven(trail, newest(trail))
    assert audited.checks(report) == {check}
    assert report.signed_by == ""


def test_a_leaf_that_is_no_entry_is_found() -> None:
    trail = small_trail()
    trail.leaves.append((b"no entry", b""))
    trail.state.close(leaf(b"no entry"))
    report = proven(trail, trail.size - 1)
    assert audited.checks(report) == {"ENTRY"}
    assert report.entry is None


def test_of_what_is_not_proven_nothing_is_said(trail: SignedTrail) -> None:
    told, entry = files(trail, 6)
    other = small_trail()
    other.epoch()
    alone = replace(Proof.decode(told), checkpoint=trail.note).encode()
    elsewhere = replace(Proof.decode(told), checkpoint=audited.cosigned(other)).encode()
    later = Entry.decode(entry)._replace(recorded_ms=2**40).encode()
    with audited.tools() as tools:
        for data, shown, check in (
            (alone, entry, "CHECKPOINT"),
            (elsewhere, entry, "INCLUSION"),
            (told, later, "INCLUSION"),
            (told, b"", "INCLUSION"),
        ):
            report = proof(data, shown, audited.own(trail), tools, "it")
            assert audited.checks(report) == {check}
            assert (report.entry, report.exit_code) == (None, 1)
            assert '"entry": null' in report.json()


@given(data=st.data())
def test_no_change_of_either_file_passes(trail: SignedTrail, data: st.DataObject) -> None:
    pair = list(files(trail, data.draw(st.integers(0, trail.size - 1))))
    which = data.draw(st.sampled_from([0, 1]))
    pair[which] = data.draw(broken(pair[which]))
    with audited.tools() as tools:
        try:
            report = proof(pair[0], pair[1], audited.own(trail), tools, "it")
        except Malformed:
            assert which == 0
        else:
            assert report.exit_code == 1
            assert report.entry is None


def test_whom_to_trust_is_asked_for_and_must_fit(trail: SignedTrail) -> None:
    trust = audited.trust_of(trail)
    for own in (Own(), Own(trust=trust), Own(policy=b"quorum none\n", trust=trust)):
        with pytest.raises(Malformed, match=r"^POLICY: "):
            proven(trail, 6, own)


@pytest.fixture
def given_files(trail: SignedTrail, tmp_path: Path) -> Path:
    told, entry = files(trail, 6)
    (tmp_path / "6.tlog-proof").write_bytes(told)
    (tmp_path / "6.entry").write_bytes(entry)
    (tmp_path / "policy").write_bytes(audited.policy_of(trail))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("6.tlog-proof 6.entry", "POLICY"),
        ("6.tlog-proof 6.entry --policy 6.entry", "POLICY"),
        ("6.tlog-proof 6.entry --policy policy --trust policy", "TRUST"),
        ("6.entry 6.tlog-proof --policy policy", "PROOF"),
        ("missing 6.entry --policy policy", "UNREADABLE"),
        ("6.tlog-proof . --policy policy", "UNREADABLE"),
        ("6.tlog-proof /dev/zero --policy policy", "FILE_SIZE"),
    ],
)
def test_what_cannot_be_read_exits_with_2(
    given_files: Path, words: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(given_files)
    done = audit("proof", *words.split())
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"failed: {code}: ")
    assert done.stderr.count("\n") == 1


def test_a_proof_that_does_not_hold_exits_with_1(
    given_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(given_files)
    Path("6.entry").write_bytes(Path("6.entry").read_bytes()[:-1])
    done = audit("proof", "6.tlog-proof", "6.entry", "--policy", "policy")
    assert done.exit_code == 1
    assert "FINDING  INCLUSION: entry 6: these bytes are not it" in done.stdout


def test_the_page_for_auditors_shows_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = re.search(r"\n\$ nrm-hub audit (proof .*)\n((?:.*\n)+?)```", PAGE.read_text("utf-8"))
    assert shown
    monkeypatch.chdir(tmp_path)
    for name, data in archive.decode(BUNDLE.read_bytes()).items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(data)
    done = audit(*shown[1].split())
    assert (done.exit_code, done.stdout) == (0, shown[2])
