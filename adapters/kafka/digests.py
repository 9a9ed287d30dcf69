"""The digest of one record of the log, for whoever is about to let a lane pass over it."""

import hashlib
from contextlib import closing

from kafka import KafkaConsumer, TopicPartition

from adapters.kafka.client import Broker, ours
from adapters.kafka.names import Names
from adapters.kafka.preflight import Need, preflight
from domain.errors import Refused
from domain.feed import LANES

_WAIT_MS = 10_000
_READING = {
    "isolation_level": "read_committed",
    "enable_auto_commit": False,
    "metrics_enabled": False,
}


def record_digest(broker: Broker, names: Names, lane: int, offset: int) -> bytes:
    """Return SHA-256 of the value of the record at `offset` of `lane`.

    `Refused` RECORD_MISSING if no committed record is there; others as `preflight`.
    """
    preflight(broker, [Need(topic=names.log, partitions=LANES)])
    part = TopicPartition(names.log, lane)
    options = {**broker.options(), **_READING}
    with ours(f"read topic {names.log}"), closing(KafkaConsumer(**options)) as consumer:
        consumer.assign([part])
        if 0 <= offset < consumer.end_offsets([part])[part]:
            consumer.seek(part, offset)
            for records in consumer.poll(_WAIT_MS, max_records=1).values():
                if records[0].offset == offset:
                    return hashlib.sha256(records[0].value or b"").digest()
    raise Refused("RECORD_MISSING", f"lane {lane} has no record at offset {offset}")
