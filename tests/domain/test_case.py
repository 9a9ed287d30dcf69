"""The fold of a case: total on all that the rules let through, and the same for everybody."""

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given as over
from hypothesis import settings
from hypothesis import strategies as st

from domain import events as ev
from domain.case import CUSTODY, Case, Status
from domain.errors import Refused
from domain.fold import evolve, replay
from domain.policy import parse_policy
from domain.rules.decide import decide
from tests.agencies import AUTHORITY, CHARITY, DAY, SHELTER, T0, pack, world
from tests.builders import CASE, REFUSAL, consent_given, consent_refused, consent_withdrawn
from tests.domain.every_event import a_whole_case
from tests.domain.histories import History, history
from tests.spec import accepted, opened, sent

HISTORIES = st.integers(0, 1 << 32).map(history)
SOME = settings(max_examples=60)
STILL = {"version", "custody_seq"}
"""What counts events and so moves with each."""


def followed(events: History) -> History:
    """Return the part of a history that the custodian gets."""
    return [(event, at) for event, at in events if type(event).__name__ in CUSTODY]


def moved(before: Case, after: Case) -> set[str]:
    """Return the names of the fields that differ."""
    return {name for name in Case.__slots__ if getattr(before, name) != getattr(after, name)}


def test_random_histories_reach_every_event() -> None:
    told = set(a_whole_case())
    kept = {
        type(event).__name__
        for seed in range(60)
        for event, at in history(seed)
        if (event, at) not in told
    }
    assert kept == {event.__name__ for event in get_args(ev.CaseEvent)}


@SOME
@over(HISTORIES)
def test_a_replay_gives_the_folded_state(events: History) -> None:
    case = Case(id=CASE)
    for event, at in events:
        case = evolve(case, event, at)
    assert replay(CASE, events) == case
    assert case.version == len(events)


@SOME
@over(HISTORIES)
def test_an_event_repeated_is_refused_or_changes_nothing(events: History) -> None:
    case = Case(id=CASE)
    for event, at in events:
        case = evolve(case, event, at)
        try:
            decide(event, case, world(), at)
        except Refused:
            continue
        assert moved(case, evolve(case, event, at)) <= STILL


@SOME
@over(HISTORIES)
def test_custody_numbers_count_what_the_custodian_follows(events: History) -> None:
    case, count = Case(id=CASE), 0
    for event, at in events:
        case = evolve(case, event, at)
        count += len(followed([(event, at)]))
        assert case.custody_seq == count


@SOME
@over(HISTORIES)
def test_what_the_custodian_follows_is_all_that_its_decisions_need(events: History) -> None:
    whole, part = Case(id=CASE), Case(id=CASE)
    for event, at in events:
        whole = evolve(whole, event, at)
        for one, recorded_ms in followed([(event, at)]):
            part = evolve(part, one, recorded_ms)
        assert part.consent_state() == whole.consent_state()
        for name in ("parts", "settled_parts", "keys", "epochs", "min_epochs", "custody_seq"):
            assert getattr(part, name) == getattr(whole, name), name
        assert world().audience(part, at) == world().audience(whole, at)


@pytest.mark.parametrize("name", ["gb-2026", "xa-2026"])
def test_no_legal_basis_waits_for_what_the_custodian_does_not_see(name: str) -> None:
    conditions = {basis.when for basis in parse_policy(pack(name)).legal_bases}
    assert conditions <= CUSTODY | {"always", "child"}


@SOME
@over(HISTORIES, st.integers(1, 3650))
def test_time_alone_changes_no_status(events: History, days: int) -> None:
    late = [(event, at + days * DAY) for event, at in events]
    soon, later = replay(CASE, events), replay(CASE, late)
    assert soon.status is later.status
    assert soon.referrals == later.referrals


@SOME
@over(HISTORIES)
def test_what_the_clock_records_changes_nobodys_status(events: History) -> None:
    case = Case(id=CASE)
    for event, at in events:
        before, case = case, evolve(case, event, at)
        if isinstance(event, ev.ReferralExpired | ev.ConsentExpired):
            assert before.status is case.status


@SOME
@over(HISTORIES)
def test_epochs_never_go_down(events: History) -> None:
    case = Case(id=CASE)
    for event, at in events:
        before, case = case, evolve(case, event, at)
        for scope, least in before.min_epochs.items():
            assert case.min_epochs[scope] >= least
        for scope, newest in before.epochs.items():
            assert case.epochs[scope] >= newest


@SOME
@over(HISTORIES)
def test_acts_that_end_never_stand_again(events: History) -> None:
    case = Case(id=CASE)
    for event, at in events:
        before, case = case, evolve(case, event, at)
        assert not case.acts.keys() & case.ended_acts.keys()
        assert before.ended_acts.keys() <= case.ended_acts.keys()


@SOME
@over(HISTORIES)
def test_who_may_be_a_child_stays_one(events: History) -> None:
    case = Case(id=CASE)
    for event, at in events:
        before, case = case, evolve(case, event, at)
        if before.opened and before.child:
            assert case.child


def test_the_fold_changes_no_earlier_state() -> None:
    before = sent().case
    copy = replace(before)
    accepted()
    assert evolve(before, consent_withdrawn(), T0) != before
    assert before == copy


def test_an_empty_case_is_nobodys() -> None:
    case = Case(id=CASE)
    assert (case.status, case.parts, case.child) == (Status.NEW, frozenset(), True)


def test_parts_are_the_opener_the_authority_and_the_receivers() -> None:
    assert sent().case.parts == {CHARITY, SHELTER}
    assert sent().case.settled_parts == {CHARITY}
    assert accepted().case.settled_parts == {CHARITY, SHELTER}
    assert AUTHORITY not in accepted().case.parts


def test_a_consent_opens_the_past_as_far_as_it_says() -> None:
    opens = {
        ("all", None): 0,
        ("future", None): opened().at,
        ("from", T0 - DAY): T0 - DAY,
        ("from", None): opened().at,
        ("a word of a later version", None): opened().at,
    }
    for (word, since), opens_from in opens.items():
        act = consent_given(history=word, history_from=since)
        assert opened().then(act).case.acts[act.consent_id].opens_from == opens_from


def test_a_refusal_without_scope_covers_everything() -> None:
    act = opened().then(consent_refused()).case.acts[REFUSAL]
    assert (act.purposes, act.categories, act.permit) == (frozenset(), 0, False)
