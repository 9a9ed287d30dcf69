"""The audience of a case: the consent decision compiled for every seat at once.

For each seat that may see anything, category masks by the age of the event. It answers as
`decision.decide` does for events that somebody else wrote, which a property test holds over
every seat and category; what an agency wrote itself it always sees, and the caller adds that.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

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
from domain.decision import RESCUERS, Ceilings
from domain.vocabulary import ALL_SEALED, Seat


class Window(NamedTuple):
    """Categories opened to a seat, for events recorded at or after an instant."""

    opens_from: int
    mask: int
    rests_on: str
    """Id of the act or code of the legal basis."""


class SeatView(NamedTuple):
    """What one seat may see.

    Windows are sorted. An event is opened by every window that starts no later than it was
    recorded; a category that several of them open rests on the last one.
    """

    seat: Seat
    windows: tuple[Window, ...]

    def mask(self, recorded_ms: int) -> int:
        """Return the category mask for an event recorded then."""
        mask = 0
        for window in self.windows:
            if window.opens_from > recorded_ms:
                break
            mask |= window.mask
        return mask

    def basis(self, recorded_ms: int) -> tuple[str, ...]:
        """Return the acts and legal bases that the mask rests on, each once, sorted."""
        bases, seen = set(), 0
        for window in reversed(self.windows):
            if window.opens_from <= recorded_ms and window.mask & ~seen:
                bases.add(window.rests_on)
                seen |= window.mask
        return tuple(sorted(bases))


@dataclass(frozen=True, slots=True)
class Audience:
    """Who may see what of a case, until something happens or `next_change` comes."""

    seats: tuple[SeatView, ...]
    """The seats that may see something, sorted."""
    next_change: int | None
    """First instant at which time alone may change it; None when time alone cannot."""

    def mask(self, seat: Seat, recorded_ms: int) -> int:
        """Return what `seat` may see of an event recorded then, as a category mask."""
        return next((view.mask(recorded_ms) for view in self.seats if view.seat == seat), 0)

    def basis(self, seat: Seat, recorded_ms: int) -> tuple[str, ...]:
        """Return what that mask rests on; empty when it is 0."""
        return next((view.basis(recorded_ms) for view in self.seats if view.seat == seat), ())


def compile_audience(  # noqa: PLR0917 - all that the decision looks at
    state: ConsentState,
    standings: Mapping[str, Standing],
    ceilings: Ceilings,
    legal_bases: Sequence[LegalBasis],
    home_country: str,
    at: int,
) -> Audience:
    """Return who may see what of the case at the hub's time `at`, in milliseconds.

    `standings` are the agencies that could matter, by id: an agency that is not among them
    sees nothing.
    """
    if state.restricted:
        return Audience((), None)
    case = _Case(state, ceilings, legal_bases, home_country, at)
    views = [
        view
        for agency, standing in standings.items()
        if standing.active and standing.agency == agency
        for view in _Reader(case, standing).seats()
    ]
    return Audience(tuple(sorted(views)), _next_change(state, at))


class _Case:
    """What every reader of a case shares: the acts that count now."""

    def __init__(
        self,
        state: ConsentState,
        ceilings: Ceilings,
        legal_bases: Sequence[LegalBasis],
        home_country: str,
        at: int,
    ) -> None:
        self.parts = state.parts
        self.served = {(r.id, r.receiver, r.purpose) for r in state.referrals}
        self.ceilings = ceilings
        self.home_country = home_country
        self.laws = [basis for basis in legal_bases if applies(basis, state)]
        self.refusals = [a for a in state.acts if not a.permit and in_force(a, at)]
        self.permits = [a for a in state.acts if a.permit and shortfall(a, state, at) is None]


class _Reader:
    """One agency before a case: what its seats are opened, by the rows of the table."""

    def __init__(self, case: _Case, standing: Standing) -> None:
        agency, roles = standing.agency, standing.roles
        self._case = case
        self._standing = standing
        self._at_home = standing.country == case.home_country
        self._has_part = agency in case.parts
        self._permits = [a for a in case.permits if names(a.recipient, standing, roles)]
        self._refusals = [a for a in case.refusals if names(a.recipient, standing, roles)]
        self._laws = [
            b
            for b in case.laws
            if self._at_home and b.role in roles and (self._has_part or not b.part_only)
        ]
        self._brings: dict[str, set[str]] = {}
        """Purpose -> the roles in force that bring it."""
        for role, purposes in roles.items():
            for purpose in purposes:
                self._brings.setdefault(purpose, set()).add(role)

    def seats(self) -> Iterator[SeatView]:
        """Yield each seat that something opens; every purpose of a role or of an order is tried."""
        endangers = any(act.danger for act in self._refusals)
        if endangers and RESCUERS.isdisjoint(self._standing.roles):
            return
        for purpose in self._purposes():
            opened = [act for act in self._permits if self._covers(act, purpose)]
            if opened or self._laws:
                grants = self._rescue if endangers else self._grants
                if windows := _windows(grants(purpose, opened)):
                    yield SeatView(Seat(self._standing.agency, purpose), windows)

    def _purposes(self) -> Iterable[str]:
        if not (self._permits or self._laws):
            return ()
        orders = [act.purposes for act in self._permits if act.basis in STATUTORY]
        return self._brings.keys() | set(chain(*orders)) if orders else self._brings

    def _rescue(self, purpose: str, opened: list[Act]) -> list[Window]:
        """Return what a danger flag leaves to police and ambulance."""
        return _on(opened, EMERGENCY) if purpose in self._brings else []

    def _grants(self, purpose: str, opened: list[Act]) -> list[Window]:
        """Return what opens a seat, what outranks first."""
        roles = self._brings.get(purpose, set())
        grants = _on(opened, STATUTORY)
        for law in self._laws:
            if law.role in roles and purpose in law.purposes:
                grants.append(Window(0, law.categories, law.code))
        if roles:
            grants += _on(opened, EMERGENCY)
            grants += self._by_consent(purpose, opened)
        return grants

    def _by_consent(self, purpose: str, opened: list[Act]) -> list[Window]:
        if not (self._at_home and self._has_part):
            return []
        limit = 0
        for role in self._brings[purpose]:
            limit |= self._case.ceilings.get((role, purpose), 0)
        for act in self._refusals:
            if self._covers(act, purpose):
                limit &= ~(act.categories or ALL_SEALED)
        return _on(opened, CONSENTS, limit)

    def _covers(self, act: Act, purpose: str) -> bool:
        """Whether `act`, which names the agency, is about its seat for `purpose`."""
        if purpose not in act.purposes and (act.purposes or act.permit):
            return False
        kind, referral_id = act.recipient.kind, act.referral_id
        return (kind is None or kind in self._brings.get(purpose, ())) and (
            referral_id is None
            or (referral_id, self._standing.agency, purpose) in self._case.served
        )


def _on(acts: list[Act], bases: frozenset[Basis], limit: int = ALL_SEALED) -> list[Window]:
    return [Window(a.opens_from, a.categories & limit, a.id) for a in acts if a.basis in bases]


def _windows(grants: list[Window]) -> tuple[Window, ...]:
    """Return `grants`, given in order of rank, without what a higher one opens anyway."""
    kept: list[Window] = []
    for grant in grants:
        mask = grant.mask
        for higher in kept:
            if higher.opens_from <= grant.opens_from:
                mask &= ~higher.mask
        if mask:
            kept.append(grant if mask == grant.mask else grant._replace(mask=mask))
    return tuple(sorted(kept))


def _next_change(state: ConsentState, at: int) -> int | None:
    instants: list[int | None] = []
    for act in state.acts:
        instants += (act.not_before, act.not_after)
    for guardian in state.guardians.values():
        instants += (guardian.valid_from, guardian.valid_to)
    return min((i for i in instants if i is not None and i > at), default=None)
