"""Who learns that an event exists at all: the relations of a seat to an event.

The policy pack lists, per event, the relations that may see it. Which fields they see is
the audience's mask; this is about the event's existence and its ROUTING fields.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from domain import events as ev
from domain.case import Case
from domain.consent import Standing
from domain.vocabulary import Purpose, Seat

_HOME_ORDER = {p: i for i, p in enumerate(Purpose)}


@dataclass(frozen=True, slots=True)
class View:
    """One seat looking at a case."""

    seat: Seat
    standing: Standing
    mask: int
    """Category mask that the audience gives the seat at the age of this event."""
    overlap: int
    """Those of them that the event has something of."""

    @property
    def is_home(self) -> bool:
        """Whether this is the agency's home seat, which gets what belongs to no purpose."""
        return home_purpose(self.standing) == self.seat.purpose


def home_purpose(standing: Standing) -> str | None:
    """Return the first of the agency's purposes in vocabulary order; None if it has none."""
    return min(standing.purposes, key=lambda p: _HOME_ORDER[Purpose(p)], default=None)


def sees(
    event: ev.CaseEvent, case: Case, view: View, visibility: Mapping[str, frozenset[str]]
) -> bool:
    """Return whether the seat may learn that `event` of `case` exists."""
    if not view.standing.active:
        return False
    relations = visibility.get(type(event).__name__, frozenset())
    return any(_RELATIONS[relation](event, case, view) for relation in relations)


def _case(event: ev.CaseEvent, case: Case, view: View) -> bool:
    # A key matters only to a reader of what it seals.
    mask = view.overlap if isinstance(event, ev.KeyEpochOpened) else view.mask
    return mask != 0 and view.seat.agency in case.parts


def _statutory(event: ev.CaseEvent, case: Case, view: View) -> bool:
    mask = view.overlap if isinstance(event, ev.KeyEpochOpened) else view.mask
    return mask != 0 and view.seat.agency not in case.parts


def _referral(event: ev.CaseEvent, case: Case, view: View) -> bool:
    referral = case.referrals.get(getattr(event, "referral_id", None) or "")
    if referral is None:
        return False
    if view.seat.agency == referral.receiver:
        return view.seat.purpose == referral.purpose
    return view.seat.agency == referral.sender and view.is_home


def _authority(_: ev.CaseEvent, case: Case, view: View) -> bool:
    return view.seat.agency == case.authority and view.is_home


def _referrer(_: ev.CaseEvent, case: Case, view: View) -> bool:
    return view.seat.agency == case.referrer and view.is_home


def _addressee(event: ev.CaseEvent, _: Case, view: View) -> bool:
    return view.seat.agency == getattr(event, "to", None) and view.is_home


def _recipient(event: ev.CaseEvent, case: Case, view: View) -> bool:
    """An agency with a part that the act names by id; a kind or country names nobody in person."""
    named = any(r.agency == view.seat.agency for r in _recipients(event, case))
    return named and view.seat.agency in case.parts and view.is_home


def _recipients(event: ev.CaseEvent, case: Case) -> Iterator[ev.Recipient]:
    recipient = getattr(event, "recipient", None)
    if recipient is not None:
        yield recipient
        return
    consent_id = getattr(event, "consent_id", None)
    for act in (*case.acts.values(), *case.ended_acts.values()):
        # Taking back a refusal must not tell whom it named that there is a case.
        if act.permit and consent_id in (act.id, None):
            yield act.recipient


_RELATIONS: dict[str, Callable[[ev.CaseEvent, Case, View], bool]] = {
    "case": _case,
    "statutory": _statutory,
    "referral": _referral,
    "authority": _authority,
    "referrer": _referrer,
    "addressee": _addressee,
    "recipient": _recipient,
}
