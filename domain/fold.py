"""The fold of a case: what each recorded event changes.

Total: a recorded event is never refused, whatever rules were in force when it was recorded.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from domain import events as ev
from domain.case import CUSTODY, Case, Grounds, KeyOpened, Referral, ReferralState, Status
from domain.consent import Act, Guardian
from domain.vocabulary import SEALED, mask_of


def evolve(case: Case, event: ev.CaseEvent, recorded_ms: int) -> Case:
    """Return the case after `event`, which the hub recorded at `recorded_ms`."""
    name = type(event).__name__
    followed = name in CUSTODY
    return replace(
        case,
        version=case.version + 1,
        custody_seq=case.custody_seq + followed,
        recorded_ms=recorded_ms,
        opened_by=case.opened_by or event.head.agency,
        # No more than the custodian knows, or its decisions would differ from the hub's.
        happened=case.happened | {name} if followed else case.happened,
        **_changes(case, event, recorded_ms),
    )


def replay(case_id: str, events: Iterable[tuple[ev.CaseEvent, int]]) -> Case:
    """Fold (event, recorded_ms) pairs, oldest first, into the case."""
    case = Case(id=case_id)
    for event, recorded_ms in events:
        case = evolve(case, event, recorded_ms)
    return case


Changes = dict[str, Any]
"""Fields of a case by name -> what becomes of them; a case is copied once an event."""


def _changes(case: Case, event: ev.CaseEvent, recorded_ms: int) -> Changes:
    match event:
        case ev.KeyEpochOpened():
            return _keys_opened(case, event, recorded_ms)
        case (
            ev.ReferralSent()
            | ev.ReferralReceived()
            | ev.ReferralAccepted()
            | ev.ReferralDeclined()
            | ev.ReferralCancelled()
            | ev.ReferralExpired()
            | ev.ServiceStarted()
            | ev.ServiceEnded()
            | ev.ReferralOutcomeReported()
        ):
            return _referral(case, event)
        case (
            ev.ConsentGiven()
            | ev.ConsentRefused()
            | ev.ConsentNarrowed()
            | ev.ConsentRenewed()
            | ev.ConsentWithdrawn()
            | ev.ConsentExpired()
        ):
            return _consent(case, event, recorded_ms)
        case ev.GuardianAppointed() | ev.GuardianConflictFound():
            return _guardian(case, event)
        case ev.InformationNoticeGiven(notice=notice):
            return {"notices": case.notices | {notice}}
        case ev.PersonIdentityRecorded(head=head) | ev.PersonIdentityCorrected(head=head):
            return {"identity_records": case.identity_records | {head.event_id}}
        case ev.SafeContactSet() | ev.NeedsAssessed():
            return {}
        case _:
            return _identification(case, event)


def _identification(case: Case, event: ev.CaseEvent) -> Changes:
    match event:
        case ev.SignalReceived():
            return {"status": Status.SIGNALLED} if case.status is Status.NEW else {}
        case ev.IndicatorScreeningCompleted():
            early = case.status in (Status.NEW, Status.SIGNALLED)
            return {"status": Status.SCREENED} if early else {}
        case ev.CaseOpened(age_group=age_group):
            return {"status": Status.OPEN, "opened": True, "age_group": age_group}
        case ev.ReferralIntoNrmSubmitted():
            return {
                "status": Status.REASONABLE_GROUNDS_PENDING,
                "authority": event.competent_authority,
                "referrer": event.head.agency,
                "age_group": event.age_group,
            }
        case ev.DutyNotificationSubmitted(competent_authority=authority):
            return {"status": Status.NOTIFIED_ONLY, "authority": authority}
        case ev.ReferralAcknowledged():
            return {"acknowledged": True}
        case ev.FurtherInformationRequested():
            return {"requests": {**case.requests, event.request_id: event.to}}
        case ev.FurtherInformationProvided(request_id=done):
            return {"requests": {k: v for k, v in case.requests.items() if k != done}}
        case ev.CaseClosed():
            return {"status": Status.CLOSED}
        case _:
            return _decision(case, event)


_STATUS_AFTER = {
    ("reasonable_grounds", "positive"): Status.PRESUMED,
    ("reasonable_grounds", "negative"): Status.REASONABLE_GROUNDS_NEGATIVE,
    ("conclusive_grounds", "positive"): Status.IDENTIFIED,
    ("conclusive_grounds", "negative"): Status.CONCLUSIVE_GROUNDS_NEGATIVE,
}
_STATUS_REOPENED = {
    "reasonable_grounds": Status.REASONABLE_GROUNDS_PENDING,
    "conclusive_grounds": Status.PRESUMED,
}


def _decision(case: Case, event: ev.CaseEvent) -> Changes:
    match event:
        case ev.ReasonableGroundsDecided(outcome=outcome):
            return _decided(case, "reasonable_grounds", outcome)
        case ev.ConclusiveGroundsDecided(outcome=outcome):
            return _decided(case, "conclusive_grounds", outcome)
        case ev.RecoveryPeriodGranted(ends_at=ends) | ev.RecoveryPeriodExtended(ends_at=ends):
            return {"recovery_ends_at": ends}
        case ev.RecoveryPeriodEnded():
            return {"recovery_ends_at": None}
        case ev.DecisionServed(decision=which, served_at=served):
            return _with_decision(case, which, served_at=served)
        case ev.ReconsiderationRequested(decision=which):
            return _with_decision(case, which, reconsideration_open=True)
        case ev.ReconsiderationDecided(decision=which, outcome=outcome):
            reopened = outcome == "reopened"
            decided = _with_decision(case, which, reconsideration_open=False, reopened=reopened)
            return decided | {"status": _STATUS_REOPENED[which]} if reopened else decided
        case _:
            return {}


def _decided(case: Case, which: str, outcome: str) -> Changes:
    decisions = {**case.decisions, which: Grounds(outcome=outcome)}
    return {"status": _STATUS_AFTER[which, outcome], "decisions": decisions}


def _with_decision(case: Case, which: str, **changes: int | bool) -> Changes:
    changed = replace(case.decisions[which], **changes)  # type: ignore[arg-type] # fields by name
    return {"decisions": {**case.decisions, which: changed}}


_REFERRAL_STEP = {
    ev.ReferralReceived: ReferralState.RECEIVED,
    ev.ReferralAccepted: ReferralState.ACCEPTED,
    ev.ReferralDeclined: ReferralState.DECLINED,
    ev.ReferralCancelled: ReferralState.CANCELLED,
    ev.ReferralExpired: ReferralState.EXPIRED,
    ev.ServiceStarted: ReferralState.SERVICE_STARTED,
    ev.ServiceEnded: ReferralState.SERVICE_ENDED,
    ev.ReferralOutcomeReported: ReferralState.OUTCOME_REPORTED,
}


def _referral(case: Case, event: ev.ReferralEvent) -> Changes:
    if isinstance(event, ev.ReferralSent):
        sent = Referral(
            id=event.referral_id,
            sender=event.head.agency,
            receiver=event.to,
            purpose=event.purpose,
            answer_due_at=event.answer_due_at,
        )
        return {"referrals": {**case.referrals, sent.id: sent}}
    moved = replace(case.referrals[event.referral_id], state=_REFERRAL_STEP[type(event)])
    changes: Changes = {"referrals": {**case.referrals, moved.id: moved}}
    # A receiver that drops out may hold keys: what is written from now on is sealed anew.
    return changes if moved.live else changes | _rotated(case, _ALL)


_ALL = mask_of(c.name for c in SEALED)


def _consent(case: Case, event: ev.ConsentEvent, recorded_ms: int) -> Changes:
    match event:
        case ev.ConsentGiven():
            return _given(case, event, recorded_ms)
        case ev.ConsentRefused():
            return _refused(case, event, recorded_ms)
        case ev.ConsentNarrowed():
            before = case.acts[event.consent_id]
            act = replace(
                before,
                purposes=frozenset(event.purposes),
                categories=mask_of(event.categories),
                evidence=event.evidence is not None,
            )
            return _with_act(case, act) | _rotated(case, before.categories)
        case ev.ConsentRenewed():
            before = case.acts[event.consent_id]
            evidence = event.evidence is not None
            return _with_act(case, replace(before, not_after=event.not_after, evidence=evidence))
        case ev.ConsentWithdrawn(consent_id=None):
            return _without(case, [a for a in case.acts.values() if a.permit])
        case ev.ConsentWithdrawn(consent_id=one) | ev.ConsentExpired(consent_id=one):
            return _without(case, [a for i, a in case.acts.items() if i == one])


def _refused(case: Case, event: ev.ConsentRefused, recorded_ms: int) -> Changes:
    act = Act(
        id=event.consent_id,
        permit=False,
        referral_id=event.referral_id,
        recipient=event.recipient,
        purposes=frozenset(event.purposes),
        categories=mask_of(event.categories),
        given_by=event.given_by,
        evidence=event.evidence is not None,
        danger=event.danger,
        recorded_by=event.head.agency,
        position_ms=recorded_ms,
    )
    return _with_act(case, act) | _rotated(case, act.categories or _ALL)


def _given(case: Case, event: ev.ConsentGiven, recorded_ms: int) -> Changes:
    opens_from = {"all": 0, "from": event.history_from or recorded_ms}.get(
        event.history, recorded_ms
    )
    act = Act(
        id=event.consent_id,
        permit=True,
        basis=event.basis,
        referral_id=event.referral_id,
        recipient=event.recipient,
        purposes=frozenset(event.purposes),
        categories=mask_of(event.categories),
        opens_from=opens_from,
        not_before=event.not_before,
        not_after=event.not_after,
        given_by=event.given_by,
        guardian_id=event.guardian_id,
        evidence=event.evidence is not None,
        recorded_by=event.head.agency,
        position_ms=recorded_ms,
    )
    changes = _with_act(case, act)
    # Keys are as fine as epochs: where the past stays shut, new data needs a new key.
    return changes | _rotated(case, act.categories) if opens_from else changes


def _with_act(case: Case, act: Act) -> Changes:
    return {"acts": {**case.acts, act.id: act}}


def _without(case: Case, ended: Sequence[Act]) -> Changes:
    gone = {act.id: act for act in ended}
    if not gone:
        return {}
    categories = 0
    for act in ended:
        categories |= act.categories or _ALL
    return {
        "acts": {i: a for i, a in case.acts.items() if i not in gone},
        "ended_acts": {**case.ended_acts, **gone},
    } | _rotated(case, categories)


def _guardian(case: Case, event: ev.GuardianAppointed | ev.GuardianConflictFound) -> Changes:
    if isinstance(event, ev.GuardianAppointed):
        guardian = Guardian(
            id=event.guardian_id,
            role=event.role,
            valid_from=event.valid_from,
            valid_to=event.valid_to,
        )
        return {"guardians": {**case.guardians, guardian.id: guardian}}
    guardians = {
        i: replace(g, conflicted=True)
        if event.guardian_id == i or (event.guardian_id is None and g.role == "legal_guardian")
        else g
        for i, g in case.guardians.items()
    }
    return {"guardians": guardians} | _rotated(case, _ALL)


def _keys_opened(case: Case, event: ev.KeyEpochOpened, recorded_ms: int) -> Changes:
    writer = event.head.agency
    keys, epochs = dict(case.keys), dict(case.epochs)
    for key in event.keys:
        opened = KeyOpened(commitment=key.commitment, recorded_ms=recorded_ms)
        keys[writer, key.category, key.epoch] = opened
        epochs[writer, key.category] = key.epoch
    return {"keys": keys, "epochs": epochs}


def _rotated(case: Case, categories: int) -> Changes:
    """Make every writer's next data of `categories` need a key that nobody holds yet."""
    raised = {
        scope: newest + 1 for scope, newest in case.epochs.items() if categories & (1 << scope[1])
    }
    return {"min_epochs": {**case.min_epochs, **raised}} if raised else {}
