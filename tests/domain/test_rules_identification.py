"""From the first sign to the final decision: what may be recorded, when and by whom."""

from collections.abc import Callable

import pytest

from domain import events as ev
from domain.case import Status
from tests.agencies import (
    AUTHORITY,
    CHARITY,
    CHILDREN,
    DAY,
    LAPSING,
    POLICE,
    SHELTER,
    T0,
    UNKNOWN,
)
from tests.builders import (
    acknowledged,
    case_closed,
    case_opened,
    conclusive_grounds,
    consent_given,
    consent_refused,
    decision_served,
    identity_corrected,
    identity_recorded,
    information_provided,
    information_requested,
    needs_assessed,
    notice_given,
    notified,
    reasonable_grounds,
    reconsideration_requested,
    reconsidered,
    recovery_ended,
    recovery_extended,
    recovery_granted,
    referral_sent,
    referred_in,
    safe_contact_set,
    screened,
    signal_received,
    to,
    uid,
)
from tests.spec import MINUTE, TO_AUTHORITY, Given, accepted, given, opened, referred


def presumed() -> Given:
    return referred().then(reasonable_grounds())


def negative() -> Given:
    return referred().then(reasonable_grounds(outcome="negative"))


def test_a_person_is_identified_step_by_step() -> None:
    to_authority = consent_given(consent_id=TO_AUTHORITY, recipient=to(AUTHORITY))
    steps = (
        (signal_received(), Status.SIGNALLED),
        (screened(), Status.SCREENED),
        (case_opened(), Status.OPEN),
        (notice_given(), Status.OPEN),
        (to_authority, Status.OPEN),
        (referred_in(), Status.REASONABLE_GROUNDS_PENDING),
        (acknowledged(), Status.REASONABLE_GROUNDS_PENDING),
        (reasonable_grounds(), Status.PRESUMED),
        (recovery_granted(), Status.PRESUMED),
        (conclusive_grounds(), Status.IDENTIFIED),
        (case_closed(), Status.CLOSED),
    )
    after = given()
    for event, status in steps:
        after = after.when(event).is_recorded()
        assert after.case.status is status


def test_a_later_sign_never_sets_a_case_back() -> None:
    after = presumed().then(signal_received(), screened())
    assert after.case.status is Status.PRESUMED


def test_a_case_is_opened_once() -> None:
    opened().when(case_opened()).refuses("ALREADY_DONE")


def test_an_age_group_outside_the_vocabulary_is_refused() -> None:
    given().when(case_opened(age_group="teen")).refuses("AGE_GROUP_UNKNOWN")
    opened().when(referred_in(age_group="teen")).refuses("AGE_GROUP_UNKNOWN")


def test_an_adult_is_not_referred_in_without_consent() -> None:
    opened().when(referred_in()).refuses("CONSENT_MISSING")


def test_an_adult_who_refused_is_not_referred_in() -> None:
    refused = opened().then(consent_refused(recipient=to(AUTHORITY)))
    refused.when(referred_in()).refuses("REFUSED_BY_PERSON")


def test_consent_to_support_is_no_consent_to_be_referred_in() -> None:
    accepted().when(referred_in()).refuses("CONSENT_MISSING")


@pytest.mark.parametrize("age_group", ["child", "unsure"])
def test_who_may_be_a_child_is_referred_in_without_consent(age_group: str) -> None:
    case = given(case_opened(age_group=age_group))
    case.when(referred_in(age_group=age_group)).is_recorded()


@pytest.mark.parametrize("age_group", ["child", "unsure"])
def test_a_referral_makes_no_adult_of_who_may_be_a_child(age_group: str) -> None:
    given(case_opened(age_group=age_group)).when(referred_in()).refuses("AGE_IN_DOUBT")


def test_doubt_about_the_age_can_arise_at_the_referral() -> None:
    after = opened().when(referred_in(age_group="unsure")).is_recorded()
    assert after.case.child


def test_a_person_is_referred_in_once_and_from_an_open_case() -> None:
    given(signal_received()).when(referred_in()).refuses("CASE_NOT_OPEN")
    referred().when(referred_in()).refuses("ALREADY_DONE")


@pytest.mark.parametrize("authority", [SHELTER, UNKNOWN, LAPSING])
def test_only_a_competent_authority_is_referred_to(authority: str) -> None:
    opened().when(referred_in(competent_authority=authority)).refuses("NOT_COMPETENT")
    notice = notified(competent_authority=authority)
    given(signal_received(POLICE)).when(notice).refuses("NOT_COMPETENT")


def test_a_duty_to_notify_needs_no_consent_and_names_nobody() -> None:
    after = given(signal_received(POLICE)).when(notified()).is_recorded()
    assert after.case.status is Status.NOTIFIED_ONLY
    after.when(notified()).refuses("ALREADY_DONE")
    after.when(acknowledged()).refuses("NOT_REFERRED")


def test_who_was_referred_is_not_notified_about_as_well() -> None:
    referred().when(notified(CHARITY)).refuses("ALREADY_DONE")


def test_who_agrees_after_a_notification_is_still_referred_in() -> None:
    agreed = given(case_opened(), notice_given(), notified(CHARITY)).then(
        consent_given(recipient=to(AUTHORITY))
    )
    after = agreed.when(referred_in()).is_recorded()
    assert after.case.status is Status.REASONABLE_GROUNDS_PENDING


def test_a_referral_is_acknowledged_once() -> None:
    referred().then(acknowledged()).when(acknowledged()).refuses("ALREADY_DONE")


@pytest.mark.parametrize(
    "build",
    [
        acknowledged,
        information_requested,
        reasonable_grounds,
        recovery_granted,
        recovery_extended,
        recovery_ended,
        conclusive_grounds,
        reconsidered,
    ],
)
def test_only_the_authority_of_the_case_decides_it(
    build: Callable[..., ev.CaseEvent],
) -> None:
    opened_by_authority = given(case_opened(AUTHORITY))
    opened_by_authority.when(build()).refuses("NOT_THE_AUTHORITY")


def test_information_is_asked_and_answered_by_whom_it_was_asked_of() -> None:
    asked = referred().when(information_requested()).is_recorded()
    asked.when(information_requested()).refuses("REQUEST_ID_TAKEN")
    asked.when(information_provided(AUTHORITY)).refuses("REQUEST_UNKNOWN")
    answered = asked.when(information_provided()).is_recorded()
    answered.when(information_provided()).refuses("REQUEST_UNKNOWN")


def test_only_an_agency_of_the_case_is_asked_for_information() -> None:
    referred().when(information_requested(to=SHELTER)).refuses("ADDRESSEE_HAS_NO_PART")


def test_decisions_come_in_their_order() -> None:
    referred().when(conclusive_grounds()).refuses("OUT_OF_ORDER")
    presumed().when(reasonable_grounds()).refuses("OUT_OF_ORDER")
    negative().when(conclusive_grounds()).refuses("OUT_OF_ORDER")
    presumed().then(conclusive_grounds()).when(conclusive_grounds()).refuses("OUT_OF_ORDER")


def test_an_outcome_outside_the_vocabulary_is_refused() -> None:
    referred().when(reasonable_grounds(outcome="maybe")).refuses("OUTCOME_UNKNOWN")
    presumed().when(conclusive_grounds(outcome="")).refuses("OUTCOME_UNKNOWN")
    asked = negative().then(reconsideration_requested())
    asked.when(reconsidered(outcome="positive")).refuses("OUTCOME_UNKNOWN")


def test_a_recovery_period_follows_a_positive_decision() -> None:
    referred().when(recovery_granted()).refuses("OUT_OF_ORDER")
    negative().when(recovery_granted()).refuses("OUT_OF_ORDER")


def test_a_recovery_period_is_no_shorter_than_the_policy() -> None:
    days_30 = recovery_granted(starts_at=T0, ends_at=T0 + 29 * DAY)
    presumed().when(days_30).refuses("RECOVERY_TOO_SHORT")


def test_a_recovery_period_is_granted_once_extended_and_ended() -> None:
    presumed().when(recovery_extended()).refuses("NOT_LONGER")
    presumed().when(recovery_ended()).refuses("OUT_OF_ORDER")
    running = presumed().then(recovery_granted())
    running.when(recovery_granted()).refuses("ALREADY_DONE")
    running.when(recovery_extended(ends_at=T0 + 45 * DAY)).refuses("NOT_LONGER")
    longer = running.then(recovery_extended())
    assert longer.case.recovery_ends_at == T0 + 60 * DAY
    assert longer.then(recovery_ended()).case.recovery_ends_at is None


def test_a_decision_is_served_once_it_was_taken_and_has_arrived() -> None:
    referred().when(decision_served()).refuses("OUT_OF_ORDER")
    presumed().when(decision_served(served_at=T0 + DAY)).refuses("IN_THE_FUTURE")
    presumed().then(decision_served()).when(decision_served()).refuses("ALREADY_DONE")


def test_only_a_negative_decision_is_reconsidered() -> None:
    presumed().when(reconsideration_requested()).refuses("OUT_OF_ORDER")
    negative().when(reconsidered()).refuses("OUT_OF_ORDER")
    asked = negative().when(reconsideration_requested()).is_recorded()
    asked.when(reconsideration_requested()).refuses("ALREADY_DONE")


def test_a_reopened_decision_is_taken_again_and_can_be_reviewed_again() -> None:
    reopened = negative().then(reconsideration_requested(), reconsidered())
    assert reopened.case.status is Status.REASONABLE_GROUNDS_PENDING
    reopened.when(reconsideration_requested()).refuses("OUT_OF_ORDER")
    again = reopened.then(reasonable_grounds(outcome="negative"))
    again.when(reconsideration_requested()).is_recorded()


def test_an_upheld_decision_stands() -> None:
    upheld = negative().then(reconsideration_requested(), reconsidered(outcome="upheld"))
    assert upheld.case.status is Status.REASONABLE_GROUNDS_NEGATIVE


def test_a_reopened_final_decision_leaves_the_person_presumed() -> None:
    final = {"decision": "conclusive_grounds"}
    asked = presumed().then(
        conclusive_grounds(outcome="negative"), reconsideration_requested(**final)
    )
    assert asked.case.status is Status.CONCLUSIVE_GROUNDS_NEGATIVE
    assert asked.then(reconsidered(**final)).case.status is Status.PRESUMED


def test_the_time_to_ask_for_reconsideration_runs_from_service() -> None:
    served_at = T0 + DAY
    served = negative().later(DAY).then(decision_served(served_at=served_at))
    due = served.world.policy.due("reconsideration", served_at)
    last = served.later(due - served.at - 1)
    last.when(reconsideration_requested()).is_recorded()
    too_late = last.later(1)
    too_late.when(reconsideration_requested()).refuses("RECONSIDERATION_LATE")
    too_late.when(reconsideration_requested(late=True)).is_recorded()


def test_who_was_never_served_is_never_late() -> None:
    negative().later(3650 * DAY).when(reconsideration_requested()).is_recorded()


def test_an_identity_record_is_corrected_by_name() -> None:
    first = identity_recorded()
    recorded = opened().then(first)
    recorded.when(identity_corrected(corrects=uid("none"))).refuses("RECORD_UNKNOWN")
    second = identity_corrected(corrects=first.head.event_id)
    corrected = recorded.when(second).is_recorded()
    corrected.when(identity_corrected(corrects=second.head.event_id)).is_recorded()


@pytest.mark.parametrize("build", [safe_contact_set, needs_assessed, identity_recorded])
def test_work_with_the_person_changes_no_status(build: Callable[..., ev.CaseEvent]) -> None:
    before = accepted()
    after = before.when(build(SHELTER)).is_recorded()
    assert after.case.status is before.case.status


@pytest.mark.parametrize("start", [referred, presumed, negative])
def test_no_deadline_changes_a_status(start: Callable[[], Given]) -> None:
    missed = start().later(3650 * DAY)
    assert missed.case.status is start().case.status
    missed.when(case_closed()).is_recorded()


def test_a_slow_authority_may_still_decide() -> None:
    referred().later(3650 * DAY).when(reasonable_grounds()).is_recorded()


def test_a_child_by_law_needs_an_authority_that_has_a_part() -> None:
    case = given(case_opened(CHILDREN, age_group="child"))
    after = case.then(referred_in(CHILDREN, age_group="child"))
    assert AUTHORITY in after.case.settled_parts
    after.later(MINUTE).when(referral_sent(AUTHORITY, to=CHILDREN)).is_recorded()
