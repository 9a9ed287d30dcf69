"""What the tests of the log on Kafka share: histories, and what any client finds in a topic."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any
from uuid import UUID

from kafka import KafkaConsumer, TopicPartition

from adapters.kafka.client import Broker
from adapters.kafka.log import RELAY, KafkaLogTopic
from adapters.kafka.names import Names
from adapters.kafka.publisher import Publisher
from domain.events import REGISTRY_STREAM
from domain.ports import Recorded, Refusal
from domain.publishing import Published, event_digest
from domain.secret import Secret
from schemas.language import AvroLanguage
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from tests.builders import uid
from tests.contracts.making import recorded, refusal

LANGUAGE = AvroLanguage()
INCARNATION = uid("store")
REGISTRY_TYPE = "nrm.v1.AgencyRegistered"


def broker_of(brokers: Brokers | GivenBrokers, user: str = "", password: str = "") -> Broker:
    """Return how the super user, or `user`, reaches `brokers`."""
    return Broker(
        bootstrap=brokers.bootstrap,
        user=user or brokers.admin_user,
        password=Secret((password or brokers.admin_password).encode()),
        ca=brokers.ca,
    )


def topic_of(brokers: Brokers | GivenBrokers, hub_id: str) -> KafkaLogTopic:
    names = Names(hub_id)
    return KafkaLogTopic(Publisher(broker_of(brokers), names, RELAY), LANGUAGE, names)


def case_in(lane: int, label: str) -> str:
    """Return the id of a case of `lane`."""
    return f"{lane:08x}{str(UUID(uid(label)))[8:]}"


def history(count: int, *, first: int = 1, label: str = "event") -> list[Recorded]:
    """Return `count` events in log order: cases of all lanes, now and then a registry fact."""
    return [_event(position, label) for position in range(first, first + count)]


def _event(position: int, label: str) -> Recorded:
    is_fact = position % 5 == 1
    case_id = REGISTRY_STREAM if is_fact else case_in(position % 8, f"case {position % 11}")
    event = recorded(f"{label} {position}", version=position, case_id=case_id, position=position)
    return replace(event, type=REGISTRY_TYPE if is_fact else event.type)


def refused(count: int) -> list[Refusal]:
    return [refusal(f"refused {n}", number=n) for n in range(1, count + 1)]


def place(events: Sequence[Recorded], refusals: Sequence[Refusal] = ()) -> Published:
    """Return the place after all of these were published."""
    published = Published(incarnation=INCARNATION, refusals=len(refusals))
    if not events:
        return published
    return replace(published, position=events[-1].position, digest=event_digest(events[-1]))


def found(
    brokers: Brokers | GivenBrokers, topic: str, isolation: str = "read_committed"
) -> list[list[Any]]:
    """Return the records of each partition as a client of its own finds them."""
    options = {"isolation_level": isolation, "enable_auto_commit": False}
    with closing(KafkaConsumer(**broker_of(brokers).options(), **options)) as consumer:
        lanes = sorted(consumer.partitions_for_topic(topic))
        parts = [TopicPartition(topic, lane) for lane in lanes]
        consumer.assign(parts)
        ends = consumer.end_offsets(parts)
        consumer.seek_to_beginning(*parts)
        records: dict[TopicPartition, list[Any]] = {part: [] for part in parts}
        while any(consumer.position(part) < ends[part] for part in parts):
            for part, some in consumer.poll(200).items():
                records[part] += some
    return list(records.values())


def positions(records: Sequence[Any]) -> list[int]:
    """Return the log positions that records carry."""
    return [int(dict(r.headers)["ce_sequence"]) for r in records]
