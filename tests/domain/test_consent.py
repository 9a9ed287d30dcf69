"""Rows about the agency, consents, refusals and referrals: deny by default, no beats yes."""

from dataclasses import replace
from typing import Any

import pytest

from domain.consent import ConsentState, LiveReferral, Standing
from domain.decision import Question, decide
from domain.vocabulary import ALL_SEALED, Role, Seat
from tests.domain.consent_cases import (
    HEALTH,
    IDENTITY,
    INVESTIGATION,
    NOW,
    POLICE,
    SHELTER,
    SUPPORT,
    Given,
    by_guardian,
    case,
    consent,
    danger,
    denied,
    guardian,
    order,
    permitted,
    refusal,
    to,
)
from tests.domain.consent_strategies import HOME, STRANGER


def test_without_any_act_nothing_is_permitted() -> None:
    assert case().may(SHELTER) == denied("D00")


def test_a_consent_permits_what_it_names() -> None:
    assert case(consent()).may(SHELTER) == permitted("P01", "consent")


@pytest.mark.parametrize(
    "nothing", [{"purposes": frozenset()}, {"categories": 0}, {"recipient": to()}]
)
def test_an_empty_consent_permits_nothing(nothing: dict[str, Any]) -> None:
    assert case(consent(**nothing)).may(SHELTER) == denied("D00")


def test_a_consent_for_one_category_does_not_open_another() -> None:
    assert case(consent()).may(SHELTER, HEALTH) == denied("D00")


def test_a_consent_for_another_purpose_permits_nothing() -> None:
    assert case(consent()).may(Seat("shelter", "legal_aid")) == denied("D00")


def test_a_consent_to_another_agency_permits_nothing() -> None:
    assert case(consent(recipient=to("other-shelter"))).may(SHELTER) == denied("D00")


def test_every_given_part_of_a_recipient_must_match() -> None:
    kind = Role.SERVICE_PROVIDER
    assert case(consent(recipient=to("shelter", kind, HOME))).may(SHELTER).permit
    assert not case(consent(recipient=to("shelter", kind, "IT"))).may(SHELTER).permit
    assert not case(consent(recipient=to("shelter", Role.POLICE, HOME))).may(SHELTER).permit
    assert not case(consent(recipient=to("other", kind, HOME))).may(SHELTER).permit


def test_a_kind_is_a_role_that_brings_the_purpose() -> None:
    roles = {Role.SERVICE_PROVIDER: frozenset({SUPPORT}), Role.HEALTH: frozenset({"health_care"})}
    given_two_roles = Given(
        acts=(consent(recipient=to(kind=Role.HEALTH)),), standing={"roles": roles}
    )
    assert given_two_roles.may(SHELTER) == denied("D00")


def test_of_two_consents_the_first_recorded_is_named() -> None:
    assert case(consent(), consent(id="second")).may(SHELTER).rests_on == "consent"


def test_a_suspended_agency_reads_nothing_not_even_its_own() -> None:
    suspended = Given(acts=(consent(),), standing={"active": False})
    assert suspended.may(SHELTER, writer="shelter") == denied("D01")


def test_the_standing_of_another_agency_does_not_count() -> None:
    assert Given(acts=(consent(),), standing={"agency": "other"}).may(SHELTER) == denied("D01")


def test_nobody_reads_a_restricted_case() -> None:
    restricted = case(order(), restricted=True)
    assert restricted.may(SHELTER) == denied("D02")
    assert restricted.may(SHELTER, writer="shelter") == denied("D02")


def test_a_writer_reads_what_it_wrote_whatever_was_refused() -> None:
    assert case(danger(to("shelter"))).may(SHELTER, writer="shelter") == permitted("P00", None)


def test_a_purpose_without_a_role_is_denied() -> None:
    act = consent(purposes=frozenset({INVESTIGATION}))
    assert case(act).may(Seat("shelter", INVESTIGATION)) == denied("D03")


def test_a_consent_cannot_exceed_the_ceiling() -> None:
    low = Given(acts=(consent(),), ceiling=HEALTH.bit)
    assert low.may(SHELTER) == denied("D04")


def test_a_missing_ceiling_is_zero() -> None:
    roles = {Role.LEGAL_AID: frozenset({SUPPORT})}
    assert Given(acts=(consent(),), standing={"roles": roles}).may(SHELTER) == denied("D04")


def test_a_ceiling_for_one_purpose_is_none_for_another() -> None:
    question = Question(SHELTER, IDENTITY, STRANGER, NOW)
    roles = {"service_provider": frozenset({SUPPORT, "legal_aid"})}
    standing = Standing(agency="shelter", active=True, country=HOME, roles=roles)
    state = ConsentState(parts=frozenset({"shelter"}), acts=(consent(),))
    ceilings = {("service_provider", "legal_aid"): ALL_SEALED}
    assert decide(question, state, standing, ceilings, (), HOME, NOW) == denied("D04")


def test_an_agency_abroad_is_left_to_the_border_service() -> None:
    act = consent(recipient=to("shelter", country="IT"))
    assert Given(acts=(act,), standing={"country": "IT"}).may(SHELTER) == denied("D10")


def test_without_a_part_even_a_consent_permits_nothing() -> None:
    assert case(consent(), parts=frozenset()).may(SHELTER) == denied("D12")


def test_ceiling_then_country_then_part_then_refusal_is_named() -> None:
    abroad = Given(
        acts=(consent(), refusal()),
        facts={"parts": frozenset()},
        standing={"country": "IT"},
        ceiling=0,
    )
    allowed_there = replace(abroad, ceiling=ALL_SEALED)
    at_home = replace(allowed_there, standing={})
    with_a_part = replace(at_home, facts={})
    worlds_in_order = (abroad, allowed_there, at_home, with_a_part)
    assert [w.may(SHELTER).code for w in worlds_in_order] == ["D04", "D10", "D12", "D05"]


def test_a_refusal_beats_a_consent_whichever_came_first() -> None:
    assert case(consent(), refusal()).may(SHELTER) == denied("D05", "refusal")
    assert case(refusal(), consent()).may(SHELTER) == denied("D05", "refusal")


def test_a_refusal_for_one_purpose_does_not_touch_another() -> None:
    refused = refusal(purposes=frozenset({"legal_aid"}))
    both = consent(purposes=frozenset({SUPPORT, "legal_aid"}))
    assert case(both, refused).may(SHELTER) == permitted("P01", "consent")
    assert case(both, refused).may(Seat("shelter", "legal_aid")) == denied("D05", "refusal")


def test_a_refusal_of_one_category_does_not_touch_another() -> None:
    both = case(consent(categories=IDENTITY.bit | HEALTH.bit), refusal(categories=HEALTH.bit))
    assert both.may(SHELTER, IDENTITY).permit
    assert both.may(SHELTER, HEALTH) == denied("D05", "refusal")


def test_a_refusal_to_somebody_else_does_not_touch_this_agency() -> None:
    assert case(consent(), refusal(recipient=to("police"))).may(SHELTER).permit
    assert case(consent(), refusal(recipient=to())).may(SHELTER).permit


def test_a_refusal_counts_whoever_gave_it_and_without_evidence() -> None:
    child = refusal(given_by="self", evidence=False)
    yes = by_guardian()
    assert case(yes, child, child=True, guardians={"g": guardian()}).may(SHELTER).code == "D05"


def test_a_refusal_that_is_over_no_longer_counts() -> None:
    over = refusal(not_after=NOW)
    assert case(consent(), over).may(SHELTER, at=NOW - 1).code == "D05"
    assert case(consent(), over).may(SHELTER, at=NOW).code == "P01"


def test_a_refusal_about_one_referral_does_not_touch_another() -> None:
    referral = LiveReferral(id="r-1", sender="police", receiver="shelter", purpose=SUPPORT)
    refused = refusal(referral_id="r-1")
    assert case(consent(), refused, referrals=(referral,)).may(SHELTER).code == "D05"
    assert case(consent(), refused).may(SHELTER).code == "P01"


def referral(**changes: str) -> LiveReferral:
    return replace(
        LiveReferral(id="r-1", sender="police", receiver="shelter", purpose=SUPPORT), **changes
    )


def test_a_consent_about_a_referral_opens_to_its_receiver() -> None:
    act = consent(referral_id="r-1", recipient=to(country=HOME))
    world = case(act, referrals=(referral(),))
    assert world.may(SHELTER) == permitted("P01", "consent")


@pytest.mark.parametrize("other", [{"id": "r-2"}, {"receiver": "police"}, {"purpose": "legal_aid"}])
def test_consent_never_spills_over_to_another_referral(other: dict[str, str]) -> None:
    world = case(consent(referral_id="r-1"), referrals=(referral(**other),))
    assert world.may(SHELTER) == denied("D00")


def test_a_consent_about_a_referral_ends_with_the_referral() -> None:
    assert case(consent(referral_id="r-1"), referrals=()).may(SHELTER) == denied("D00")


def test_a_referral_by_itself_opens_nothing() -> None:
    assert case(referrals=(referral(),)).may(SHELTER) == denied("D00")


def test_consent_to_support_says_nothing_about_police() -> None:
    act = consent(recipient=to(country=HOME), categories=ALL_SEALED)
    assert case(act).may(SHELTER).permit
    assert case(act).may(POLICE) == denied("D00")
