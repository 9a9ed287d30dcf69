"""What the consent decision looks at, and what each piece says by itself.

Acts, guardians, live referrals, standings and legal bases, as the log and the policy have
them. The table that decides over them is `decision`; its compiled form is `audience`.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from domain.events import Recipient


class Basis(StrEnum):
    """What an act rests on."""

    CONSENT = "consent"
    GUARDIAN_CONSENT = "guardian_consent"
    BEST_INTERESTS = "best_interests"
    COURT_ORDER = "court_order"
    LEGAL_OBLIGATION = "legal_obligation"
    VITAL_INTEREST = "vital_interest"


STATUTORY = frozenset({Basis.BEST_INTERESTS, Basis.COURT_ORDER, Basis.LEGAL_OBLIGATION})
"""Bases that outrank a refusal and always leave a notice."""

EMERGENCY = frozenset({Basis.VITAL_INTEREST})
"""Danger to life: outranks a refusal, leaves a notice, and is neither evidenced nor given."""

CONSENTS = frozenset({Basis.CONSENT, Basis.GUARDIAN_CONSENT})
"""Bases that a refusal, a ceiling or a missing part outranks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One act of consent or refusal as it stands now: narrowings and renewals are folded in."""

    id: str
    permit: bool
    """True for a consent, False for a refusal."""
    basis: str = Basis.CONSENT
    referral_id: str | None = None
    """The one referral it is about; None for any."""
    recipient: Recipient
    purposes: frozenset[str]
    """Purposes covered. Empty: a consent covers none, a refusal covers all."""
    categories: int
    """Category mask covered. Zero: a consent covers none, a refusal covers all."""
    opens_from: int = 0
    """Events recorded at or after this instant are opened; 0 opens the whole past."""
    not_before: int = 0
    not_after: int | None = None
    """First instant it no longer holds; None only for a refusal."""
    given_by: str = "self"
    guardian_id: str | None = None
    evidence: bool = True
    """Whether a signed form, recording or order is kept and its digest recorded."""
    danger: bool = False
    """A refusal only: never disclose to this recipient, whatever else holds."""
    recorded_by: str
    position_ms: int = 0
    """When the hub recorded it, in milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardian:
    """Somebody appointed to act for the person."""

    id: str
    role: str
    """legal_guardian or appointed_guardian."""
    valid_from: int
    valid_to: int | None = None
    conflicted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveReferral:
    """A referral that is neither declined, cancelled nor expired."""

    id: str
    sender: str
    receiver: str
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentState:
    """All that the decision looks at in a case; withdrawn and expired acts are not in `acts`."""

    child: bool = False
    """True while the person is, or may be, a child."""
    restricted: bool = False
    """True once the case is erased or restricted: nobody reads."""
    parts: frozenset[str] = frozenset()
    """Agencies that have a part in the case."""
    referrals: tuple[LiveReferral, ...] = ()
    acts: tuple[Act, ...] = ()
    guardians: Mapping[str, Guardian] = field(default_factory=dict)
    happened: frozenset[str] = frozenset()
    """Event names a legal basis may depend on, such as ReferralIntoNrmSubmitted."""
    authority: str | None = None
    """The competent authority that the case was referred or notified to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An agency at one instant, as the registry knows it."""

    agency: str
    active: bool
    """Registered, not suspended, designated now and with a key published."""
    country: str = ""
    roles: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Role in force -> purposes that come with it."""

    @property
    def purposes(self) -> frozenset[str]:
        """Every purpose that some role in force brings."""
        return frozenset().union(*self.roles.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class LegalBasis:
    """A rule of the policy pack that discloses without an act of consent."""

    code: str
    """Stands in decisions, such as GB.MSA2015.S52."""
    when: str
    """always, child, or an event name that must have happened in the case."""
    role: str
    """Role the recipient must hold."""
    purposes: frozenset[str]
    categories: int
    part_only: bool
    """True: only agencies with a part in the case; False: every agency of the role."""


def in_force(act: Act, at: int) -> bool:
    """Whether `act` holds at `at`. An act that permits must have an end; a refusal need not."""
    if act.not_after is None:
        return not act.permit and act.not_before <= at
    return act.not_before <= at < act.not_after


def shortfall(act: Act, state: ConsentState, at: int) -> str | None:
    """Return the first check that `act`, which permits, fails at `at`: D06, D07, D08 or D09.

    An emergency act needs neither evidence nor a giver: nobody could be asked.
    """
    if act.basis not in EMERGENCY:
        if not act.evidence:
            return "D06"
        if not _authorised(act, state, at):
            return "D07"
    if at < act.not_before:
        return "D08"
    return None if in_force(act, at) else "D09"


def applies(basis: LegalBasis, state: ConsentState) -> bool:
    """Whether the condition of a legal basis has come true in the case."""
    return (
        basis.when == "always"
        or (basis.when == "child" and state.child)
        or basis.when in state.happened
    )


def names(recipient: Recipient, standing: Standing, kinds: Container[str]) -> bool:
    """Whether every part of `recipient` that is given fits the agency in one of `kinds`.

    A selector without any part names nobody.
    """
    agency, kind, country = recipient.agency, recipient.kind, recipient.country
    if agency is None:
        if kind is None and country is None:
            return False
    elif agency != standing.agency:
        return False
    return (kind is None or kind in kinds) and (country is None or country == standing.country)


def _authorised(act: Act, state: ConsentState, at: int) -> bool:
    if act.basis in CONSENTS:
        return _may_consent(act, state, at)
    if act.basis == Basis.BEST_INTERESTS:
        return act.given_by in ("court", "child_protection")
    return act.basis in STATUTORY and act.given_by == "court"


def _may_consent(act: Act, state: ConsentState, at: int) -> bool:
    match act.given_by:
        case "self":
            return not state.child  # a child's own yes is recorded as assent
        case "court":
            return True
        case "legal_guardian":
            return state.child and _guardian_counts(act, state, at)
        case "appointed_guardian":
            return _guardian_counts(act, state, at)
        case _:
            return False


def _guardian_counts(act: Act, state: ConsentState, at: int) -> bool:
    guardian = state.guardians.get(act.guardian_id) if act.guardian_id is not None else None
    return (
        guardian is not None
        and guardian.role == act.given_by
        and not guardian.conflicted
        and guardian.valid_from <= at
        and (guardian.valid_to is None or at < guardian.valid_to)
    )
