"""`feed_latency_kafka`: accepted to readable in the seat's topic, with every part at work.

A mechanism in one process, the feed relay over its files in another, a subscriber here.
`python -m tests.bench.feed_latency_kafka DATA HUB` is the feed relay; NRM_KAFKA_ settings say
where, and it ends when its standard input closes.
"""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import uvloop
from kafka import KafkaConsumer, TopicPartition

from adapters.kafka.client import Broker
from adapters.kafka.feed_topics import RELAY, KafkaFeedTopics
from adapters.kafka.names import Names
from adapters.kafka.publisher import Publisher
from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.feeds import SqliteFeeds
from domain.errors import Unavailable
from domain.vocabulary import Seat
from services.bootstrap import Parts, Settings, now_ms
from services.hub.feed_relay import FeedRelay
from tests.adapters.kafka_log import broker_of
from tests.bench.brokers import new_names, running_brokers
from tests.bench.children import OPENERS, SHELTER, child
from tests.bench.feed_relaying import composer, feed_relay_of
from tests.bench.measuring import Measured, latency
from tests.bench.noticing import Noticing
from tests.servers import make_topics

PER_SECOND = 200
SECONDS = 10
CASES = 20
PATIENCE = 60.0
SEAT = Seat(SHELTER, "protection_support")
_NOTICE = b"nrm.v1.InformationNoticeGiven"
_IDLE = 0.002


class _Subscriber:
    """Reads the shelter's topic as the shelter would."""

    def __init__(self, broker: Broker, names: Names) -> None:
        self._broker = broker
        self._topic = names.feed(SEAT)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self.notices: list[float] = []
        """ms of each notice, from recorded to arrived."""

    def __enter__(self) -> "_Subscriber":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _read(self) -> None:
        options: dict[str, Any] = {"isolation_level": "read_committed", "metrics_enabled": False}
        with closing(KafkaConsumer(**self._broker.options(), **options)) as consumer:
            part = TopicPartition(self._topic, 0)
            consumer.assign([part])
            consumer.seek_to_beginning(part)
            while not self._over.is_set():
                for records in consumer.poll(100).values():
                    now = time.time() * 1000
                    kinds = [dict(r.headers)["ce_type"] for r in records]
                    late = [now - r.timestamp for r in records]
                    self.notices += [ms for k, ms in zip(kinds, late, strict=True) if k == _NOTICE]

    async def until(self, count: int) -> None:
        """Wait for so many notices."""
        async with asyncio.timeout(PATIENCE):
            while len(self.notices) < count:  # noqa: ASYNC110 - another thread counts
                await asyncio.sleep(0.01)


def feed_latency_kafka(folder: Path) -> Iterator[Measured]:
    """Post notices of cases that a shelter reads, on a fixed schedule, whatever comes back."""
    names = new_names()
    data = folder / "data"
    with running_brokers(folder / "kafka") as brokers, child("mechanism", str(data)) as (said, _):
        broker = broker_of(brokers)
        seats = [Seat(agency, purpose) for agency in (*OPENERS, SHELTER) for purpose in _PURPOSES]
        make_topics(brokers, names, seats)
        with _relay_beside(data, names, broker), _Subscriber(broker, names) as subscriber:
            answered = uvloop.run(_sent(Parts(Settings(data=data)), said, subscriber))
        readable = subscriber.notices
    against = "p99 of the answer to the POST itself"
    yield latency("feed_latency_kafka", readable, answered, against)


_PURPOSES = ("investigation", "protection_support", "return_or_residence")


@contextmanager
def _relay_beside(data: Path, names: Names, broker: Broker) -> Iterator[None]:
    """Run the feed relay in a process of its own."""
    env = os.environ | {
        "NRM_KAFKA_BOOTSTRAP": broker.bootstrap,
        "NRM_KAFKA_USER": broker.user,
        "NRM_KAFKA_PASSWORD": broker.password.reveal().decode(),
        "NRM_KAFKA_CA": broker.ca,
    }
    words = [sys.executable, "-m", "tests.bench.feed_latency_kafka", str(data), names.hub]
    with subprocess.Popen(words, stdin=subprocess.PIPE, env=env) as process:
        try:
            yield
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(30)


async def _sent(parts: Parts, said: dict[str, Any], subscriber: _Subscriber) -> list[float]:
    """Return ms from each notice sent to answered, once all of them arrived."""
    noticing = Noticing(parts, said["hub"], CASES)
    await subscriber.until(await noticing.open())
    subscriber.notices.clear()
    answered = await noticing.post(PER_SECOND, SECONDS)
    await subscriber.until(len(answered))
    await noticing.close()
    return answered


def _relay(data: Path, hub: str) -> FeedRelay:
    parts, names = Parts(Settings(data=data)), Names(hub)
    store = SqliteEventStore(str(data / "hub" / "events.db"))
    publisher = Publisher(Broker.from_env(os.environ), names, RELAY)
    return feed_relay_of(
        SqliteFeeds(str(data / "hub" / "feeds.db")),
        composer(store, parts.world, parts.language),
        KafkaFeedTopics(publisher, names, parts.language, now_ms),
        lambda _: True,
    )


def _main(data: str, hub: str) -> None:
    over = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    with closing(_relay(Path(data), hub)) as relay:
        while not over.is_set():
            try:
                if not relay.step():
                    time.sleep(_IDLE)
            except Unavailable:
                time.sleep(0.1)


if __name__ == "__main__":
    _main(*sys.argv[1:])
