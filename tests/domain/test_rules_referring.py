"""One agency asks another: consent is asked at sending and again at acceptance."""

from collections.abc import Callable

import pytest

from domain import events as ev
from domain.case import ReferralState
from tests.agencies import (
    CHARITY,
    CHILDREN,
    CLINIC,
    COORDINATOR,
    DAY,
    FOREIGN,
    LAPSING,
    POLICE,
    REFUGE,
    SHELTER,
    SUSPENDED,
    T0,
    UNKNOWN,
)
from tests.builders import (
    GUARDIAN,
    REFERRAL,
    case_opened,
    consent_given,
    consent_refused,
    consent_withdrawn,
    guardian_appointed,
    guardian_conflict,
    notice_given,
    outcome_reported,
    referral_accepted,
    referral_cancelled,
    referral_declined,
    referral_expired,
    referral_received,
    referral_sent,
    service_ended,
    service_started,
    to,
    uid,
)
from tests.spec import Given, accepted, child, consented, given, opened, sent


def state(after: Given) -> ReferralState:
    return after.case.referrals[REFERRAL].state


def test_a_referral_runs_from_sending_to_feedback() -> None:
    steps = (
        (referral_received(), ReferralState.RECEIVED),
        (referral_accepted(), ReferralState.ACCEPTED),
        (service_started(), ReferralState.SERVICE_STARTED),
        (service_ended(), ReferralState.SERVICE_ENDED),
        (outcome_reported(), ReferralState.OUTCOME_REPORTED),
    )
    after = sent()
    for event, reached in steps:
        after = after.when(event).is_recorded()
        assert state(after) is reached


def test_nothing_is_sent_without_consent() -> None:
    opened().when(referral_sent()).refuses("CONSENT_MISSING")


def test_a_consent_for_another_purpose_sends_nothing() -> None:
    for_return = consent_given(purposes=("return_or_residence",))
    opened().then(for_return).when(referral_sent()).refuses("CONSENT_MISSING")


def test_a_consent_to_another_agency_sends_nothing() -> None:
    consented().when(referral_sent(to=REFUGE)).refuses("CONSENT_MISSING")


def test_a_consent_that_is_about_another_referral_sends_nothing() -> None:
    about_another = consent_given(referral_id=uid("another referral"))
    opened().then(about_another).when(referral_sent()).refuses("CONSENT_MISSING")


def test_a_consent_about_this_referral_sends_it() -> None:
    about_this = consent_given(referral_id=REFERRAL)
    opened().then(about_this).when(referral_sent()).is_recorded()


def test_an_expired_consent_sends_nothing() -> None:
    short = consent_given(not_after=T0 + DAY)
    opened().then(short).later(DAY).when(referral_sent()).refuses("CONSENT_EXPIRED")


def test_a_consent_that_begins_later_sends_nothing_yet() -> None:
    later = opened().then(consent_given(not_before=T0 + DAY))
    later.when(referral_sent()).refuses("CONSENT_NOT_YET")
    later.later(DAY).when(referral_sent()).is_recorded()


def test_a_consent_without_evidence_sends_nothing() -> None:
    opened().then(consent_given(evidence=None)).when(referral_sent()).refuses("EVIDENCE_MISSING")


def test_a_refusal_beats_a_consent_whichever_came_first() -> None:
    consented().then(consent_refused()).when(referral_sent()).refuses("REFUSED_BY_PERSON")
    refused = opened().then(consent_refused(), consent_given())
    refused.when(referral_sent()).refuses("REFUSED_BY_PERSON")


def test_whom_the_person_called_a_danger_receives_nothing() -> None:
    endangered = consented().then(consent_refused(danger=True))
    endangered.when(referral_sent()).refuses("DANGER_LISTED")


@pytest.mark.parametrize("receiver", [SUSPENDED, UNKNOWN])
def test_a_receiver_that_may_not_act_receives_nothing(receiver: str) -> None:
    named = opened().then(consent_given(recipient=to(receiver)))
    named.when(referral_sent(to=receiver)).refuses("RECEIVER_NOT_ACTIVE")


def test_a_receiver_whose_designation_lapsed_receives_nothing() -> None:
    named = opened().then(consent_given(recipient=to(LAPSING)))
    named.when(referral_sent(to=LAPSING)).is_recorded()
    named.later(10 * DAY).when(referral_sent(to=LAPSING)).refuses("RECEIVER_NOT_ACTIVE")


def test_a_purpose_that_the_receiver_has_no_mandate_for_sends_nothing() -> None:
    named = opened().then(consent_given(purposes=("legal_aid",)))
    named.when(referral_sent(purpose="legal_aid")).refuses("PURPOSE_NOT_MANDATED")


def test_a_receiver_abroad_is_reached_through_the_border_service_alone() -> None:
    named = opened().then(consent_given(recipient=to(FOREIGN)))
    named.when(referral_sent(to=FOREIGN)).refuses("FOREIGN_RECEIVER")


@pytest.mark.parametrize("age_group", ["child", "unsure"])
def test_the_own_yes_of_who_may_be_a_child_is_not_enough(age_group: str) -> None:
    agreed = given(case_opened(age_group=age_group), notice_given(), consent_given())
    agreed.when(referral_sent()).refuses("GUARDIAN_ACT_MISSING")


def test_a_child_is_referred_to_child_protection_by_law_without_consent() -> None:
    referred = given(case_opened(age_group="child")).then(referral_sent(to=CHILDREN))
    referred.when(referral_accepted(CHILDREN)).is_recorded()


def test_an_adult_is_not_referred_to_child_protection_by_law() -> None:
    opened().when(referral_sent(to=CHILDREN)).refuses("CONSENT_MISSING")


def test_a_guardian_in_conflict_consents_to_nothing() -> None:
    by_guardian = child().then(
        guardian_appointed(),
        consent_given(
            CHILDREN,
            basis="guardian_consent",
            given_by="appointed_guardian",
            guardian_id=GUARDIAN,
        ),
    )
    by_guardian.when(referral_sent(CHILDREN)).is_recorded()
    conflicted = by_guardian.then(guardian_conflict())
    conflicted.when(referral_sent(CHILDREN)).refuses("GUARDIAN_ACT_MISSING")
    sent_before = by_guardian.then(referral_sent(CHILDREN), guardian_conflict())
    sent_before.when(referral_accepted()).refuses("GUARDIAN_ACT_MISSING")


@pytest.mark.parametrize("which", ["one", "every"])
def test_a_withdrawal_recorded_before_the_acceptance_wins_the_race(which: str) -> None:
    taken_back = consent_withdrawn() if which == "one" else consent_withdrawn(consent_id=None)
    sent().then(taken_back).when(referral_accepted()).refuses("CONSENT_MISSING")
    received = sent().then(referral_received(), taken_back)
    received.when(referral_accepted()).refuses("CONSENT_MISSING")


def test_a_refusal_recorded_before_the_acceptance_wins_the_race() -> None:
    sent().then(consent_refused()).when(referral_accepted()).refuses("REFUSED_BY_PERSON")


def test_a_consent_that_ran_out_before_the_acceptance_wins_the_race() -> None:
    short = opened().then(consent_given(not_after=T0 + DAY), referral_sent())
    short.later(DAY).when(referral_accepted()).refuses("CONSENT_EXPIRED")


def test_after_a_withdrawal_a_new_consent_lets_the_receiver_accept() -> None:
    again = consent_given(consent_id=uid("new consent"))
    sent().then(consent_withdrawn(), again).when(referral_accepted()).is_recorded()


def test_a_withdrawal_after_the_acceptance_undoes_nothing_that_happened() -> None:
    after = accepted().then(consent_withdrawn()).when(service_started()).is_recorded()
    assert state(after) is ReferralState.SERVICE_STARTED


@pytest.mark.parametrize(
    "step", [referral_received, referral_accepted, referral_declined, outcome_reported]
)
def test_only_the_addressee_answers(step: Callable[[str], ev.CaseEvent]) -> None:
    sent().when(step(CHARITY)).refuses("REFERRAL_UNKNOWN")


def test_only_the_sender_cancels() -> None:
    sent().when(referral_cancelled(SHELTER)).refuses("REFERRAL_UNKNOWN")
    assert state(sent().when(referral_cancelled()).is_recorded()) is ReferralState.CANCELLED


def test_a_referral_that_was_never_sent_is_unknown() -> None:
    accepted().when(service_started(referral_id=uid("none"))).refuses("REFERRAL_UNKNOWN")


def test_a_declined_receiver_has_no_part_any_more() -> None:
    declined = sent().then(referral_declined())
    assert SHELTER not in declined.case.parts
    declined.when(referral_accepted()).refuses("NO_SUCH_CASE")


def test_an_answer_given_twice_is_done_already() -> None:
    accepted().when(referral_accepted()).refuses("ALREADY_DONE")
    sent().then(referral_received()).when(referral_received()).refuses("ALREADY_DONE")
    sent().then(referral_cancelled()).when(referral_cancelled()).refuses("ALREADY_DONE")


@pytest.mark.parametrize(
    "step",
    [referral_declined(), referral_received(), service_ended(), referral_cancelled(CHARITY)],
    ids=lambda e: type(e).__name__,
)
def test_after_the_acceptance_only_the_service_follows(step: ev.CaseEvent) -> None:
    accepted().when(step).refuses("OUT_OF_ORDER")


def test_a_service_starts_only_after_the_acceptance() -> None:
    sent().when(service_started()).refuses("OUT_OF_ORDER")


def test_the_clock_expires_only_what_is_due_and_waits() -> None:
    waiting = sent()
    waiting.when(referral_expired()).refuses("NOT_DUE")
    expired = waiting.later(3 * DAY).then(referral_expired())
    assert state(expired) is ReferralState.EXPIRED
    expired.when(referral_expired()).refuses("ALREADY_DONE")
    accepted().later(3 * DAY).when(referral_expired()).refuses("OUT_OF_ORDER")
    waiting.later(3 * DAY).when(referral_expired(SHELTER)).refuses("ROLE_MAY_NOT")


def test_the_clock_needs_no_part_in_the_case() -> None:
    assert COORDINATOR not in sent().case.parts
    sent().later(3 * DAY).when(referral_expired()).is_recorded()


def test_a_late_answer_is_still_an_answer_until_the_clock_records_the_end() -> None:
    late = sent().later(4 * DAY)
    late.when(referral_accepted()).is_recorded()
    late.then(referral_expired()).when(referral_accepted()).refuses("NO_SUCH_CASE")


def test_a_referral_id_is_used_once() -> None:
    sent().when(referral_sent()).refuses("REFERRAL_ID_TAKEN")
    sent().then(referral_cancelled()).when(referral_sent()).refuses("REFERRAL_ID_TAKEN")


def test_nobody_refers_to_itself() -> None:
    to_itself = opened().then(consent_given(recipient=to(CHARITY)))
    to_itself.when(referral_sent(to=CHARITY)).refuses("RECEIVER_IS_SENDER")


def test_who_has_not_accepted_does_not_refer_on() -> None:
    onward = referral_sent(SHELTER, referral_id=uid("onward"), to=CLINIC)
    to_clinic = consent_given(consent_id=uid("to clinic"), recipient=to(CLINIC))
    sent().then(to_clinic).when(onward).refuses("ANSWER_FIRST")
    accepted().then(to_clinic).when(onward).is_recorded()


def test_a_sealed_category_above_the_receivers_ceiling_opens_no_way() -> None:
    health_to_police = consent_given(recipient=to(POLICE), categories=("HEALTH",))
    opened().then(health_to_police).when(referral_sent(to=POLICE)).refuses("CONSENT_MISSING")
