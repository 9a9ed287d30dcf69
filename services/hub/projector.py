"""The projector: reads the log, keeps each case's audience, writes what each seat may see.

Feed entries and the projector's own position are written in one transaction, so a crash
at any point repeats nothing and loses nothing. A grant back-fills the past, a withdrawal
re-publishes what was shown with its fields withheld.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from domain import events as ev
from domain.audience import Audience
from domain.case import CUSTODY, Case
from domain.consent import Standing
from domain.feed import Entry, lane_of
from domain.fold import evolve
from domain.ports import EventStore, Feeds, Language, Recorded
from domain.record import Record
from domain.rules.world import World
from domain.visibility import View, sees
from domain.vocabulary import Category, Seat
from services.hub.casebook import RegistryBook

STEP = 500
HELD_CASES = 2_000
"""Cases held with their timeline; the rest are read again when something happens in them."""

_MOVES_AUDIENCE = CUSTODY - {"KeyEpochOpened"}


@dataclass(frozen=True, slots=True)
class _Past:
    """One event of a case, as far as feeds look at it."""

    position: int
    event: ev.CaseEvent
    recorded_ms: int
    categories: int
    """Mask of the categories that the event has something of."""


@dataclass(slots=True)
class _Shown:
    """A case and what of it stands in which feed."""

    case: Case
    timeline: list[_Past] = field(default_factory=list)
    given: dict[tuple[Seat, int], tuple[int, int]] = field(default_factory=dict)
    """(seat, position) -> (mask, sequence number) of the newest entry."""
    audience: Audience | None = None
    readers: tuple[Seat, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of the projector did."""

    recorded_ms: tuple[int, ...]
    """When each event projected had been recorded; empty when there was none."""
    seats: frozenset[Seat]
    """Seats whose feeds have something new."""


class Projector:
    """One projector over the whole log."""

    def __init__(self, store: EventStore, feeds: Feeds, language: Language, world: World) -> None:
        """Read `store`, write `feeds`; `world` gives the policy, its registry is folded here."""
        self._store = store
        self._feeds = feeds
        self._language = language
        self._world = world
        self._registry = RegistryBook(language)
        self._cases: OrderedDict[str, _Shown] = OrderedDict()
        self._standings: dict[str, Standing] = {}
        self._standings_until: int | None = None
        self._heads = dict(feeds.heads())
        self.position = feeds.position()
        self._catch_up_registry()

    def _catch_up_registry(self) -> None:
        for recorded in self._store.read_case(ev.REGISTRY_STREAM):
            if recorded.position <= self.position:
                self._fold_registry(recorded)

    def step(self, limit: int = STEP) -> Step:
        """Project up to `limit` events; the step says what was done."""
        batch = self._store.read_log(self.position, limit)
        if not batch:
            return Step((), frozenset())
        try:
            entries = [e for recorded in batch for e in self._project(recorded)]
            self._feeds.write(entries, batch[-1].position)
        except BaseException:
            self._forget()
            raise
        self.position = batch[-1].position
        return Step(
            tuple(recorded.recorded_ms for recorded in batch), frozenset(e.seat for e in entries)
        )

    def _forget(self) -> None:
        """Drop what a failed step has left in memory; the store and the feeds have the truth."""
        self._cases.clear()
        self._heads = dict(self._feeds.heads())
        self._registry = RegistryBook(self._language)
        self._catch_up_registry()

    def _project(self, recorded: Recorded) -> Iterator[Entry]:
        if recorded.case_id == ev.REGISTRY_STREAM:
            self._fold_registry(recorded)
            return
        shown = self._cases.get(recorded.case_id) or self._load(recorded)
        past = self._take(shown, recorded)
        self._keep(shown)
        now = recorded.recorded_ms
        moved = self._recompile(shown, past.event, now)
        for seat in shown.readers:
            for one in shown.timeline if moved else (past,):
                if one.event.head.agency == seat.agency:
                    continue  # what an agency wrote itself it has
                entry = self._entry(shown, seat, one, now)
                if entry is not None:
                    yield entry

    def _fold_registry(self, recorded: Recorded) -> None:
        self._registry.fold(recorded)
        self._world = replace(self._world, registry=self._registry.registry)
        self._standings.clear()
        for shown in self._cases.values():
            shown.audience = None

    def _take(self, shown: _Shown, recorded: Recorded) -> _Past:
        """Fold one event into the case and its timeline."""
        record = self._language.record(recorded.type, recorded.body)
        event = self._language.event(record)
        if isinstance(event, ev.RegistryEvent):
            raise TypeError(type(event).__name__)
        shown.case = evolve(shown.case, event, recorded.recorded_ms)
        past = _Past(recorded.position, event, recorded.recorded_ms, _categories(record, event))
        shown.timeline.append(past)
        return past

    def _recompile(self, shown: _Shown, event: ev.CaseEvent, now: int) -> bool:
        """Bring the audience up to date; return whether it had to be compiled again."""
        audience = shown.audience
        due = audience is None or (audience.next_change is not None and now >= audience.next_change)
        if not due and type(event).__name__ not in _MOVES_AUDIENCE:
            return False
        shown.audience = self._world.audience(shown.case, now)
        readers = {
            Seat(agency, purpose)
            for agency in self._world.readers(shown.case)
            for purpose in self._standing(agency, now).purposes
        }
        shown.readers = tuple(sorted(readers | {seat for seat, _ in shown.given}))
        return True

    def _standing(self, agency: str, now: int) -> Standing:
        if self._standings_until is not None and now >= self._standings_until:
            self._standings.clear()
        if not self._standings:
            self._standings_until = self._world.registry.next_change(now)
        if agency not in self._standings:
            self._standings[agency] = self._world.standing(agency, now)
        return self._standings[agency]

    def _entry(self, shown: _Shown, seat: Seat, past: _Past, now: int) -> Entry | None:
        """Return the entry that brings the feed of `seat` up to date on one event, if due."""
        if shown.audience is None:
            return None
        open_now = shown.audience.mask(seat, past.recorded_ms)
        mask = open_now & past.categories
        view = View(seat, self._standing(seat.agency, now), open_now, mask)
        visible = sees(past.event, shown.case, view, self._world.policy.visibility)
        before = shown.given.get((seat, past.position))
        if before is None and not visible:
            return None
        if not visible:
            mask = 0
        if before is not None and before[0] == mask:
            return None
        return self._write(shown, seat, past, mask, before)

    def _write(
        self, shown: _Shown, seat: Seat, past: _Past, mask: int, before: tuple[int, int] | None
    ) -> Entry:
        lane = lane_of(shown.case.id)
        seq = self._heads.get((seat, lane), 0) + 1
        self._heads[seat, lane] = seq
        shown.given[seat, past.position] = (mask, seq)
        basis = shown.audience.basis(seat, past.recorded_ms) if mask and shown.audience else ()
        return Entry(
            seat=seat,
            lane=lane,
            seq=seq,
            position=past.position,
            case_id=shown.case.id,
            mask=mask,
            basis=" ".join(basis),
            supersedes=before[1] if before else None,
        )

    def _load(self, new: Recorded) -> _Shown:
        """Read the case of `new`, which is not held, as it stood at the projector's position."""
        case_id = new.case_id
        shown = _Shown(Case(id=case_id))
        if new.version == 1:
            return shown
        for recorded in self._store.read_case(case_id):
            if recorded.position <= self.position:
                self._take(shown, recorded)
        for entry in self._feeds.of_case(case_id):
            shown.given[entry.seat, entry.position] = (entry.mask, entry.seq)
        return shown

    def _keep(self, shown: _Shown) -> None:
        self._cases[shown.case.id] = shown
        self._cases.move_to_end(shown.case.id)
        if len(self._cases) > HELD_CASES:
            self._cases.popitem(last=False)


def _categories(record: Record, event: ev.Event) -> int:
    if isinstance(event, ev.KeyEpochOpened):
        return sum(1 << key.category for key in event.keys)
    mask = 0
    for f in record.fields:
        if f.category is not Category.ROUTING:
            mask |= f.category.bit
    return mask
