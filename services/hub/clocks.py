"""Clocks: when an act of consent ends or a referral stays unanswered, an event says so.

A missed instant never changes a person's status; it ends what was given for a time.
"""

import heapq
from collections.abc import Callable, Sequence
from uuid import NAMESPACE_OID, uuid5

from domain import events as ev
from domain.case import WAITING
from domain.gateway import Command
from domain.ports import EventStore, Language
from services.hub.casebook import CaseBook, recorded_event

_PAGE = 1_000
_STARTS = ("ConsentGiven", "ConsentRenewed", "ReferralSent")

Due = tuple[int, str, str]
"""(instant in ms, case id, id of the act or referral)."""


class Clocks:
    """What falls due, earliest first, built from the log and kept as it grows."""

    def __init__(
        self, *, store: EventStore, language: Language, book: CaseBook, clock: Callable[[], int]
    ) -> None:
        """Read `store` from its beginning."""
        self._store = store
        self._language = language
        self._book = book
        self._clock = clock
        self._position = 0
        self._due: list[Due] = []
        self._rung: list[Due] = []
        """What the newest commands are for, until they are `settled`."""
        self._types = [t for t in language.types() if t.rpartition(".")[2] in _STARTS]

    def follow(self) -> None:
        """Take in what the log has new."""
        while found := self._store.read_log(self._position, _PAGE, self._types):
            for recorded in found:
                due = _due(recorded_event(self._language, recorded))
                if due is not None:
                    heapq.heappush(self._due, due)
            self._position = found[-1].position

    def ring(self, limit: int = 50) -> Sequence[Command]:
        """Return the commands that are due now, at most `limit`; each is named by what it ends.

        They are due again with the next call, unless they were `settled`.
        """
        for due in self._rung:
            heapq.heappush(self._due, due)
        self._rung = []
        commands: list[Command] = []
        while self._due and self._due[0][0] <= self._clock() and len(commands) < limit:
            due = heapq.heappop(self._due)
            command = self._command(due)
            if command is not None:
                self._rung.append(due)
                commands.append(command)
        return commands

    def settled(self) -> None:
        """Take it that the newest commands were answered."""
        self._rung = []

    def overdue_since(self) -> int | None:
        """Return when the first of what is due and not settled fell due, in ms."""
        waiting = self._rung + self._due[:1]
        first = min((at for at, _, _ in waiting), default=None)
        return first if first is not None and first <= self._clock() else None

    def _command(self, due: Due) -> Command | None:
        """Return the command for what is due, unless it was taken back, answered or prolonged."""
        at, case_id, ending = due
        version = self._store.heads([case_id])[case_id]
        case = self._book.at(case_id, version, self._store).case
        act, referral = case.acts.get(ending), case.referrals.get(ending)
        if act is not None and act.not_after == at:
            name, fields = "ConsentExpired", {"consent_id": ending}
        elif referral is not None and referral.state in WAITING:
            name, fields = "ReferralExpired", {"referral_id": ending}
        else:
            return None
        # The same end gets the same command, so that a clock that was restarted rings once.
        command_id = str(uuid5(NAMESPACE_OID, f"{name} {ending} {at}"))
        return Command(
            command_id=command_id,
            type=name,
            case_id=case_id,
            fields=fields,
            legal_basis="policy",
        )


def _due(event: ev.Event) -> Due | None:
    match event:
        case ev.ConsentGiven(head=head) | ev.ConsentRenewed(head=head):
            return event.not_after, head.case_id, event.consent_id
        case ev.ReferralSent(head=head):
            return event.answer_due_at, head.case_id, event.referral_id
        case _:
            return None
