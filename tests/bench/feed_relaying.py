"""`feed_relay`: entries of feeds into one topic a seat, composed as consent stands now.

Against it kafka-python sends the same records, in transactions as large, with nothing to read.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from adapters.kafka.client import Broker
from adapters.kafka.feed_topics import RELAY, KafkaFeedTopics
from adapters.kafka.names import Names
from adapters.kafka.publisher import Outgoing, Publisher
from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.feeds import SqliteFeeds
from domain.ports import Language
from domain.rules.world import World
from domain.vocabulary import Seat
from schemas.language import AvroLanguage
from services.bootstrap import Parts, Settings, now_ms
from services.hub.casebook import CaseBook
from services.hub.feed_pacing import Beats
from services.hub.feed_relay import FeedRelay
from services.hub.feeds import Composer, StoreWorld
from services.hub.projector import Projector
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from tests.adapters.kafka_log import broker_of
from tests.bench.brokers import AGAINST, bare_producer, new_names, running_brokers, send
from tests.bench.cases import CASE_ACTIONS, mixed
from tests.bench.ledger import write_log
from tests.bench.measuring import Measured, paired, seconds
from tests.bench.town import Town
from tests.servers import make_topics
from tests.services.relay_store import Alone

ROUNDS = 3
EVENTS = 20_000


def feed_relay(folder: Path) -> Iterator[Measured]:
    """Feeds of 100 seats, projected before; making the topics is not counted."""
    town = Town(Parts(Settings(data=folder)), 50, 50)
    store = write_log(town, str(folder / "log.db"), mixed(town, EVENTS // CASE_ACTIONS))
    feeds = SqliteFeeds(str(folder / "feeds.db"))
    projector = Projector(store, feeds, town.parts.language, town.parts.world)
    while projector.step().recorded_ms:
        pass
    with running_brokers(folder / "kafka") as brokers:
        bench = _Bench(town.parts, store, feeds, brokers)
        for name, ours in (("feed_relay", bench.started), ("feed_relay_warm", bench.warm)):
            value, ratio = paired(ROUNDS, ours, bench.baseline)
            yield Measured(
                name=name,
                value=value,
                unit="records/s",
                ratio=ratio,
                against=AGAINST,
            )


class _Bench:
    """One log, its feeds, and hubs of their own to publish them for, round after round."""

    def __init__(
        self,
        parts: Parts,
        store: SqliteEventStore,
        feeds: SqliteFeeds,
        brokers: Brokers | GivenBrokers,
    ) -> None:
        self._parts = parts
        self._store = store
        self._feeds = feeds
        self._brokers = brokers
        self._seats = sorted({seat for seat, _ in feeds.heads()})
        self._sent: list[list[Outgoing]] = []
        """The records of each transaction of ours."""
        self._composer = self._cold()

    def started(self, number: int) -> float:
        """Return records a second of a relay that has seen no case yet."""
        self._composer = self._cold()
        return self.warm(number)

    def warm(self, _: int) -> float:
        """Return records a second of a relay that holds what it has composed."""
        names = new_names()
        make_topics(self._brokers, names, self._seats)
        publisher = _Kept(broker_of(self._brokers), names, RELAY)
        topics = KafkaFeedTopics(publisher, names, self._parts.language, now_ms)
        going: list[bool] = []
        relay = feed_relay_of(self._feeds, self._composer, topics, lambda _: bool(going))
        with closing(relay):
            relay.step()  # takes over; nobody is wanted yet
            topics.beat(self._seats)  # the client asks for each topic at its first record
            publisher.sent.clear()
            going.append(True)
            took = seconds(lambda: _run(relay))
        self._sent = publisher.sent
        return sum(map(len, self._sent)) / took

    def baseline(self, _: int) -> float:
        """Return records a second of kafka-python alone, with the settings of ours."""
        if not self._sent:
            self.started(0)
        with bare_producer(broker_of(self._brokers)) as producer:
            for topic in {r.topic for records in self._sent for r in records}:
                producer.partitions_for(topic)
            took = seconds(lambda: send(producer, self._sent))
        return sum(map(len, self._sent)) / took

    def _cold(self) -> Composer:
        return composer(self._store, self._parts.world, AvroLanguage())


class _Kept(Publisher):
    """A publisher that keeps what it sent."""

    def __init__(self, broker: Broker, names: Names, relay: str) -> None:
        super().__init__(broker, names, relay)
        self.sent: list[list[Outgoing]] = []

    def publish(self, records: Iterable[Outgoing], positions: Mapping[bytes, bytes]) -> None:
        self.sent.append(list(records))
        super().publish(self.sent[-1], positions)


class _Unwatched:
    """Metrics that nobody reads."""

    def feeds_behind(self, entries: int) -> None:
        """Note nothing."""

    def delivered(self, seat: Seat, recorded_ms: Sequence[int]) -> None:
        """Note nothing."""

    def parked(self, seat: Seat, code: str | None) -> None:
        raise RuntimeError(f"the bench's topic was refused: {code}")


def composer(store: SqliteEventStore, world: World, language: Language) -> Composer:
    """Return what makes the records, of cases that it has not seen."""
    return Composer(
        store=store,
        language=language,
        book=CaseBook(language),
        world=StoreWorld(store, language, world),
        clock=now_ms,
    )


def feed_relay_of(
    feeds: SqliteFeeds, compose: Composer, topics: KafkaFeedTopics, wanted: Callable[[Seat], bool]
) -> FeedRelay:
    """Return the only relay of `feeds`, which writes hardly ever a heartbeat."""
    return FeedRelay(
        feeds=feeds,
        compose=compose,
        topics=topics,
        lease=Alone(),
        wanted=wanted,
        beats=Beats(every_ms=3_600_000, window_ms=3_600_000),
        clock=now_ms,
        metrics=_Unwatched(),
    )


def _run(relay: FeedRelay) -> None:
    while relay.step():
        pass
