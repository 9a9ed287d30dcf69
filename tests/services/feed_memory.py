"""Feed topics in memory, under the contract of the real ones, that can be told to say no."""

from collections.abc import Collection, Mapping, Sequence

from domain.errors import Refused, Unavailable
from domain.feed import Cursor
from domain.publishing import FeedRecord
from domain.vocabulary import Seat


class MemoryTopics:
    """What a broker would hold."""

    def __init__(self, seats: Collection[Seat]) -> None:
        self.there = set(seats)
        """Seats that have a topic."""
        self.shut = set[Seat]()
        """Seats whose topic may not be written."""
        self.unfit = set[Seat]()
        """Seats whose records are refused, and nothing before that says so."""
        self.away = False
        self.lost_answer = False
        """The next transaction is written, and whoever wrote it never hears of it."""
        self.places: dict[Seat, Cursor] = {}
        self.written: list[list[FeedRecord]] = []
        """The records of each transaction."""
        self.looks = 0
        """How often somebody asked what can be written."""
        self.beats: list[Seat] = []
        self.writer: object = None

    def entries(self, seat: Seat) -> list[FeedRecord]:
        """Return the entries in the topic of a seat."""
        return [r for records in self.written for r in records if r.seat == seat]

    def check(self, seats: Collection[Seat]) -> None:
        """Refuse or fail as a broker would."""
        if self.away:
            raise Unavailable("KAFKA_UNAVAILABLE", "retry")
        if not self.there.issuperset(seats):
            raise Refused("TOPIC_MISSING", "make it")
        if self.shut.intersection(seats):
            raise Refused("KAFKA_NOT_ALLOWED", "allow it")
        if self.unfit.intersection(seats):
            raise Refused("RECORD_TOO_LARGE", "shorten it")


class MemoryFeedTopics:
    """See the ports `FeedTopics` and `BeatenTopics`."""

    def __init__(self, topics: MemoryTopics) -> None:
        self._topics = topics
        self._known = False

    def published(self) -> Mapping[Seat, Cursor]:
        self._topics.check(())
        self._topics.writer = self
        self._known = True
        return dict(self._topics.places)

    def publish(self, records: Sequence[FeedRecord], published: Mapping[Seat, Cursor]) -> None:
        self._write({r.seat for r in records})
        self._topics.written.append(list(records))
        self._topics.places |= published
        if self._topics.lost_answer:
            self._topics.lost_answer = self._known = False
            raise Unavailable("KAFKA_UNAVAILABLE", "it may have been written")

    def beat(self, seats: Collection[Seat]) -> None:
        self._write(seats)
        self._topics.beats += seats

    def unready(self, seats: Collection[Seat]) -> Mapping[Seat, str]:
        self._topics.check(())
        self._topics.looks += 1
        missing = {seat: "TOPIC_MISSING" for seat in seats if seat not in self._topics.there}
        shut = {seat: "KAFKA_NOT_ALLOWED" for seat in seats if seat in self._topics.shut}
        return shut | missing

    def close(self) -> None:
        self._known = False

    def _write(self, seats: Collection[Seat]) -> None:
        """As a real writer does, know nothing any more after an error."""
        known, self._known = self._known, False
        if not known:
            raise Unavailable("KAFKA_POSITION_UNREAD", "read the places first")
        if self._topics.writer is not self:
            raise Refused("FENCED", "another writer took over")
        self._topics.check(seats)
        self._known = True
