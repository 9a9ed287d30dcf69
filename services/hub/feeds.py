"""Serve feeds: compose each entry's record, and ask the consent decision once more.

An entry is checked again with the hub's clock against the newest state of its case, so a
projection that lags shows less, never more.
"""

from collections.abc import Callable

from domain.audience import Audience
from domain.errors import Corrupt, Malformed, Refused
from domain.feed import Cursor, Entry
from domain.messages import FeedItem, FeedPage, Shown
from domain.ports import EventStore, Feeds, Language, Recorded
from domain.rules.world import World
from domain.vocabulary import Purpose, Seat, names_of
from services.hub.casebook import CaseBook

PAGE = 200
_HELD_AUDIENCES = 2_000
_HELD_MS = 60_000


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
        """Read `feeds` and `store`; `world` gives the registry and policy of the moment."""
        self._store = store
        self._feeds = feeds
        self._language = language
        self._book = book
        self._world = world
        self._clock = clock
        self._compiled: dict[str, tuple[tuple[int, int], int, Audience]] = {}
        """Case id -> (versions of case and registry, instant it ends, audience)."""

    def page(self, seat: Seat, cursor: str, limit: int = PAGE) -> FeedPage:
        """Return the entries of `seat` after `cursor`, each shown as consent stands now."""
        at, now, world = Cursor.decode(cursor), self._clock(), self._world()
        _check_seat(seat, world, now)
        entries = self._feeds.read(seat, at, min(limit, PAGE))
        recorded = self._store.read_positions([e.position for e in entries])
        audiences = self._audiences({e.case_id for e in entries}, world, now)
        items = []
        for entry in entries:
            items.append(self._item(entry, recorded[entry.position], audiences[entry.case_id]))
            at = at.past(entry.lane, entry.seq)
        return FeedPage(items=tuple(items), cursor=at.encode())

    def _audiences(self, case_ids: set[str], world: World, now: int) -> dict[str, Audience]:
        heads = self._store.heads(list(case_ids)) if case_ids else {}
        return {c: self._audience(c, heads[c], world, now) for c in case_ids}

    def _audience(self, case_id: str, version: int, world: World, now: int) -> Audience:
        """Return who may see what of the case now; compiled once while nothing changes."""
        held = self._compiled.get(case_id)
        stamp = (version, world.registry.version)
        if held is not None and held[0] == stamp and now < held[1]:
            return held[2]
        audience = world.audience(self._book.at(case_id, version, self._store).case, now)
        changes = (audience.next_change, world.registry.next_change(now))
        until = min((c for c in changes if c is not None), default=now + _HELD_MS)
        if len(self._compiled) >= _HELD_AUDIENCES:
            self._compiled.clear()
        self._compiled[case_id] = (stamp, until, audience)
        return audience

    def _item(self, entry: Entry, recorded: Recorded, audience: Audience) -> FeedItem:
        mask = entry.mask & audience.mask(entry.seat, recorded.recorded_ms)
        return FeedItem(
            lane=entry.lane,
            seq=entry.seq,
            supersedes=entry.supersedes,
            categories=names_of(mask),
            basis=entry.basis if mask else "",
            event=show(self._language, recorded, mask),
        )


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
        record = language.record(recorded.type, recorded.body).withhold(mask)
        body = language.body(record)
    except Malformed as e:
        raise Corrupt("RECORD_UNREADABLE", f"position {recorded.position}: {e.code}") from e
    return Shown(
        type=recorded.type,
        record=body,
        statement=recorded.statement,
        signature=recorded.signature,
        recorded_ms=recorded.recorded_ms,
    )
