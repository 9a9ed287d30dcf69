"""Nobody outside saw an entry long before it was recorded, or the log is dated forward."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.trail.admission import CLOCK_AHEAD_MS
from domain.trail.bundle import Bundle
from domain.trail.checkpoint import sign
from domain.trail.notes import Note
from domain.trail.quorum import Policy, Witnessed
from services.auditor.bundling import bundle
from services.auditor.case import case
from services.auditor.clocks import check_clocks
from services.auditor.report import Report
from services.auditor.who_saw import who_saw
from services.bootstrap.auditor import enclosed
from tests.services.test_audit_bundle import under
from tests.trail import audited
from tests.trail.audited import COURT
from tests.trail.signed import CASE, SignedTrail, small_trail
from tests.witnessed import witness_signer

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def trail() -> SignedTrail:
    return small_trail()


def seen(trail: SignedTrail, *after_ms: int) -> bytes:
    """Return the checkpoint as each witness saw it, so long after the newest entry."""
    point = trail.checkpoint
    lines = [sign(point, trail.log.signer, 0)]
    for witness, ms in zip(audited.WITNESSES, after_ms, strict=True):
        lines.append(sign(point, witness_signer(witness), (trail.recorded_ms + ms) // 1000))
    return Note(point.text, tuple(lines)).encode()


def written(trail: SignedTrail, folder: Path, *after_ms: int) -> Path:
    audited.write(folder, trail)
    (folder / "checkpoint").write_bytes(seen(trail, *after_ms))
    return folder


def test_a_log_that_witnesses_saw_before_its_newest_entry_is_found(
    trail: SignedTrail, tmp_path: Path
) -> None:
    folder = written(trail, tmp_path / "trail", -HOUR_MS, HOUR_MS)
    (found,) = audited.verified(folder, trail).findings
    assert (found.check, found.index) == ("CLOCK", trail.size - 1)
    assert "w0 saw it at" in found.message
    assert "w1" not in found.message


def test_every_question_about_it_finds_the_same(trail: SignedTrail, tmp_path: Path) -> None:
    folder = written(trail, tmp_path / "trail", -HOUR_MS, -HOUR_MS)
    source, own = audited.source(folder), audited.own(trail)
    with audited.tools() as tools:
        bundled, made = bundle(source, own, tools, CASE, enclosed(), bodies=True)
        reports = [
            case(source, own, tools, CASE),
            who_saw(source, own, tools, CASE, 0),
            bundled,
        ]
    assert [audited.checks(report) for report in reports] == [{"CLOCK"}] * 3
    assert made == b""


def test_a_bundle_of_it_holds_by_neither_verifier(trail: SignedTrail, tmp_path: Path) -> None:
    audited.write(tmp_path / "trail", trail)
    found = Bundle.decode(audited.bundled(tmp_path / "trail", trail))
    data = under(found, seen(trail, HOUR_MS, -HOUR_MS)).encode()
    assert audited.checks(audited.checked(data, trail)) == {"CLOCK"}
    assert "dated forward" in audited.in_court(data, trail)


def test_a_witness_whose_clock_is_behind_is_noted_where_others_are_enough(
    trail: SignedTrail,
) -> None:
    report = clocks(trail, (-HOUR_MS, 0), "any")
    assert report.findings == []
    assert "the clock of w0 is behind that" in report.text()
    assert "holds    CLOCK" in report.text()


def policy_of(trail: SignedTrail, needed: str) -> bytes:
    """Return a policy that asks for any or all of the witnesses."""
    return audited.policy_of(trail).replace(b"both all", b"both " + needed.encode())


def cosigned_s(trail: SignedTrail, after_ms: Sequence[int]) -> dict[str, int]:
    return {f"w{n}": (trail.recorded_ms + ms) // 1000 for n, ms in enumerate(after_ms)}


def clocks(trail: SignedTrail, after_ms: Sequence[int], needed: str) -> Report:
    report = Report("a log")
    witnessed = Witnessed(trail.checkpoint, cosigned_s(trail, after_ms))
    policy = Policy.parse(policy_of(trail, needed))
    check_clocks(witnessed, policy, trail.recorded_ms, report)
    return report


around = st.integers(-2 * CLOCK_AHEAD_MS, 2 * CLOCK_AHEAD_MS)


@given(after_ms=st.lists(around, min_size=1, max_size=2), needed=st.sampled_from(["any", "all"]))
def test_it_holds_just_if_enough_witnesses_saw_it_after(
    trail: SignedTrail, after_ms: list[int], needed: str
) -> None:
    times = cosigned_s(trail, after_ms)
    fit = [s for s in times.values() if trail.recorded_ms <= 1000 * s + CLOCK_AHEAD_MS]
    enough = len(fit) >= (1 if needed == "any" else 2) or len(fit) == len(after_ms)
    assert (not clocks(trail, after_ms, needed).findings) == enough
    read = COURT.the_policy_can_be_read(policy_of(trail, needed))
    try:
        COURT.nothing_was_recorded_long_after_it_was_seen(trail.recorded_ms, times, read)
    except COURT.Fails:
        assert not enough
    else:
        assert enough
