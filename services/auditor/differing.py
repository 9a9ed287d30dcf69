"""Where a feed is not what the rules give, said for people and for programs."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.decision import Decision
from domain.reasons import CODES
from domain.trail.delivered import Feed
from domain.trail.deliveries import Delivery
from domain.vocabulary import Category, names_of
from services.auditor.expecting import Due
from services.auditor.matching import Difference, Told
from services.auditor.report import Finding
from services.auditor.second_reading import Judged


@dataclass(frozen=True, slots=True, kw_only=True)
class DisclosureFinding(Finding):
    """A delivery that should not be, or is missing, or is not as it should be."""

    agency: str = ""
    purpose: str = ""
    lane: int | None = None
    number: int | None = None
    """Place in the seat's lane; as if nothing was wrong before, when it was not disclosed."""
    case_id: str = ""
    event: str = ""
    """Digest of the statement of the event shown, in hex."""
    event_type: str = ""
    recorded_ms: int = 0
    """When the hub recorded what brought it about, or the notary signed that it was disclosed."""
    due: tuple[str, ...] | None = None
    """Categories that should be shown; None if there should be no such delivery."""
    disclosed: tuple[str, ...] | None = None
    """Categories that are shown; None if it was not disclosed."""
    answers: tuple[tuple[str, str, str | None], ...] = ()
    """(category, reason code, what that rests on), as the consent table decides on each."""


def feed_of(delivery: Delivery) -> Feed:
    """Return the lane of the seat in whose feed it stands."""
    return Feed(*delivery[:3])


def finding_of(one: Difference, judged: Judged, ms: int) -> DisclosureFinding:
    """Return the finding; `judged` is what the consent table says of what is shown."""
    due, told, delivery = one.due, one.told, one.shown.delivery
    feed = feed_of(delivery)
    check, message = _said(one, judged)
    return DisclosureFinding(
        check=check,
        message=f"{feed} number {delivery.seq}: {message}",
        index=one.shown.entry,
        agency=feed.agency,
        purpose=feed.purpose,
        lane=feed.lane,
        number=delivery.seq,
        case_id=one.shown.case_id,
        event=delivery.event.hex(),
        event_type=judged.type,
        recorded_ms=ms,
        due=names_of(due.delivery.mask) if due else None,
        disclosed=names_of(told.delivery.mask) if told else None,
        answers=tuple((c.name, d.code, d.rests_on) for c, d in judged.decisions),
    )


def _said(one: Difference, judged: Judged) -> tuple[str, str]:
    """Return the check that a difference fails, and how."""
    due, told, parts = one
    name = judged.type.rpartition(".")[2] or "an event that the case did not have"
    if due is not None and told is None:
        if due.delivery.supersedes and not due.delivery.mask:
            return "WITHHELD", f"{name} was to be closed again, and was not"
        shows, basis = _categories(due.delivery), _by(due.delivery.basis)
        return "WITHHELD", f"{name} with {shows} was due{basis}, and was not disclosed"
    answers = _answers(judged.decisions)
    if due is None or told is None:
        shows = _categories(one.shown.delivery)
        return "NOT_DUE", f"{name} with {shows} was disclosed, and no rule gave it{answers}"
    if parts == ("early",):
        after = f"entry {due.entry} stands after it and brought it about"
        return "EARLY", f"{name} was disclosed before it was due: {after}"
    differs = "; ".join(_differs(part, due, told) for part in parts)
    return "OTHERWISE", f"{name} was disclosed otherwise than the rules give: {differs}{answers}"


def _differs(part: str, due: Due, told: Told) -> str:
    match part:
        case "mask":
            return f"it shows {_categories(told.delivery)}, not {_categories(due.delivery)}"
        case "basis":
            return f"its basis is {told.delivery.basis!r}, not {due.delivery.basis!r}"
        case "event":
            return "it shows another event"
        case "case":
            return f"it stands in the stream of case {told.case_id or 'unknown'}"
        case _:
            return f"its {part} is {getattr(told.delivery, part)}"


def _answers(decisions: Sequence[tuple[Category, Decision]]) -> str:
    """Say what the table decides on each category shown, the denied ones in words."""
    return "".join(
        f"; {category.name}: {answer.code}{_by(answer.rests_on or '')}"
        + ("" if answer.permit else f" ({CODES[answer.code]})")
        for category, answer in decisions
    )


def _by(basis: str) -> str:
    return f" by {basis}" if basis else ""


def _categories(delivery: Delivery) -> str:
    return ", ".join(names_of(delivery.mask)) or "its clear fields alone"
