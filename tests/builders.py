"""One builder for each event of a case, with sensible defaults: `builder(by, **changes)`.

Every event gets a new id and a later time of occurrence. All of it is invented.
"""

from collections.abc import Callable
from itertools import count
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

from domain import events as ev
from tests.agencies import (
    AUTHORITY,
    CHARITY,
    CHILDREN,
    COORDINATOR,
    DAY,
    POLICE,
    SHELTER,
    SUPPORT,
    T0,
    sha,
)

Made = TypeVar("Made", bound=ev.CaseEvent)
_numbers = count(1)


def uid(label: str) -> str:
    """Return the UUID that stands for `label`."""
    return str(uuid5(NAMESPACE_URL, label))


CASE, REFERRAL, CONSENT = uid("case"), uid("referral"), uid("consent")
REFUSAL, GUARDIAN, REQUEST, NOTICE = uid("refusal"), uid("guardian"), uid("request"), uid("notice")


def head(agency: str) -> ev.Head:
    number = next(_numbers)
    return ev.Head(
        event_id=str(UUID(int=(1 << 124) + number)),
        case_id=CASE,
        agency=agency,
        occurred_at=T0 + number,
        policy="gb-2026.1",
        legal_basis="consent",
    )


def to(
    agency: str | None = None, kind: str | None = None, country: str | None = None
) -> ev.Recipient:
    return ev.Recipient(agency=agency, kind=kind, country=country)


def _builder(event: Callable[..., Made], agency: str, **fields: Any) -> Callable[..., Made]:
    def build(by: str = agency, **changes: Any) -> Made:
        return event(**{"head": head(by), **fields, **changes})

    return build


signal_received = _builder(ev.SignalReceived, CHARITY, immediate_danger=False)
screened = _builder(ev.IndicatorScreeningCompleted, CHARITY, result="indicators_found")
case_opened = _builder(ev.CaseOpened, CHARITY, age_group="adult")
referred_in = _builder(
    ev.ReferralIntoNrmSubmitted, CHARITY, competent_authority=AUTHORITY, age_group="adult"
)
notified = _builder(ev.DutyNotificationSubmitted, POLICE, competent_authority=AUTHORITY)
acknowledged = _builder(ev.ReferralAcknowledged, AUTHORITY, decision_due_at=T0 + 7 * DAY)
information_requested = _builder(
    ev.FurtherInformationRequested,
    AUTHORITY,
    request_id=REQUEST,
    to=CHARITY,
    due_at=T0 + 5 * DAY,
)
information_provided = _builder(ev.FurtherInformationProvided, CHARITY, request_id=REQUEST)
reasonable_grounds = _builder(ev.ReasonableGroundsDecided, AUTHORITY, outcome="positive")
conclusive_grounds = _builder(ev.ConclusiveGroundsDecided, AUTHORITY, outcome="positive")
recovery_granted = _builder(
    ev.RecoveryPeriodGranted, AUTHORITY, starts_at=T0, ends_at=T0 + 45 * DAY
)
recovery_extended = _builder(ev.RecoveryPeriodExtended, AUTHORITY, ends_at=T0 + 60 * DAY)
recovery_ended = _builder(ev.RecoveryPeriodEnded, AUTHORITY)
decision_served = _builder(
    ev.DecisionServed, AUTHORITY, decision="reasonable_grounds", served_at=T0
)
reconsideration_requested = _builder(
    ev.ReconsiderationRequested, CHARITY, decision="reasonable_grounds", late=False
)
reconsidered = _builder(
    ev.ReconsiderationDecided, AUTHORITY, decision="reasonable_grounds", outcome="reopened"
)
identity_recorded = _builder(ev.PersonIdentityRecorded, CHARITY)
identity_corrected = _builder(ev.PersonIdentityCorrected, CHARITY, corrects="")
safe_contact_set = _builder(ev.SafeContactSet, CHARITY)
needs_assessed = _builder(ev.NeedsAssessed, SHELTER)
referral_sent = _builder(
    ev.ReferralSent,
    CHARITY,
    referral_id=REFERRAL,
    to=SHELTER,
    purpose=SUPPORT,
    urgency="routine",
    answer_due_at=T0 + 3 * DAY,
)
referral_received = _builder(ev.ReferralReceived, SHELTER, referral_id=REFERRAL)
referral_accepted = _builder(ev.ReferralAccepted, SHELTER, referral_id=REFERRAL)
referral_declined = _builder(ev.ReferralDeclined, SHELTER, referral_id=REFERRAL)
referral_cancelled = _builder(ev.ReferralCancelled, CHARITY, referral_id=REFERRAL)
referral_expired = _builder(ev.ReferralExpired, COORDINATOR, referral_id=REFERRAL)
service_started = _builder(ev.ServiceStarted, SHELTER, referral_id=REFERRAL)
service_ended = _builder(ev.ServiceEnded, SHELTER, referral_id=REFERRAL)
outcome_reported = _builder(ev.ReferralOutcomeReported, SHELTER, referral_id=REFERRAL)
case_closed = _builder(ev.CaseClosed, CHARITY)
notice_given = _builder(ev.InformationNoticeGiven, CHARITY, notice=NOTICE)
consent_given = _builder(
    ev.ConsentGiven,
    CHARITY,
    consent_id=CONSENT,
    referral_id=None,
    recipient=to(SHELTER),
    purposes=(SUPPORT,),
    categories=("IDENTITY", "CONTACT"),
    history="all",
    history_from=None,
    not_before=T0,
    not_after=T0 + 90 * DAY,
    basis="consent",
    given_by="self",
    guardian_id=None,
    evidence=sha("signed form"),
)
consent_refused = _builder(
    ev.ConsentRefused,
    CHARITY,
    consent_id=REFUSAL,
    referral_id=None,
    recipient=to(SHELTER),
    purposes=(),
    categories=(),
    danger=False,
    given_by="self",
    evidence=None,
)
consent_narrowed = _builder(
    ev.ConsentNarrowed,
    CHARITY,
    consent_id=CONSENT,
    purposes=(SUPPORT,),
    categories=("IDENTITY",),
    evidence=sha("second form"),
)
consent_renewed = _builder(
    ev.ConsentRenewed,
    CHARITY,
    consent_id=CONSENT,
    not_after=T0 + 180 * DAY,
    evidence=sha("third form"),
)
consent_withdrawn = _builder(ev.ConsentWithdrawn, CHARITY, consent_id=CONSENT, given_by="self")
consent_expired = _builder(ev.ConsentExpired, COORDINATOR, consent_id=CONSENT)
guardian_appointed = _builder(
    ev.GuardianAppointed,
    CHILDREN,
    guardian_id=GUARDIAN,
    role="appointed_guardian",
    valid_from=T0,
    valid_to=None,
)
guardian_conflict = _builder(ev.GuardianConflictFound, CHILDREN, guardian_id=GUARDIAN)


def keys_opened(by: str = CHARITY, *keys: tuple[int, int], **changes: Any) -> ev.KeyEpochOpened:
    """Return the opening of a key for each (category number, epoch); IDENTITY's first if none."""
    opened = tuple(
        ev.KeyCommitment(category=c, epoch=e, commitment=sha(f"{by} {c} {e}"))
        for c, e in keys or ((1, 1),)
    )
    return ev.KeyEpochOpened(**{"head": head(by), "keys": opened, "reason": "first", **changes})
