"""Rows that outrank a refusal: courts and laws, danger, and danger to life."""

from dataclasses import replace
from typing import Any

import pytest

from domain.consent import Act
from domain.vocabulary import Role, Seat
from tests.domain.consent_cases import (
    HEALTH,
    INVESTIGATION,
    LAW,
    NOW,
    POLICE,
    SHELTER,
    SUPPORT,
    Given,
    case,
    consent,
    danger,
    denied,
    emergency,
    order,
    permitted,
    refusal,
    to,
)


def test_a_court_order_outranks_a_refusal_and_leaves_a_notice() -> None:
    assert case(refusal(), order()).may(SHELTER) == permitted("P02", "order", notice=True)


def test_a_court_order_outranks_purpose_ceiling_country_and_part() -> None:
    named = order(purposes=frozenset({INVESTIGATION}))
    world = Given(
        acts=(named,), standing={"country": "IT"}, ceiling=0, facts={"parts": frozenset()}
    )
    assert world.may(Seat("shelter", INVESTIGATION)).code == "P02"


@pytest.mark.parametrize(
    ("basis", "given_by", "counts"),
    [
        ("court_order", "court", True),
        ("court_order", "child_protection", False),
        ("court_order", "self", False),
        ("legal_obligation", "court", True),
        ("legal_obligation", "child_protection", False),
        ("best_interests", "court", True),
        ("best_interests", "child_protection", True),
        ("best_interests", "legal_guardian", False),
    ],
)
def test_only_its_own_authority_can_order(basis: str, given_by: str, *, counts: bool) -> None:
    decision = case(order(basis=basis, given_by=given_by)).may(SHELTER)
    assert decision.code == ("P02" if counts else "D07")


@pytest.mark.parametrize(
    ("flaw", "code"),
    [
        ({"evidence": False}, "D06"),
        ({"not_before": NOW + 1}, "D08"),
        ({"not_after": NOW}, "D09"),
        ({"opens_from": NOW + 1}, "D13"),
    ],
)
def test_an_order_with_a_flaw_does_not_count(flaw: dict[str, Any], code: str) -> None:
    assert case(order(**flaw)).may(SHELTER) == denied(code, "order")


def test_an_order_opens_only_what_it_names() -> None:
    assert case(order()).may(SHELTER, HEALTH) == denied("D00")
    assert case(order()).may(Seat("shelter", "legal_aid")) == denied("D00")
    assert case(order(recipient=to())).may(SHELTER) == denied("D00")


def test_a_law_of_the_policy_outranks_a_refusal_and_leaves_a_notice() -> None:
    world = case(refusal(), laws=(LAW,))
    assert world.may(SHELTER) == permitted("P02", "LAW-1", notice=True)


def test_a_law_applies_to_events_of_any_age() -> None:
    assert case(laws=(LAW,)).may(SHELTER, recorded=0).code == "P02"


def test_an_order_is_named_before_a_law() -> None:
    assert case(order(), laws=(LAW,)).may(SHELTER).rests_on == "order"


@pytest.mark.parametrize(
    "other",
    [
        {"when": "child"},
        {"when": "ReferralIntoNrmSubmitted"},
        {"role": Role.POLICE},
        {"purposes": frozenset({"legal_aid"})},
        {"purposes": frozenset()},
        {"categories": HEALTH.bit},
    ],
)
def test_a_law_about_something_else_does_not_apply(other: dict[str, Any]) -> None:
    assert case(laws=(replace(LAW, **other),)).may(SHELTER) == denied("D00")


def test_a_law_about_children_applies_while_the_person_may_be_one() -> None:
    assert case(laws=(replace(LAW, when="child"),), child=True).may(SHELTER).code == "P02"


def test_a_law_that_waits_for_an_event_applies_once_it_happened() -> None:
    law = replace(LAW, when="ReferralIntoNrmSubmitted")
    world = case(laws=(law,), happened=frozenset({"ReferralIntoNrmSubmitted"}))
    assert world.may(SHELTER).code == "P02"


def test_a_law_for_parts_only_needs_a_part() -> None:
    everybody = replace(LAW, part_only=False)
    assert case(laws=(LAW,), parts=frozenset()).may(SHELTER) == denied("D12")
    assert case(laws=(everybody,), parts=frozenset()).may(SHELTER).code == "P02"


def test_danger_outranks_consent_order_and_law() -> None:
    world = case(danger(to("shelter")), consent(), order(), laws=(LAW,))
    assert world.may(SHELTER) == denied("D11", "danger")


def test_danger_outranks_an_emergency_act_to_an_agency_that_is_no_rescuer() -> None:
    assert case(danger(to("shelter")), emergency()).may(SHELTER) == denied("D11", "danger")


def rescue() -> Act:
    return emergency(recipient=to("police"), purposes=frozenset({INVESTIGATION}))


def test_police_in_danger_to_life_are_excepted_from_danger() -> None:
    world = case(danger(to("police")), rescue())
    assert world.may(POLICE) == permitted("P03", "emergency", notice=True)
    assert world.may(POLICE, HEALTH) == denied("D11", "danger")


def test_no_order_reaches_a_danger_even_for_police() -> None:
    act = order(recipient=to("police"), purposes=frozenset({INVESTIGATION}))
    assert case(danger(to("police")), act).may(POLICE) == denied("D11", "danger")


def test_a_danger_flag_opens_no_purpose_that_the_agency_lacks() -> None:
    act = emergency(recipient=to("police"), purposes=frozenset({SUPPORT}))
    seat = Seat("police", SUPPORT)
    assert case(act).may(seat) == denied("D03")
    assert case(act, danger(to("police"))).may(seat) == denied("D11", "danger")


def test_a_danger_flag_reaches_every_purpose_category_and_role_of_the_agency() -> None:
    roles = {Role.SERVICE_PROVIDER: frozenset({SUPPORT}), Role.CONSULAR: frozenset({"return"})}
    narrow = replace(
        danger(to(kind=Role.CONSULAR)),
        purposes=frozenset({"return"}),
        categories=HEALTH.bit,
        referral_id="r-1",
    )
    world = Given(acts=(narrow, order()), standing={"roles": roles})
    assert world.may(SHELTER) == denied("D11", "danger")


def test_a_danger_flag_without_a_recipient_is_about_nobody() -> None:
    assert case(danger(to()), consent()).may(SHELTER).code == "P01"


def test_a_consent_marked_dangerous_is_no_danger_flag() -> None:
    assert case(consent(danger=True)).may(SHELTER).code == "P01"


def test_an_emergency_act_outranks_refusal_ceiling_country_and_part() -> None:
    world = Given(
        acts=(refusal(), emergency()),
        standing={"country": "IT"},
        ceiling=0,
        facts={"parts": frozenset()},
    )
    assert world.may(SHELTER) == permitted("P03", "emergency", notice=True)


def test_an_emergency_act_needs_a_role_for_its_purpose() -> None:
    act = emergency(purposes=frozenset({INVESTIGATION}))
    assert case(act).may(Seat("shelter", INVESTIGATION)) == denied("D03")


def test_an_order_is_named_before_an_emergency_act() -> None:
    assert case(emergency(), order()).may(SHELTER).code == "P02"


@pytest.mark.parametrize(
    ("flaw", "code"),
    [
        ({"not_before": NOW + 1}, "D08"),
        ({"not_after": NOW}, "D09"),
        ({"opens_from": NOW + 1}, "D13"),
    ],
)
def test_an_emergency_act_counts_only_in_its_time(flaw: dict[str, Any], code: str) -> None:
    assert case(emergency(**flaw)).may(SHELTER) == denied(code, "emergency")
