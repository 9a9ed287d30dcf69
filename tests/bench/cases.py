"""Cases of the bench, as the agencies of a town write them."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any
from uuid import uuid4

from domain.action import Action
from domain.gateway import Command
from domain.trail import statement
from domain.trail.statement import ZEROS
from services.bootstrap import now_ms
from services.gateway.sealer import b64
from tests.bench.town import Town

DAY_MS = 86_400_000
CASE_ACTIONS = 11
"""Actions of a whole case: eight of the opener, three of the provider, keys included."""
OPENER_ACTIONS = 8

Sent = tuple[str, Action]
"""(agency, action)."""


class WrittenCase:
    """One case as its agencies write it, action by action."""

    def __init__(self, town: Town, opener: str, provider: str) -> None:
        """Open a case of `opener`, to be referred to `provider`."""
        self.id = str(uuid4())
        self.consent_id = str(uuid4())
        self._town = town
        self.opener = opener
        self._provider = provider
        self._referral = str(uuid4())
        self._keys: dict[str, dict[int, tuple[int, bytes]]] = {opener: {}, provider: {}}
        self._after = ZEROS

    def steps(self) -> Iterator[list[Sent]]:
        """Yield the whole case; `CASE_ACTIONS` actions."""
        yield from self.opening()
        yield self._act(self._provider, "ReferralReceived", referral_id=self._referral)
        yield self._act(
            self._provider, "ReferralAccepted", referral_id=self._referral, starts_on="2026-12-01"
        )

    def opening(self) -> Iterator[list[Sent]]:
        """Yield the opener's part; `OPENER_ACTIONS` actions."""
        now = now_ms()
        yield self.open()
        yield self._act(self.opener, "PersonIdentityRecorded", **PERSON)
        yield self.notice()
        yield self._act(
            self.opener, "ConsentGiven", **consent(self.consent_id, self._provider, now)
        )
        yield self._act(
            self.opener, "ReferralSent", **referral(self._referral, self._provider, now)
        )

    def open(self) -> list[Sent]:
        """Return CaseOpened, which the rules refuse the second time."""
        return self._act(self.opener, "CaseOpened", age_group="adult", reason="police_operation")

    def notice(self) -> list[Sent]:
        """Return one more notice, which may be given at any time."""
        return self._act(self.opener, "InformationNoticeGiven", **NOTICE)

    def _act(self, agency: str, name: str, **fields: Any) -> list[Sent]:
        sealer = self._town.sealer(agency)
        command = Command(command_id=str(uuid4()), type=name, case_id=self.id, fields=fields)
        made = sealer.make("", sealer.checked(command), self._keys[agency], self._after)
        actions = [outgoing.action for outgoing in made.outgoing]
        self._after = statement.digest(actions[-1].statement)
        return [(agency, action) for action in actions]


PERSON = {
    "given_names": ["Zxqv"],
    "family_names": ["Quux"],
    "other_names": [],
    "birth_date": "1999",
    "citizenships": ["PH"],
    "documents": [],
    "relatives": [],
}
NOTICE = {"notice": "n-1", "language": "en", "interpreter": False, "understood": True}


def consent(consent_id: str, agency: str, now: int) -> dict[str, Any]:
    """Return the fields of a consent that opens a case to `agency` for support."""
    return {
        "consent_id": consent_id,
        "referral_id": None,
        "recipient": {"agency": agency, "kind": None, "country": None},
        "purposes": ["protection_support"],
        "categories": ["IDENTITY", "CASEWORK", "PROTECTION"],
        "history": "all",
        "history_from": None,
        "not_before": now - 1_000,
        "not_after": now + 30 * DAY_MS,
        "basis": "consent",
        "given_by": "self",
        "guardian_id": None,
        "evidence": b64(sha256(consent_id.encode()).digest()),
        "words": "yes",
        "language": "en",
        "interpreter": False,
    }


def referral(referral_id: str, to: str, now: int) -> dict[str, Any]:
    """Return the fields of a referral to a shelter."""
    return {
        "referral_id": referral_id,
        "to": to,
        "purpose": "protection_support",
        "urgency": "routine",
        "answer_due_at": now + DAY_MS,
        "service": "accommodation",
        "reason": "needs a bed",
    }


def mixed(town: Town, cases: int, at_once: int = 200) -> Iterator[Sent]:
    """Yield the actions of `cases` whole cases, `at_once` of them being written in turn."""
    waiting = iter(range(cases))
    running = [_case(town, n).steps() for n, _ in zip(waiting, range(at_once), strict=False)]
    while running:
        going = []
        for case in running:
            step = next(case, None)
            if step is None:
                started = next(waiting, None)
                if started is not None:
                    going.append(_case(town, started).steps())
                continue
            yield from step
            going.append(case)
        running = going


def _case(town: Town, number: int) -> WrittenCase:
    openers, providers = town.openers, town.providers
    return WrittenCase(town, openers[number % len(openers)], providers[number * 7 % len(providers)])


def by_sender(sent: Sequence[Sent]) -> Iterator[tuple[str, list[Action]]]:
    """Yield runs of actions of one agency, in order."""
    run: list[Action] = []
    for number, (agency, action) in enumerate(sent):
        run.append(action)
        if number + 1 == len(sent) or sent[number + 1][0] != agency:
            yield agency, run
            run = []
