"""What every seat's feed should hold, computed anew from the entries of a log alone.

Registry and cases are folded as the projector does it, over stores of the audit's own. Each
accepted action is put before the rules again, and each entry before the consent table.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from domain import events as ev
from domain.agency import Registry
from domain.case import Case
from domain.errors import Refused
from domain.feed import LANES, Progress, lane_of
from domain.feed import Entry as FeedEntry
from domain.policy import Policy
from domain.ports import EventStore, Feeds, Language
from domain.rules.decide import decide
from domain.rules.world import World
from domain.trail.deliveries import Delivery
from domain.vocabulary import Seat
from services.auditor.actions import Action, Actions
from services.auditor.packs import Packs
from services.auditor.second_reading import Judged, Table, judge
from services.hub.lane import Categories, Lane
from services.hub.outlook import Outlooks

HELD_CASES = 4_000
"""Cases held folded before most of them are let go; about 30 kB each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """What the rules are read with, and where folded cases are put down meanwhile."""

    language: Language
    packs: Packs
    events: EventStore
    """Empty, for this audit alone."""
    feeds: Feeds
    """Likewise."""


class Due(NamedTuple):
    """A delivery that the rules give."""

    delivery: Delivery
    """With the number that it has if nothing was left out or added before."""
    case_id: str
    entry: int
    """What brought it about, by its place in the log."""
    ms: int
    """When the hub recorded that entry."""
    position: int
    """Its place among the accepted actions, from 1."""


class Problem(NamedTuple):
    """What is wrong with an accepted action, or with the compiled form of an entry."""

    check: str
    message: str
    seat: Seat | None = None


class Expecting:
    """The log as far as it was taken, and what it makes due."""

    def __init__(self, judging: Judging) -> None:
        """Start before the first entry; the stores must be empty."""
        self._language, self._store = judging.language, judging.events
        self._feeds, self._packs = judging.feeds, judging.packs
        self._categories = Categories(judging.language)
        self.actions = Actions(judging.language, judging.events)
        self._touched: set[str] = set()
        self._new: list[FeedEntry] = []
        self._outlooks: dict[str, Outlooks] = {}
        """Id of a pack -> the world under it."""
        self._changes: list[tuple[int, str]] = []
        """(position after which a pack was in force, its id) each, positions going up."""
        self.position = 0
        """How many accepted actions were taken."""
        self.asked = 0
        """Entries that the table was asked about."""
        judging.feeds.progress()
        self._lanes = self._begin(judging.packs.first)

    @property
    def judged_by(self) -> str:
        """The packs that were in force, each once."""
        return ", ".join(dict.fromkeys(pack for _, pack in self._changes))

    def take(self, action: Action, problems: list[Problem]) -> Iterator[Due]:
        """Fold the next action that was kept; yield what it makes due, append what is wrong.

        `Corrupt` when it cannot be folded: nothing after it can be judged. `Refused`
        PACK_MISSING when it cannot be told what was in force.
        """
        recorded, event = action.recorded, action.event
        if isinstance(event, ev.RegistryEvent):
            for lane in self._lanes:
                lane.take(recorded)
            self._known.keep({lane.outlook for lane in self._lanes})
            self.position = recorded.position
            return
        pack = self._packs.in_force(event.head.policy, recorded.recorded_ms)
        if pack.id != self._changes[-1][1]:
            self.put_down()
            self._lanes = self._begin(pack)
        self.position = recorded.position
        lane = self._lanes[lane_of(recorded.case_id)]
        showing, world = lane.showing(recorded), lane.outlook.world
        problems += _wrong(action, event, showing.case, world)
        entries = lane.take(recorded)
        self._touched.add(recorded.case_id)
        self._new += entries
        if entries:
            table = Table(showing.case, world, recorded.recorded_ms)
            self.asked += len(entries)
            problems += (Problem("TABLE", *wrong) for wrong in table.against(entries, showing))
        for entry in entries:
            delivery = self._delivery(entry)
            case_id, ms, position = recorded.case_id, recorded.recorded_ms, recorded.position
            yield Due(delivery, case_id, action.entry, ms, position)

    def put_down(self) -> None:
        """Put down the entries since the last time; let cases go when too many are held."""
        self._feeds.write(self._new, {})
        self._new = []
        if len(self._touched) > HELD_CASES:
            self._touched.clear()
            for lane in self._lanes:
                lane.moved(lane.progress)

    def judge(self, case_id: str, delivery: Delivery, position: int) -> Judged:
        """Return what the table said of `delivery` when the log stood at `position`."""
        events = [r for r in self._store.read_case(case_id) if r.position <= position]
        change = bisect_left(self._changes, position, key=lambda change: change[0])
        _, pack = self._changes[max(0, change - 1)]
        return judge(events, delivery, self._language, self._outlooks[pack].upto(position).world)

    @property
    def _known(self) -> Outlooks:
        """The world under the pack in force."""
        return self._outlooks[self._changes[-1][1]]

    def _begin(self, pack: Policy) -> list[Lane]:
        """Return all lanes as they stand, under `pack`: a hub that is started with it."""
        if pack.id not in self._outlooks:
            world = World(
                registry=Registry(),
                policies=self._packs.by_id,
                home=pack.country,
                policy_id=pack.id,
            )
            self._outlooks[pack.id] = Outlooks(self._store, self._language, world)
        self._changes.append((self.position, pack.id))
        heads = self._feeds.heads()
        return [
            Lane(
                number,
                Progress(self.position),
                {seat: seq for (seat, lane), seq in heads.items() if lane == number},
                store=self._store,
                feeds=self._feeds,
                language=self._language,
                categories=self._categories,
                outlooks=self._known,
            )
            for number in range(LANES)
        ]

    def _delivery(self, entry: FeedEntry) -> Delivery:
        return Delivery(
            *entry.seat,
            entry.lane,
            entry.seq,
            entry.supersedes or 0,
            entry.mask,
            self.actions.digest(entry.position),
            entry.basis,
        )


def _wrong(action: Action, event: ev.CaseEvent, case: Case, world: World) -> Iterator[Problem]:
    """Yield why an action should not have been accepted."""
    at = action.recorded.recorded_ms
    key = world.registry.key_of(action.actor)
    if key is None or key.agency != event.head.agency:
        yield Problem("WRITER", f"no key of {event.head.agency} made this statement")
    try:
        decide(event, case, world, at)
    except Refused as e:
        yield Problem("RULES", f"the rules refuse {type(event).__name__}: {e.code} ({e.message})")
