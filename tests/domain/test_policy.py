"""Policy packs: what is read, what is refused by name, and how days are counted."""

from dataclasses import fields
from datetime import UTC, datetime
from importlib.resources import files
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.calendar import DAY_MS, Calendar
from domain.errors import Malformed
from domain.events import CaseEvent, RegistryEvent
from domain.policy import DEADLINES, Policy, parse_policy
from domain.vocabulary import CRIMINAL_JUSTICE, SEALED, Category, Purpose, Role, mask_of


def text(name: str) -> str:
    return (files("domain.policies") / f"{name}.toml").read_text(encoding="utf-8")


GB = parse_policy(text("gb-2026"))
XA = parse_policy(text("xa-2026"))
BOTH = pytest.mark.parametrize("policy", [GB, XA], ids=lambda p: p.id)
CASE_EVENTS = {e.__name__ for e in get_args(CaseEvent)}
REGISTRY_EVENTS = {e.__name__ for e in get_args(RegistryEvent)}


def ms(when: str, hours_ahead: int = 0) -> int:
    """The instant at which clocks `hours_ahead` of UTC show `when`."""
    at = datetime.fromisoformat(when).replace(tzinfo=UTC)
    return int(at.timestamp() * 1000) - hours_ahead * 3_600_000


# What both packs hold


@BOTH
def test_every_case_event_has_its_roles_and_its_viewers(policy: Policy) -> None:
    assert set(policy.acts) == CASE_EVENTS | REGISTRY_EVENTS
    assert set(policy.visibility) == CASE_EVENTS


@BOTH
def test_only_the_coordinator_records_registry_facts(policy: Policy) -> None:
    assert {policy.acts[e] for e in REGISTRY_EVENTS} == {frozenset({Role.NRM_COORDINATOR})}


@BOTH
def test_whoever_may_record_sealed_data_may_open_keys_for_it(policy: Policy) -> None:
    writers = frozenset().union(*(policy.acts[e] for e in CASE_EVENTS))
    clocks_only = policy.acts["ConsentExpired"]
    assert writers - clocks_only <= policy.acts["KeyEpochOpened"] <= writers


@BOTH
def test_auditor_and_rapporteur_record_nothing(policy: Policy) -> None:
    acting = frozenset().union(*policy.acts.values())
    assert acting.isdisjoint({Role.AUDITOR, Role.NATIONAL_RAPPORTEUR})


@BOTH
def test_consent_is_recorded_by_those_whom_some_basis_lets(policy: Policy) -> None:
    assert policy.acts["ConsentGiven"] == frozenset().union(*policy.bases.values())


@BOTH
def test_taking_back_is_open_to_all_who_may_record_consent(policy: Policy) -> None:
    for event in ("ConsentWithdrawn", "ConsentRefused", "ConsentNarrowed"):
        assert policy.acts[event] >= policy.acts["ConsentGiven"]


@BOTH
def test_a_refusal_is_never_shown_to_whom_it_names(policy: Policy) -> None:
    assert "recipient" not in policy.visibility["ConsentRefused"]


@BOTH
def test_health_data_go_to_health_bodies_for_care_alone(policy: Policy) -> None:
    opened = {key for key, mask in policy.ceilings.items() if mask & Category.HEALTH.bit}
    assert opened == {(Role.HEALTH, Purpose.HEALTH_CARE)}
    assert not any(b.categories & Category.HEALTH.bit for b in policy.legal_bases)


@BOTH
def test_police_get_no_contact_for_support(policy: Policy) -> None:
    ceiling = policy.ceilings[Role.POLICE, Purpose.PROTECTION_SUPPORT]
    assert not ceiling & Category.CONTACT.bit


@BOTH
def test_immigration_and_consular_bodies_get_no_account_and_no_contact(policy: Policy) -> None:
    barred = mask_of(["CONTACT", "HEALTH", "EXPLOITATION", "PROTECTION", "CASEWORK"])
    for role in (Role.IMMIGRATION_AUTHORITY, Role.CONSULAR, Role.BORDER_GUARD):
        assert not any(m & barred for (r, _), m in policy.ceilings.items() if r == role)


@BOTH
def test_monitoring_opens_statistics_and_nothing_else_does(policy: Policy) -> None:
    for (_, purpose), mask in policy.ceilings.items():
        statistics = mask & Category.STATISTICS.bit
        assert (mask == statistics) if purpose == Purpose.MONITORING else not statistics


@BOTH
def test_the_rapporteur_sees_statistics_alone(policy: Policy) -> None:
    role = Role.NATIONAL_RAPPORTEUR
    seen = {m for (r, _), m in policy.ceilings.items() if r == role}
    seen |= {b.categories for b in policy.legal_bases if b.role == role}
    assert seen == {Category.STATISTICS.bit}


@BOTH
def test_no_law_opens_a_case_to_police_or_prosecution(policy: Policy) -> None:
    assert not any(b.purposes & CRIMINAL_JUSTICE for b in policy.legal_bases)


@BOTH
def test_only_statistics_are_disclosed_to_agencies_without_a_part(policy: Policy) -> None:
    assert {b.categories for b in policy.legal_bases if not b.part_only} == {
        Category.STATISTICS.bit
    }


def test_the_two_packs_differ_in_every_rule() -> None:
    assert [f.name for f in fields(Policy) if getattr(GB, f.name) == getattr(XA, f.name)] == []
    calendars = GB.calendar, XA.calendar
    assert [
        f.name for f in fields(Calendar) if len({getattr(c, f.name) for c in calendars}) < 2
    ] == []


@pytest.mark.parametrize("rule", ["deadlines", "bases", "visibility"])
def test_the_two_packs_differ_entry_by_entry(rule: str) -> None:
    gb, xa = getattr(GB, rule), getattr(XA, rule)
    assert [key for key in gb if key in xa and gb[key] == xa[key]] == []


def test_the_two_packs_let_others_record_every_case_event() -> None:
    assert [e for e in CASE_EVENTS if GB.acts[e] == XA.acts[e]] == []


def test_the_two_packs_differ_in_every_ceiling_but_monitoring() -> None:
    shared = {k for k in GB.ceilings if GB.ceilings[k] == XA.ceilings.get(k)}
    assert {purpose for _, purpose in shared} == {Purpose.MONITORING}


def test_britain_has_a_duty_to_notify_and_astoria_none() -> None:
    assert Role.POLICE in GB.acts["DutyNotificationSubmitted"]
    assert Role.SERVICE_PROVIDER not in GB.acts["DutyNotificationSubmitted"]
    assert XA.acts["DutyNotificationSubmitted"] == frozenset()


def test_british_law_opens_a_childs_case_to_those_who_protect_it() -> None:
    child = [b for b in GB.legal_bases if b.when == "child"]
    assert {b.role for b in child} == {Role.COMPETENT_AUTHORITY, Role.CHILD_PROTECTION}
    assert all(b.part_only and b.purposes == {Purpose.PROTECTION_SUPPORT} for b in child)
    closed = mask_of(["HEALTH", "STATISTICS"])
    assert {b.categories for b in child} == {sum(c.bit for c in SEALED) & ~closed}


# Deadlines


def test_five_working_days_skip_the_weekend() -> None:
    wednesday = ms("2026-06-10T15:30")
    assert GB.due("reasonable_grounds", wednesday) == ms("2026-06-18T00:00")


def test_working_days_skip_bank_holidays() -> None:
    before_easter = ms("2026-04-01T09:00")
    assert GB.due("reasonable_grounds", before_easter) == ms("2026-04-11T00:00")


def test_working_days_skip_the_days_given_for_a_holiday_on_a_weekend() -> None:
    christmas_eve = ms("2027-12-24T09:00")
    assert GB.due("referral_answer", christmas_eve) == ms("2028-01-01T00:00")


def test_a_deadline_from_a_day_off_begins_with_the_next_working_day() -> None:
    saturday, friday = ms("2026-06-13T12:00"), ms("2026-06-12T12:00")
    assert GB.due("reasonable_grounds", saturday) == GB.due("reasonable_grounds", friday)


def test_calendar_days_count_weekends_and_holidays() -> None:
    assert GB.due("recovery", ms("2026-03-20T08:00")) == ms("2026-04-20T00:00")


def test_astoria_rests_on_friday_and_saturday() -> None:
    wednesday = ms("2026-06-10T10:00", hours_ahead=3)
    assert XA.calendar.end(wednesday, 1, working=True) == ms("2026-06-12T00:00", hours_ahead=3)
    # Thursday, Sunday: the first two working days.
    assert XA.calendar.end(wednesday, 2, working=True) == ms("2026-06-15T00:00", hours_ahead=3)


def test_astoria_works_on_a_sunday_unless_it_is_a_holiday() -> None:
    thursday = ms("2026-03-12T10:00", hours_ahead=3)
    # Sunday the 15th and Monday the 16th are holidays.
    assert XA.calendar.end(thursday, 1, working=True) == ms("2026-03-18T00:00", hours_ahead=3)


def test_a_day_is_a_day_of_the_countrys_own_clock() -> None:
    late, later = ms("2026-06-10T23:59", hours_ahead=3), ms("2026-06-11T00:00", hours_ahead=3)
    assert XA.due("referral_answer", late) == ms("2026-06-18T00:00", hours_ahead=3)
    assert XA.due("referral_answer", later) == ms("2026-06-19T00:00", hours_ahead=3)


@BOTH
@given(
    name=st.sampled_from(DEADLINES),
    at=st.integers(-(2**62), 2**62),
    later=st.integers(0, 30 * DAY_MS),
)
def test_a_deadline_is_the_end_of_a_day_and_never_comes_earlier_for_a_later_start(
    policy: Policy, name: str, at: int, later: int
) -> None:
    due = policy.due(name, at)
    assert due >= at + policy.deadlines[name].days * DAY_MS
    assert (due + policy.calendar.utc_offset_minutes * 60_000) % DAY_MS == 0
    assert policy.due(name, at + later) >= due


# What is refused, and under which name


def refused(changed: str) -> Malformed:
    with pytest.raises(Malformed) as caught:
        parse_policy(changed)
    return caught.value


@pytest.mark.parametrize(
    ("old", "new", "code", "path"),
    [
        ('country = "GB"', 'contry = "GB"', "POLICY_KEY_MISSING", "country"),
        ('country = "GB"', 'country = "GB"\nregion = "x"', "POLICY_KEY_UNKNOWN", "region"),
        (
            "max_days = 365",
            "max_days = 365\nmin_days = 1",
            "POLICY_KEY_UNKNOWN",
            "consent.min_days",
        ),
        ("part_only = true", "part_onyl = true", "POLICY_KEY_MISSING", "legal_bases[0].part_only"),
        ("days = 5,", 'days = "5",', "POLICY_TYPE", "deadlines.reasonable_grounds.days"),
        ("days = 5,", "days = true,", "POLICY_TYPE", "deadlines.reasonable_grounds.days"),
        ("days = 5,", "days = 0,", "POLICY_RANGE", "deadlines.reasonable_grounds.days"),
        ("recovery = {", "recovry = {", "POLICY_KEY_MISSING", "deadlines.recovery"),
        (
            "needs_consent = false",
            "needs_consent = 0",
            "POLICY_TYPE",
            "children.referral_needs_consent",
        ),
        ("2026-01-01\n", "2026-01-01T00:00:00\n", "POLICY_TYPE", "valid_from"),
        ("max_days = 365", "max_days = 800", "POLICY_RANGE", "consent.max_days"),
        ('"sunday"]', '"sonntag"]', "POLICY_WORD_UNKNOWN", "calendar.weekend: sonntag"),
        ("court_order =", "court_ordre =", "POLICY_WORD_UNKNOWN", "consent.bases: court_ordre"),
        (
            '["SignalReceived"]',
            '["SignalRecieved"]',
            "POLICY_WORD_UNKNOWN",
            "acts[1].events: SignalRecieved",
        ),
        (
            'roles = ["nrm_coordinator"]',
            'roles = ["boss"]',
            "POLICY_WORD_UNKNOWN",
            "acts[0].roles: boss",
        ),
        ("[ceilings.police]", "[ceilings.polic]", "POLICY_WORD_UNKNOWN", "ceilings: polic"),
        (
            "prosecution = [",
            "persecution = [",
            "POLICY_WORD_UNKNOWN",
            "ceilings.prosecutor: persecution",
        ),
        (
            'health_care = ["IDENTITY"',
            'health_care = ["ROUTING"',
            "POLICY_WORD_UNKNOWN",
            "ceilings.health.health_care: ROUTING",
        ),
        ('when = "always"', 'when = "often"', "POLICY_WORD_UNKNOWN", "legal_bases[3].when: often"),
        ('["referral"]', '["refferal"]', "POLICY_WORD_UNKNOWN", "refferal"),
        ('["GuardianAppointed"]', '["AgencyRenamed"]', "POLICY_WORD_UNKNOWN", "AgencyRenamed"),
        ('events = ["CaseClosed"]', 'events = ["NeedsAssessed"]', "POLICY_TWICE", "NeedsAssessed"),
        (
            'roles = ["court", "child_protection"]',
            'roles = ["court", "court"]',
            "POLICY_TWICE",
            "roles",
        ),
        (
            'investigation = ["IDENTITY", "CONTACT"',
            'monitoring = ["IDENTITY", "CONTACT"',
            "POLICY_STATISTICS",
            "ceilings.police.monitoring",
        ),
        ('["monitoring"]', '["investigation"]', "POLICY_STATISTICS", "legal_bases[2]"),
        ("[calendar]", "[calendar", "POLICY_SYNTAX", "line"),
        ("max_days =", f"max_days = {'1' * 5000} #", "POLICY_SYNTAX", "digits"),
    ],
)
def test_a_slip_in_a_pack_is_refused_by_name(old: str, new: str, code: str, path: str) -> None:
    pack = text("gb-2026")
    assert old in pack
    error = refused(pack.replace(old, new, 1))
    assert error.code == code
    assert path in error.message


def test_a_calendar_without_working_days_is_refused() -> None:
    week = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    pack = text("gb-2026").replace('["saturday", "sunday"]', str(week).replace("'", '"'))
    assert refused(pack).code == "POLICY_RANGE"


def test_an_event_that_a_pack_leaves_out_is_open_to_nobody() -> None:
    pack = text("gb-2026").replace('events = ["SignalReceived"]', "events = []")
    assert "SignalReceived" not in parse_policy(pack).acts
