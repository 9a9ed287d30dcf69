"""One long invented case in which every event happens, and a builder for each by name."""

from collections.abc import Callable
from functools import cache

from domain import events as ev
from tests import builders as b
from tests.agencies import AUTHORITY, CHARITY, CHILDREN, CLINIC, DAY, REFUGE, T0
from tests.builders import to, uid
from tests.spec import Given, given

A_BUILDER_FOR: dict[str, Callable[..., ev.CaseEvent]] = {
    type(build()).__name__: build
    for build in vars(b).values()
    if getattr(build, "__module__", "") == b.__name__
    and getattr(build, "__name__", "") in ("build", "keys_opened")
}
"""Event name -> its builder."""

_FINAL = {"decision": "conclusive_grounds"}


@cache
def a_whole_case() -> tuple[tuple[ev.CaseEvent, int], ...]:
    """Return (event, recorded_ms) as the rules recorded them, one after the other."""
    record = _Recording()
    _identified(record)
    _supported(record)
    _closed(record)
    return tuple(record.events)


class _Recording:
    def __init__(self) -> None:
        self.now: Given = given()
        self.events: list[tuple[ev.CaseEvent, int]] = []

    def __call__(self, *events: ev.CaseEvent) -> None:
        for event in events:
            self.events.append((event, self.now.at))
            self.now = self.now.then(event)


def _identified(record: _Recording) -> None:
    first = b.identity_recorded()
    record(b.keys_opened(), b.signal_received(), b.screened(), b.case_opened(), b.notice_given())
    record(first, b.identity_corrected(corrects=first.head.event_id), b.safe_contact_set())
    record(b.notified(CHARITY))
    record(b.consent_given(consent_id=uid("to authority"), recipient=to(AUTHORITY)))
    record(b.referred_in(), b.acknowledged())
    record(b.information_requested(), b.information_provided())
    record(b.reasonable_grounds(outcome="negative"), b.decision_served())
    record(b.reconsideration_requested(), b.reconsidered(), b.reasonable_grounds())
    record(b.recovery_granted(), b.recovery_extended(), b.recovery_ended())
    record(b.conclusive_grounds(outcome="negative"))


def _supported(record: _Recording) -> None:
    record(b.consent_given(), b.referral_sent(), b.referral_received(), b.referral_accepted())
    record(b.service_started(), b.needs_assessed(), b.service_ended())
    record(b.consent_given(consent_id=uid("short"), not_after=T0 + DAY), b.consent_renewed())
    to_children = b.consent_given(consent_id=uid("to children"), recipient=to(CHILDREN))
    record(to_children, b.referral_sent(to=CHILDREN, referral_id=uid("to children")))
    record(b.referral_accepted(CHILDREN, referral_id=uid("to children")))
    record(b.guardian_appointed(), b.guardian_conflict())
    for receiver in (CLINIC, REFUGE):
        agreed = b.consent_given(consent_id=uid(f"to {receiver}"), recipient=to(receiver))
        record(agreed, b.referral_sent(to=receiver, referral_id=uid(receiver)))
    record(b.referral_declined(CLINIC, referral_id=uid(CLINIC)))
    record(b.referral_cancelled(referral_id=uid(REFUGE)))
    record(b.referral_sent(to=REFUGE, referral_id=uid("unanswered")))
    record.now = record.now.later(3 * DAY)
    record(b.referral_expired(referral_id=uid("unanswered")))


def _closed(record: _Recording) -> None:
    record(b.case_closed(), b.outcome_reported(), b.decision_served(**_FINAL))
    record(b.reconsideration_requested(**_FINAL))
    record(b.consent_expired(consent_id=uid("short")), b.consent_narrowed())
    record(b.consent_withdrawn(), b.consent_refused(), b.keys_opened(CHARITY, (2, 1)))
    record(b.reconsidered(**_FINAL, outcome="upheld"))
