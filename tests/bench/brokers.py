"""Brokers for a bench, and what kafka-python alone does with the records that ours sends them."""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from kafka import KafkaProducer

from adapters.kafka.client import Broker
from adapters.kafka.names import Names
from adapters.kafka.publisher import Outgoing
from services.local import access
from services.local.access import GivenBrokers
from services.local.brokers import Brokers

AGAINST = "kafka-python sending the same records in transactions of 500"
_TUNED = {"linger_ms": 1_000, "batch_size": 1 << 18}
"""As ours: what is fastest for kafka-python."""


@contextmanager
def running_brokers(folder: Path, nodes: int = 1) -> Iterator[Brokers | GivenBrokers]:
    """Run `nodes` brokers for the block, or use those that the environment names."""
    given = access.given(os.environ)
    if given:
        yield given
        return
    own = Brokers(folder, nodes, env=os.environ)
    own.start()
    try:
        yield own
    finally:
        own.stop()


def new_names() -> Names:
    """Return the names of a hub that there was not yet."""
    return Names(f"nrm:b{uuid4().hex[:12]}")


@contextmanager
def bare_producer(broker: Broker, **settings: Any) -> Iterator[Any]:
    """Yield a producer of kafka-python, tuned as ours, with `settings`, ready for transactions."""
    options = broker.options() | _TUNED | settings
    with closing(KafkaProducer(**options, transactional_id=uuid4().hex)) as producer:
        producer.init_transactions()
        yield producer


def send(producer: Any, batches: Sequence[Sequence[Outgoing]]) -> None:
    """Send each batch in a transaction of its own."""
    for records in batches:
        producer.begin_transaction()
        for r in records:
            producer.send(r.topic, r.value, r.key, r.headers, r.partition, r.timestamp_ms)
        producer.flush()
        producer.commit_transaction()
