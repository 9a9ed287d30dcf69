"""What must never happen: the anti-requirements of the mechanism, by their numbers.

Those that a pure rule can hold are here; the others are held where the part is that could
break them.
"""

import ast
import string
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given as over
from hypothesis import settings
from hypothesis import strategies as st

from domain import events as ev
from domain.case import Case
from domain.errors import HubError, NotAuthentic, Refused
from domain.feed import Cursor, Entry
from domain.fold import evolve, replay
from domain.policy import parse_policy
from domain.record import Field, Record
from domain.rules.decide import decide
from domain.rules.keys import check_sealed
from domain.sealing import parse_header
from domain.trail.describes import check_describes
from domain.trail.merkle import check_consistency, leaf, root
from domain.trail.statement import Statement, stream_tag
from domain.vocabulary import ALL_SEALED, CRIMINAL_JUSTICE, Category, Purpose, Role, Seat
from schemas.language import AvroLanguage
from tests.agencies import (
    CHARITY,
    DAY,
    FOREIGN,
    INVESTIGATION,
    LAPSING,
    POLICE,
    REFUGE,
    SHELTER,
    SUPPORT,
    T0,
    pack,
    world,
)
from tests.builders import (
    CASE,
    case_closed,
    case_opened,
    consent_given,
    consent_refused,
    consent_withdrawn,
    guardian_appointed,
    guardian_conflict,
    keys_opened,
    needs_assessed,
    notice_given,
    referral_accepted,
    referral_sent,
    referred_in,
    safe_contact_set,
    screened,
    service_started,
    signal_received,
    to,
    uid,
)
from tests.domain.histories import History, history
from tests.domain.logs import Leaf, example, passes, rebuilt
from tests.spec import accepted, child, given, opened, refusal_of, sent

ROOT = Path(__file__).parents[1]
LANGUAGE = AvroLanguage()
PACKS = ["gb-2026", "xa-2026"]
HISTORIES = st.integers(0, 1 << 32).map(history)
SOME = settings(max_examples=40)
PLANTED = "Zyxomma Quillfeather, +999 555 0199, 7 Nowhere Lane"
"""What stands for identity data: nobody's name, number and address."""


def masks(case: Case, at: int) -> dict[Seat, int]:
    """Return what each seat that sees anything may see of an event recorded now."""
    return {view.seat: view.mask(at) for view in world().audience(case, at).seats}


# 1. No identity in keys, headers, logs, exceptions or defaults.


def test_01_no_rule_says_in_its_refusal_what_the_person_said() -> None:
    clear = Record("nrm.v1.SafeContactSet", (Field("contact", Category.CONTACT, PLANTED.encode()),))
    calls = [
        lambda: check_sealed(clear, CHARITY, given(keys_opened()).case),
        lambda: parse_header(PLANTED.encode()),
        lambda: Cursor.decode(PLANTED),
        lambda: Statement.decode(PLANTED.encode()),
        lambda: parse_policy(f"id = '{PLANTED}'"),
        lambda: LANGUAGE.record("nrm.v1.SafeContactSet", PLANTED.encode()),
        lambda: LANGUAGE.clear("nrm.v1.SafeContactSet", {"contact": PLANTED, PLANTED: PLANTED}),
        lambda: LANGUAGE.shape(PLANTED),
    ]
    for call in calls:
        code, message = refusal_of(call)
        assert not _quotes(message), code
        assert not _quotes(code), code


def _quotes(text: str) -> bool:
    return any(word in text for word in PLANTED.replace(",", "").split() if len(word) > 4)


def test_01_no_refusal_quotes_the_words_of_an_action() -> None:
    for event in _unreasonable():
        with pytest.raises(Refused) as refusal:
            decide(event, accepted().case, world(), T0)
        assert not _quotes(str(refusal.value)), type(event).__name__


def _unreasonable() -> Iterator[ev.CaseEvent]:
    """Yield events with foreign text wherever a rule compares a word."""
    yield consent_given(consent_id=PLANTED, basis=PLANTED)
    yield consent_given(consent_id=PLANTED, purposes=(PLANTED,))
    yield consent_given(consent_id=PLANTED, categories=(PLANTED,))
    yield consent_withdrawn(consent_id=PLANTED)
    yield referral_sent(referral_id=PLANTED, to=PLANTED)
    yield referral_sent(referral_id=PLANTED, purpose=PLANTED)
    yield service_started(referral_id=PLANTED)
    yield referred_in(age_group=PLANTED)
    yield referred_in(competent_authority=PLANTED)
    yield case_opened(head=replace(case_opened().head, policy=PLANTED))
    yield case_opened(head=replace(case_opened().head, agency=PLANTED))
    yield guardian_appointed(SHELTER, role=PLANTED)


def test_01_no_module_of_the_rules_can_write_a_log() -> None:
    for path in (ROOT / "domain").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        assert not names & {"print", "logging", "warnings"}, path.name


def test_01_an_entry_of_a_feed_and_its_cursor_hold_ids_and_numbers_alone() -> None:
    kinds = {name: str(kind) for name, kind in Entry.__annotations__.items()}
    texts = {name for name, kind in kinds.items() if "str" in kind}
    assert texts == {"case_id", "basis"}
    assert set(Cursor((7,) * 8).encode()) <= set(string.ascii_letters + string.digits + "-_")


# 2. No disclosure without a basis; no wildcard; no inheritance across purposes.


@SOME
@over(HISTORIES)
def test_02_nothing_is_disclosed_without_an_act_or_a_law_that_is_named(events: History) -> None:
    laws = {basis.code for basis in world().policy.legal_bases}
    case, at = replay(CASE, events), events[-1][1] if events else T0
    for view in world().audience(case, at).seats:
        rests_on = view.basis(at)
        assert set(rests_on) <= laws | case.acts.keys()
        assert bool(rests_on) == bool(view.mask(at))


def test_02_no_act_names_everybody() -> None:
    opened().when(consent_given(recipient=to())).refuses("RECIPIENT_MISSING")
    opened().when(consent_given(recipient=to(""))).refuses("RECIPIENT_MISSING")


@pytest.mark.parametrize("word", ["*", "ALL", "any", "", "everything"])
def test_02_no_word_stands_for_every_purpose_or_category(word: str) -> None:
    opened().when(consent_given(purposes=(word,))).refuses("PURPOSE_UNKNOWN")
    opened().when(consent_given(categories=(word,))).refuses("CATEGORY_UNKNOWN")


def test_02_an_empty_scope_is_no_consent() -> None:
    opened().when(consent_given(purposes=())).refuses("EMPTY_CONSENT")
    opened().when(consent_given(categories=())).refuses("EMPTY_CONSENT")


@pytest.mark.parametrize("purpose", sorted(Purpose))
def test_02_a_consent_for_one_purpose_opens_no_other(purpose: str) -> None:
    given_for = consent_given(recipient=to(POLICE), purposes=(purpose,))
    case = accepted().then(
        consent_given(consent_id=uid("support"), recipient=to(POLICE)),
        referral_sent(to=POLICE, referral_id=uid("police")),
        consent_withdrawn(consent_id=uid("support")),
    )
    case = case.then(replace(given_for, consent_id=uid("one purpose")))
    assert {s.purpose for s in masks(case.case, case.at) if s.agency == POLICE} <= {purpose}


def test_02_cooperation_with_police_is_never_bundled_with_support() -> None:
    for criminal in CRIMINAL_JUSTICE:
        opened().when(consent_given(purposes=(SUPPORT, criminal))).refuses("BUNDLED_CONSENT")


# 3. Nobody learns that a case exists in which it has no part.


@pytest.mark.parametrize("agency", [SHELTER, REFUGE, LAPSING])
def test_03_a_case_of_others_answers_as_one_that_does_not_exist(agency: str) -> None:
    exists = opened()
    events: list[ev.CaseEvent] = [
        safe_contact_set(agency),
        needs_assessed(agency),
        case_closed(agency),
    ]
    events += [referral_accepted(agency), consent_given(agency), consent_withdrawn(agency)]
    for event in events:
        answers = {
            given().when(event).refuses("NO_SUCH_CASE"),
            exists.when(event).refuses("NO_SUCH_CASE"),
            exists.then(case_closed()).when(event).refuses("NO_SUCH_CASE"),
        }
        assert len(answers) == 1


@SOME
@over(HISTORIES)
def test_03_no_seat_without_a_part_sees_anything_but_by_law_or_order(events: History) -> None:
    case, at = replay(CASE, events), events[-1][1] if events else T0
    orders = {a.id for a in case.acts.values() if a.basis in ("court_order", "best_interests")}
    open_laws = {b.code for b in world().policy.legal_bases if not b.part_only}
    for view in world().audience(case, at).seats:
        if view.seat.agency not in case.parts:
            assert set(view.basis(at)) <= orders | open_laws


# 4. Support never depends on consent to share; no status by timeout or missing data.


def test_04_a_refusal_to_cooperate_blocks_no_support() -> None:
    against_police = consent_refused(recipient=to(POLICE), purposes=tuple(CRIMINAL_JUSTICE))
    after = sent().then(against_police, referral_accepted(), service_started())
    assert after.case.parts >= {CHARITY, SHELTER}


def test_04_a_withdrawal_ends_no_service_and_no_status() -> None:
    running = accepted().then(service_started())
    after = running.then(consent_withdrawn(consent_id=None))
    assert after.case.status is running.case.status
    assert after.case.referrals == running.case.referrals
    after.when(needs_assessed()).is_recorded()


@SOME
@over(HISTORIES, st.integers(1, 5000))
def test_04_no_time_however_long_changes_a_status(events: History, days: int) -> None:
    case = replay(CASE, events)
    assert replay(CASE, [(e, at + days * DAY) for e, at in events]).status is case.status


def test_04_only_a_decision_of_people_moves_a_person_on() -> None:
    moving = {"CaseOpened", "ReferralIntoNrmSubmitted", "DutyNotificationSubmitted", "CaseClosed"}
    moving |= {"ReasonableGroundsDecided", "ConclusiveGroundsDecided", "ReconsiderationDecided"}
    moving |= {"SignalReceived", "IndicatorScreeningCompleted"}
    moved = set()
    for seed in range(60):
        case = Case(id=CASE)
        for event, at in history(seed):
            before, case = case, evolve(case, event, at)
            if before.status is not case.status:
                moved.add(type(event).__name__)
    assert moved == moving


# 5. A child is never treated as an adult while in doubt; a suspected guardian never consents.


@SOME
@over(HISTORIES)
def test_05_who_is_or_may_be_a_child_is_never_made_an_adult(events: History) -> None:
    case = Case(id=CASE)
    for event, at in events:
        before, case = case, evolve(case, event, at)
        assert case.child or not (before.opened and before.child)


def test_05_an_unknown_age_is_a_childs() -> None:
    assert Case(id=CASE).child
    assert given(case_opened(age_group="unsure")).case.child


def test_05_a_childs_own_yes_opens_nothing() -> None:
    agreed = given(case_opened(age_group="unsure"), notice_given(), consent_given())
    agreed.when(referral_sent()).refuses("GUARDIAN_ACT_MISSING")


def test_05_a_guardian_in_conflict_opens_nothing() -> None:
    guardian = guardian_appointed()
    by_guardian = consent_given(
        "children",
        basis="guardian_consent",
        given_by="appointed_guardian",
        guardian_id=guardian.guardian_id,
    )
    agreed = child().then(guardian, by_guardian, referral_sent("children"))
    assert Seat(SHELTER, SUPPORT) in masks(agreed.case, agreed.at)
    found = agreed.then(guardian_conflict())
    assert Seat(SHELTER, SUPPORT) not in masks(found.case, found.at)


# 7. No police, immigration or consular feed out of shelter or health data.


@pytest.mark.parametrize("name", PACKS)
def test_07_no_pack_opens_health_to_police_immigration_or_consulates(name: str) -> None:
    watching = {Role.POLICE, Role.IMMIGRATION_AUTHORITY, Role.BORDER_GUARD, Role.CONSULAR}
    policy = parse_policy(pack(name))
    opened_to = [m for (role, _), m in policy.ceilings.items() if role in watching]
    opened_to += [b.categories for b in policy.legal_bases if b.role in watching]
    assert opened_to
    assert not any(mask & (Category.HEALTH.bit | Category.CASEWORK.bit) for mask in opened_to)


def test_07_no_consent_however_wide_opens_health_to_police() -> None:
    wide = consent_given(
        consent_id=uid("wide"),
        recipient=to(POLICE),
        purposes=(INVESTIGATION,),
        categories=tuple(c.name for c in Category if c is not Category.ROUTING),
    )
    case = opened().then(wide, referral_sent(to=POLICE, purpose=INVESTIGATION))
    mask = masks(case.case, case.at)[Seat(POLICE, INVESTIGATION)]
    assert mask
    assert not mask & (Category.HEALTH.bit | Category.CASEWORK.bit | Category.STATISTICS.bit)


def test_07_no_event_has_a_field_for_where_somebody_is_sheltered() -> None:
    places = {"address", "place", "location", "city", "street", "postcode", "shelter"}
    found = {
        (type_name, path, category)
        for type_name in LANGUAGE.types()
        for path, category in LANGUAGE.shape(type_name).fields
        if places.intersection(path.lower().split("_"))
    }
    # The person's own safe contact, such as a number or a mailbox; her contact alone opens it.
    assert found == {("nrm.v1.SafeContactSet", "address", Category.CONTACT)}


# 8. A withdrawal never loses a race to an acceptance.


@pytest.mark.parametrize("act", [uid("consent"), None])
def test_08_what_was_withdrawn_before_the_acceptance_is_not_accepted(act: str | None) -> None:
    withdrawn = sent().then(consent_withdrawn(consent_id=act))
    withdrawn.when(referral_accepted()).refuses("CONSENT_MISSING")


def test_08_after_a_withdrawal_no_old_key_seals_and_nobody_sees() -> None:
    before = accepted().then(keys_opened(CHARITY))
    assert masks(before.case, before.at)[Seat(SHELTER, SUPPORT)]
    after = before.then(consent_withdrawn())
    assert Seat(SHELTER, SUPPORT) not in masks(after.case, after.at)
    assert after.case.min_epochs[CHARITY, Category.IDENTITY] == 2


# 9. No event is changed or reordered unseen.


def test_09_a_changed_field_no_longer_is_what_was_signed() -> None:
    record = Record("nrm.v1.SafeContactSet", (Field("contact", Category.CONTACT, b"sealed"),))
    changed = replace(record, fields=(record.fields[0]._replace(value=b"Sealed"),))
    assert changed.fields_root != record.fields_root
    assert record.withhold(0).fields_root == record.fields_root


def left_out(leaves: list[Leaf]) -> list[Leaf]:
    return [*leaves[:2], *leaves[3:]]


def put_in_twice(leaves: list[Leaf]) -> list[Leaf]:
    return [*leaves[:3], leaves[2], *leaves[3:]]


def exchanged(leaves: list[Leaf]) -> list[Leaf]:
    return [*leaves[:2], leaves[3], leaves[2], *leaves[4:]]


def unsigned(leaves: list[Leaf]) -> list[Leaf]:
    entry, body = leaves[0]
    return [(entry[:337] + bytes(64) + entry[401:], body), *leaves[1:]]


def with_another_record(leaves: list[Leaf]) -> list[Leaf]:
    return [(leaves[0][0], b"edited"), *leaves[1:]]


@pytest.mark.parametrize(
    "change", [left_out, put_in_twice, exchanged, unsigned, with_another_record]
)
def test_09_no_history_passes_in_which_an_entry_was_touched(
    change: Callable[[list[Leaf]], list[Leaf]],
) -> None:
    # given: a hub that makes all of its own parts fit
    whole = example().leaves
    assert passes(rebuilt(whole, renumber=True))
    # when, then
    assert not passes(rebuilt(change(whole), renumber=True))


@over(st.integers(1, 40), st.lists(st.binary(min_size=32, max_size=32), max_size=6))
def test_09_no_proof_gives_one_size_two_roots(size: int, proof: list[bytes]) -> None:
    leaves = [leaf(bytes([n])) for n in range(size)]
    ours, other = root(leaves), root([*leaves[:-1], leaf(b"another")])
    with pytest.raises(NotAuthentic):
        check_consistency(size, size, ours, other, proof)


# 11. No foreign party reads domestic cases.


@SOME
@over(HISTORIES)
def test_11_no_agency_abroad_sees_by_consent_or_law(events: History) -> None:
    case, at = replay(CASE, events), events[-1][1] if events else T0
    orders = {a.id for a in case.acts.values() if a.basis in ("court_order", "best_interests")}
    for view in world().audience(case, at).seats:
        if view.seat.agency == FOREIGN:
            assert set(view.basis(at)) <= orders


def test_11_a_consent_that_names_an_agency_abroad_sends_it_nothing() -> None:
    named = opened().then(consent_given(recipient=to(FOREIGN)))
    named.when(referral_sent(to=FOREIGN)).refuses("FOREIGN_RECEIVER")


# 12. A rapporteur's figures and people's files stay apart.


@pytest.mark.parametrize("name", PACKS)
def test_12_monitoring_opens_statistics_alone_and_nothing_else_opens_them(name: str) -> None:
    policy = parse_policy(pack(name))
    opened_by = [(p, mask) for (_, p), mask in policy.ceilings.items()]
    opened_by += [(p, b.categories) for b in policy.legal_bases for p in b.purposes]
    for purpose, mask in opened_by:
        only = Category.STATISTICS.bit if purpose == Purpose.MONITORING else ALL_SEALED
        assert not mask & ~only
        assert purpose == Purpose.MONITORING or not mask & Category.STATISTICS.bit


# 14. Nothing is broken open by one hand.


def test_14_danger_to_life_cannot_be_claimed_as_an_act_of_consent() -> None:
    act = consent_given(basis="vital_interest", given_by="", evidence=None)
    opened().when(act).refuses("BASIS_UNKNOWN")


@pytest.mark.parametrize("name", PACKS)
def test_14_no_pack_lets_anybody_record_an_emergency_as_consent(name: str) -> None:
    assert "vital_interest" not in parse_policy(pack(name)).bases


# 16. No agency is cut off from its own cases as a sanction of the case's other agencies.


def test_16_no_event_of_a_case_takes_the_openers_part_away() -> None:
    for seed in range(40):
        case = Case(id=CASE)
        for event, at in history(seed):
            case = evolve(case, event, at)
            assert case.opened_by in case.settled_parts


# 17. Old events stay readable; unknown codes are kept.


def test_17_a_code_of_a_later_version_is_recorded_like_any_other() -> None:
    case = opened().then(
        signal_received(),
        screened(result="x-later"),
        keys_opened(CHARITY, reason="x-later"),
        consent_given(history="x-later"),
        referral_sent(urgency="x-later"),
    )
    assert (case.case.version, len(case.case.referrals)) == (7, 1)


# 18. To verify needs no key.

VERIFYING = ("domain/trail", "services/auditor", "services/witness", "adapters/evidence")
OPENING = ("domain.sealing", "domain.custody", "services.custodian")


@pytest.mark.parametrize("room", VERIFYING)
def test_18_who_verifies_the_trail_has_nothing_to_open_a_field_with(room: str) -> None:
    files = [*(ROOT / room).rglob("*.py")]
    assert files
    for path in files:
        found = ast.walk(ast.parse(path.read_text("utf-8")))
        taken = {n.module or "" for n in found if isinstance(n, ast.ImportFrom)}
        assert not [name for name in taken if name.startswith(OPENING)], path.name


def test_18_a_statement_is_checked_against_a_record_that_shows_nothing() -> None:
    shape = LANGUAGE.shape("nrm.v1.SafeContactSet")
    fields = tuple(Field(path, c, f"sealed {path}".encode()) for path, c in shape.fields)
    record = Record(shape.type, fields)
    said = Statement(
        kind=1,
        type=shape.number,
        stream=stream_tag(CASE),
        after=bytes(32),
        actor=bytes(32),
        actor_seq=0,
        actor_prev=bytes(32),
        actor_time_ms=T0,
        schema=shape.seal_fp,
        field_count=len(fields),
        fields=record.fields_root,
        payload=bytes(32),
        seen_size=0,
        seen_root=bytes(32),
    )
    check_describes(said, record.withhold(0), shape, CASE)
    with pytest.raises(HubError):
        check_describes(said, record.withhold(0), shape, uid("another case"))
