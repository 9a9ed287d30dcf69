"""What a case worker fills in, as commands; and the preview that comes before a referral.

A form carries a seed; the command's id follows from seed and content, so that a form sent
twice is carried out once, and one that was changed is another command.
"""

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any
from uuid import UUID, uuid5

from domain.errors import Malformed
from domain.gateway import Command, Result
from domain.messages import Why
from domain.vocabulary import Category
from services.http import words
from services.http.standing import basis_words

Form = Mapping[str, str]

ANSWERS = {
    "received": "ReferralReceived",
    "accept": "ReferralAccepted",
    "decline": "ReferralDeclined",
}
BASES = {
    "consent": "The person's consent",
    "guardian_consent": "A guardian's consent",
    "child_protection": "Protection of a child",
    "best_interests": "Best interests of the child",
    "legal_obligation": "Legal obligation",
    "public_task": "Public task",
    "vital_interests": "Vital interests",
    "court_order": "Court order",
}
"""Bases on which an agency acts (nrm:legal_basis) that a case worker may name."""
DAYS = {"1": "1 day", "3": "3 days", "7": "7 days", "14": "14 days"}
DAY_MS = 86_400_000
REASON_LIMIT = 4_000

# The hub answers about the case as it stands, in which the receiver has no part before it is sent.
_NOT_YET = ("Not yet", " The referral gives it one; consent then decides what it sees.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A referral that is filled in; every text a form field of the same name."""

    to: str = ""
    purpose: str = ""
    service: str = ""
    urgency: str = "routine"
    basis: str = "consent"
    days: str = "3"
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyView:
    """One row of the preview: will the receiver get this category, and why."""

    category: str
    shared: str
    """Yes, No or Not yet."""
    permit: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What became of a command."""

    kind: str
    """done, queued or refused."""
    text: str


def draft_of(form: Form) -> Draft:
    """Return what was filled in, as far as it was."""
    return Draft(**{name: form.get(name, "").strip() for name in Draft.__dataclass_fields__})


def faults(draft: Draft, agency: str) -> tuple[str, ...]:
    """Return a sentence for each thing that keeps `draft` from being sent by `agency`."""
    checks = (
        (bool(draft.to), "Say which agency you refer to."),
        (draft.to != agency, "Name another agency than your own."),
        (draft.purpose in words.PURPOSES, "Choose a purpose."),
        (draft.service in words.SERVICES, "Choose a service."),
        (draft.urgency in words.URGENCIES, "Choose how urgent it is."),
        (draft.basis in BASES, "Choose the basis on which you refer."),
        (draft.days in DAYS, "Choose by when you need an answer."),
        (bool(draft.reason), "Say what the receiver should know to answer."),
        (len(draft.reason) <= REASON_LIMIT, f"Keep the reason under {REASON_LIMIT} characters."),
    )
    return tuple(sentence for good, sentence in checks if not good)


def said(case_id: str, seed: str, draft: Draft) -> tuple[str, ...]:
    """Return what the preview's mark covers: exactly what will be sent."""
    return ("referral", case_id, seed, *astuple(draft))


def referral(case_id: str, seed: str, draft: Draft, now: int) -> Command:
    """Return the command that sends `draft`, to be answered within its days from `now` (ms)."""
    fields = {
        "referral_id": str(uuid5(_seed(seed), "referral")),
        "to": draft.to,
        "purpose": draft.purpose,
        "urgency": draft.urgency,
        "service": draft.service,
        "reason": draft.reason,
    }
    # The due time is left out of the id: sent again a minute later, it is still the same command.
    command_id = _command_id(seed, case_id, fields)
    return Command(
        command_id=command_id,
        type="ReferralSent",
        case_id=case_id,
        fields={**fields, "answer_due_at": now + int(draft.days) * DAY_MS},
        legal_basis=draft.basis,
    )


def answer(case_id: str, form: Form) -> Command:
    """Return the command that answers a referral, or raise `Malformed`."""
    chosen = form.get("answer", "")
    if chosen not in ANSWERS:
        raise Malformed("ANSWER_UNKNOWN", "choose received, accept or decline")
    fields = {"referral_id": form.get("referral_id", "")}
    if chosen == "decline":
        fields["reason"] = form.get("reason", "")
        if fields["reason"] not in words.DECLINE_REASONS:
            raise Malformed("REASON_MISSING", "choose why you decline")
    return _command(case_id, form, ANSWERS[chosen], fields)


def withdrawal(case_id: str, form: Form) -> Command:
    """Return the command that takes back one act of consent, or raise `Malformed`."""
    given_by = form.get("given_by", "")
    if given_by not in words.GIVEN_BY:
        raise Malformed("GIVER_UNKNOWN", "choose who takes the consent back")
    fields = {
        "consent_id": form.get("consent_id", ""),
        "given_by": given_by,
        "words": form.get("words", "").strip() or None,
    }
    return _command(case_id, form, "ConsentWithdrawn", fields)


def notice(result: Result) -> Notice:
    """Return what became of a command, as a sentence."""
    name = words.title(result.type)
    match result.status:
        case "accepted":
            return Notice(kind="done", text=f"{name}. The hub recorded it.")
        case "queued":
            text = f"{name}: kept here, and it will be sent when the hub is back."
            return Notice(kind="queued", text=text)
        case _:
            text = f"{name} was refused: {result.message or 'a rule says no'} ({result.code})."
            return Notice(kind="refused", text=text)


def why_view(category: Category, why: Why, bases: Mapping[str, str]) -> WhyView:
    """Return one row of the preview."""
    rests_on = f" See {basis_words(why.rests_on, bases)}." if why.rests_on else ""
    no, more = _NOT_YET if why.code == "D12" else ("No", "")
    return WhyView(
        category=category.name.capitalize(),
        shared="Yes" if why.permit else no,
        permit=why.permit,
        reason=f"{why.reason}{rests_on}{more} ({why.code})",
    )


def _command(case_id: str, form: Form, type: str, fields: Mapping[str, Any]) -> Command:
    return Command(
        command_id=_command_id(form.get("seed", ""), case_id, {**fields, "type": type}),
        type=type,
        case_id=case_id,
        fields=fields,
    )


def _command_id(seed: str, case_id: str, content: Mapping[str, Any]) -> str:
    return str(uuid5(_seed(seed), json.dumps([case_id, content], sort_keys=True)))


def _seed(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as e:
        raise Malformed("FORM_INCOMPLETE", "go back, reload the page and fill it in again") from e
