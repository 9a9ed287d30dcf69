"""The second reading: what the consent table itself says, one seat and one category at a time.

Feeds are made from the compiled audience. Here the same entries are held against
`domain.decision.decide`, so that a fault in the compiled form is found as well.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from domain import events as ev
from domain.case import Case
from domain.consent import Standing
from domain.decision import Decision, Question, decide
from domain.errors import Corrupt
from domain.feed import Entry
from domain.fold import evolve
from domain.ports import Language, Recorded
from domain.rules.world import World
from domain.trail.deliveries import Delivery
from domain.trail.statement import digest
from domain.visibility import Stance, sees
from domain.vocabulary import SEALED, Category, Seat
from services.hub.showing import Showing


class Judged(NamedTuple):
    """What the table said of a delivery at a place in the log."""

    type: str
    """Full name of the event shown; empty if the case had no such event."""
    decisions: Sequence[tuple[Category, Decision]] = ()
    """On each category that it shows."""


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

    def against(self, entries: Sequence[Entry], showing: Showing) -> Iterator[tuple[str, Seat]]:
        """Yield what is wrong with each entry whose mask is not what the table gives."""
        past = {one.position: one for one in showing.timeline}
        for entry in entries:
            one, stands = past[entry.position], showing.readers[entry.seat].stance
            given = self.mask(stands, one.event, one.recorded_ms, one.categories)
            if given != entry.mask:
                differs = ", ".join(
                    f"{c.name} {self.decision(entry.seat, c, one.event, one.recorded_ms).code}"
                    for c in SEALED
                    if (given ^ entry.mask) & c.bit
                )
                message = f"what {'/'.join(entry.seat)} gets is not what the table says: {differs}"
                yield message, entry.seat

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


def judge(
    events: Sequence[Recorded], delivery: Delivery, language: Language, world: World
) -> Judged:
    """Return what the table says of `delivery` after these events of its case, in their order."""
    case, shown = Case(id=""), None
    for recorded in events:
        event = language.routing(recorded.type, recorded.body)
        if isinstance(event, ev.RegistryEvent):
            raise Corrupt("REGISTRY_EVENT_IN_CASE", f"position {recorded.position}")
        case = evolve(case, event, recorded.recorded_ms)
        if digest(recorded.statement) == delivery.event:
            shown = recorded, event
    if shown is None:
        return Judged("")
    table = Table(case, world, events[-1].recorded_ms)
    seat, (recorded, event) = Seat(delivery.agency, delivery.purpose), shown
    categories = [category for category in SEALED if delivery.mask & category.bit]
    answers = [table.decision(seat, c, event, recorded.recorded_ms) for c in categories]
    return Judged(recorded.type, list(zip(categories, answers, strict=True)))
