"""The case: one person in one episode, as it stands after the events of its stream.

Folded in `fold`; what may be recorded is decided in `rules`, what others may see of it in
`decision` and `audience`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from domain.consent import Act, ConsentState, Guardian, LiveReferral


class Status(StrEnum):
    """Where the person stands in the mechanism; only decisions of people change it."""

    NEW = "new"
    SIGNALLED = "signalled"
    SCREENED = "screened"
    OPEN = "open"
    NOTIFIED_ONLY = "notified_only"
    REASONABLE_GROUNDS_PENDING = "reasonable_grounds_pending"
    REASONABLE_GROUNDS_NEGATIVE = "reasonable_grounds_negative"
    PRESUMED = "presumed"
    CONCLUSIVE_GROUNDS_NEGATIVE = "conclusive_grounds_negative"
    IDENTIFIED = "identified"
    CLOSED = "closed"


class ReferralState(StrEnum):
    """Where one referral between two agencies stands."""

    SENT = "sent"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SERVICE_STARTED = "service_started"
    SERVICE_ENDED = "service_ended"
    OUTCOME_REPORTED = "outcome_reported"


ENDED_UNANSWERED = frozenset(
    {ReferralState.DECLINED, ReferralState.CANCELLED, ReferralState.EXPIRED}
)
"""States in which a referral gives its receiver no part in the case."""

WAITING = frozenset({ReferralState.SENT, ReferralState.RECEIVED})
"""States in which a referral waits for an answer."""


CUSTODY = frozenset(
    {
        "KeyEpochOpened",
        "SignalReceived",
        "CaseOpened",
        "ReferralIntoNrmSubmitted",
        "DutyNotificationSubmitted",
        "ReferralSent",
        "ReferralReceived",
        "ReferralAccepted",
        "ReferralDeclined",
        "ReferralCancelled",
        "ReferralExpired",
        "ConsentGiven",
        "ConsentRefused",
        "ConsentNarrowed",
        "ConsentRenewed",
        "ConsentWithdrawn",
        "ConsentExpired",
        "GuardianAppointed",
        "GuardianConflictFound",
    }
)
"""Events that move who may see what, or keys: what the custodian folds, numbered without gaps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Referral:
    """One agency's request to another; each has a state of its own."""

    id: str
    sender: str
    receiver: str
    purpose: str
    answer_due_at: int
    state: ReferralState = ReferralState.SENT

    @property
    def live(self) -> bool:
        """Whether it gives its receiver a part in the case."""
        return self.state not in ENDED_UNANSWERED


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """One decision of the competent authority and what became of it."""

    outcome: str
    served_at: int | None = None
    reconsideration_open: bool = False
    reopened: bool = False
    """Whether a reconsideration set the decision aside, so that it may be taken again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOpened:
    """A data key that a writer opened, as the log knows it."""

    commitment: bytes
    recorded_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The state of one case after `version` events; what the hub can know without a key."""

    id: str
    version: int = 0
    custody_seq: int = 0
    """How many of the events are ones that the custodian follows."""
    recorded_ms: int = 0
    """When the newest of them was recorded."""
    status: Status = Status.NEW
    opened_by: str = ""
    """Agency of the first event."""
    opened: bool = False
    age_group: str = "unsure"
    authority: str | None = None
    referrer: str | None = None
    """Agency that submitted the referral into the mechanism."""
    acknowledged: bool = False
    recovery_ends_at: int | None = None
    """First instant after the recovery period; None while none runs."""
    decisions: Mapping[str, Grounds] = field(default_factory=dict)
    """reasonable_grounds, conclusive_grounds -> the newest decision."""
    requests: Mapping[str, str] = field(default_factory=dict)
    """Open requests for information -> agency asked."""
    referrals: Mapping[str, Referral] = field(default_factory=dict)
    acts: Mapping[str, Act] = field(default_factory=dict)
    """Acts of consent and refusal that stand."""
    ended_acts: Mapping[str, Act] = field(default_factory=dict)
    """Acts that were withdrawn or ran out."""
    guardians: Mapping[str, Guardian] = field(default_factory=dict)
    notices: frozenset[str] = frozenset()
    identity_records: frozenset[str] = frozenset()
    happened: frozenset[str] = frozenset()
    """Names of the events of `CUSTODY` that are in the case."""
    keys: Mapping[tuple[str, int, int], KeyOpened] = field(default_factory=dict)
    """(writer, category number, epoch) -> the key."""
    epochs: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """(writer, category number) -> newest epoch opened."""
    min_epochs: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """(writer, category number) -> lowest epoch that new data may be sealed under."""

    @property
    def child(self) -> bool:
        """True while the person is or may be a child."""
        return self.age_group != "adult"

    @property
    def settled_parts(self) -> frozenset[str]:
        """Agencies that opened the case, decide it, or took a referral on."""
        taken = {r.receiver for r in self.referrals.values() if r.live and r.state not in WAITING}
        return frozenset(taken | {a for a in (self.opened_by, self.authority) if a})

    @property
    def parts(self) -> frozenset[str]:
        """Agencies with a part: the settled ones and receivers who have not answered yet."""
        return self.settled_parts | {r.receiver for r in self.referrals.values() if r.live}

    def consent_state(self) -> ConsentState:
        """Return what the consent decision looks at."""
        return ConsentState(
            child=self.child,
            parts=self.parts,
            referrals=tuple(
                LiveReferral(id=r.id, sender=r.sender, receiver=r.receiver, purpose=r.purpose)
                for r in self.referrals.values()
                if r.live
            ),
            acts=tuple(self.acts.values()),
            guardians=self.guardians,
            happened=self.happened,
            authority=self.authority,
        )
