"""Events of a case as a gateway opens them, for whoever shows them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

NOW = 1_777_802_520_000
"""3 May 2026, 10:02 UTC."""
ISO = "2026-05-03T10:02:00.000Z"
LATER = "2026-11-03T10:02:00.000Z"
ME, OTHER = "shelter-north", "police-south"


def uid(label: str) -> str:
    return str(uuid5(NAMESPACE_URL, label))


CASE = uid("case")


def event(
    type: str,
    fields: Mapping[str, Any],
    *,
    agency: str = OTHER,
    shut: Mapping[str, str] | None = None,
    basis: str = "",
    categories: Sequence[str] = (),
) -> dict[str, Any]:
    """Return an event as `Inbox.opened` does."""
    return {
        "number": 1,
        "event_id": uid(type),
        "case_id": CASE,
        "type": type,
        "agency": agency,
        "own": agency == ME,
        "recorded_ms": NOW,
        "occurred_at": ISO,
        "legal_basis": "consent",
        "categories": tuple(categories),
        "basis": basis,
        "fields": dict(fields),
        "shut": dict(shut or {}),
    }


def named(*given_names: str) -> dict[str, Any]:
    return event(
        "PersonIdentityRecorded",
        {"given_names": list(given_names), "family_names": ["Example"]},
        categories=["IDENTITY"],
        basis=uid("consent"),
    )


NAMELESS = event(
    "PersonIdentityRecorded",
    {},
    shut={"given_names": "WITHHELD", "family_names": "WITHHELD", "relatives": "NO_KEY"},
)


def sent(to: str = ME) -> dict[str, Any]:
    return event(
        "ReferralSent",
        {
            "referral_id": uid("referral"),
            "to": to,
            "purpose": "protection_support",
            "urgency": "urgent",
            "answer_due_at": LATER,
            "service": "accommodation",
            "reason": "Needs a place tonight",
        },
    )


def step(type: str) -> dict[str, Any]:
    return event(type, {"referral_id": uid("referral")}, agency=ME)


def given(label: str = "consent", until: str = LATER) -> dict[str, Any]:
    return event(
        "ConsentGiven",
        {
            "consent_id": uid(label),
            "referral_id": None,
            "recipient": {"agency": ME, "kind": None, "country": None},
            "purposes": ["protection_support"],
            "categories": ["IDENTITY", "CASEWORK"],
            "not_before": ISO,
            "not_after": until,
            "basis": "consent",
            "given_by": "self",
        },
    )


def withdrawn(consent_id: str | None) -> dict[str, Any]:
    return event("ConsentWithdrawn", {"consent_id": consent_id, "given_by": "self"})
