"""The log of a test on a real broker, and projectors that read it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from time import monotonic
from typing import Any

from kafka import KafkaProducer

from adapters.kafka.client import Broker
from adapters.kafka.names import Names
from adapters.kafka.source import KafkaSource
from adapters.postgres.feeds import PostgresFeeds
from adapters.sqlite.feeds import SqliteFeeds
from domain.errors import Unavailable
from domain.feed import Progress
from domain.lanes import Batch
from domain.ports import EventStore, Feeds, Recorded
from services.hub.projecting import KafkaProjection
from services.hub.projector import Projector
from tests.adapters.kafka_log import broker_of, place, topic_of
from tests.agencies import world
from tests.servers import make_topics
from tests.services.case_logs import LANGUAGE, by_lane

LIMIT_S = 120.0
"""Seconds after which a condition counts as never met; far above what any machine needs."""


def published(brokers: Any, hub_id: str, events: Sequence[Recorded]) -> Broker:
    """Make the hub's topics and publish `events` as the relay does; return how to get there."""
    make_topics(brokers, Names(hub_id))
    publish(brokers, hub_id, events)
    return broker_of(brokers)


def publish(brokers: Any, hub_id: str, events: Sequence[Recorded]) -> None:
    with closing(topic_of(brokers, hub_id)) as topic:
        topic.published()
        for at in range(0, len(events), 500):
            some = events[at : at + 500]
            topic.publish(some, (), place(some))


def inject(brokers: Any, hub_id: str, lane: int, *records: dict[str, Any]) -> None:
    """Write records that no relay would write into a lane."""
    with closing(KafkaProducer(**broker_of(brokers).options())) as producer:
        for record in records:
            producer.send(Names(hub_id).log, partition=lane, **record)
        producer.flush()


def source(broker: Broker, hub_id: str, **options: Any) -> KafkaSource:
    return KafkaSource(broker, Names(hub_id), LANGUAGE, **options)


@contextmanager
def projection(
    broker: Broker, hub_id: str, store: EventStore, feeds: Feeds, **options: Any
) -> Iterator[KafkaProjection]:
    """Open a projector that reads its share of the log from Kafka."""
    projector = Projector(store, feeds, LANGUAGE, world(), ())
    with closing(KafkaProjection(source(broker, hub_id, **options), projector)) as opened:
        yield opened


def opened(address: str) -> Any:
    """Return the feeds at `address`: a database's, or a file."""
    return PostgresFeeds(address) if "://" in address else SqliteFeeds(address)


def until(holds: Callable[[], Any], *projections: KafkaProjection) -> None:
    """Let `projections` step in turn until `holds`."""
    deadline = monotonic() + LIMIT_S
    while not holds():
        assert monotonic() < deadline, "waited in vain"
        for one in projections:
            try:
                one.step()
            except Unavailable:
                continue


def drained(feeds: Feeds, events: Sequence[Recorded]) -> bool:
    """Return whether every lane has come to its last event."""
    return all(at >= last for at, last in zip(positions(feeds), lasts(events), strict=True))


def positions(feeds: Feeds) -> list[int]:
    return [progress.position for progress in feeds.progress()]


def lasts(events: Sequence[Recorded]) -> list[int]:
    """Return the position of each lane's last event."""
    return [lane[-1].position for lane in by_lane(events)]


def collected(
    reader: KafkaSource, enough: Callable[[list[Batch]], bool], start: int = 0
) -> list[Batch]:
    """Poll `reader`, placing every lane at offset `start`, until what came is `enough`."""
    batches: list[Batch] = []
    deadline = monotonic() + LIMIT_S
    while not enough(batches):
        assert monotonic() < deadline, "waited in vain"
        batches += reader.poll(0.2)
        reader.place({n: Progress(offset=start) for n in reader.unplaced()})
    return batches
