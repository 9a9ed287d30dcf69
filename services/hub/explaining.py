"""Why may somebody see something, or why not: answered only to who has a right to know.

An agency with a part in the case may ask about itself, and, before it sends a referral, what
a receiver would get. Any other question gets the answer of a case that does not exist.
"""

from collections.abc import Callable
from dataclasses import replace

from domain.case import Case, Referral
from domain.decision import Question
from domain.errors import Malformed, Refused
from domain.messages import Why, WhyQuestion
from domain.ports import EventStore
from domain.reasons import CODES
from domain.rules.world import World
from domain.vocabulary import SEALED, Category, Seat
from services.hub.casebook import CaseBook


class Explaining:
    """The consent decision, with its reason."""

    def __init__(
        self,
        *,
        store: EventStore,
        book: CaseBook,
        world: Callable[[], World],
        clock: Callable[[], int],
    ) -> None:
        """Decide on cases of `store` as they stand now."""
        self._store = store
        self._book = book
        self._world = world
        self._clock = clock

    def why(self, asker: str, asked: WhyQuestion) -> Why:
        """Return the decision about an event that `asker` would write now.

        About another agency it is taken as if `asker` had sent it a referral, so that the answer
        does not tell whether that agency has a part already.
        """
        category = Category.__members__.get(asked.category)
        if category not in SEALED:
            raise Malformed("CATEGORY_UNKNOWN", "use a sealed category of the vocabulary")
        case = self._case(asker, asked)
        now = self._clock()
        seat = Seat(asked.agency, asked.purpose)
        writer = asker if asker != asked.agency else ""  # of what others wrote, if about itself
        question = Question(seat=seat, category=category, writer=writer, recorded_ms=now)
        decision = self._world().may_see(case, question, now)
        return Why(
            permit=decision.permit,
            code=decision.code,
            reason=CODES[decision.code],
            rests_on=decision.rests_on,
            notice=decision.notice,
        )

    def _case(self, asker: str, asked: WhyQuestion) -> Case:
        version = self._store.heads([asked.case_id]).get(asked.case_id, 0)
        case = self._book.at(asked.case_id, version, self._store).case if version else Case(id="")
        itself = asker == asked.agency
        if asker not in (case.parts if itself else case.settled_parts):
            raise Refused("NO_SUCH_CASE", "there is no such case in which you have a part")
        return case if itself else _as_if_sent(case, asker, asked)


def _as_if_sent(case: Case, sender: str, asked: WhyQuestion) -> Case:
    referral = Referral(
        id="",
        sender=sender,
        receiver=asked.agency,
        purpose=asked.purpose,
        answer_due_at=0,
    )
    return replace(case, referrals={**case.referrals, referral.id: referral})
