"""Reads a topic from its beginning to where it ended when asked, committed records alone."""

from collections.abc import Collection, Generator, Mapping
from contextlib import closing
from time import monotonic
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from adapters.kafka.client import Broker, ours
from domain.errors import Refused, Unavailable

Ends = Mapping[str, Mapping[int, int]]
"""Topic -> partition -> offset after its last record."""
STALL_S = 60
"""A writer that died hides what is behind its open transaction until Kafka has ended it."""
_POLL_MS = 50
_READING = {
    "isolation_level": "read_committed",
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "fetch_max_wait_ms": _POLL_MS,  # what is read is there already, or never comes
    "metrics_enabled": False,
}


def ends_of(broker: Broker, topics: Collection[str]) -> Ends:
    """Return where each partition of each topic ends, open transactions included.

    `Refused` TOPIC_MISSING names a topic that is not there: a client would wait for it without
    end. A reader of committed records would be told where the first open transaction begins,
    and would miss what others have committed behind that.
    """
    with ours("list the topics"), closing(KafkaConsumer(**broker.options())) as consumer:
        consumer.topics()
        parts = [TopicPartition(topic, p) for topic in topics for p in _partitions(consumer, topic)]
        ends: dict[str, dict[int, int]] = {topic: {} for topic in topics}
        for part, end in consumer.end_offsets(parts).items():
            ends[part.topic][part.partition] = end
        return ends


def read(broker: Broker, topic: str, partition: int, end: int) -> Generator[Any]:
    """Yield the records of a partition up to offset `end`, as kafka-python's `ConsumerRecord`.

    Memory is bounded by one fetch. `Unavailable` when Kafka is away or a transaction stays open.
    """
    if not end:
        return
    part = TopicPartition(topic, partition)
    with ours(f"read {topic}"), closing(KafkaConsumer(**broker.options(), **_READING)) as consumer:
        consumer.assign([part])
        moved, at = monotonic(), -1
        while (now_at := consumer.position(part)) < end:
            if now_at > at:
                moved, at = monotonic(), now_at
            elif monotonic() - moved > STALL_S:
                message = f"topic {topic} gives no more records; retry later"
                raise Unavailable("KAFKA_STALLED", message)
            for records in consumer.poll(_POLL_MS).values():
                yield from records


def _partitions(consumer: Any, topic: str) -> Collection[int]:
    partitions: Collection[int] = consumer.partitions_for_topic(topic)
    if not partitions:
        message = f"topic {topic} is not there or not to be seen; run nrm-hub topics check"
        raise Refused("TOPIC_MISSING", message)
    return partitions
