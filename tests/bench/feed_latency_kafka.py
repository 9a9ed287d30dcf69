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
from itertools import cycle
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid4

import uvloop
from kafka import KafkaConsumer, TopicPartition

from adapters.http_links import HttpHubLink
from adapters.kafka.client import Broker
from adapters.kafka.feed_topics import RELAY, KafkaFeedTopics
from adapters.kafka.names import Names
from adapters.kafka.publisher import Publisher
from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.feeds import SqliteFeeds
from domain.errors import Unavailable
from domain.messages import Submission
from domain.secret import Secret
from domain.vocabulary import Seat
from services.bootstrap import Parts, Settings, now_ms
from services.hub.casebook import CaseBook
from services.hub.feed_pacing import Beats
from services.hub.feed_relay import FeedRelay
from services.hub.feeds import Composer, StoreWorld
from tests.bench.cases import WrittenCase
from tests.bench.children import OPENERS, SHELTER, child
from tests.bench.feed_relaying import Ours, Unwatched, a_broker, broker_of
from tests.bench.ledger import check
from tests.bench.measuring import Measured, quantile
from tests.bench.town import Town
from tests.servers import make_topics

PER_SECOND = 200
SECONDS = 10
CASES = 20
PATIENCE = 60.0
SEAT = Seat(SHELTER, "protection_support")
_NOTICE = b"nrm.v1.InformationNoticeGiven"
_IDLE = 0.002


class _Members(Town):
    """The mechanism's members, whose keys lie in their gateways' keystores."""

    def seed(self, agency: str) -> Secret:
        """Return the seed of a member's signing key."""
        return self.parts.secret(f"gateways/{agency}", "signing")


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
    names = Names(f"nrm:b{uuid4().hex[:12]}")
    data = folder / "data"
    with a_broker(folder / "kafka") as brokers, child("mechanism", str(data)) as (said, _):
        broker = broker_of(brokers)
        seats = [Seat(agency, purpose) for agency in (*OPENERS, SHELTER) for purpose in _PURPOSES]
        make_topics(brokers, names, seats)
        with _relay_beside(data, names, broker), _Subscriber(broker, names) as subscriber:
            answered = uvloop.run(_sent(Parts(Settings(data=data)), said, subscriber))
        readable = subscriber.notices
    p99 = quantile(readable, 0.99)
    yield Measured(
        name="feed_latency_kafka",
        value=quantile(readable, 0.5),
        unit="ms",
        ratio=p99 / quantile(answered, 0.99),
        against="p99 of the answer to the POST itself",
        p99_ms=p99,
    )


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
    town = _Members(parts, 0, 0)
    links = {
        agency: HttpHubLink(said["hub"], agency, town.sealer(agency).public_key, town.seed(agency))
        for agency in OPENERS
    }
    cases = [WrittenCase(town, OPENERS[n % len(OPENERS)], SHELTER) for n in range(CASES)]
    for case in cases:
        actions = tuple(action for step in case.opening() for _, action in step)
        check((await links[case.opener].submit(Submission(actions=actions))).outcomes)
    await subscriber.until(len(cases))
    subscriber.notices.clear()
    due = [(n / PER_SECOND, case) for n, case in zip(range(PER_SECOND * SECONDS), cycle(cases))]
    plans = {
        agency: [(at, case.notice()) for at, case in due if case.opener == agency]
        for agency in OPENERS
    }
    answered: list[float] = []

    async def send(agency: str, started: float) -> None:
        for at, notice in plans[agency]:
            await asyncio.sleep(max(0.0, started + at - perf_counter()))
            sent = perf_counter()
            actions = tuple(action for _, action in notice)
            check((await links[agency].submit(Submission(actions=actions))).outcomes)
            answered.append((perf_counter() - sent) * 1000)

    started = perf_counter()
    await asyncio.gather(*(send(agency, started) for agency in OPENERS))
    await subscriber.until(len(due))
    for link in links.values():
        await link.close()
    return answered


def _relay(data: Path, hub: str) -> FeedRelay:
    parts, names = Parts(Settings(data=data)), Names(hub)
    store = SqliteEventStore(str(data / "hub" / "events.db"))
    composer = Composer(
        store=store,
        language=parts.language,
        book=CaseBook(parts.language),
        world=StoreWorld(store, parts.language, parts.world),
        clock=now_ms,
    )
    publisher = Publisher(Broker.from_env(os.environ), names, RELAY)
    return FeedRelay(
        feeds=SqliteFeeds(str(data / "hub" / "feeds.db")),
        compose=composer,
        topics=KafkaFeedTopics(publisher, names, parts.language, now_ms),
        lease=Ours(),
        wanted=lambda _: True,
        beats=Beats(every_ms=3_600_000, window_ms=3_600_000),
        clock=now_ms,
        metrics=Unwatched(),
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
