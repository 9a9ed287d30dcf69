"""Random histories: events proposed by chance, kept when the rules let them through."""

from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any

from domain import events as ev
from domain.case import Case
from domain.errors import Refused
from domain.fold import evolve, replay
from domain.rules.decide import decide
from domain.vocabulary import SEALED
from tests import agencies as a
from tests.agencies import DAY, HOUR, T0, world
from tests.builders import CASE, to, uid
from tests.domain.every_event import A_BUILDER_FOR, a_whole_case

History = list[tuple[ev.CaseEvent, int]]
"""(event, recorded_ms), oldest first."""

ALREADY_TOLD = 50
"""Most events of the whole case that a history begins with."""
_ACTORS = (
    *(a.CHARITY, a.POLICE, a.SHELTER, a.CLINIC, a.AUTHORITY, a.CHILDREN, a.COURT),
    *(a.COORDINATOR, a.LAWYERS, a.FOREIGN, a.LAPSING),
)
_CATEGORIES = tuple(c.name for c in SEALED)
_PURPOSES = ("protection_support", "investigation", "health_care")


def history(seed: int, proposals: int = 120) -> History:
    """Return a beginning of the whole case and what the rules let through after it."""
    rng = Random(seed)  # noqa: S311 - a history, no key
    kept = list(a_whole_case()[: rng.randrange(ALREADY_TOLD)])
    case, now = replay(CASE, kept), kept[-1][1] if kept else T0
    for _ in range(proposals):
        now += rng.choice((0, 1, HOUR, 2 * DAY))
        event = _proposed(rng, case, now, kept)
        try:
            decide(event, case, world(), now)
        except Refused:
            continue
        case = evolve(case, event, now)
        kept.append((event, now))
    return kept


def _proposed(rng: Random, case: Case, now: int, kept: History) -> ev.CaseEvent:
    name = rng.choice(tuple(A_BUILDER_FOR))
    if name == "CaseClosed" and rng.random() < 0.8:
        name = "PersonIdentityRecorded"  # most of what can happen happens before the end
    insiders = sorted(case.parts or _ACTORS)
    if name in ("ConsentExpired", "ReferralExpired"):
        insiders = [a.COORDINATOR]
    agency = rng.choice(_ACTORS if rng.random() < 0.4 else insiders)
    like = A_BUILDER_FOR[name](agency)
    changes = {
        field: choose(rng, case, now)
        for field, choose in _CHOICES.items()
        if hasattr(like, field) and rng.random() < 0.9
    }
    if isinstance(like, ev.PersonIdentityCorrected) and kept:
        changes["corrects"] = rng.choice(kept)[0].head.event_id
    return A_BUILDER_FOR[name](agency, **changes)


def _some(rng: Random, words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(rng.sample(words, rng.randint(0, 3)))


def _recipient(rng: Random) -> ev.Recipient:
    agency = to(rng.choice(_ACTORS))
    return rng.choice((agency, agency, agency, to(kind="health"), to(country="GB"), to()))


def _keys(rng: Random, case: Case) -> tuple[ev.KeyCommitment, ...]:
    newest = max(case.epochs.values(), default=0)
    return tuple(
        ev.KeyCommitment(category=c, epoch=rng.randint(1, newest + 2), commitment=bytes(32))
        for c in rng.sample([int(c) for c in SEALED], 2)
    )


Choice = Callable[[Random, Case, int], Any]


def _of(*values: object) -> Choice:
    return lambda rng, _, __: rng.choice(values)


def _days(least: int, most: int) -> Choice:
    return lambda rng, _, now: now + rng.randint(least, most) * DAY


def _known(ids: Callable[[Case], Iterable[str]], *others: object) -> Choice:
    """Return a choice of an id that the case knows, of a new one, or of `others`."""
    return lambda rng, case, now: rng.choice([*ids(case), uid(f"new {now}"), *others])


_CHOICES: Mapping[str, Choice] = {
    "consent_id": _known(lambda case: [*case.acts, *case.ended_acts], None),
    "referral_id": _known(lambda case: case.referrals),
    "request_id": _known(lambda case: case.requests),
    "guardian_id": _known(lambda case: case.guardians, None),
    "recipient": lambda rng, _, __: _recipient(rng),
    "purposes": lambda rng, _, __: _some(rng, _PURPOSES),
    "categories": lambda rng, _, __: _some(rng, _CATEGORIES[:4]),
    "history": _of("all", "future", "from", "unknown"),
    "history_from": _days(-20, 5),
    "not_before": _days(-3, 1),
    "not_after": _days(0, 40),
    "basis": _of("consent", "guardian_consent", "best_interests", "court_order"),
    "given_by": _of("self", "court", "appointed_guardian", "child_protection"),
    "evidence": _of(bytes(32), bytes(32), None),
    "danger": lambda rng, _, __: rng.random() < 0.5,
    "role": _of("legal_guardian", "appointed_guardian", "uncle"),
    "keys": lambda rng, case, _: _keys(rng, case),
    "to": _of(*_ACTORS),
    "answer_due_at": _days(0, 3),
    "served_at": _days(-3, 0),
    "decision": _of("reasonable_grounds", "conclusive_grounds", "unknown"),
    "outcome": _of("positive", "negative", "upheld", "reopened", "unknown"),
    "late": lambda rng, _, __: rng.random() < 0.5,
    "age_group": _of("adult", "adult", "child", "unsure"),
    "ends_at": _days(30, 120),
}
