"""What stands in a case: referrals that wait, acts of consent."""

from typing import Any

import pytest

from services.http import standing
from tests.services.console.documents import (
    ISO,
    LATER,
    ME,
    NOW,
    event,
    given,
    sent,
    step,
    uid,
    withdrawn,
)


@pytest.mark.parametrize(
    ("steps", "received"),
    [
        ([], [False]),
        (["ReferralReceived"], [True]),
        (["ReferralAccepted"], []),
        (["ReferralReceived", "ReferralDeclined"], []),
        (["ReferralCancelled"], []),
        (["ReferralExpired"], []),
    ],
)
def test_a_referral_waits_until_it_is_answered(steps: list[str], received: list[bool]) -> None:
    found = standing.waiting([sent(), *map(step, steps)], ME, NOW)

    assert [w.received for w in found] == received


def test_a_referral_to_another_agency_does_not_wait_here() -> None:
    assert standing.waiting([sent(to="other")], ME, NOW) == ()


@pytest.mark.parametrize(
    ("more", "left"),
    [
        ([], ["consent", "second"]),
        ([withdrawn(uid("consent"))], ["second"]),
        ([withdrawn(None)], []),
        ([event("ConsentExpired", {"consent_id": uid("second")})], ["consent"]),
        ([given("third", until=ISO)], ["consent", "second"]),
        ([withdrawn(uid("a refusal"))], ["consent", "second"]),
    ],
)
def test_a_consent_stands_until_it_is_taken_back_or_over(
    more: list[dict[str, Any]], left: list[str]
) -> None:
    found = standing.consents([given(), given("second"), *more], NOW)

    assert [c.consent_id for c in found] == [uid(label) for label in left]


def test_a_consent_that_was_narrowed_and_renewed_says_what_is_left() -> None:
    scope = {"purposes": ["legal_aid"], "categories": ["LEGAL"]}
    narrowed = event("ConsentNarrowed", {"consent_id": uid("consent"), **scope})
    renewed = event("ConsentRenewed", {"consent_id": uid("consent"), "not_after": LATER})

    (act,) = standing.consents([given(until=ISO), narrowed, renewed], NOW)

    assert (act.purposes, act.categories) == ("Legal aid", "legal")
    assert act.until == "3 November 2026, 10:02 UTC"
