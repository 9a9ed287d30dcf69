"""`decide`: may this event be recorded in this case, now?

The checks come in the order in which an outsider may learn of them: a case in which an
agency has no part answers exactly as one that does not exist.
"""

from domain import events as ev
from domain.case import Case, Status
from domain.errors import Refused
from domain.events import ConsentEvent, ReferralEvent
from domain.rules import consenting, identification, keys, referring
from domain.rules.world import World

_OPENERS = ev.KeyEpochOpened | ev.SignalReceived | ev.CaseOpened
"""Events that may begin a stream."""

_AFTER_CLOSING = (
    ev.ConsentWithdrawn
    | ev.ConsentRefused
    | ev.ConsentNarrowed
    | ev.ConsentExpired
    | ev.ReferralOutcomeReported
    | ev.ReconsiderationRequested
    | ev.ReconsiderationDecided
    | ev.DecisionServed
    | ev.KeyEpochOpened
)
"""What may still be recorded of a closed case: taking back, feedback and review."""

_BY_CLOCK = ev.ConsentExpired | ev.ReferralExpired
"""What the coordinator's clocks record in cases in which it has no part."""


def decide(event: ev.CaseEvent, case: Case, world: World, at: int) -> None:
    """Raise `Refused` unless `event` may be recorded after `case` at hub time `at` (ms)."""
    check_actor(event, world, at)
    _check_part(event, case)
    if case.status is Status.CLOSED and not isinstance(event, _AFTER_CLOSING):
        raise Refused("CASE_CLOSED", "the case is closed")
    match event:
        case ev.KeyEpochOpened():
            keys.check_opened(event, case)
        case _ if isinstance(event, ConsentEvent):
            consenting.check(event, case, world, at)
        case _ if isinstance(event, ReferralEvent):
            referring.check(event, case, world, at)
        case ev.GuardianAppointed() | ev.GuardianConflictFound():
            _guardian(event, case)
        case ev.InformationNoticeGiven():
            return
        case _:
            identification.check(event, case, world, at)


def check_actor(event: ev.Event, world: World, at: int) -> None:
    """Refuse an agency that is not in force, acts under other rules, or may not do this."""
    head = event.head
    standing = world.standing(head.agency, at)
    if not standing.active:
        raise Refused(
            "AGENCY_NOT_ACTIVE", "the agency is not registered, designated and unsuspended now"
        )
    if head.policy != world.policy_id:
        raise Refused("POLICY_NOT_IN_FORCE", f"the policy pack in force is {world.policy_id}")
    roles = world.policy.acts.get(type(event).__name__, frozenset())
    if not roles.intersection(standing.roles):
        raise Refused("ROLE_MAY_NOT", "no role of the agency may record this event")


def _check_part(event: ev.CaseEvent, case: Case) -> None:
    """Refuse who has no part, and alike who acts in a case that nobody has begun.

    Keys alone begin no case: else acting on an id that is free would be accepted, and the
    difference would tell which ids are taken.
    """
    agency = event.head.agency
    if case.status is Status.NEW:
        takes_part = isinstance(event, _OPENERS) and case.opened_by in ("", agency)
    else:
        takes_part = agency in case.parts or isinstance(event, _BY_CLOCK)
    if not takes_part:
        raise Refused("NO_SUCH_CASE", "there is no such case in which you have a part")


def _guardian(event: ev.GuardianAppointed | ev.GuardianConflictFound, case: Case) -> None:
    match event:
        case ev.GuardianAppointed():
            if event.guardian_id in case.guardians:
                raise Refused("ALREADY_DONE", "this appointment is recorded already")
            if event.role not in ("legal_guardian", "appointed_guardian"):
                raise Refused("GUARDIAN_ROLE_UNKNOWN", "legal_guardian or appointed_guardian")
        case ev.GuardianConflictFound(guardian_id=one):
            if one is not None and one not in case.guardians:
                raise Refused("GUARDIAN_UNKNOWN", "no such appointment in this case")
