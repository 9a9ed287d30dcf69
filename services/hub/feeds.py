"""Serve feeds: compose each entry's record, and ask the consent decision once more.

An entry is checked again with the hub's clock against the newest state of its case, so a
projection that lags shows less, never more. HTTP and Kafka compose by the same code.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import accumulate

from domain import events as ev
from domain.audience import Audience
from domain.errors import Corrupt, Malformed, Refused
from domain.feed import Cursor, Entry
from domain.messages import FeedItem, FeedPage, Shown
from domain.ports import EventStore, Feeds, Language, Recorded
from domain.publishing import FeedRecord
from domain.record import Shape
from domain.rules.world import World
from domain.vocabulary import Category, Purpose, Seat, names_of
from services.hub.casebook import CaseBook, RegistryBook

PAGE = 200
PAGE_BYTES = 4 << 20
"""Of the records of a page, unless one alone is larger: a slow line has to carry it in time."""
_HELD_AUDIENCES = 2_000
_HELD_MS = 60_000
_HELD_BYTES = 16 << 20


class Composer:
    """Makes feed records of entries, each as consent stands at the moment."""

    def __init__(
        self,
        *,
        store: EventStore,
        language: Language,
        book: CaseBook,
        world: Callable[[], World],
        clock: Callable[[], int],
    ) -> None:
        """Read `store`; `world` gives the registry and policy of the moment."""
        self._store = store
        self._language = language
        self._book = book
        self._world = world
        self._clock = clock
        self._compiled: dict[str, tuple[tuple[int, int], int, Audience]] = {}
        """Case id -> (versions of case and registry, instant it ends, audience)."""
        self._lasts: tuple[int, int, int | None] = (-1, 0, None)
        """Version of the registry, an instant, and the next at which time alone changes it."""
        self._recorded: dict[int, Recorded] = {}
        """Position -> event."""
        self._shown: dict[tuple[int, int], Shown] = {}
        """(Position, mask) -> the event so shown: many seats get the same."""
        self._held_bytes = 0

    def check(self, seat: Seat) -> None:
        """Refuse a seat that may read nothing now, with the reason code."""
        world = self._world()
        _check_seat(seat, world, self._now(world))

    def closed(self, seats: Collection[Seat]) -> dict[Seat, str]:
        """Return those of `seats` that may read nothing now, each with the reason code."""
        world, found = self._world(), {}
        now = self._now(world)
        for seat in seats:
            try:
                _check_seat(seat, world, now)
            except Refused as e:
                found[seat] = e.code
        return found

    def records(self, entries: Sequence[Entry]) -> list[FeedRecord]:
        """Return each of `entries`, in order, with the fields that its seat may see now."""
        world = self._world()
        now = self._now(world)
        recorded = self._events({e.position for e in entries})
        audiences = self._audiences({e.case_id for e in entries}, world, now)
        return [self._record(e, recorded.get(e.position), audiences[e.case_id]) for e in entries]

    def _now(self, world: World) -> int:
        """Return the time, which is never before what is recorded: a clock may be behind."""
        return max(self._clock(), world.registry.recorded_ms)

    def _events(self, positions: set[int]) -> Mapping[int, Recorded]:
        """Return the events at `positions`; what one seat gets, others get soon after."""
        held = self._recorded
        found = {p: held[p] for p in positions if p in held}
        missing = positions - found.keys()
        if missing:
            read = self._store.read_positions(list(missing))
            self._make_room(sum(len(r.body) for r in read.values()))
            self._recorded |= read
            found |= read
        return found

    def _make_room(self, more: int) -> None:
        self._held_bytes += more
        if self._held_bytes > _HELD_BYTES:
            self._recorded, self._shown, self._held_bytes = {}, {}, more

    def _audiences(self, case_ids: set[str], world: World, now: int) -> dict[str, Audience]:
        heads = self._store.heads(list(case_ids)) if case_ids else {}
        return {c: self._audience(c, heads.get(c, 0), world, now) for c in case_ids}

    def _audience(self, case_id: str, version: int, world: World, now: int) -> Audience:
        """Return who may see what of the case now; compiled once while nothing changes."""
        held = self._compiled.get(case_id)
        stamp = (version, world.registry.version)
        if held is not None and held[0] == stamp and now < held[1]:
            return held[2]
        case = self._book.at(case_id, version, self._store).case
        audience = world.audience(case, max(now, case.recorded_ms))
        changes = (audience.next_change, self._registry_until(world, now))
        until = min((c for c in changes if c is not None), default=now + _HELD_MS)
        if len(self._compiled) >= _HELD_AUDIENCES:
            self._compiled.clear()
        self._compiled[case_id] = (stamp, until, audience)
        return audience

    def _registry_until(self, world: World, now: int) -> int | None:
        """Return when time alone next changes the registry; looked for once a version."""
        version, since, until = self._lasts
        if version != world.registry.version or now < since or (until is not None and now >= until):
            until = world.registry.next_change(now)
            self._lasts = (world.registry.version, now, until)
        return until

    def _record(self, entry: Entry, recorded: Recorded | None, audience: Audience) -> FeedRecord:
        if recorded is None:
            message = f"position {entry.position} is in a feed, not in the event store"
            raise Corrupt("FEED_WITHOUT_EVENT", f"{message}; run nrm-hub rebuild")
        mask = entry.mask & audience.mask(entry.seat, recorded.recorded_ms)
        item = FeedItem(
            lane=entry.lane,
            seq=entry.seq,
            supersedes=entry.supersedes,
            categories=_names(mask),
            granted=_names(entry.mask),
            basis=entry.basis,
            event=self._show(recorded, mask),
        )
        return FeedRecord(seat=entry.seat, event_id=recorded.event_id, item=item)

    def _show(self, recorded: Recorded, mask: int) -> Shown:
        """Return the event as `show` does, made once for all who see the same of it."""
        held = self._shown.get((recorded.position, mask))
        if held is not None:
            return held
        shown = show(self._language, recorded, mask)
        if shown.record is not recorded.body:
            self._make_room(len(shown.record))
        self._shown[recorded.position, mask] = shown
        return shown


class FeedService:
    """What a seat may read now."""

    def __init__(
        self,
        *,
        store: EventStore,
        feeds: Feeds,
        language: Language,
        book: CaseBook,
        world: Callable[[], World],
        clock: Callable[[], int],
    ) -> None:
        """Read `feeds`; the rest is for the `Composer`."""
        self._feeds = feeds
        self._composer = Composer(
            store=store, language=language, book=book, world=world, clock=clock
        )

    def page(self, seat: Seat, cursor: str, limit: int = PAGE) -> FeedPage:
        """Return the entries of `seat` after `cursor`, each shown as consent stands now."""
        at = Cursor.decode(cursor)
        self._composer.check(seat)
        entries = self._feeds.read(seat, at, min(limit, PAGE))
        items = _together([record.item for record in self._composer.records(entries)])
        for item in items:
            at = at.past(item.lane, item.seq)
        return FeedPage(items=items, cursor=at.encode())


def _together(items: Sequence[FeedItem]) -> tuple[FeedItem, ...]:
    """Return the first of `items` that a page has room for, one at least."""
    sizes = accumulate(len(item.event.record) for item in items)
    fitting = sum(size <= PAGE_BYTES for size in sizes)
    return tuple(items[: max(1, fitting)])


class StoreWorld:
    """The rules' surroundings as of the newest registry fact in a store that others write."""

    def __init__(self, store: EventStore, language: Language, world: World) -> None:
        """Take the policy from `world`; its registry is read from `store`."""
        self._store = store
        self._registry = RegistryBook(language)
        self._world = world

    def __call__(self) -> World:
        """Return the surroundings of the moment."""
        version = self._store.heads([ev.REGISTRY_STREAM]).get(ev.REGISTRY_STREAM, 0)
        if version > self._registry.version:
            registry = self._registry.catch_up(version, self._store)
            self._world = replace(self._world, registry=registry)
        return self._world


def _check_seat(seat: Seat, world: World, now: int) -> None:
    if seat.purpose not in set(Purpose):
        raise Malformed("PURPOSE_UNKNOWN", "use a purpose of the vocabulary")
    standing = world.standing(seat.agency, now)
    if not standing.active:
        raise Refused("AGENCY_NOT_ACTIVE", "the agency is not registered, designated and active")
    if seat.purpose not in standing.purposes:
        raise Refused("PURPOSE_NOT_MANDATED", "the agency has no seat for this purpose")


def show(language: Language, recorded: Recorded, mask: int) -> Shown:
    """Return `recorded` with every sealed field outside `mask` as its digest."""
    try:
        body = recorded.body
        if _categories(language.shape(recorded.type)) & ~mask:
            body = language.body(language.record(recorded.type, body).withhold(mask))
    except Malformed as e:
        raise Corrupt("RECORD_UNREADABLE", f"position {recorded.position}: {e.code}") from e
    return Shown(
        type=recorded.type,
        record=body,
        statement=recorded.statement,
        signature=recorded.signature,
        recorded_ms=recorded.recorded_ms,
    )


_names = cache(names_of)


@cache
def _categories(shape: Shape) -> int:
    """Return the mask of the sealed categories that an event type has fields of."""
    return sum({category.bit for _, category in shape.fields if category is not Category.ROUTING})
