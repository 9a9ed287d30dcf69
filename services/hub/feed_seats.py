"""Which seats flow together, which are tried alone, and which are left out for a while."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from domain.vocabulary import Seat
from services.hub.feed_needs import BeatenTopics, Metrics

FIRST_RETRY_MS, LAST_RETRY_MS = 5_000, 60_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Hold:
    code: str
    """Why; empty while it is only suspected."""
    again_ms: int
    wait_ms: int


class SeatsApart:
    """The seats that do not flow with the others: suspected, or parked with a reason code.

    Every one is tried again, alone; one that is refused alone waits longer each time.
    """

    def __init__(self, topics: BeatenTopics, metrics: Metrics) -> None:
        """Everybody flows, and nothing is known of any topic."""
        self._topics = topics
        self._metrics = metrics
        self._holds: dict[Seat, _Hold] = {}
        self._known = set[Seat]()
        """Seats whose topic could be written when somebody looked."""

    def __contains__(self, seat: Seat) -> bool:
        return seat in self._holds

    def ready(self, seats: Sequence[Seat], now: int) -> list[Seat]:
        """Return those of `seats` whose topic can be written, as far as is known; park the rest."""
        unknown = [seat for seat in seats if seat not in self._known]
        if unknown:
            unready = self._topics.unready(unknown)
            self._known.update(unknown)
            for seat, code in unready.items():
                self.park(seat, code, now)
        return [seat for seat in seats if seat in self._known]

    def due(self, now: int) -> list[Seat]:
        """Return the seats that can be tried now, the longest due first."""
        due = [seat for seat, hold in self._holds.items() if hold.again_ms <= now]
        return self.ready(sorted(due, key=lambda seat: self._holds[seat].again_ms), now)

    def blame(self, seats: Sequence[Seat], code: str, now: int) -> None:
        """Park who is the cause of a refusal; if nobody knows who, each is tried alone next."""
        self._known.difference_update(seats)
        if len(seats) == 1:
            self.park(seats[0], code, now)
        elif len(self.ready(seats, now)) == len(seats):
            for seat in seats:
                self._holds.setdefault(seat, _Hold("", now, FIRST_RETRY_MS))

    def park(self, seat: Seat, code: str, now: int) -> None:
        """Leave `seat` out for a while."""
        self._known.discard(seat)
        held = self._holds.get(seat)
        again = held.wait_ms if held else FIRST_RETRY_MS
        self._holds[seat] = _Hold(code, now + again, min(2 * again, LAST_RETRY_MS))
        if held is None or held.code != code:
            log.warning("the feed of %s for %s is parked: %s", seat.agency, seat.purpose, code)
            self._metrics.parked(seat, code)

    def release(self, seats: Collection[Seat]) -> list[Seat]:
        """Let `seats` flow with the others; return those that had been parked."""
        held = [(seat, self._holds.pop(seat)) for seat in seats if seat in self._holds]
        parked = [seat for seat, hold in held if hold.code]
        for seat in parked:
            self._metrics.parked(seat, None)
        return parked
