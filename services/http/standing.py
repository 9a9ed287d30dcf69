"""What stands in a case: referrals that wait for this agency, and acts of consent.

A fold over the events that this agency can see; the hub, which sees all, decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.http import words

Document = Mapping[str, Any]
"""One event as the gateway opened it."""

_CLOSED = frozenset({
    "ReferralAccepted", "ReferralDeclined", "ReferralCancelled", "ReferralExpired",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingView:
    """A referral that this agency has to answer."""

    referral_id: str
    sender: str
    purpose: str
    urgency: str
    due: str
    overdue: bool
    received: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentView:
    """A consent that stands."""

    consent_id: str
    name: str
    recipient: str
    purposes: str
    categories: str
    not_after: int
    until: str


def waiting(documents: Sequence[Document], agency: str, now: int) -> tuple[WaitingView, ...]:
    """Return the referrals that `agency` was sent and has not answered, oldest first."""
    found: dict[str, WaitingView] = {}
    for document in documents:
        fields = document["fields"]
        referral_id = fields.get("referral_id")
        if document["type"] == "ReferralSent" and fields["to"] == agency:
            due = words.instant(fields["answer_due_at"])
            found[referral_id] = WaitingView(
                referral_id=referral_id,
                sender=document["agency"],
                purpose=words.code("purpose", fields["purpose"]),
                urgency=words.code("urgency", fields["urgency"]),
                due=words.when(due),
                overdue=due <= now,
                received=False,
            )
        elif document["type"] in _CLOSED:
            found.pop(referral_id, None)
        elif document["type"] == "ReferralReceived" and referral_id in found:
            found[referral_id] = replace(found[referral_id], received=True)
    return tuple(found.values())


def consents(documents: Sequence[Document], now: int) -> tuple[ConsentView, ...]:
    """Return the acts of consent that stand at `now` (ms), oldest first."""
    found: dict[str, ConsentView] = {}
    for document in documents:
        fields = document["fields"]
        act = found.get(fields.get("consent_id"))
        match document["type"]:
            case "ConsentGiven":
                found[fields["consent_id"]] = _consent(fields)
            case "ConsentNarrowed" if act:
                found[act.consent_id] = replace(act, **_scope(fields))
            case "ConsentRenewed" if act:
                found[act.consent_id] = replace(act, **_until(fields))
            case "ConsentWithdrawn" if fields["consent_id"] is None:
                found.clear()
            case "ConsentWithdrawn" | "ConsentExpired":
                found.pop(fields["consent_id"], None)
            case _:
                pass
    return tuple(act for act in found.values() if act.not_after > now)


def bases_of(documents: Sequence[Document]) -> dict[str, str]:
    """Return what each act of consent in a case is: its basis, or a refusal; by the act's id."""
    return {
        d["fields"]["consent_id"]: d["fields"].get("basis", "refusal")
        for d in documents
        if d["type"] in {"ConsentGiven", "ConsentRefused"}
    }


def basis_words(item: str, bases: Mapping[str, str]) -> str:
    """Return the id of an act or the code of a legal basis as words."""
    if not words.is_id(item):
        return f"legal basis {item}"
    return f"{words.code('basis', bases.get(item, 'act of consent')).lower()} {words.short(item)}"


def _consent(fields: Mapping[str, Any]) -> ConsentView:
    consent_id = fields["consent_id"]
    whom = [
        words.code(part, value) if part == "kind" else value
        for part, value in fields["recipient"].items()
        if value is not None
    ]
    return ConsentView(
        consent_id=consent_id,
        name=words.sentence(basis_words(consent_id, {consent_id: fields["basis"]})),
        recipient=", ".join(whom),
        **_scope(fields),
        **_until(fields),
    )


def _scope(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "purposes": ", ".join(words.code("purposes", p) for p in fields["purposes"]),
        "categories": ", ".join(c.lower() for c in fields["categories"]),
    }


def _until(fields: Mapping[str, Any]) -> dict[str, Any]:
    not_after = words.instant(fields["not_after"])
    return {"not_after": not_after, "until": words.when(not_after)}
