"""Rules of pillar 1: from the first sign to the final decision.

No rule here changes a person's status by time alone: a missed deadline is an event, no more.
"""

from domain import events as ev
from domain.case import Case, Grounds, Referral, Status
from domain.errors import Refused
from domain.rules.world import World, gate
from domain.vocabulary import Purpose, Role

Identification = (
    ev.SignalReceived
    | ev.IndicatorScreeningCompleted
    | ev.CaseOpened
    | ev.ReferralIntoNrmSubmitted
    | ev.DutyNotificationSubmitted
    | ev.ReferralAcknowledged
    | ev.FurtherInformationRequested
    | ev.FurtherInformationProvided
    | ev.ReasonableGroundsDecided
    | ev.RecoveryPeriodGranted
    | ev.RecoveryPeriodExtended
    | ev.RecoveryPeriodEnded
    | ev.ConclusiveGroundsDecided
    | ev.DecisionServed
    | ev.ReconsiderationRequested
    | ev.ReconsiderationDecided
    | ev.PersonIdentityRecorded
    | ev.PersonIdentityCorrected
    | ev.SafeContactSet
    | ev.NeedsAssessed
    | ev.CaseClosed
)

_AGE_GROUPS = frozenset({"adult", "child", "unsure"})
_OUTCOMES = frozenset({"positive", "negative"})
_BY_AUTHORITY = (
    ev.ReferralAcknowledged
    | ev.FurtherInformationRequested
    | ev.ReasonableGroundsDecided
    | ev.RecoveryPeriodGranted
    | ev.RecoveryPeriodExtended
    | ev.RecoveryPeriodEnded
    | ev.ConclusiveGroundsDecided
    | ev.ReconsiderationDecided
)


def check(event: Identification, case: Case, world: World, at: int) -> None:
    """Refuse `event` if it is out of place in `case` at `at` (ms)."""
    if isinstance(event, _BY_AUTHORITY) and event.head.agency != case.authority:
        raise Refused("NOT_THE_AUTHORITY", "only the competent authority of this case decides it")
    match event:
        case ev.CaseOpened():
            _known("AGE_GROUP_UNKNOWN", event.age_group, _AGE_GROUPS)
            _require(not case.opened, "ALREADY_DONE", "the case is open already")
        case ev.ReferralIntoNrmSubmitted():
            _referral_into_nrm(event, case, world, at)
        case ev.DutyNotificationSubmitted():
            _duty_notification(event, case, world, at)
        case ev.FurtherInformationProvided():
            asked = case.requests.get(event.request_id)
            _require(asked == event.head.agency, "REQUEST_UNKNOWN", "no such request waits for you")
        case ev.PersonIdentityCorrected():
            known = event.corrects in case.identity_records
            _require(
                known, "RECORD_UNKNOWN", "name the event id of an identity record of this case"
            )
        case _:
            _decision_steps(event, case, world, at)


def _decision_steps(event: Identification, case: Case, world: World, at: int) -> None:
    match event:
        case ev.ReferralAcknowledged():
            _require(case.referrer is not None, "NOT_REFERRED", "nothing to acknowledge yet")
            _require(not case.acknowledged, "ALREADY_DONE", "acknowledged already")
        case ev.FurtherInformationRequested():
            _require(event.to in case.parts, "ADDRESSEE_HAS_NO_PART", "ask an agency of this case")
            fresh = event.request_id not in case.requests
            _require(fresh, "REQUEST_ID_TAKEN", "use a new request id")
        case ev.ReasonableGroundsDecided():
            _known("OUTCOME_UNKNOWN", event.outcome, _OUTCOMES)
            pending = case.status is Status.REASONABLE_GROUNDS_PENDING
            _require(pending, "OUT_OF_ORDER", "no reasonable grounds decision is pending")
        case ev.ConclusiveGroundsDecided():
            _known("OUTCOME_UNKNOWN", event.outcome, _OUTCOMES)
            presumed = case.status is Status.PRESUMED
            _require(presumed, "OUT_OF_ORDER", "only a presumed victim's case is decided finally")
        case ev.RecoveryPeriodGranted() | ev.RecoveryPeriodExtended() | ev.RecoveryPeriodEnded():
            _recovery(event, case, world)
        case ev.DecisionServed() | ev.ReconsiderationRequested() | ev.ReconsiderationDecided():
            _review(event, case, world, at)
        case _:
            return


def _referral_into_nrm(
    event: ev.ReferralIntoNrmSubmitted, case: Case, world: World, at: int
) -> None:
    _known("AGE_GROUP_UNKNOWN", event.age_group, _AGE_GROUPS)
    _require(case.opened, "CASE_NOT_OPEN", "open the case first")
    _require(case.referrer is None, "ALREADY_DONE", "the person is referred already")
    in_doubt = event.age_group == "adult" and case.child
    _require(not in_doubt, "AGE_IN_DOUBT", "refer as a child until the person's age is decided")
    _is_authority(event.competent_authority, world, at)
    may_be_child = event.age_group != "adult"
    if may_be_child and not world.policy.child_referral_needs_consent:
        return
    asked = Referral(
        id=event.head.event_id,
        sender=event.head.agency,
        receiver=event.competent_authority,
        purpose=Purpose.PROTECTION_SUPPORT,
        answer_due_at=at,
    )
    gate(world, case, asked, at)


def _duty_notification(
    event: ev.DutyNotificationSubmitted, case: Case, world: World, at: int
) -> None:
    _require(case.referrer is None, "ALREADY_DONE", "the person is referred already")
    _require("DutyNotificationSubmitted" not in case.happened, "ALREADY_DONE", "notified already")
    _is_authority(event.competent_authority, world, at)


def _is_authority(agency: str, world: World, at: int) -> None:
    standing = world.standing(agency, at)
    competent = standing.active and Role.COMPETENT_AUTHORITY in standing.roles
    _require(competent, "NOT_COMPETENT", "name an agency designated as competent authority")


def _recovery(
    event: ev.RecoveryPeriodGranted | ev.RecoveryPeriodExtended | ev.RecoveryPeriodEnded,
    case: Case,
    world: World,
) -> None:
    running = case.recovery_ends_at
    match event:
        case ev.RecoveryPeriodGranted():
            _require(
                case.status is Status.PRESUMED, "OUT_OF_ORDER", "needs a positive decision first"
            )
            _require(running is None, "ALREADY_DONE", "a recovery period runs; extend it instead")
            enough = event.ends_at >= world.policy.due("recovery", event.starts_at)
            _require(
                enough, "RECOVERY_TOO_SHORT", "the period is shorter than the policy's minimum"
            )
        case ev.RecoveryPeriodExtended():
            longer = running is not None and event.ends_at > running
            _require(longer, "NOT_LONGER", "an extension must end after the running period")
        case ev.RecoveryPeriodEnded():
            _require(running is not None, "OUT_OF_ORDER", "no recovery period runs")


def _review(
    event: ev.DecisionServed | ev.ReconsiderationRequested | ev.ReconsiderationDecided,
    case: Case,
    world: World,
    at: int,
) -> None:
    decided = case.decisions.get(event.decision)
    if decided is None:
        raise Refused("OUT_OF_ORDER", "there is no such decision in this case")
    match event:
        case ev.DecisionServed():
            _require(decided.served_at is None, "ALREADY_DONE", "served already")
            _require(event.served_at <= at, "IN_THE_FUTURE", "a decision is served when it arrived")
        case ev.ReconsiderationRequested():
            _reconsideration(event, decided, world, at)
        case ev.ReconsiderationDecided():
            _known("OUTCOME_UNKNOWN", event.outcome, frozenset({"upheld", "reopened"}))
            waiting = decided.reconsideration_open
            _require(waiting, "OUT_OF_ORDER", "no reconsideration was asked for")


def _reconsideration(
    event: ev.ReconsiderationRequested, decided: Grounds, world: World, at: int
) -> None:
    stands = decided.outcome == "negative" and not decided.reopened
    _require(stands, "OUT_OF_ORDER", "only a negative decision that stands is reviewed")
    _require(not decided.reconsideration_open, "ALREADY_DONE", "asked for already")
    # The time runs from service: who was never served is never late.
    served = decided.served_at
    in_time = served is None or at < world.policy.due("reconsideration", served)
    late = "say late and give the exceptional ground"
    _require(in_time or event.late, "RECONSIDERATION_LATE", late)


def _known(code: str, value: str, allowed: frozenset[str]) -> None:
    _require(value in allowed, code, "use one of: " + ", ".join(sorted(allowed)))


def _require(holds: bool, code: str, message: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise Refused(code, message)
