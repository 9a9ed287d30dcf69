"""What of one case stands in which feed, and what each new event of it changes there.

A grant back-fills the past, a withdrawal re-publishes what was shown with its fields withheld.
Only what moves a seat's stance or audience makes its past look different, so a seat for which
neither has changed is asked about the new event alone.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from domain import events as ev
from domain.audience import SeatView
from domain.case import CUSTODY, Case
from domain.feed import Entry
from domain.visibility import Stance, sees, stance
from domain.vocabulary import Seat
from services.hub.outlook import Looked, Member, Outlook, past

_MOVES = CUSTODY - {"KeyEpochOpened"}
"""Names of the events that change what somebody sees of a case besides the event itself."""


class Past(NamedTuple):
    """One event of a case, as far as feeds look at it."""

    position: int
    event: ev.CaseEvent
    recorded_ms: int
    categories: int
    """Mask of the categories that the event has something of."""


class _Reader(NamedTuple):
    """A seat before the case: two equal ones see the same."""

    stance: Stance
    view: SeatView


class _Given(NamedTuple):
    """The newest entry about one event in one seat's feed."""

    mask: int
    seq: int


@dataclass(slots=True)
class Showing:
    """A case and what of it stands in which feed."""

    lane: int
    case: Case
    timeline: list[Past] = field(default_factory=list)
    given: dict[Seat, dict[int, _Given]] = field(default_factory=dict)
    """Seat -> position of an event -> what the seat has of it."""
    readers: dict[Seat, _Reader] = field(default_factory=dict)
    """In the order of seats."""
    outlook: Outlook | None = None
    """The one under which `readers` were found; None before."""
    looked: Looked | None = None
    """What it found."""

    def remember(self, entry: Entry) -> None:
        """Take in an entry that stands in a feed."""
        self.given.setdefault(entry.seat, {})[entry.position] = _Given(entry.mask, entry.seq)

    def show(self, outlook: Outlook, heads: dict[Seat, int]) -> list[Entry]:
        """Return what brings every feed up to date on the newest event; `heads` move with it."""
        new, entries = self.timeline[-1], list[Entry]()
        before = self._look(outlook, new) if self._due(outlook, new) else self.readers
        for seat, reader in self.readers.items():
            given = self.given.get(seat, _NOTHING)
            same = before.get(seat) == reader
            for one in (new,) if same else self.timeline:
                if one.event.head.agency == seat.agency:
                    continue  # what an agency wrote itself it has
                opened = reader.view.mask(one.recorded_ms)
                mask = opened & one.categories
                had = given.get(one.position)
                if not sees(one.event, reader.stance, opened, mask, outlook.visibility):
                    mask = 0
                    if had is None:
                        continue
                if had is None or had.mask != mask:
                    entries.append(self._entry(reader, one, mask, had, heads))
        return entries

    def _due(self, outlook: Outlook, new: Past) -> bool:
        return (
            self.looked is None
            or outlook is not self.outlook
            or type(new.event).__name__ in _MOVES
            or past(self.looked.until, new.recorded_ms)
        )

    def _look(self, outlook: Outlook, new: Past) -> dict[Seat, _Reader]:
        """Find again who sees what; return what was found before."""
        before, now = self.readers, new.recorded_ms
        looked = outlook.look(self.case, now, self.looked if outlook is self.outlook else None)
        if looked is self.looked:
            return before
        self.outlook, self.looked, self.readers = outlook, looked, {}
        members = looked.members
        views = {view.seat: view for view in looked.audience.seats}
        seats = {seat for member in members.values() for seat in member.seats}
        for seat in sorted(seats.union(self.given)):
            member: Member = members.get(seat.agency) or outlook.member(seat.agency, now)
            stands = stance(
                self.case,
                seat,
                member.standing,
                has_part=seat.agency in looked.parts,
                home=seat.purpose == member.home,
            )
            self.readers[seat] = _Reader(stands, views.get(seat) or SeatView(seat, ()))
        return before

    def _entry(
        self, reader: _Reader, past: Past, mask: int, had: _Given | None, heads: dict[Seat, int]
    ) -> Entry:
        seat = reader.view.seat
        seq = heads[seat] = heads.get(seat, 0) + 1
        self.given.setdefault(seat, {})[past.position] = _Given(mask, seq)
        return Entry(
            seat=seat,
            lane=self.lane,
            seq=seq,
            position=past.position,
            case_id=self.case.id,
            mask=mask,
            basis=" ".join(reader.view.basis(past.recorded_ms)) if mask else "",
            supersedes=had.seq if had else None,
        )


_NOTHING: dict[int, _Given] = {}
