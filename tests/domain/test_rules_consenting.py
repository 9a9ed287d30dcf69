"""Acts of consent and refusal: what may be recorded as the person's word, and by whom."""

from collections.abc import Callable

import pytest

from domain import events as ev
from domain.vocabulary import CRIMINAL_JUSTICE, Category, Purpose
from tests.agencies import (
    CHARITY,
    CHILDREN,
    CLINIC,
    COURT,
    DAY,
    POLICE,
    PROSECUTION,
    SHELTER,
    SUPPORT,
    T0,
)
from tests.builders import (
    CONSENT,
    REFUSAL,
    case_opened,
    consent_expired,
    consent_given,
    consent_narrowed,
    consent_refused,
    consent_renewed,
    consent_withdrawn,
    guardian_appointed,
    guardian_conflict,
    notice_given,
    referral_accepted,
    referral_sent,
    to,
    uid,
)
from tests.spec import accepted, child, consented, given, opened, sent

OTHER = uid("another act")


def test_a_consent_lives_from_giving_to_withdrawal() -> None:
    narrowed = consented().then(consent_renewed(), consent_narrowed())
    act = narrowed.case.acts[CONSENT]
    assert (act.categories, act.not_after) == (Category.IDENTITY.bit, T0 + 180 * DAY)
    ended = narrowed.then(consent_withdrawn())
    assert (CONSENT in ended.case.acts, CONSENT in ended.case.ended_acts) == (False, True)


def test_who_was_not_informed_cannot_consent() -> None:
    given(case_opened()).when(consent_given()).refuses("NOT_INFORMED")


def test_a_decision_in_a_childs_best_interests_needs_no_notice() -> None:
    decided = consent_given(CHILDREN, basis="best_interests", given_by="child_protection")
    given(case_opened(CHILDREN, age_group="child")).when(decided).is_recorded()


@pytest.mark.parametrize("also", sorted(set(Purpose) - CRIMINAL_JUSTICE))
@pytest.mark.parametrize("criminal", sorted(CRIMINAL_JUSTICE))
def test_cooperation_with_police_is_never_bundled(also: str, criminal: str) -> None:
    opened().when(consent_given(purposes=(also, criminal))).refuses("BUNDLED_CONSENT")


def test_cooperation_with_police_is_an_act_of_its_own() -> None:
    to_police = consent_given(recipient=to(POLICE), purposes=("investigation", "prosecution"))
    opened().when(to_police).is_recorded()


def test_a_receiver_who_has_not_answered_records_no_consent() -> None:
    more = consent_given(SHELTER, consent_id=OTHER)
    sent().when(more).refuses("RECORDER_HAS_NO_PART")
    accepted().when(more).is_recorded()
    sent().when(consent_renewed(SHELTER)).refuses("RECORDER_HAS_NO_PART")


def test_nobody_prolongs_the_act_that_alone_lets_it_in() -> None:
    accepted().when(consent_renewed(SHELTER)).refuses("PART_RESTS_ON_ACT")
    accepted().when(consent_renewed(CHARITY)).is_recorded()


@pytest.mark.parametrize("selector", [to(kind="service_provider"), to(country="GB")])
def test_nobody_prolongs_an_act_that_names_it_by_kind_or_country(selector: ev.Recipient) -> None:
    by_kind = opened().then(consent_given(recipient=selector), referral_sent(), referral_accepted())
    by_kind.when(consent_renewed(SHELTER)).refuses("PART_RESTS_ON_ACT")


def test_who_opened_the_case_prolongs_even_an_act_that_names_it() -> None:
    to_itself = opened().then(consent_given(recipient=to(CHARITY)))
    to_itself.when(consent_renewed()).is_recorded()


def test_anybody_with_a_part_takes_a_consent_back() -> None:
    sent().when(consent_withdrawn(SHELTER)).is_recorded()
    sent().when(consent_narrowed(SHELTER)).is_recorded()
    sent().when(consent_refused(SHELTER, recipient=to(CLINIC))).is_recorded()


def test_taking_back_a_refusal_opens_and_is_held_to_the_rules_of_giving() -> None:
    refused = sent().then(consent_refused(recipient=to(CLINIC)))
    lifted = consent_withdrawn(SHELTER, consent_id=REFUSAL)
    refused.when(lifted).refuses("RECORDER_HAS_NO_PART")
    refused.then(referral_accepted()).when(lifted).is_recorded()


def test_nobody_lifts_a_refusal_that_names_it() -> None:
    refused = accepted().then(consent_refused(danger=True))
    refused.when(consent_withdrawn(SHELTER, consent_id=REFUSAL)).refuses("REFUSAL_NAMES_YOU")
    refused.when(consent_withdrawn(CHARITY, consent_id=REFUSAL)).is_recorded()


def test_taking_back_every_consent_leaves_refusals_standing() -> None:
    after = consented().then(consent_refused(), consent_withdrawn(consent_id=None))
    assert set(after.case.acts) == {REFUSAL}


def test_what_was_taken_back_cannot_be_taken_back_again() -> None:
    withdrawn = consented().then(consent_withdrawn())
    withdrawn.when(consent_withdrawn()).refuses("ALREADY_DONE")
    withdrawn.when(consent_withdrawn(consent_id=None)).refuses("ALREADY_DONE")


def test_consent_after_withdrawal_is_a_new_act() -> None:
    withdrawn = consented().then(consent_withdrawn())
    withdrawn.when(consent_given()).refuses("CONSENT_ID_TAKEN")
    withdrawn.when(consent_renewed()).refuses("CONSENT_UNKNOWN")
    withdrawn.when(consent_given(consent_id=OTHER)).is_recorded()


def test_an_act_id_is_used_once_by_consents_and_refusals_alike() -> None:
    consented().when(consent_given()).refuses("CONSENT_ID_TAKEN")
    consented().when(consent_refused(consent_id=CONSENT)).refuses("CONSENT_ID_TAKEN")


@pytest.mark.parametrize(
    "change",
    [consent_narrowed, consent_renewed, consent_expired, consent_withdrawn],
    ids=["narrowed", "renewed", "expired", "withdrawn"],
)
def test_an_act_that_does_not_stand_cannot_change(change: Callable[[], ev.CaseEvent]) -> None:
    opened().when(change()).refuses("CONSENT_UNKNOWN")


def test_a_refusal_is_neither_narrowed_nor_renewed_nor_run_out() -> None:
    refused = opened().then(consent_refused())
    for change in (consent_narrowed, consent_renewed, consent_expired):
        refused.when(change(consent_id=REFUSAL)).refuses("CONSENT_UNKNOWN")


@pytest.mark.parametrize(
    "wider",
    [
        {"categories": ("IDENTITY", "HEALTH")},
        {"purposes": (SUPPORT, "return_or_residence")},
        {"purposes": ("investigation",)},
    ],
)
def test_a_narrowing_never_adds(wider: dict[str, tuple[str, ...]]) -> None:
    consented().when(consent_narrowed(**wider)).refuses("WIDER_THAN_BEFORE")


@pytest.mark.parametrize("empty", ["purposes", "categories"])
def test_an_empty_consent_is_no_consent(empty: str) -> None:
    opened().when(consent_given(**{empty: ()})).refuses("EMPTY_CONSENT")
    consented().when(consent_narrowed(**{empty: ()})).refuses("EMPTY_CONSENT")


def test_words_outside_the_vocabulary_are_refused() -> None:
    opened().when(consent_given(purposes=("marketing",))).refuses("PURPOSE_UNKNOWN")
    opened().when(consent_refused(purposes=("marketing",))).refuses("PURPOSE_UNKNOWN")
    for category in ("ROUTING", "EVERYTHING"):
        opened().when(consent_given(categories=(category,))).refuses("CATEGORY_UNKNOWN")
        opened().when(consent_refused(categories=(category,))).refuses("CATEGORY_UNKNOWN")


def test_nobody_is_not_everybody() -> None:
    opened().when(consent_given(recipient=to())).refuses("RECIPIENT_MISSING")
    opened().when(consent_refused(recipient=to())).refuses("RECIPIENT_MISSING")


@pytest.mark.parametrize("basis", ["vital_interest", "legitimate_interest", ""])
def test_a_basis_that_is_no_act_of_consent_is_refused(basis: str) -> None:
    opened().when(consent_given(basis=basis)).refuses("BASIS_UNKNOWN")


@pytest.mark.parametrize("basis", ["court_order", "legal_obligation", "best_interests"])
def test_an_order_is_recorded_by_whom_the_policy_names(basis: str) -> None:
    opened().when(consent_given(basis=basis)).refuses("BASIS_NOT_YOURS")
    given(case_opened(CHILDREN), notice_given(CHILDREN)).when(
        consent_given(CHILDREN, basis="best_interests")
    ).is_recorded()


def test_a_consent_lasts_no_longer_than_the_policy_allows() -> None:
    most = consent_given(not_before=T0 + DAY, not_after=T0 + 366 * DAY)
    longer = consent_given(not_before=T0 + DAY, not_after=T0 + 366 * DAY + 1)
    opened().when(most).is_recorded()
    opened().when(longer).refuses("CONSENT_TOO_LONG")
    consented().when(consent_renewed(not_after=T0 + 367 * DAY)).refuses("CONSENT_TOO_LONG")


def test_an_act_ends_after_it_begins_and_in_the_future() -> None:
    opened().when(consent_given(not_after=T0)).refuses("PERIOD_EMPTY")
    past = consent_given(not_before=T0 - 2 * DAY, not_after=T0 - DAY)
    opened().when(past).refuses("PERIOD_EMPTY")
    consented().when(consent_renewed(not_after=T0)).refuses("PERIOD_EMPTY")


def test_the_clock_ends_a_consent_no_sooner_than_its_end() -> None:
    consented().when(consent_expired()).refuses("NOT_DUE")
    ended = consented().later(90 * DAY).then(consent_expired())
    assert CONSENT in ended.case.ended_acts


def test_a_child_has_the_guardians_that_were_appointed() -> None:
    appointed = child().then(guardian_appointed())
    appointed.when(guardian_appointed()).refuses("ALREADY_DONE")
    appointed.when(guardian_conflict()).is_recorded()


def test_an_unknown_guardian_is_refused() -> None:
    child().when(guardian_conflict()).refuses("GUARDIAN_UNKNOWN")
    child().when(guardian_appointed(role="uncle")).refuses("GUARDIAN_ROLE_UNKNOWN")


def test_a_conflict_of_the_legal_guardians_can_be_found_without_naming_one() -> None:
    legal = guardian_appointed(guardian_id=OTHER, role="legal_guardian")
    found = child().then(legal, guardian_appointed(), guardian_conflict(guardian_id=None))
    conflicted = {i for i, g in found.case.guardians.items() if g.conflicted}
    assert conflicted == {OTHER}


def test_only_a_court_or_child_protection_appoints_a_guardian() -> None:
    opened().when(guardian_appointed(CHARITY)).refuses("ROLE_MAY_NOT")
    before_court = opened().then(
        consent_given(recipient=to(COURT), purposes=(PROSECUTION,)),
        referral_sent(to=COURT, purpose=PROSECUTION),
        referral_accepted(COURT),
    )
    before_court.when(guardian_appointed(COURT)).is_recorded()
