"""An auditor finds every disclosure that the rules did not allow, and every one held back."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from domain import events as ev
from domain.audience import Audience, SeatView, Window, compile_audience
from domain.feed import lane_of
from domain.rules import world as rules
from domain.trail.deliveries import Delivery
from domain.trail.entry import Entry
from domain.trail.statement import Statement, digest
from domain.trail.tiles import WIDTH
from domain.vocabulary import ALL_SEALED, Category, Seat
from services.auditor import disclosures, expecting
from services.auditor.differing import DisclosureFinding
from services.auditor.report import Report
from services.hub import lane
from tests import agencies as a
from tests import builders as b
from tests.agencies import DAY, T0, sha
from tests.builders import CASE, CONSENT, to, uid
from tests.domain.every_event import a_whole_case
from tests.domain.histories import history
from tests.services.case_logs import row
from tests.trail.disclosed import MINUTE, Consistent, DisclosingHub, Told, audit, differences

IDENTITY, HEALTH = Category.IDENTITY.bit, Category.HEALTH.bit
PERSON = (b.case_opened(), b.notice_given(), b.identity_recorded(), b.safe_contact_set())
SHARED = (b.consent_given(), b.referral_sent(), b.referral_accepted(), b.identity_recorded())
"""SHELTER gets identity and contact, what was written before and what comes."""
OTHER = uid("another case")
Lie = Callable[[Told], Told]


@pytest.fixture
def hub() -> Iterator[DisclosingHub]:
    """A hub at which CHARITY opened a case; nothing of it is shared yet."""
    with closing(DisclosingHub()) as hub:
        recorded(hub, *PERSON)
        yield hub


def recorded(hub: DisclosingHub, *events: Any, at: int = T0) -> None:
    for event in events:
        assert hub.act(event, at)
    hub.round()


def shared_and_taken_back(hub: DisclosingHub) -> None:
    recorded(hub, *SHARED)
    recorded(hub, b.consent_withdrawn())


def audited(hub: DisclosingHub, folder: Path, **asked: Any) -> Report:
    return audit(hub.write(folder / "trail"), hub.trail, **asked)


def only(report: Report) -> DisclosureFinding:
    """Return the one finding, which is about a delivery."""
    (finding,) = report.findings
    assert isinstance(finding, DisclosureFinding)
    return finding


def identities(told: Told) -> Told:
    return [one for one in told if one[1].mask & IDENTITY]


def first(told: Told, **parts: Any) -> Told:
    """Change the first delivery that shows an identity."""
    one = next(iter(identities(told)), None)
    return [(c, d._replace(**parts)) if (c, d) == one else (c, d) for c, d in told]


def added(told: Told, **parts: Any) -> Told:
    """Add a delivery like the first that shows an identity."""
    return told + [(c, d._replace(**parts)) for c, d in identities(told)[:1]]


def without(told: Told, left_out: Callable[[Delivery], object]) -> Told:
    return [(c, d) for c, d in told if not left_out(d)]


def test_what_the_rules_gave_and_took_back_holds(hub: DisclosingHub, tmp_path: Path) -> None:
    shared_and_taken_back(hub)
    assert any(d.supersedes and not d.mask for _, d in hub.told)
    report = audited(hub, tmp_path)
    assert report.findings == []
    assert {"RULES", "DISCLOSURES", "TABLE", "TREE"} <= {c.check for c in report.checks}
    assert f"{len(hub.told)} deliveries" in report.text()


def test_what_is_shown_to_who_has_no_part_is_found_with_the_reason(
    hub: DisclosingHub, tmp_path: Path
) -> None:
    clinic = {"agency": a.CLINIC, "purpose": "health_care", "mask": IDENTITY | HEALTH}
    hub.lie = Consistent(lambda told: added(told, **clinic))
    recorded(hub, *SHARED)
    finding = only(audited(hub, tmp_path))
    assert finding.check == "NOT_DUE"
    assert (finding.agency, finding.purpose) == (a.CLINIC, "health_care")
    assert (finding.due, finding.disclosed) == (None, ("IDENTITY", "HEALTH"))
    assert [answer[:2] for answer in finding.answers] == [("IDENTITY", "D12"), ("HEALTH", "D12")]
    assert (finding.case_id, finding.event_type) == (CASE, "nrm.v1.PersonIdentityRecorded")
    assert "no part in the case" in finding.message


def test_what_was_shown_without_leave_is_judged_as_of_then(
    hub: DisclosingHub, tmp_path: Path
) -> None:
    """The consent that comes later does not excuse it."""
    identity = digest(Entry.decode(hub.trail.leaves[-3][0]).statement)
    lane = lane_of(CASE)
    hub.tell([(CASE, Delivery(a.SHELTER, a.SUPPORT, lane, 1, 0, IDENTITY, identity, ""))])
    hub.lie = lambda told: [(c, _after_one_more(d)) for c, d in told]
    recorded(hub, *SHARED)
    finding = only(audited(hub, tmp_path))
    assert (finding.check, finding.number) == ("NOT_DUE", 1)
    assert finding.answers == (("IDENTITY", "D12", None),)


def _after_one_more(delivery: Delivery) -> Delivery:
    later = delivery.supersedes and delivery.supersedes + 1
    if delivery.agency != a.SHELTER:
        return delivery
    return delivery._replace(seq=delivery.seq + 1, supersedes=later)


def test_a_mask_that_is_too_wide_is_found_with_what_nobody_consented_to(
    hub: DisclosingHub, tmp_path: Path
) -> None:
    hub.lie = Consistent(lambda told: first(told, mask=IDENTITY | HEALTH))
    recorded(hub, *SHARED)
    finding = only(audited(hub, tmp_path))
    assert (finding.check, finding.agency) == ("OTHERWISE", a.SHELTER)
    assert (finding.due, finding.disclosed) == (("IDENTITY",), ("IDENTITY", "HEALTH"))
    assert finding.answers == (("IDENTITY", "P01", CONSENT), ("HEALTH", "D04", None))


def test_a_retraction_left_out_after_a_withdrawal_is_found(
    hub: DisclosingHub, tmp_path: Path
) -> None:
    hub.lie = Consistent(lambda told: without(told, lambda d: d.supersedes))
    shared_and_taken_back(hub)
    found = differences(audited(hub, tmp_path))
    assert {(f.check, f.agency, f.due) for f in found} == {("WITHHELD", a.SHELTER, ())}
    assert len(found) == len([d for _, d in hub.told if d.mask]) == 3


@pytest.mark.parametrize(
    ("lie", "checks"),
    [
        (lambda told: [], {"WITHHELD"}),
        (lambda told: without(told, lambda d: d.agency == a.SHELTER), {"WITHHELD"}),
        (lambda told: without(told, lambda d: d.mask), {"WITHHELD"}),
        (lambda told: told[:-1], {"WITHHELD"}),
        (lambda told: first(told, mask=0), {"OTHERWISE"}),
        (lambda told: first(told, basis="GB.MSA2015.S52"), {"OTHERWISE"}),
        (lambda told: first(told, event=sha("no event")), {"NOT_DUE", "WITHHELD"}),
        (lambda told: first(told, purpose="monitoring"), {"NOT_DUE", "WITHHELD"}),
        (added, {"NOT_DUE"}),
    ],
)
def test_whatever_a_hub_tells_otherwise_is_found(
    hub: DisclosingHub, tmp_path: Path, lie: Lie, checks: set[str]
) -> None:
    """The hub numbers its feeds as if nothing was wrong with them."""
    hub.lie = Consistent(lie)
    recorded(hub, *SHARED)
    assert {f.check for f in differences(audited(hub, tmp_path))} == checks


@pytest.mark.parametrize("parts", [{"seq": 40}, {"supersedes": 1}, {"lane": 7}])
def test_a_place_in_the_feed_that_is_not_the_one_due_is_found(
    hub: DisclosingHub, tmp_path: Path, parts: dict[str, int]
) -> None:
    hub.lie = lambda told: first(told, **parts)
    recorded(hub, *SHARED)
    assert differences(audited(hub, tmp_path))


def test_what_stands_in_the_stream_of_another_case_is_found(
    hub: DisclosingHub, tmp_path: Path
) -> None:
    head = replace(b.case_opened().head, case_id=OTHER)
    assert hub.act(replace(b.case_opened(), head=head))
    hub.lie = lambda told: [(OTHER if d.mask & IDENTITY else c, d) for c, d in told]
    recorded(hub, *SHARED)
    found = differences(audited(hub, tmp_path))
    assert {f.check for f in found} == {"OTHERWISE"}
    assert all(OTHER in f.message for f in found)


def test_one_fault_is_told_once_however_much_comes_after_it(
    hub: DisclosingHub, tmp_path: Path
) -> None:
    left_out: list[Delivery] = []

    def once(told: Told) -> Told:
        if not left_out:
            left_out.extend(d for _, d in identities(told)[:1])
        return without(told, lambda d: d.event == left_out[0].event)

    hub.lie = Consistent(once)
    recorded(hub, *SHARED)
    for _ in range(30):
        recorded(hub, b.identity_recorded(), b.safe_contact_set(), b.identity_recorded())
    assert only(audited(hub, tmp_path)).event == left_out[0].event.hex()


NOON = T0 + DAY


def early_and_late(hub: DisclosingHub, signed_ms: int) -> None:
    """Disclose the past of the case before the consent that opens it, at noon, is in the trail."""
    with closing(DisclosingHub()) as truth:
        recorded(truth, *PERSON)
        recorded(truth, *SHARED[:2], at=NOON)
        to_shelter = without(truth.told, lambda d: d.agency != a.SHELTER)
    early = [d for _, d in to_shelter[: len(PERSON)]]
    hub.tell(to_shelter[: len(PERSON)], actor_time_ms=signed_ms)
    hub.lie = lambda told: without(told, lambda d: d in early)
    recorded(hub, *SHARED[:2], at=NOON)


def checks_of(report: Report) -> set[str]:
    return {finding.check for finding in report.findings}


@pytest.mark.parametrize("signed_ms", [NOON - 2_000, NOON + 20, NOON + DAY])
def test_what_was_disclosed_before_it_was_due_is_found_whatever_the_notarys_clock_says(
    hub: DisclosingHub, tmp_path: Path, signed_ms: int
) -> None:
    early_and_late(hub, signed_ms)
    assert checks_of(audited(hub, tmp_path)) == {"EARLY"}


def test_what_was_recorded_in_the_last_minute_is_pending_and_then_overdue(
    hub: DisclosingHub, tmp_path: Path
) -> None:
    hub.lie = lambda _: []
    recorded(hub, *SHARED)
    for minutes, pending in ((0.5, True), (2, False)):
        seen_ms = hub.trail.recorded_ms + int(minutes * MINUTE)
        report = audit(hub.write(tmp_path / "trail", seen_ms), hub.trail)
        assert bool(report.findings) != pending
        assert any("pending" in note for note in report.notes) == pending


def test_what_is_dated_forward_does_not_stay_pending_for_ever(
    hub: DisclosingHub, tmp_path: Path
) -> None:
    hub.lie = lambda _: []
    recorded(hub, *SHARED, at=T0 + DAY)
    assert checks_of(audit(hub.write(tmp_path / "trail", T0), hub.trail)) == {"CLOCK"}


def test_an_action_that_the_rules_refuse_is_found(hub: DisclosingHub, tmp_path: Path) -> None:
    consent = b.consent_given(a.CLINIC, recipient=to(a.CLINIC), purposes=("health_care",))
    hub.record(consent, T0 + DAY)
    hub.round()
    (finding,) = audited(hub, tmp_path).findings
    assert (finding.check, finding.index) == ("RULES", hub.trail.size - 2)
    assert "NO_SUCH_CASE" in finding.message


def test_an_action_in_the_name_of_another_agency_is_found(
    hub: DisclosingHub, tmp_path: Path
) -> None:
    hub.record(b.identity_recorded(), T0 + DAY, signed_by=a.POLICE)
    hub.round()
    assert [f.check for f in audited(hub, tmp_path).findings] == ["WRITER"]


def test_a_fault_in_the_compiled_audience_is_found_by_the_table(
    hub: DisclosingHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hub and auditor share the fault, so the feeds are what the compiled rules give."""

    def too_wide(*asked: Any) -> Audience:
        found = compile_audience(*asked)
        seats = (SeatView(v.seat, (Window(0, ALL_SEALED, "x"), *v.windows)) for v in found.seats)
        return replace(found, seats=tuple(seats))

    monkeypatch.setattr(rules, "compile_audience", too_wide)
    recorded(hub, *SHARED)
    report = audited(hub, tmp_path)
    assert {f.check for f in report.findings} == {"TABLE"}
    assert f"{a.SHELTER}/{a.SUPPORT}" in report.findings[0].message


def test_findings_are_those_of_the_seat_and_time_that_were_asked_for(
    hub: DisclosingHub, tmp_path: Path
) -> None:
    hub.lie = lambda _: []
    recorded(hub, *SHARED, at=T0 + DAY)
    shelter, clinic = Seat(a.SHELTER, a.SUPPORT), Seat(a.CLINIC, "health_care")
    whole = len(audited(hub, tmp_path).findings)
    assert 0 < len(audited(hub, tmp_path, seat=shelter).findings) < whole
    assert audited(hub, tmp_path, seat=clinic).findings == []
    assert audited(hub, tmp_path, to_ms=T0 + DAY).findings == []
    assert len(audited(hub, tmp_path, from_ms=T0 + DAY).findings) == whole


def test_a_log_that_cannot_be_read_is_judged_up_to_there(
    hub: DisclosingHub, tmp_path: Path
) -> None:
    recorded(hub, *SHARED)
    folder = hub.write(tmp_path / "trail")
    body = next((folder / "body").rglob("*.p/*"))
    data = bytearray(body.read_bytes())
    data[-40] ^= 1
    body.write_bytes(data)
    (found,) = audit(folder, hub.trail).findings
    assert found.check == "BODY"
    assert "what follows was not judged" in found.message


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DisclosingHub, Path]]:
    """A trail in which everything holds."""
    with closing(DisclosingHub()) as hub:
        recorded(hub, *PERSON)
        shared_and_taken_back(hub)
        yield hub, hub.write(tmp_path_factory.mktemp("whole") / "trail")


@settings(max_examples=60, deadline=None)
@example("tile/entries", 328, 128)  # recorded at a time that no store can keep
@given(st.sampled_from(("tile/entries", "body")), st.integers(0, 1 << 32), st.integers(1, 255))
def test_no_byte_of_entries_or_bodies_can_change_unseen(
    whole: tuple[DisclosingHub, Path], part: str, at: int, flip: int
) -> None:
    hub, folder = whole
    file = next((folder / part).rglob("*.p/*"))
    data = file.read_bytes()
    changed = bytearray(data)
    changed[at % len(data)] ^= flip
    file.write_bytes(changed)
    try:
        assert audit(folder, hub.trail).findings
    finally:
        file.write_bytes(data)


def test_too_many_deliveries_without_a_counterpart_end_the_judgement(
    hub: DisclosingHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disclosures, "MOST_WAITING", 3)
    hub.lie = lambda _: []
    recorded(hub, *SHARED)
    (found,) = audited(hub, tmp_path).findings
    assert found.check == "DIFFERS"


def test_cases_that_were_let_go_are_judged_as_before(
    hub: DisclosingHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expecting, "HELD_CASES", 0)
    monkeypatch.setattr(lane, "HELD_CASES", 0)
    hub.histories({f"case {n}": list(a_whole_case()) for n in range(12)}, every=50)
    hub.round()
    assert hub.trail.size > 2 * WIDTH
    assert audited(hub, tmp_path).findings == []


def twice(hub: DisclosingHub) -> None:
    hub.trail.add(a.CHARITY, body=hub.trail.leaves[-2][1], type=said(hub).type)


def garbage(hub: DisclosingHub) -> None:
    hub.trail.add(a.CHARITY, body=b"no record", type=said(hub).type)


def of_no_type(hub: DisclosingHub) -> None:
    hub.trail.add(a.CHARITY, body=b"no record", type=60_000)


def of_another_case(hub: DisclosingHub) -> None:
    made = row(b.case_opened(), 1, 1, T0)
    number = Statement.decode(made.statement).type
    hub.trail.add(a.CHARITY, body=made.body, case_id=OTHER, type=number)


def said(hub: DisclosingHub) -> Statement:
    """Return what was signed of the newest event."""
    return Entry.decode(hub.trail.leaves[-2][0]).said


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (twice, "EVENT_TWICE"),
        (garbage, "NOT_AVRO"),
        (of_no_type, "UNKNOWN_EVENT"),
        (of_another_case, "WRONG_STREAM"),
    ],
)
def test_an_action_that_cannot_be_folded_ends_the_judgement_there(
    hub: DisclosingHub, tmp_path: Path, spoil: Callable[[DisclosingHub], None], code: str
) -> None:
    """Each is signed by an agency, so that the log itself holds."""
    spoil(hub)
    hub.lie = lambda _: []
    recorded(hub, *SHARED)
    found = audited(hub, tmp_path).findings
    assert [f.check for f in found] == [code]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1 << 32))
def test_an_honest_hub_has_no_findings_whatever_happens_in_its_cases(seed: int) -> None:
    with closing(DisclosingHub()) as hub, TemporaryDirectory() as folder:
        played(hub, seed)
        assert audited(hub, Path(folder)).findings == []


def played(hub: DisclosingHub, seed: int) -> None:
    """Random cases; between them an agency is suspended and comes back."""
    hub.histories({"one": history(seed, 50)})
    about: dict[str, Any] = {"head": a.facts(a.SHELTER)[0].head, "agency": a.SHELTER}
    hub.fact(ev.AgencySuspended(**about, approvals=(), reason="x-inspection"))
    hub.histories({"two": history(seed + 1, 50), "three": history(seed + 2, 20)})
    hub.fact(ev.AgencyReinstated(**about, approvals=()))
    hub.round()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 5), st.integers(0, 1 << 32), st.booleans())
def test_no_random_lie_passes(seed: int, chance: int, consistent: bool) -> None:  # noqa: FBT001 - drawn
    rng = Random(chance)  # noqa: S311 - a test's choices
    lies = 0

    def lie(told: Told) -> Told:
        nonlocal lies
        if not told or rng.random() < 0.7:
            return told
        lies += 1
        return lied(told, rng)

    with closing(DisclosingHub()) as hub, TemporaryDirectory() as folder:
        hub.lie = Consistent(lie) if consistent else lie
        played(hub, seed)
        assume(lies)
        assert differences(audited(hub, Path(folder)))


def lied(told: Told, rng: Random) -> Told:
    """Leave one delivery out, add one, or change one."""
    at = rng.randrange(len(told))
    case_id, shown = told[at]
    return rng.choice((
        told[:at] + told[at + 1 :],
        [*told, (case_id, shown._replace(seq=shown.seq + 1_000))],
        [*told[:at], (case_id, shown._replace(mask=shown.mask ^ IDENTITY)), *told[at + 1 :]],
        [*told[:at], (case_id, shown._replace(basis=f"{shown.basis}x")), *told[at + 1 :]],
        [*told[:at], (case_id, shown._replace(event=sha("none"))), *told[at + 1 :]],
    ))  # fmt: skip
