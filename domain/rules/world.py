"""What a decision looks at besides the case: registry, policy packs, the hub's time."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from domain.agency import Registry
from domain.audience import Audience, compile_audience
from domain.case import Case, Referral
from domain.consent import EMERGENCY, STATUTORY, ConsentState, Standing
from domain.decision import Decision, Question, decide
from domain.errors import Refused
from domain.events import Recipient
from domain.policy import Policy
from domain.vocabulary import SEALED, Seat

OVERRIDES = STATUTORY | EMERGENCY
"""Bases that reach agencies without a part in the case."""


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything outside the case that the rules depend on; the same world decides the same."""

    registry: Registry
    policies: Mapping[str, Policy]
    """Policy packs by id."""
    home: str
    """Country of this mechanism, ISO 3166-1 alpha-2."""
    policy_id: str
    """The pack in force."""

    @property
    def policy(self) -> Policy:
        """The pack in force."""
        return self.policies[self.policy_id]

    def standing(self, agency: str, at: int) -> Standing:
        """Return the agency as the registry knows it at `at` (ms)."""
        return self.registry.standing(agency, at)

    def may_see(self, case: Case, question: Question, at: int) -> Decision:
        """Ask the consent table."""
        return decide(
            question,
            case.consent_state(),
            self.standing(question.seat.agency, at),
            self.policy.ceilings,
            self.policy.legal_bases,
            self.home,
            at,
        )

    def audience(self, case: Case, at: int) -> Audience:
        """Compile who may see what of the case at `at` (ms)."""
        state = case.consent_state()
        return self.compiled(state, {a: self.standing(a, at) for a in self.readers(state)}, at)

    def compiled(self, state: ConsentState, standings: Mapping[str, Standing], at: int) -> Audience:
        """Compile who may see what in `state`; `standings` are those of its `readers` at `at`."""
        policy = self.policy
        return compile_audience(
            state, standings, policy.ceilings, policy.legal_bases, self.home, at
        )

    def readers(self, state: ConsentState) -> frozenset[str]:
        """Return the agencies that could see something: the parts and the statutory readers."""
        ordered = [a.recipient for a in state.acts if a.permit and a.basis in OVERRIDES]
        named = (self._named(recipient) for recipient in ordered)
        return state.parts.union(self._statutory_readers, *named)

    def _named(self, recipient: Recipient) -> frozenset[str]:
        if recipient.agency is not None:
            return frozenset({recipient.agency})
        if recipient.kind is not None:
            return self.registry.with_roles({recipient.kind})
        agencies = self.registry.agencies.values()
        return frozenset(a.id for a in agencies if a.country == recipient.country)

    @cached_property
    def _statutory_readers(self) -> frozenset[str]:
        roles = {b.role for b in self.policy.legal_bases if not b.part_only}
        return self.registry.with_roles(roles)


def gate(world: World, case: Case, referral: Referral, at: int) -> Decision:
    """Return why the receiver of `referral` may see something of the case, or refuse.

    The referral is taken as if it were sent, so sending and accepting ask the same question.
    The reason given is of the denial that came nearest to a permit.
    """
    case = replace(case, referrals={**case.referrals, referral.id: referral})
    seat = Seat(referral.receiver, referral.purpose)
    denied: list[str] = []
    for category in SEALED:
        question = Question(seat=seat, category=category, writer=referral.sender, recorded_ms=at)
        decision = world.may_see(case, question, at)
        if decision.permit:
            return decision
        denied.append(decision.code)
    code = min(denied, key=_NEAREST.index)
    raise Refused(
        _GATE_CODE[code], f"no consent or legal basis lets the receiver see this case ({code})"
    )


_NEAREST = [
    "D05",
    "D09",
    "D08",
    "D13",
    "D07",
    "D06",
    "D11",
    "D02",
    "D01",
    "D03",
    "D10",
    "D00",
    "D12",
    "D04",
]
_GATE_CODE = {
    "D00": "CONSENT_MISSING",
    "D01": "RECEIVER_NOT_ACTIVE",
    "D02": "CASE_RESTRICTED",
    "D03": "PURPOSE_NOT_MANDATED",
    "D04": "CONSENT_MISSING",
    "D05": "REFUSED_BY_PERSON",
    "D06": "EVIDENCE_MISSING",
    "D07": "GUARDIAN_ACT_MISSING",
    "D08": "CONSENT_NOT_YET",
    "D09": "CONSENT_EXPIRED",
    "D10": "FOREIGN_RECEIVER",
    "D11": "DANGER_LISTED",
    "D12": "CONSENT_MISSING",
    "D13": "CONSENT_MISSING",
}
