"""Given, when and then of the rules: `given(*events).when(event).refuses("CODE")`.

What is given was itself recorded by the rules, one minute apart, so no test starts from a
history that cannot be.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from domain import events as ev
from domain.case import Case
from domain.errors import Refused
from domain.fold import evolve
from domain.rules.decide import decide
from domain.rules.world import World
from tests.agencies import AUTHORITY, CHILDREN, T0, world
from tests.builders import (
    CASE,
    case_opened,
    consent_given,
    notice_given,
    referral_accepted,
    referral_sent,
    referred_in,
    to,
    uid,
)

MINUTE = 60_000


@dataclass(frozen=True)
class Given:
    """A case with a history, at the hub's time `at`."""

    world: World
    case: Case
    at: int

    def then(self, *events: ev.CaseEvent) -> "Given":
        """Return this after `events`, each recorded by the rules."""
        after = self
        for event in events:
            after = after.when(event).is_recorded()
        return after

    def later(self, ms: int) -> "Given":
        """Return this `ms` later, in which nothing happened."""
        return replace(self, at=self.at + ms)

    def when(self, event: ev.CaseEvent) -> "When":
        """Ask the rules about `event`."""
        return When(self, event)


@dataclass(frozen=True)
class When:
    """An event before the rules."""

    given: Given
    event: ev.CaseEvent

    def is_recorded(self) -> Given:
        """Return what follows; a refusal fails the test."""
        g = self.given
        decide(self.event, g.case, g.world, g.at)
        return replace(g, case=evolve(g.case, self.event, g.at), at=g.at + MINUTE)

    def refuses(self, code: str) -> str:
        """Check the refusal's code and return its message."""
        with pytest.raises(Refused) as refusal:
            decide(self.event, self.given.case, self.given.world, self.given.at)
        assert refusal.value.code == code
        return refusal.value.message


def given(*events: ev.CaseEvent, **changes: Any) -> Given:
    """Return an empty case after `events`; `changes` are made to the world first."""
    return Given(replace(world(), **changes), Case(id=CASE), T0).then(*events)


def refusal_of(call: Callable[[], object]) -> tuple[str, str]:
    """Return code and message with which `call` is refused."""
    with pytest.raises(Refused) as refusal:
        call()
    return refusal.value.code, refusal.value.message


def opened() -> Given:
    """Return an adult's case that CHARITY opened; the person was informed."""
    return given(case_opened(), notice_given())


def consented() -> Given:
    """Return `opened` after a consent to SHELTER."""
    return opened().then(consent_given())


def sent() -> Given:
    """Return `consented` after a referral to SHELTER."""
    return consented().then(referral_sent())


def accepted() -> Given:
    """Return `sent` after SHELTER accepted."""
    return sent().then(referral_accepted())


def referred() -> Given:
    """Return `opened` after a referral into the mechanism, with consent."""
    consent = consent_given(consent_id=TO_AUTHORITY, recipient=to(AUTHORITY))
    return opened().then(consent, referred_in())


def child() -> Given:
    """Return a child's case that CHILDREN opened and informed."""
    return given(case_opened(CHILDREN, age_group="child"), notice_given(CHILDREN))


TO_AUTHORITY = uid("consent to the authority")
