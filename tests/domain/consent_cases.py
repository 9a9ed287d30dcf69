"""Given, when and then of the consent table: invented acts, a case to put them in, decisions."""

from dataclasses import dataclass, field, replace
from typing import Any

from domain.consent import Act, ConsentState, Guardian, LegalBasis, Standing
from domain.decision import Decision, Question, decide
from domain.events import Recipient
from domain.vocabulary import ALL_SEALED, Category, Role, Seat
from tests.domain.consent_strategies import HOME

NOW = 1_000
SUPPORT, INVESTIGATION = "protection_support", "investigation"
SHELTER, POLICE = Seat("shelter", SUPPORT), Seat("police", INVESTIGATION)
IDENTITY, HEALTH = Category.IDENTITY, Category.HEALTH


def to(agency: str | None = None, kind: str | None = None, country: str | None = None) -> Recipient:
    return Recipient(agency=agency, kind=kind, country=country)


def consent(**changes: Any) -> Act:
    """Return a sound consent to the shelter for support: identity, the whole past, in force."""
    act = Act(
        id="consent",
        permit=True,
        recipient=to("shelter"),
        purposes=frozenset({SUPPORT}),
        categories=IDENTITY.bit,
        not_before=NOW - 10,
        not_after=NOW + 10,
        recorded_by="first-responder",
    )
    return replace(act, **changes)


def refusal(**changes: Any) -> Act:
    """Return a refusal to the shelter of everything for every purpose."""
    act = Act(
        id="refusal",
        permit=False,
        recipient=to("shelter"),
        purposes=frozenset(),
        categories=0,
        recorded_by="first-responder",
    )
    return replace(act, **changes)


def danger(recipient: Recipient) -> Act:
    return refusal(id="danger", danger=True, recipient=recipient)


def order(**changes: Any) -> Act:
    return consent(**{"id": "order", "basis": "court_order", "given_by": "court", **changes})


def emergency(**changes: Any) -> Act:
    """Return an emergency act: nobody gave it and no form is kept."""
    unasked = {"basis": "vital_interest", "given_by": "", "evidence": False}
    return consent(**{"id": "emergency", **unasked, **changes})


def guardian(**changes: Any) -> Guardian:
    return replace(Guardian(id="g", role="appointed_guardian", valid_from=NOW - 10), **changes)


def by_guardian(**changes: Any) -> Act:
    act = {"basis": "guardian_consent", "given_by": "appointed_guardian", "guardian_id": "g"}
    return consent(**{**act, **changes})


LAW = LegalBasis(
    code="LAW-1",
    when="always",
    role=Role.SERVICE_PROVIDER,
    purposes=frozenset({SUPPORT}),
    categories=IDENTITY.bit,
    part_only=True,
)


@dataclass(frozen=True)
class Given:
    """A case in which shelter and police have a part; `may` asks it."""

    acts: tuple[Act, ...] = ()
    laws: tuple[LegalBasis, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    standing: dict[str, Any] = field(default_factory=dict)
    ceiling: int = ALL_SEALED

    def may(
        self,
        seat: Seat,
        category: Category = IDENTITY,
        *,
        writer: str = "first-responder",
        recorded: int = NOW,
        at: int = NOW,
    ) -> Decision:
        state = ConsentState(
            **{"parts": frozenset({"shelter", "police"}), "acts": self.acts, **self.facts}
        )
        role, purposes = {
            "shelter": (Role.SERVICE_PROVIDER, {SUPPORT, "legal_aid"}),
            "police": (Role.POLICE, {INVESTIGATION}),
        }[seat.agency]
        facts = {"agency": seat.agency, "active": True, "country": HOME}
        standing = Standing(**{**facts, "roles": {role: frozenset(purposes)}, **self.standing})
        ceilings = {(str(role), purpose): self.ceiling for purpose in purposes}
        question = Question(seat, category, writer, recorded)
        return decide(question, state, standing, ceilings, self.laws, HOME, at)


def case(*acts: Act, laws: tuple[LegalBasis, ...] = (), **facts: Any) -> Given:
    return Given(acts=acts, laws=laws, facts=facts)


def permitted(code: str, rests_on: str | None, *, notice: bool = False) -> Decision:
    return Decision(permit=True, code=code, rests_on=rests_on, notice=notice)


def denied(code: str, rests_on: str | None = None) -> Decision:
    return Decision(permit=False, code=code, rests_on=rests_on)
