"""The projector: reads the log lane by lane and writes what each seat may see.

Feed entries and the progress of every lane are written in one transaction, so a crash at any
point repeats nothing and loses nothing. The feeds are the same byte for byte whatever the
batches, the number of projectors and the source.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from domain.errors import Corrupt
from domain.feed import LANES, Entry, Heads, Progress, lanes_of
from domain.lanes import Batch, Stall
from domain.ports import EventStore, Feeds, Language, Recorded
from domain.rules.world import World
from domain.vocabulary import Seat
from services.hub.lane import Categories, Lane
from services.hub.outlook import Outlooks

STEP = 500


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of the projector did."""

    events: tuple[Recorded, ...]
    """The events projected, each once; empty when there was none."""
    seats: frozenset[Seat]
    """Seats whose feeds have something new."""

    @property
    def recorded_ms(self) -> tuple[int, ...]:
        """Return when each event had been recorded."""
        return tuple(event.recorded_ms for event in self.events)


class Projector:
    """A projector of some lanes: all of them, where one does the work alone."""

    def __init__(
        self,
        store: EventStore,
        feeds: Feeds,
        language: Language,
        world: World,
        lanes: Collection[int] = range(LANES),
    ) -> None:
        """Read `store`, write `feeds`; `world` gives the policy, its registry is folded here."""
        self._store = store
        self._feeds = feeds
        self._language = language
        self._categories = Categories(language)
        self._outlooks = Outlooks(store, language, world)
        self._lanes: dict[int, Lane] = {}
        self._astray: set[int] = set()
        """Lanes whose memory is not what the feeds have."""
        self._head = 0
        """A position that the store is known to have come to."""
        self._stalled: dict[int, Stall] = {}
        self.own(lanes)

    @property
    def lanes(self) -> frozenset[int]:
        """The lanes that are projected here."""
        return frozenset(self._lanes)

    @property
    def position(self) -> int:
        """Position up to which the feeds of every lane are complete; 0 without lanes."""
        return min((lane.progress.position for lane in self._lanes.values()), default=0)

    @property
    def stalled(self) -> Mapping[int, Stall]:
        """The lanes that stand still, and why."""
        return self._stalled

    @property
    def astray(self) -> bool:
        """Whether a write failed: call `resume`, and give the lanes what comes after it."""
        return bool(self._astray)

    def progress(self) -> Mapping[int, Progress]:
        """Return where every lane stands."""
        return {n: lane.progress for n, lane in self._lanes.items()}

    def own(self, lanes: Collection[int]) -> None:
        """Project just `lanes` from now on, each from what the feeds have."""
        self._drop(self._lanes.keys() - set(lanes))
        self._astray |= set(lanes) - self._lanes.keys()
        self.resume()

    def resume(self) -> None:
        """Go on from what the feeds have: a lane that somebody else moved begins anew."""
        progress = self._feeds.progress()
        moved = {n for n, lane in self._lanes.items() if lane.progress != progress[n]}
        lost = self._astray | moved
        if lost:
            heads = self._feeds.heads()
            made = {n: self._lane(n, progress[n], heads) for n in sorted(lost)}
            self._drop(lost)
            self._lanes |= made

    def _lane(self, number: int, progress: Progress, heads: Heads) -> Lane:
        return Lane(
            number,
            progress,
            {seat: seq for (seat, lane), seq in heads.items() if lane == number},
            store=self._store,
            feeds=self._feeds,
            language=self._language,
            categories=self._categories,
            outlooks=self._outlooks,
        )

    def _drop(self, lanes: Collection[int]) -> None:
        for n in lanes:
            self._lanes.pop(n, None)
            self._stalled.pop(n, None)
        self._astray -= set(lanes)

    def step(self, limit: int = STEP) -> Step:
        """Project up to `limit` events of the store; the step says what was done.

        `Conflict` when another projector was first: the next step goes on from what it left.
        `Corrupt` when an event cannot be taken; what came before it is projected.
        """
        if self._astray:
            self.resume()
        events = self._store.read_log(self.position, limit)
        if not events:
            return Step((), frozenset())
        step = self.take(list(self._batches(events)))
        for n, stall in self._stalled.items():
            raise Corrupt(stall.code, f"lane {n}: {stall.message}")
        return step

    def _batches(self, events: Sequence[Recorded]) -> Iterator[Batch]:
        """Yield what `events`, read from the store, are for each lane."""
        taken: dict[int, list[Recorded]] = {n: [] for n in self._lanes}
        for event in events:
            for n in lanes_of(event.case_id):
                if n in taken:
                    taken[n].append(event)
        end = events[-1].position
        self._head = max(self._head, end)
        for n, own in taken.items():
            before = self._lanes[n].progress
            reached = Progress(max(end, before.position), before.offset)
            yield Batch(lane=n, events=own, reached=reached)

    def take(self, batches: Sequence[Batch]) -> Step:
        """Project `batches`, at most one a lane, and write what comes of them.

        An event that cannot be taken stalls its lane; the others go on. After an error nothing
        is written and the projector is `astray`.
        """
        entries: list[Entry] = []
        taken: dict[int, Recorded] = {}
        reached = {}
        self._astray |= {batch.lane for batch in batches}
        for batch in batches:
            lane = self._lanes[batch.lane]
            reached[batch.lane] = self._take(lane, batch, entries, taken)
        moved = {
            n: (self._lanes[n].progress, progress)
            for n, progress in reached.items()
            if progress != self._lanes[n].progress
        }
        if moved:
            self._feeds.write(entries, moved)
        for n, progress in reached.items():
            self._lanes[n].moved(progress)
        self._outlooks.keep({lane.outlook for lane in self._lanes.values()})
        self._astray -= reached.keys()
        return Step(tuple(taken.values()), frozenset(e.seat for e in entries))

    def _take(
        self, lane: Lane, batch: Batch, entries: list[Entry], taken: dict[int, Recorded]
    ) -> Progress:
        """Let `lane` take `batch`; return how far it came."""
        position, stall = lane.progress.position, batch.stall
        for number, event in enumerate(batch.events):
            if event.position <= position:
                continue  # it was taken before
            try:
                self._check_known(event)
                entries += lane.take(event)
            except Corrupt as e:
                offset = batch.offsets[number] if batch.offsets else lane.progress.offset
                self._stalled[lane.number] = Stall(e.code, e.message, offset)
                return Progress(position, offset)
            position = event.position
            taken[position] = event
        if stall is not None:
            self._stalled[lane.number] = stall
        return Progress(max(position, batch.reached.position), batch.reached.offset)

    def _check_known(self, event: Recorded) -> None:
        """Refuse a position that the store never gave: it would hide whatever comes behind it."""
        if event.position > self._head:
            self._head = self._store.head()
            if event.position > self._head:
                message = f"position {event.position} is beyond the store's head {self._head}"
                raise Corrupt("POSITION_UNKNOWN", message)
