"""The order of the checks: who acts, whether the case is theirs, whether it is still open."""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import pytest

from domain import events as ev
from domain import rules
from domain.case import Case
from domain.rules.decide import decide
from tests.agencies import (
    AGENCIES,
    CHARITY,
    DAY,
    LAPSING,
    REFUGE,
    SHELTER,
    SUSPENDED,
    T0,
    UNKNOWN,
    world,
)
from tests.builders import (
    CASE,
    REFUSAL,
    case_closed,
    case_opened,
    consent_given,
    consent_refused,
    consent_withdrawn,
    head,
    keys_opened,
    notice_given,
    referral_sent,
    safe_contact_set,
    signal_received,
)
from tests.domain.every_event import A_BUILDER_FOR, a_whole_case
from tests.spec import given, opened, refusal_of, sent

OPENERS = {"KeyEpochOpened", "SignalReceived", "CaseOpened"}
AFTER_CLOSING = {
    *("ConsentWithdrawn", "ConsentRefused", "ConsentNarrowed", "ConsentExpired"),
    *("ReferralOutcomeReported", "DecisionServed", "KeyEpochOpened"),
    *("ReconsiderationRequested", "ReconsiderationDecided"),
}
BY_CLOCK = {"ConsentExpired", "ReferralExpired"}
NAMES = sorted(A_BUILDER_FOR)


def may(agency: str, name: str) -> bool:
    """Whether the agency is in force and has a role that may record such an event."""
    standing = world().standing(agency, T0)
    return bool(world().policy.acts[name].intersection(standing.roles))


def test_every_event_can_be_recorded() -> None:
    recorded = {type(event).__name__ for event, _ in a_whole_case()}
    assert recorded == {event.__name__ for event in get_args(ev.CaseEvent)}


@pytest.mark.parametrize("build", [signal_received, case_opened, keys_opened])
def test_a_stream_begins_with_a_sign_an_opening_or_a_key(
    build: Callable[..., ev.CaseEvent],
) -> None:
    assert given().when(build()).is_recorded().case.opened_by == CHARITY


@pytest.mark.parametrize("name", sorted(set(NAMES) - OPENERS))
def test_a_stream_begins_with_nothing_else(name: str) -> None:
    agency = next(a for a in AGENCIES if may(a, name))
    given().when(A_BUILDER_FOR[name](agency)).refuses("NO_SUCH_CASE")


@pytest.mark.parametrize("name", sorted(set(NAMES) - OPENERS - BY_CLOCK))
def test_a_case_without_a_part_in_it_answers_as_one_that_does_not_exist(name: str) -> None:
    begun, exists = given(keys_opened(REFUGE)), given(case_opened(REFUGE))
    closed = exists.then(case_closed(REFUGE))
    outsiders = [a for a in AGENCIES if may(a, name) and a not in exists.case.parts]
    assert outsiders
    for agency in outsiders:
        answers = {
            refusal_of(partial(decide, A_BUILDER_FOR[name](agency), case, world(), T0))
            for case in (Case(id=CASE), begun.case, exists.case, closed.case)
        }
        assert len(answers) == 1
        assert answers.pop()[0] == "NO_SUCH_CASE"


@pytest.mark.parametrize("name", sorted(OPENERS))
def test_nobody_opens_a_case_that_is_anothers(name: str) -> None:
    agency = next(a for a in AGENCIES if may(a, name) and a != REFUGE)
    for theirs in (case_opened(REFUGE), keys_opened(REFUGE)):
        given(theirs).when(A_BUILDER_FOR[name](agency)).refuses("NO_SUCH_CASE")


def test_keys_alone_begin_no_case() -> None:
    given(keys_opened()).when(notice_given()).refuses("NO_SUCH_CASE")
    given(keys_opened()).when(case_opened()).is_recorded()


def test_a_receiver_that_was_only_asked_has_a_part() -> None:
    sent().when(safe_contact_set(SHELTER)).is_recorded()


@pytest.mark.parametrize("agency", [SUSPENDED, UNKNOWN])
def test_an_agency_that_is_not_in_force_records_nothing(agency: str) -> None:
    given().when(case_opened(agency)).refuses("AGENCY_NOT_ACTIVE")


def test_a_designation_that_lapsed_ends_what_the_agency_may_do() -> None:
    case = given(case_opened(LAPSING))
    case.when(safe_contact_set(LAPSING)).is_recorded()
    case.later(10 * DAY).when(safe_contact_set(LAPSING)).refuses("AGENCY_NOT_ACTIVE")


def test_an_action_under_another_policy_is_refused() -> None:
    foreign = case_opened(head=replace(head(CHARITY), policy="xa-2026.1"))
    assert "gb-2026.1" in given().when(foreign).refuses("POLICY_NOT_IN_FORCE")


@pytest.mark.parametrize("name", NAMES)
def test_a_role_that_the_policy_does_not_name_may_not(name: str) -> None:
    others = [a for a in AGENCIES if not may(a, name) and world().standing(a, T0).active]
    assert others
    for agency in others:
        given().when(A_BUILDER_FOR[name](agency)).refuses("ROLE_MAY_NOT")


def test_what_the_policy_does_not_list_nobody_may() -> None:
    policy = world().policy
    acts = {name: roles for name, roles in policy.acts.items() if name != "CaseOpened"}
    silent = {policy.id: replace(policy, acts=acts)}
    given(policies=silent).when(case_opened()).refuses("ROLE_MAY_NOT")


@pytest.mark.parametrize("name", sorted(set(NAMES) - AFTER_CLOSING))
def test_a_closed_case_takes_nothing_new(name: str) -> None:
    by = next(a for a in AGENCIES if may(a, name))
    case = replace(opened().then(case_closed()).case, opened_by=by)
    code, _ = refusal_of(lambda: decide(A_BUILDER_FOR[name](by), case, world(), T0))
    assert code == "CASE_CLOSED"


def test_a_closed_case_still_takes_back_feeds_back_and_reviews() -> None:
    names = [type(event).__name__ for event, _ in a_whole_case()]
    assert set(names[names.index("CaseClosed") + 1 :]) == AFTER_CLOSING


def test_a_closed_case_still_takes_a_refusal_and_its_withdrawal() -> None:
    closed = opened().then(case_closed(), consent_refused())
    closed.when(consent_withdrawn(consent_id=REFUSAL)).is_recorded()


def test_a_child_whose_case_is_closed_is_not_referred_anew() -> None:
    agreed = opened().then(consent_given(), case_closed())
    agreed.when(referral_sent()).refuses("CASE_CLOSED")


def test_a_notice_may_be_given_to_the_person_again() -> None:
    opened().when(notice_given()).is_recorded()


def test_every_refusal_of_the_rules_has_a_test() -> None:
    said, tested = r'"([A-Z]+(?:_[A-Z]+)+)"', r'(?:refuses\(|== )"([A-Z_]+)"'
    codes = _found(said, Path(str(rules.__file__)).parent.glob("*.py"))
    refused = _found(tested, Path(__file__).parent.glob("test_rules_*.py"))
    assert codes - refused == {"CASE_RESTRICTED"}  # no event of today restricts a case


def _found(pattern: str, paths: Iterable[Path]) -> set[str]:
    return {word for p in paths for word in re.findall(pattern, p.read_text(encoding="utf-8"))}
