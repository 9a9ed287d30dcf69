"""The second reading: what the consent table itself says, one seat and one category at a time.

Feeds are made from the compiled audience. Here the same entries are held against
`domain.decision.decide`, so that a fault in the compiled form is found as well.
"""

from bisect import bisect_right

from domain import events as ev
from domain.case import Case
from domain.consent import Standing
from domain.decision import Decision, Question, decide
from domain.rules.world import World
from domain.visibility import Stance, sees
from domain.vocabulary import SEALED, Category, Seat


class Table:
    """The consent table about one case at one instant; like questions are asked once."""

    def __init__(self, case: Case, world: World, at: int) -> None:
        """Ask about `case` in `world` at the hub's time `at`, in milliseconds."""
        self._state = case.consent_state()
        self._world = world
        self._at = at
        self._opens = sorted({act.opens_from for act in self._state.acts})
        self._known: dict[tuple[Seat, Category, bool, int], Decision] = {}
        self._standings: dict[str, Standing] = {}

    def decision(
        self, seat: Seat, category: Category, event: ev.CaseEvent, recorded_ms: int
    ) -> Decision:
        """Return whether `seat` may see `category` of an event of the case, and why."""
        writer = event.head.agency
        # Of the writer and of the age of an event the table asks no more than this.
        like = seat, category, writer == seat.agency, bisect_right(self._opens, recorded_ms)
        if like not in self._known:
            self._known[like] = self._decide(Question(seat, category, writer, recorded_ms))
        return self._known[like]

    def mask(self, stands: Stance, event: ev.CaseEvent, recorded_ms: int, categories: int) -> int:
        """Return which of `categories` an entry about `event` may show; 0 if it may show none."""
        opened = sum(
            category.bit
            for category in SEALED
            if categories & category.bit
            and self.decision(stands.seat, category, event, recorded_ms).permit
        )
        visible = sees(event, stands, opened, opened, self._world.policy.visibility)
        return opened if opened and visible else 0

    def _decide(self, question: Question) -> Decision:
        agency = question.seat.agency
        if agency not in self._standings:
            self._standings[agency] = self._world.standing(agency, self._at)
        return decide(
            question,
            self._state,
            self._standings[agency],
            self._world.policy.ceilings,
            self._world.policy.legal_bases,
            self._world.home,
            self._at,
        )
