"""What every seat's feed should hold, computed anew from the entries of a log alone.

Registry and cases are folded as the projector does it, over stores of the audit's own. Each
accepted action is put before the rules again, and each entry before the consent table.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from domain import events as ev
from domain.case import Case
from domain.errors import Conflict, Corrupt, Malformed, Refused
from domain.feed import LANES, Progress, lane_of
from domain.feed import Entry as FeedEntry
from domain.ports import EventStore, Feeds, Language, Recorded
from domain.rules.decide import decide
from domain.rules.world import World
from domain.trail.checkpoint import MAX_NUMBER
from domain.trail.deliveries import Delivery
from domain.trail.state import Item
from domain.trail.statement import disclosure_stream, stream_tag
from domain.vocabulary import SEALED, Seat
from services.auditor.second_reading import Judged, Table, judge
from services.hub.lane import Categories, Lane
from services.hub.outlook import Outlooks
from services.hub.showing import Showing

HELD_CASES = 4_000
"""Cases held folded before most of them are let go; about 30 kB each."""
_DIGEST = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """What the rules are read with, and where folded cases are put down meanwhile."""

    language: Language
    world: World
    """Gives the policy pack; the registry is folded from the log."""
    events: EventStore
    """Empty, for this audit alone."""
    feeds: Feeds
    """Likewise."""


class Action(NamedTuple):
    """An accepted action, read."""

    entry: int
    """Place in the log, from 0."""
    actor: bytes
    recorded: Recorded
    event: ev.Event


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
        language, store, feeds = judging.language, judging.events, judging.feeds
        self._language, self._store, self._feeds = language, store, feeds
        self._types = {language.shape(t).number: t for t in language.types()}
        self._outlooks = Outlooks(store, language, judging.world)
        categories = Categories(language)
        self._lanes = [
            Lane(
                number,
                Progress(),
                {},
                store=store,
                feeds=feeds,
                language=language,
                categories=categories,
                outlooks=self._outlooks,
            )
            for number in range(LANES)
        ]
        feeds.progress()
        self._digests = bytearray()
        """Digest of the statement at each position."""
        self._versions: dict[str, int] = {}
        self._case_of: dict[bytes, str] = {}
        """Disclosure stream -> case id."""
        self._touched: set[str] = set()
        self._new: list[FeedEntry] = []
        self.position = 0
        """How many accepted actions were taken."""
        self.asked = 0
        """Entries that the table was asked about."""

    def case_of(self, stream: bytes) -> str:
        """Return the case whose disclosures stand in `stream`; empty if there is none."""
        return self._case_of.get(stream, "")

    def read(self, index: int, item: Item) -> Action:
        """Return the next accepted action; `Malformed` if it is none that can be folded."""
        entry, said, body = item.entry, item.said, item.body or b""
        type = self._types.get(said.type)
        if type is None:
            raise Malformed("UNKNOWN_EVENT", f"event type {said.type} is not in our schemas")
        if entry.recorded_ms > MAX_NUMBER:
            raise Malformed("RECORDED_MS", "no clock says this time; stores cannot keep it")
        _, event = self._language.read(type, body)
        case_id = event.head.case_id
        if stream_tag(case_id) != said.stream:
            raise Malformed("WRONG_STREAM", "the record is of another case than its statement")
        version = self._versions[case_id] = self._versions.get(case_id, 0) + 1
        self._digests += item.digest
        if version == 1:
            self._case_of[disclosure_stream(case_id)] = case_id
        recorded = Recorded(
            position=len(self._digests) // _DIGEST,
            event_id=event.head.event_id,
            case_id=case_id,
            version=version,
            type=type,
            body=body,
            statement=entry.statement,
            signature=entry.signature,
            recorded_ms=entry.recorded_ms,
        )
        return Action(index, said.actor, recorded, event)

    def keep(self, actions: Sequence[Action]) -> None:
        """Put down what was read, before it is taken; `Corrupt` EVENT_TWICE."""
        if not actions:
            return
        try:
            with self._store.appending() as tx:
                tx.append([action.recorded for action in actions], [])
        except Conflict as e:
            message = "an id of an event from here on stands in the log twice"
            raise Corrupt("EVENT_TWICE", message) from e

    def take(self, action: Action, problems: list[Problem]) -> Iterator[Due]:
        """Fold the next action that was kept; yield what it makes due, append what is wrong.

        `Corrupt` when it cannot be folded: nothing after it can be judged.
        """
        recorded, event = action.recorded, action.event
        self.position = recorded.position
        if isinstance(event, ev.RegistryEvent):
            for lane in self._lanes:
                lane.take(recorded)
            self._outlooks.keep({lane.outlook for lane in self._lanes})
            return
        lane = self._lanes[lane_of(recorded.case_id)]
        showing, world = lane.showing(recorded), lane.outlook.world
        problems += _wrong(action, event, showing.case, world)
        entries = lane.take(recorded)
        self._touched.add(recorded.case_id)
        self._new += entries
        if entries:
            problems += self._read_again(entries, showing, world, recorded.recorded_ms)
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
        return judge(events, delivery, self._language, self._outlooks.upto(position).world)

    def _delivery(self, entry: FeedEntry) -> Delivery:
        end = entry.position * _DIGEST
        return Delivery(
            *entry.seat,
            entry.lane,
            entry.seq,
            entry.supersedes or 0,
            entry.mask,
            bytes(self._digests[end - _DIGEST : end]),
            entry.basis,
        )

    def _read_again(
        self, entries: Sequence[FeedEntry], showing: Showing, world: World, at: int
    ) -> Iterator[Problem]:
        """Yield each entry whose mask is not what the table gives."""
        table = Table(showing.case, world, at)
        past = {one.position: one for one in showing.timeline}
        for entry in entries:
            one, stands = past[entry.position], showing.readers[entry.seat].stance
            given = table.mask(stands, one.event, one.recorded_ms, one.categories)
            self.asked += 1
            if given != entry.mask:
                differs = ", ".join(
                    f"{c.name} {table.decision(entry.seat, c, one.event, one.recorded_ms).code}"
                    for c in SEALED
                    if (given ^ entry.mask) & c.bit
                )
                message = f"what {'/'.join(entry.seat)} gets is not what the table says: {differs}"
                yield Problem("TABLE", message, entry.seat)


def _wrong(action: Action, event: ev.CaseEvent, case: Case, world: World) -> Iterator[Problem]:
    """Yield why an action should not have been accepted."""
    at = action.recorded.recorded_ms
    key = world.registry.key_of(action.actor)
    if key is None or key.agency != event.head.agency:
        yield Problem("WRITER", f"no key of {event.head.agency} made this statement")
    try:
        decide(event, case, world, at)
    except Refused as e:
        yield Problem("RULES", f"the rules refuse {type(event).__name__}: {e.code}")
