"""Rules of the exchange between agencies: one asks another to act for the person.

Consent is asked when a referral is sent and again when it is accepted, so a withdrawal
recorded before the acceptance always wins.
"""

from domain import events as ev
from domain.case import WAITING, Case, Referral, ReferralState
from domain.errors import Refused
from domain.events import ReferralEvent
from domain.rules.world import World, gate

_RECEIVER_STEPS: dict[type, frozenset[ReferralState]] = {
    ev.ReferralReceived: frozenset({ReferralState.SENT}),
    ev.ReferralAccepted: WAITING,
    ev.ReferralDeclined: WAITING,
    ev.ServiceStarted: frozenset({ReferralState.ACCEPTED}),
    ev.ServiceEnded: frozenset({ReferralState.SERVICE_STARTED}),
    ev.ReferralOutcomeReported: frozenset(
        {ReferralState.ACCEPTED, ReferralState.SERVICE_STARTED, ReferralState.SERVICE_ENDED}
    ),
}
"""Steps of the receiver and the states in which each may be taken."""

_AFTER: dict[type, ReferralState] = {
    ev.ReferralReceived: ReferralState.RECEIVED,
    ev.ReferralAccepted: ReferralState.ACCEPTED,
    ev.ReferralDeclined: ReferralState.DECLINED,
    ev.ReferralCancelled: ReferralState.CANCELLED,
    ev.ReferralExpired: ReferralState.EXPIRED,
}


def check(event: ReferralEvent, case: Case, world: World, at: int) -> None:
    """Refuse `event` if it is out of place in `case` at `at` (ms)."""
    if isinstance(event, ev.ReferralSent):
        _sent(event, case, world, at)
        return
    referral = case.referrals.get(event.referral_id)
    if referral is None or event.head.agency not in _who(event, referral):
        raise Refused("REFERRAL_UNKNOWN", "no such referral waits for you in this case")
    if _AFTER.get(type(event)) is referral.state:
        raise Refused("ALREADY_DONE", f"the referral is {referral.state} already")
    match event:
        case ev.ReferralExpired():
            _waiting(referral)
            if at < referral.answer_due_at:
                raise Refused("NOT_DUE", "the time to answer is still running")
        case ev.ReferralCancelled():
            _waiting(referral)
        case ev.ReferralAccepted():
            _in_place(event, referral)
            gate(world, case, referral, at)
        case _:
            _in_place(event, referral)


def _sent(event: ev.ReferralSent, case: Case, world: World, at: int) -> None:
    sender = event.head.agency
    if event.referral_id in case.referrals:
        raise Refused("REFERRAL_ID_TAKEN", "use a new referral id")
    if event.to == sender:
        raise Refused("RECEIVER_IS_SENDER", "name another agency")
    if sender not in case.settled_parts:
        raise Refused("ANSWER_FIRST", "accept the referral made to you before you refer on")
    referral = Referral(
        id=event.referral_id,
        sender=sender,
        receiver=event.to,
        purpose=event.purpose,
        answer_due_at=event.answer_due_at,
    )
    gate(world, case, referral, at)


def _who(event: ReferralEvent, referral: Referral) -> frozenset[str]:
    match event:
        case ev.ReferralCancelled():
            return frozenset({referral.sender})
        case ev.ReferralExpired():
            return frozenset({event.head.agency})
        case _:
            return frozenset({referral.receiver})


def _waiting(referral: Referral) -> None:
    if referral.state not in WAITING:
        raise Refused("OUT_OF_ORDER", f"the referral is {referral.state} and waits for no answer")


def _in_place(event: ReferralEvent, referral: Referral) -> None:
    if referral.state not in _RECEIVER_STEPS[type(event)]:
        raise Refused("OUT_OF_ORDER", f"not possible while the referral is {referral.state}")
