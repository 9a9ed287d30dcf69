"""Why may somebody see something, or why not: answered only to who has a right to know.

An agency may ask about itself, about receivers of its own referrals, and about whoever an
act that it recorded names. Any other question gets the answer of a case that does not exist.
"""

from collections.abc import Callable

from domain.case import Case
from domain.decision import Question
from domain.errors import Malformed, Refused
from domain.messages import Why, WhyQuestion
from domain.ports import EventStore
from domain.reasons import CODES
from domain.rules.world import World
from domain.vocabulary import SEALED, Category, Seat
from services.casebook import CaseBook


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
        """Return the decision about a new event that `asker` would write now."""
        category = Category.__members__.get(asked.category)
        if category not in SEALED:
            raise Malformed("CATEGORY_UNKNOWN", "use a sealed category of the vocabulary")
        case = self._case(asker, asked)
        now = self._clock()
        seat = Seat(asked.agency, asked.purpose)
        writer = asker if asker != asked.agency else ""
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
        if asker not in case.parts or not _may_ask(asker, asked.agency, case):
            raise Refused("NO_SUCH_CASE", "there is no such case in which you have a part")
        return case


def _may_ask(asker: str, about: str, case: Case) -> bool:
    own_referral = any(r.sender == asker and r.receiver == about for r in case.referrals.values())
    own_act = any(
        a.recorded_by == asker and a.recipient.agency == about for a in case.acts.values()
    )
    referred = asker == case.referrer and about == case.authority
    return asker == about or own_referral or own_act or referred
