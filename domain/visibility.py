"""Who learns that an event exists at all: the relations of a seat to an event.

The policy pack lists, per event, the relations that may see it. Which fields they see is
the audience's mask; this is about the event's existence and its ROUTING fields.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from domain import events as ev
from domain.case import Case
from domain.consent import Standing
from domain.vocabulary import Purpose, Seat

_HOME_ORDER = {p.value: i for i, p in enumerate(Purpose)}


class Stance(NamedTuple):
    """How a seat stands to a case: all that `sees` asks of the two.

    While it stays equal, the seat sees of every event what it saw.
    """

    seat: Seat
    active: bool
    home: bool
    """Whether this is the agency's home seat, which gets what belongs to no purpose."""
    has_part: bool
    authority: bool
    referrer: bool
    referrals: frozenset[str]
    """Referrals whose receiver this seat is, or whose sender it is at home."""
    named: frozenset[str]
    """Acts that permit and name the agency, which has a part, by its id; for the home seat."""


def home_purpose(standing: Standing) -> str | None:
    """Return the first of the agency's purposes in vocabulary order; None if it has none."""
    return min(standing.purposes, key=_HOME_ORDER.__getitem__, default=None)


def stance(case: Case, seat: Seat, standing: Standing, *, has_part: bool, home: bool) -> Stance:
    """Return how `seat` stands to `case`.

    `has_part` is whether its agency is among `case.parts`, `home` whether its purpose is
    `home_purpose`: callers look at many seats and know both.
    """
    agency = seat.agency
    return Stance(
        seat=seat,
        active=standing.active,
        home=home,
        has_part=has_part,
        authority=home and agency == case.authority,
        referrer=home and agency == case.referrer,
        referrals=_referrals(case, seat, home=home) if case.referrals else _NONE,
        named=_named(case, agency) if home and has_part else _NONE,
    )


_NONE: frozenset[str] = frozenset()


def _referrals(case: Case, seat: Seat, *, home: bool) -> frozenset[str]:
    agency, purpose = seat
    return frozenset(
        r.id
        for r in case.referrals.values()
        if (purpose == r.purpose if agency == r.receiver else home and agency == r.sender)
    )


def _named(case: Case, agency: str) -> frozenset[str]:
    """A kind or country names nobody in person, and taking back a refusal must not tell whom
    it named that there is a case."""
    acts = (*case.acts.values(), *case.ended_acts.values())
    return frozenset(a.id for a in acts if a.permit and a.recipient.agency == agency)


def sees(
    event: ev.CaseEvent,
    stands: Stance,
    mask: int,
    overlap: int,
    visibility: Mapping[str, frozenset[str]],
) -> bool:
    """Return whether the seat may learn that `event` of the case exists.

    `mask` is what the audience gives the seat at the age of this event, `overlap` those
    categories of it that the event has something of.
    """
    if not stands.active:
        return False
    if isinstance(event, ev.KeyEpochOpened):
        mask = overlap  # a key matters only to a reader of what it seals
    for relation in visibility.get(type(event).__name__, ()):
        if _RELATIONS[relation](event, stands, mask):
            return True
    return False


def _case(_: ev.CaseEvent, stands: Stance, mask: int) -> bool:
    return mask != 0 and stands.has_part


def _statutory(_: ev.CaseEvent, stands: Stance, mask: int) -> bool:
    return mask != 0 and not stands.has_part


def _referral(event: ev.CaseEvent, stands: Stance, _: int) -> bool:
    return getattr(event, "referral_id", None) in stands.referrals


def _authority(_: ev.CaseEvent, stands: Stance, __: int) -> bool:
    return stands.authority


def _referrer(_: ev.CaseEvent, stands: Stance, __: int) -> bool:
    return stands.referrer


def _addressee(event: ev.CaseEvent, stands: Stance, _: int) -> bool:
    return stands.home and stands.seat.agency == getattr(event, "to", None)


def _recipient(event: ev.CaseEvent, stands: Stance, _: int) -> bool:
    """An agency with a part that the act names by id."""
    if not (stands.home and stands.has_part):
        return False
    recipient = getattr(event, "recipient", None)
    if recipient is not None:
        return bool(recipient.agency == stands.seat.agency)
    consent_id = getattr(event, "consent_id", None)
    return bool(stands.named) if consent_id is None else consent_id in stands.named


_RELATIONS: dict[str, Callable[[ev.CaseEvent, Stance, int], bool]] = {
    "case": _case,
    "statutory": _statutory,
    "referral": _referral,
    "authority": _authority,
    "referrer": _referrer,
    "addressee": _addressee,
    "recipient": _recipient,
}
