"""The consent decision: may seat S see category C of case X for purpose P at time T?

One pure function over one table; the first row that fires decides, and nothing else permits.
The custodian asks it before it releases a key, the auditor years later over the recorded
log; the projector uses its compiled form (`audience`), held to this table by a property test.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from domain.consent import (
    CONSENTS,
    EMERGENCY,
    STATUTORY,
    Act,
    Basis,
    ConsentState,
    LegalBasis,
    Standing,
    applies,
    in_force,
    names,
    shortfall,
)
from domain.reasons import MISSES
from domain.vocabulary import Category, Role, Seat

Ceilings = Mapping[tuple[str, str], int]
"""(role, purpose) -> mask of what the role may ever see by consent for it; missing: nothing."""

RESCUERS = frozenset({Role.POLICE, Role.HEALTH})
"""Roles that an emergency act reaches even when the person called the agency a danger."""


@dataclass(frozen=True, slots=True)
class Question:
    """May `seat` see `category` of an event that `writer` wrote and the hub recorded then?"""

    seat: Seat
    category: Category
    """A sealed category; ROUTING is in clear and not asked about."""
    writer: str
    recorded_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer, its reason and what it rests on."""

    permit: bool
    code: str
    """A key of `reasons.CODES`."""
    rests_on: str | None = None
    """Id of the act or code of the legal basis that decided, or of the act that came nearest."""
    notice: bool = False
    """Whether the person is owed a notice of this disclosure."""


def decide(  # noqa: PLR0917 - all that the decision looks at, and nothing else
    q: Question,
    state: ConsentState,
    standing: Standing,
    ceilings: Ceilings,
    legal_bases: Sequence[LegalBasis],
    home_country: str,
    at: int,
) -> Decision:
    """Return the decision on `q` at the hub's time `at`, in milliseconds; total, never raises.

    `standing` is the registry's view of `q.seat.agency` at that time. Of several acts that
    permit under the same row, the first in `state.acts` is named.
    """
    asked = _Asked(q, state, standing, ceilings, legal_bases, home_country, at)
    for row in _ROWS:
        if decision := row(asked):
            return decision
    return _deny("D00")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question and all that it is decided from."""

    q: Question
    state: ConsentState
    standing: Standing
    ceilings: Ceilings
    legal_bases: Sequence[LegalBasis]
    home_country: str
    at: int

    def roles(self) -> frozenset[str]:
        """Return the roles in force that bring this purpose."""
        purpose = self.q.seat.purpose
        return frozenset(role for role, brings in self.standing.roles.items() if purpose in brings)

    def covering(self) -> Iterator[Act]:
        """Yield the acts that permit this seat this category, whether or not they hold."""
        bit, purpose = self.q.category.bit, self.q.seat.purpose
        for act in self.state.acts:
            about = act.permit and act.categories & bit and purpose in act.purposes
            if about and self._addressed(act):
                yield act

    def resting_on(self, bases: frozenset[Basis]) -> Act | None:
        """Return the first covering act on one of `bases` that fails no check."""
        sound = (act for act in self.covering() if act.basis in bases and self.miss(act) is None)
        return next(sound, None)

    def miss(self, act: Act) -> str | None:
        """Return the first check that a covering act fails."""
        late = "D13" if self.q.recorded_ms < act.opens_from else None
        return shortfall(act, self.state, self.at) or late

    def refusal(self) -> Act | None:
        """Return the first refusal in force of this category to this seat."""
        bit, purpose = self.q.category.bit, self.q.seat.purpose
        for act in self._refusals():
            about = not act.categories or act.categories & bit
            if about and (not act.purposes or purpose in act.purposes) and self._addressed(act):
                return act
        return None

    def danger(self) -> Act | None:
        """Return the first danger flag in force on this agency.

        It holds for every purpose, category and referral, and reaches every role of the agency.
        """
        flags = (act for act in self._refusals() if act.danger)
        reach = self.standing.roles
        return next((act for act in flags if names(act.recipient, self.standing, reach)), None)

    def _refusals(self) -> Iterator[Act]:
        return (act for act in self.state.acts if not act.permit and in_force(act, self.at))

    def _addressed(self, act: Act) -> bool:
        agency, purpose = self.q.seat
        return names(act.recipient, self.standing, self.roles()) and (
            act.referral_id is None
            or any(
                (r.id, r.receiver, r.purpose) == (act.referral_id, agency, purpose)
                for r in self.state.referrals
            )
        )


def _permit(code: str, rests_on: str | None = None) -> Decision:
    return Decision(permit=True, code=code, rests_on=rests_on, notice=code in ("P02", "P03"))


def _deny(code: str, rests_on: str | None = None) -> Decision:
    return Decision(permit=False, code=code, rests_on=rests_on)


def _inactive(a: _Asked) -> Decision | None:
    known = a.standing.active and a.standing.agency == a.q.seat.agency
    return None if known else _deny("D01")


def _restricted(a: _Asked) -> Decision | None:
    return _deny("D02") if a.state.restricted else None


def _own(a: _Asked) -> Decision | None:
    return _permit("P00") if a.q.writer == a.q.seat.agency else None


def _danger(a: _Asked) -> Decision | None:
    danger = a.danger()
    if danger is None:
        return None
    # Without a role for the purpose D03 would deny: a danger flag must not open that.
    rescuer = bool(a.roles()) and not RESCUERS.isdisjoint(a.standing.roles)
    return (_vital(a) if rescuer else None) or _deny("D11", danger.id)


def _statutory(a: _Asked) -> Decision | None:
    act = a.resting_on(STATUTORY)
    return _permit("P02", act.id) if act else None


def _by_law(a: _Asked) -> Decision | None:
    if a.standing.country != a.home_country:
        return None  # a country's law binds its own agencies
    for basis in a.legal_bases:
        if (
            applies(basis, a.state)
            and basis.role in a.roles()
            and a.q.seat.purpose in basis.purposes
            and basis.categories & a.q.category.bit
            and (not basis.part_only or a.q.seat.agency in a.state.parts)
        ):
            return _permit("P02", basis.code)
    return None


def _purpose(a: _Asked) -> Decision | None:
    return None if a.roles() else _deny("D03")


def _vital(a: _Asked) -> Decision | None:
    act = a.resting_on(EMERGENCY)
    return _permit("P03", act.id) if act else None


def _ceiling(a: _Asked) -> Decision | None:
    purpose, bit = a.q.seat.purpose, a.q.category.bit
    below = any(a.ceilings.get((role, purpose), 0) & bit for role in a.roles())
    return None if below else _deny("D04")


def _abroad(a: _Asked) -> Decision | None:
    return None if a.standing.country == a.home_country else _deny("D10")


def _no_part(a: _Asked) -> Decision | None:
    return None if a.q.seat.agency in a.state.parts else _deny("D12")


def _refused(a: _Asked) -> Decision | None:
    refusal = a.refusal()
    return _deny("D05", refusal.id) if refusal else None


def _consented(a: _Asked) -> Decision | None:
    act = a.resting_on(CONSENTS)
    return _permit("P01", act.id) if act else None


def _missed(a: _Asked) -> Decision | None:
    misses = [(code, act.id) for act in a.covering() if (code := a.miss(act))]
    nearest = max(misses, key=lambda miss: MISSES.index(miss[0]), default=None)
    return _deny(*nearest) if nearest else None


_ROWS: tuple[Callable[[_Asked], Decision | None], ...] = (
    _inactive,
    _restricted,
    _own,
    _danger,
    _statutory,
    _by_law,
    _purpose,
    _vital,
    _ceiling,
    _abroad,
    _no_part,
    _refused,
    _consented,
    _missed,
)
