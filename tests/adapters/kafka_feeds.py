"""What the tests of the feed topics share: invented entries, and what a subscriber finds."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache
from time import time_ns
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from adapters.kafka.client import Broker
from adapters.kafka.feed_topics import RELAY, FeedFraming, KafkaFeedTopics
from adapters.kafka.names import Names
from adapters.kafka.publisher import Publisher
from domain.feed import Cursor
from domain.messages import FeedItem, Shown
from domain.publishing import FeedRecord
from domain.record import Record
from domain.vocabulary import ALL_SEALED, Seat, names_of
from schemas.language import AvroLanguage
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from tests.adapters.kafka_log import broker_of
from tests.agencies import sha
from tests.builders import uid
from tests.contracts.making import statement
from tests.schemas.builders import example, sealed_record

LANGUAGE = AvroLanguage()
SHELTER = Seat("gb-shelter", "protection_support")
POLICE = Seat("gb-police", "investigation")
TYPE = "nrm.v1.PersonIdentityRecorded"
STARTED_MS = 1_760_000_000_000


def now_ms() -> int:
    return time_ns() // 1_000_000


@cache
def event_record(event_id: str, type: str = TYPE) -> Record:
    """Return the record of an event that says something in every field, all of it sealed."""
    document = example(type)
    return sealed_record(type, document | {"head": document["head"] | {"event_id": event_id}})


def entry(
    seat: Seat, seq: int, label: str = "", *, lane: int = 0, mask: int = ALL_SEALED, **changes: Any
) -> FeedRecord:
    """Return entry `seq` of a seat, about the event `label`, shown as `mask` says."""
    event_id = uid(label or f"event {lane} {seq}")
    shown = Shown(
        type=TYPE,
        record=LANGUAGE.body(event_record(event_id).withhold(mask)),
        statement=statement(event_id),
        signature=2 * sha(event_id),
        recorded_ms=STARTED_MS,
    )
    item = FeedItem(
        lane=lane,
        seq=seq,
        supersedes=None,
        categories=names_of(mask),
        granted=names_of(mask),
        basis="act-1 GB.LAW" if mask else "",
        event=shown,
    )
    return FeedRecord(seat=seat, event_id=event_id, item=replace(item, **changes))


def places(records: Sequence[FeedRecord]) -> dict[Seat, Cursor]:
    """Return where each seat stands once all of `records`, from its first on, are published."""
    found: dict[Seat, Cursor] = {}
    for record in records:
        before = found.get(record.seat, Cursor())
        found[record.seat] = before.past(record.item.lane, record.item.seq)
    return found


def topics_of(
    brokers: Brokers | GivenBrokers, hub_id: str, broker: Broker | None = None
) -> KafkaFeedTopics:
    names = Names(hub_id)
    publisher = Publisher(broker or broker_of(brokers), names, RELAY)
    return KafkaFeedTopics(publisher, names, LANGUAGE, now_ms)


def read_all(broker: Broker, topic: str, isolation: str = "read_committed") -> list[Any]:
    """Return the records of a feed topic as a client of its own finds them, oldest first."""
    options = {"isolation_level": isolation, "enable_auto_commit": False}
    part = TopicPartition(topic, 0)
    with closing(KafkaConsumer(**broker.options(), **options)) as consumer:
        consumer.assign([part])
        end = consumer.end_offsets([part])[part]
        consumer.seek_to_beginning(part)
        records: list[Any] = []
        while consumer.position(part) < end:
            for some in consumer.poll(200).values():
                records += some
    return records


def decoded(records: Sequence[Any], hub_id: str, seat: Seat) -> list[FeedRecord]:
    """Return what `records` of the seat's topic say, heartbeats left out."""
    framing = FeedFraming(LANGUAGE, Names(hub_id))
    said = (framing.decode(seat, r.key, r.value, r.headers) for r in records)
    return [one for one in said if one is not None]


def feed_of(brokers: Brokers | GivenBrokers, hub_id: str, seat: Seat) -> list[FeedRecord]:
    """Return the committed entries of the seat's topic."""
    return decoded(read_all(broker_of(brokers), Names(hub_id).feed(seat)), hub_id, seat)
