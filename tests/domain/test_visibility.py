"""Who learns that an event exists: the relations of the policy pack, and nobody besides."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given as over
from hypothesis import settings
from hypothesis import strategies as st

from domain import events as ev
from domain.case import Case
from domain.consent import Standing
from domain.fold import evolve
from domain.policy import RELATIONS, parse_policy
from domain.visibility import Stance, home_purpose, sees, stance
from domain.vocabulary import ALL_SEALED, Purpose, Seat
from tests.agencies import (
    AGENCIES,
    AUTHORITY,
    CHARITY,
    CLINIC,
    INVESTIGATION,
    LAWYERS,
    POLICE,
    RAPPORTEUR,
    REFUGE,
    SHELTER,
    SUPPORT,
    SUSPENDED,
    T0,
    pack,
    world,
)
from tests.builders import (
    CASE,
    REFUSAL,
    consent_given,
    consent_narrowed,
    consent_refused,
    consent_withdrawn,
    information_requested,
    keys_opened,
    notified,
    referral_accepted,
    referral_declined,
    referral_sent,
    safe_contact_set,
    to,
    uid,
)
from tests.domain.histories import History, history
from tests.spec import Given, accepted, referred, sent

VISIBILITY = world().policy.visibility


def looks(
    given: Given, event: ev.CaseEvent, agency: str, purpose: str | None = None, **changes: Any
) -> bool:
    """Whether the agency's seat, by default its home, learns of `event` in the case as it is."""
    standing = world().standing(agency, T0)
    seat = Seat(agency, purpose or home_purpose(standing) or SUPPORT)
    mask, overlap = changes.get("mask", 0), changes.get("overlap", 0)
    visibility = changes.get("visibility", VISIBILITY)
    return sees(event, stance_of(given.case, seat, standing), mask, overlap, visibility)


def stance_of(case: Case, seat: Seat, standing: Standing) -> Stance:
    home = home_purpose(standing) == seat.purpose
    return stance(case, seat, standing, has_part=seat.agency in case.parts, home=home)


def test_an_agency_with_a_part_and_a_mask_follows_the_case() -> None:
    event = safe_contact_set()
    assert looks(accepted(), event, SHELTER, mask=2)
    assert not looks(accepted(), event, SHELTER, mask=0)
    assert not looks(accepted(), event, REFUGE, mask=ALL_SEALED)


def test_a_key_is_seen_by_whom_what_it_seals_is_open_to() -> None:
    assert looks(accepted(), keys_opened(), SHELTER, mask=2, overlap=2)
    assert not looks(accepted(), keys_opened(), SHELTER, mask=2, overlap=0)


def test_an_agency_not_in_force_sees_nothing() -> None:
    lists_it = {"SafeContactSet": RELATIONS}
    to_suspended = replace(accepted().case, opened_by=SUSPENDED)
    event, given = safe_contact_set(), replace(accepted(), case=to_suspended)
    assert not looks(given, event, SUSPENDED, mask=2, overlap=2, visibility=lists_it)


def test_what_the_policy_does_not_list_nobody_sees() -> None:
    assert not looks(accepted(), safe_contact_set(), SHELTER, mask=ALL_SEALED, visibility={})


def test_a_referral_is_seen_by_its_two_ends_alone() -> None:
    event = referral_accepted()
    assert looks(accepted(), event, SHELTER, SUPPORT)
    assert looks(accepted(), event, CHARITY)
    assert not looks(accepted(), event, SHELTER, "return_or_residence", mask=ALL_SEALED)
    assert not looks(accepted(), event, AUTHORITY, mask=ALL_SEALED, overlap=ALL_SEALED)


def test_other_receivers_do_not_learn_of_each_other() -> None:
    other = uid("other")
    two = accepted().then(
        consent_given(consent_id=other, recipient=to(CLINIC)),
        referral_sent(to=CLINIC, referral_id=other),
    )
    assert looks(two, referral_sent(to=CLINIC, referral_id=other), CLINIC, SUPPORT)
    assert not looks(two, referral_sent(to=CLINIC, referral_id=other), SHELTER, mask=ALL_SEALED)


def test_who_declined_still_sees_its_own_answer() -> None:
    declined = sent().then(referral_declined())
    assert looks(declined, referral_declined(), SHELTER, SUPPORT)
    assert not looks(declined, safe_contact_set(), SHELTER, mask=ALL_SEALED)


def test_the_authority_follows_from_its_home_seat() -> None:
    event = safe_contact_set()
    assert looks(referred(), event, AUTHORITY, SUPPORT)
    assert not looks(referred(), event, AUTHORITY, "monitoring")


def test_a_request_for_information_reaches_whom_it_asks() -> None:
    asked = information_requested()
    assert looks(referred(), asked, CHARITY)
    assert not looks(referred(), asked, SHELTER, mask=ALL_SEALED)


def test_a_statutory_reader_sees_what_the_policy_names_of_a_case_that_a_law_opens() -> None:
    assert looks(referred(), notified(), RAPPORTEUR, mask=1 << 9)
    assert not looks(referred(), notified(), RAPPORTEUR, mask=0)
    assert not looks(referred(), safe_contact_set(), RAPPORTEUR, mask=1 << 9)


@pytest.mark.parametrize("event", [consent_given(), consent_narrowed(), consent_withdrawn()])
def test_a_consent_is_seen_by_the_agency_that_it_names(event: ev.CaseEvent) -> None:
    assert looks(accepted(), event, SHELTER)
    assert not looks(accepted(), event, SHELTER, "return_or_residence")
    assert not looks(accepted(), event, POLICE, INVESTIGATION)


def test_a_consent_does_not_tell_an_agency_without_a_part() -> None:
    to_refuge = consent_given(consent_id=uid("refuge"), recipient=to(REFUGE))
    assert not looks(accepted().then(to_refuge), to_refuge, REFUGE)


def test_a_consent_by_kind_names_nobody_in_person() -> None:
    by_kind = consent_given(consent_id=uid("kind"), recipient=to(kind="service_provider"))
    assert not looks(accepted().then(by_kind), by_kind, SHELTER)


def test_taking_everything_back_tells_every_agency_that_was_named() -> None:
    everything = consent_withdrawn(consent_id=None)
    assert looks(accepted().then(everything), everything, SHELTER)


def test_a_refusal_and_its_withdrawal_never_tell_whom_they_name() -> None:
    refused = accepted().then(consent_refused(recipient=to(SHELTER)))
    assert not looks(refused, consent_refused(), SHELTER)
    lifted = consent_withdrawn(consent_id=REFUSAL)
    assert not looks(refused.then(lifted), lifted, SHELTER)


def test_the_home_seat_is_the_first_purpose_of_the_vocabulary() -> None:
    def standing(**roles: frozenset[str]) -> Standing:
        return Standing(agency="a", active=True, roles=roles)

    first, second, *_ = Purpose
    assert home_purpose(standing(x=frozenset({second}), y=frozenset({first}))) == first
    assert home_purpose(standing(x=frozenset())) is None


@pytest.mark.parametrize("name", ["gb-2026", "xa-2026"])
def test_a_refusal_is_shown_by_no_pack_to_whom_it_names(name: str) -> None:
    shown = parse_policy(pack(name)).visibility["ConsentRefused"]
    assert not shown & {"recipient", "addressee", "referral"}


@settings(max_examples=40)
@over(st.integers(0, 1 << 32).map(history))
def test_who_never_had_a_part_and_sees_nothing_learns_of_nothing(events: History) -> None:
    case = Case(id=CASE)
    for event, at in events:
        case = evolve(case, event, at)
        audience = world().audience(case, at)
        for agency in set(AGENCIES) - _involved(case):
            standing = world().standing(agency, at)
            for purpose in standing.purposes:
                mask = audience.mask(Seat(agency, purpose), at)
                stands = stance_of(case, Seat(agency, purpose), standing)
                assert mask or not sees(event, stands, mask, mask, VISIBILITY)


def _involved(case: Case) -> set[str]:
    ends = {end for r in case.referrals.values() for end in (r.sender, r.receiver)}
    return ends | {a for a in (case.opened_by, case.authority, case.referrer) if a}


def test_a_lawyer_whom_nobody_named_sees_no_event_of_a_case() -> None:
    for event, _ in history(1):
        assert not looks(accepted(), event, LAWYERS)
