"""The events of a case and of the registry, as the hub sees them: their ROUTING fields.

Everything else an event holds is sealed at the agency and never reaches the rules.
Field by field the same as the `.avsc` files in schemas/, which a test compares.
Ids are UUID strings, instants are milliseconds since 1970 UTC, digests are 32 bytes.
"""

from dataclasses import dataclass

REGISTRY_STREAM = "00000000-0000-0000-0000-000000000000"
"""The nil UUID: `case_id` of the registry's own stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The envelope that every event carries."""

    event_id: str
    case_id: str
    agency: str
    occurred_at: int
    policy: str
    legal_basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """A selector of agencies; every part given must match, and at least one must be given."""

    agency: str | None
    kind: str | None
    country: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCommitment:
    """One data key, committed to without being shown."""

    category: int
    epoch: int
    commitment: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One registrar's signature over a registry fact."""

    registrar: str
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalReceived:
    """A sign of trafficking reached an agency; no identity is needed yet."""

    head: Head
    immediate_danger: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicatorScreeningCompleted:
    """A trained person screened for indicators of trafficking."""

    head: Head
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOpened:
    """An agency opened a case for one person in one episode."""

    head: Head
    age_group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralIntoNrmSubmitted:
    """A first responder referred the person into the mechanism."""

    head: Head
    competent_authority: str
    age_group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyNotificationSubmitted:
    """A statutory body notified a suspected case without the person's consent; no identity."""

    head: Head
    competent_authority: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralAcknowledged:
    """The competent authority confirmed that the referral into the mechanism arrived."""

    head: Head
    decision_due_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherInformationRequested:
    """The competent authority asked an agency for more before it can decide."""

    head: Head
    request_id: str
    to: str
    due_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherInformationProvided:
    """An agency answered a request for information."""

    head: Head
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonableGroundsDecided:
    """The competent authority took the first-stage decision."""

    head: Head
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryPeriodGranted:
    """A recovery and reflection period began: no removal, support runs."""

    head: Head
    starts_at: int
    ends_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryPeriodExtended:
    """The recovery and reflection period was made longer."""

    head: Head
    ends_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryPeriodEnded:
    """The recovery and reflection period ended."""

    head: Head


@dataclass(frozen=True, slots=True, kw_only=True)
class ConclusiveGroundsDecided:
    """The competent authority took the final decision on identification."""

    head: Head
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionServed:
    """A decision reached the person or the representative."""

    head: Head
    decision: str
    served_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconsiderationRequested:
    """Somebody asked for a negative decision to be looked at again."""

    head: Head
    decision: str
    late: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconsiderationDecided:
    """The request for reconsideration was decided."""

    head: Head
    decision: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonIdentityRecorded:
    """An agency recorded who the person is."""

    head: Head


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonIdentityCorrected:
    """An agency corrected a record of who the person is; the event corrected stays."""

    head: Head
    corrects: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeContactSet:
    """How the person may be reached without danger."""

    head: Head


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsAssessed:
    """A provider assessed needs and risks."""

    head: Head


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralSent:
    """One agency asked another to act for the person."""

    head: Head
    referral_id: str
    to: str
    purpose: str
    urgency: str
    answer_due_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralReceived:
    """The receiving agency opened the referral."""

    head: Head
    referral_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralAccepted:
    """The receiving agency took the referral on."""

    head: Head
    referral_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralDeclined:
    """The receiving agency declined."""

    head: Head
    referral_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralCancelled:
    """The sending agency took the referral back."""

    head: Head
    referral_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralExpired:
    """No answer came in time; nobody's status changes by it."""

    head: Head
    referral_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStarted:
    """The receiving agency began its service."""

    head: Head
    referral_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEnded:
    """The receiving agency ended its service."""

    head: Head
    referral_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralOutcomeReported:
    """The receiver told the referrer what came of it."""

    head: Head
    referral_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseClosed:
    """The case was closed."""

    head: Head


@dataclass(frozen=True, slots=True, kw_only=True)
class InformationNoticeGiven:
    """The person was told how data are used and what rights there are."""

    head: Head
    notice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentGiven:
    """The person, or who may act for her, agreed to a disclosure. One recipient an act."""

    head: Head
    consent_id: str
    referral_id: str | None
    recipient: Recipient
    purposes: tuple[str, ...]
    categories: tuple[str, ...]
    history: str
    history_from: int | None
    not_before: int
    not_after: int
    basis: str
    given_by: str
    guardian_id: str | None
    evidence: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRefused:
    """The person refused a disclosure; a refusal outranks every consent."""

    head: Head
    consent_id: str
    referral_id: str | None
    recipient: Recipient
    purposes: tuple[str, ...]
    categories: tuple[str, ...]
    danger: bool
    given_by: str
    evidence: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentNarrowed:
    """An act of consent was narrowed; it never grows."""

    head: Head
    consent_id: str
    purposes: tuple[str, ...]
    categories: tuple[str, ...]
    evidence: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRenewed:
    """An act of consent was given again for longer, unchanged in scope."""

    head: Head
    consent_id: str
    not_after: int
    evidence: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentWithdrawn:
    """An act of consent or of refusal was taken back; null takes back every consent of the case."""

    head: Head
    consent_id: str | None
    given_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentExpired:
    """An act of consent reached its end."""

    head: Head
    consent_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardianAppointed:
    """Somebody was appointed to act for a child or an adult who cannot decide."""

    head: Head
    guardian_id: str
    role: str
    valid_from: int
    valid_to: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardianConflictFound:
    """A guardian may be part of the harm: their yes no longer counts."""

    head: Head
    guardian_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEpochOpened:
    """A writer opened data keys of a case; commitments only."""

    head: Head
    keys: tuple[KeyCommitment, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyRegistered:
    """Two registrars let an agency into the mechanism."""

    head: Head
    agency: str
    name: str
    country: str
    approvals: tuple[Approval, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyDesignated:
    """An agency was designated for a role and the purposes that come with it."""

    head: Head
    agency: str
    role: str
    purposes: tuple[str, ...]
    valid_from: int
    valid_to: int | None
    designated_by: str
    approvals: tuple[Approval, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencySuspended:
    """An agency may not act from now on."""

    head: Head
    agency: str
    reason: str
    approvals: tuple[Approval, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyReinstated:
    """An agency may act again."""

    head: Head
    agency: str
    approvals: tuple[Approval, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyKeyPublished:
    """An agency's keys; a rotation is signed by the previous key."""

    head: Head
    agency: str
    signing_key: bytes
    opening_key: bytes
    valid_from: int
    previous: bytes | None
    previous_signature: bytes | None
    approvals: tuple[Approval, ...]


RegistryEvent = (
    AgencyRegistered | AgencyDesignated | AgencySuspended | AgencyReinstated | AgencyKeyPublished
)

ReferralEvent = (
    ReferralSent
    | ReferralReceived
    | ReferralAccepted
    | ReferralDeclined
    | ReferralCancelled
    | ReferralExpired
    | ServiceStarted
    | ServiceEnded
    | ReferralOutcomeReported
)
"""What belongs to one referral between two agencies."""

ConsentEvent = (
    ConsentGiven
    | ConsentRefused
    | ConsentNarrowed
    | ConsentRenewed
    | ConsentWithdrawn
    | ConsentExpired
)
"""Acts of consent and refusal, and what ends them."""

CaseEvent = (
    SignalReceived
    | IndicatorScreeningCompleted
    | CaseOpened
    | ReferralIntoNrmSubmitted
    | DutyNotificationSubmitted
    | ReferralAcknowledged
    | FurtherInformationRequested
    | FurtherInformationProvided
    | ReasonableGroundsDecided
    | RecoveryPeriodGranted
    | RecoveryPeriodExtended
    | RecoveryPeriodEnded
    | ConclusiveGroundsDecided
    | DecisionServed
    | ReconsiderationRequested
    | ReconsiderationDecided
    | PersonIdentityRecorded
    | PersonIdentityCorrected
    | SafeContactSet
    | NeedsAssessed
    | ReferralSent
    | ReferralReceived
    | ReferralAccepted
    | ReferralDeclined
    | ReferralCancelled
    | ReferralExpired
    | ServiceStarted
    | ServiceEnded
    | ReferralOutcomeReported
    | CaseClosed
    | InformationNoticeGiven
    | ConsentGiven
    | ConsentRefused
    | ConsentNarrowed
    | ConsentRenewed
    | ConsentWithdrawn
    | ConsentExpired
    | GuardianAppointed
    | GuardianConflictFound
    | KeyEpochOpened
)

Event = CaseEvent | RegistryEvent
