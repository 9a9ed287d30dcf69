"""`project`: the projector over a prepared log, feeds rebuilt from nothing.

On one core from the store and from Kafka, on two cores, and beside live feeds of a long log.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import UUID

from kafka import KafkaConsumer, TopicPartition

from adapters.kafka.log import RELAY, KafkaLogTopic
from adapters.kafka.publisher import Publisher
from adapters.kafka.source import LIMIT, KafkaSource
from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.feeds import SqliteFeeds
from domain.events import REGISTRY_STREAM
from domain.feed import LANES, lanes_of
from domain.ports import Recorded
from domain.publishing import Published, event_digest
from services.bootstrap import Parts, Settings
from services.hub.projecting import KafkaProjection
from services.hub.projector import Projector
from services.hub.rebuilding import Rebuilding
from tests.adapters.kafka_log import broker_of
from tests.bench.brokers import new_names, running_brokers
from tests.bench.cases import CASE_ACTIONS, mixed
from tests.bench.ledger import write_log
from tests.bench.measuring import Measured, paired, seconds
from tests.bench.town import Town
from tests.servers import make_topics

ROUNDS = 3
EVENTS = 20_000
LONG = 100_000
"""Events of the log that is rebuilt; BENCH_EVENTS in the environment replaces it."""
PAGE = 500
MB = 1_000_000


def project(folder: Path) -> Iterator[Measured]:
    """Feeds for 100 agencies of two purposes each; writing the log is not counted."""
    town = Town(Parts(Settings(data=folder)), 50, 50)
    store = write_log(town, str(folder / "log.db"), mixed(town, EVENTS // CASE_ACTIONS))
    yield from _from_store(folder, town.parts, store)
    yield _on_two_cores(folder, store.head())
    with running_brokers(folder / "kafka") as brokers:
        yield _from_kafka(folder, town.parts, store, brokers)
    yield from _rebuilt(folder, store)


def _from_store(folder: Path, parts: Parts, store: SqliteEventStore) -> Iterator[Measured]:
    events = store.head()

    def ours(number: int) -> float:
        feeds = SqliteFeeds(str(folder / f"feeds-{number}.db"))
        projector = Projector(store, feeds, parts.language, parts.world)
        return events / seconds(lambda: _run(projector))

    value, ratio = paired(ROUNDS, ours, lambda _: events / seconds(lambda: _read(store, parts)))
    yield Measured(
        name="project",
        value=value,
        unit="events/s",
        ratio=ratio,
        against="reading and decoding the same log",
    )


def _run(projector: Projector) -> None:
    while projector.step(PAGE).recorded_ms:
        pass


def _read(store: SqliteEventStore, parts: Parts) -> None:
    position, language = 0, parts.language
    while page := store.read_log(position, PAGE):
        for recorded in page:
            language.event(language.record(recorded.type, recorded.body))
        position = page[-1].position


def _on_two_cores(folder: Path, events: int) -> Measured:
    """Two processes, each half of the lanes, into one database."""
    halves = [range(LANES // 2), range(LANES // 2, LANES)]

    def ours(number: int) -> float:
        return events / _together(folder, f"two-{number}", halves)

    def alone(number: int) -> float:
        return events / _together(folder, f"one-{number}", [range(LANES)])

    value, ratio = paired(ROUNDS, ours, alone)
    return Measured(
        name="project_two",
        value=value,
        unit="events/s",
        ratio=ratio,
        against="one process with every lane",
    )


def _together(folder: Path, name: str, shares: Sequence[Sequence[int]]) -> float:
    """Return the seconds in which processes with these shares of the lanes project the log."""
    SqliteFeeds(str(folder / f"{name}.db")).close()
    context = get_context("spawn")
    ready = context.Barrier(len(shares) + 1)
    processes = [
        context.Process(target=_share, args=(folder, name, list(lanes), ready)) for lanes in shares
    ]
    for process in processes:
        process.start()
    ready.wait()
    return seconds(lambda: _join(processes))


def _join(processes: Sequence[Any]) -> None:
    for process in processes:
        process.join()


def _share(folder: Path, name: str, lanes: Sequence[int], ready: Any) -> None:
    parts = Parts(Settings(data=folder))
    store = SqliteEventStore(str(folder / "log.db"))
    feeds = SqliteFeeds(str(folder / f"{name}.db"))
    projector = Projector(store, feeds, parts.language, parts.world, lanes)
    ready.wait()
    _run(projector)


def _from_kafka(folder: Path, parts: Parts, store: SqliteEventStore, brokers: Any) -> Measured:
    names, broker, events = new_names(), broker_of(brokers), store.head()
    make_topics(brokers, names)
    _publish(KafkaLogTopic(Publisher(broker, names, RELAY), parts.language, names), store)
    ends = _ends(store)

    def ours(number: int) -> float:
        feeds = SqliteFeeds(str(folder / f"kafka-{number}.db"))
        source = KafkaSource(broker, names, parts.language)
        projector = Projector(store, feeds, parts.language, parts.world, ())
        with closing(KafkaProjection(source, projector)) as projection:
            while len(projector.lanes) < LANES:
                projection.step()
            return events / seconds(lambda: _follow(projection, ends))

    def alone(_: int) -> float:
        options = {"isolation_level": "read_committed", "auto_offset_reset": "earliest"}
        with closing(KafkaConsumer(**broker.options(), **options)) as consumer:
            consumer.assign([TopicPartition(names.log, lane) for lane in range(LANES)])
            return events / seconds(lambda: _consume(consumer))

    value, ratio = paired(ROUNDS, ours, alone)
    return Measured(
        name="project_kafka",
        value=value,
        unit="events/s",
        ratio=ratio,
        against="kafka-python consuming the same records alone",
    )


def _publish(topic: KafkaLogTopic, store: SqliteEventStore) -> None:
    with closing(topic):
        topic.published()
        for page in _pages(store):
            last = page[-1]
            place = Published(
                incarnation=store.incarnation(),
                position=last.position,
                digest=event_digest(last),
            )
            topic.publish(page, (), place)


def _pages(store: SqliteEventStore) -> Iterator[Sequence[Recorded]]:
    position = 0
    while page := store.read_log(position, PAGE):
        yield page
        position = page[-1].position


def _ends(store: SqliteEventStore) -> list[int]:
    """Return the position of the last event of each lane."""
    ends = [0] * LANES
    for page in _pages(store):
        for event in page:
            for lane in lanes_of(event.case_id):
                ends[lane] = event.position
    return ends


def _follow(projection: KafkaProjection, ends: Sequence[int]) -> None:
    while any(p.position < ends[n] for n, p in projection.projector.progress().items()):
        projection.step()


def _consume(consumer: Any) -> None:
    parts = list(consumer.assignment())
    ends = consumer.end_offsets(parts)
    while any(consumer.position(part) < ends[part] for part in parts):
        consumer.poll(500, max_records=LIMIT)


def _rebuilt(folder: Path, store: SqliteEventStore) -> Iterator[Measured]:
    """A long log, projected once and then again beside the live feeds, in a process apart."""
    events = int(os.environ.get("BENCH_EVENTS", LONG))
    _lengthen(store, events)
    context = get_context("spawn")
    says, said = context.Pipe()
    process = context.Process(target=_rebuild, args=(folder, said))
    process.start()
    live, took, before, after = says.recv()
    process.join()
    yield Measured(
        name="rebuild",
        value=events / took,
        unit="events/s",
        ratio=live / took,
        against="the first projection of the same log; comparing and switching are counted",
    )
    yield Measured(
        name="rebuild_memory",
        value=after / MB,
        unit="MB",
        ratio=after / before,
        against=f"the same process before ({before / MB:.0f} MB)",
    )


def _lengthen(store: SqliteEventStore, events: int) -> None:
    """Append the log's cases again and again under new ids, which are as long, up to `events`."""
    cases = [e for page in _pages(store) for e in page if e.case_id != REGISTRY_STREAM]
    span = cases[-1].recorded_ms - cases[0].recorded_ms + 1
    for copy in count(1):
        missing = events - store.head()
        if missing <= 0:
            return
        with store.appending() as tx:
            tx.append([_again(e, copy, copy * span) for e in cases[:missing]], [])


def _again(event: Recorded, copy: int, later_ms: int) -> Recorded:
    case_id, event_id = (_other_id(i, copy) for i in (event.case_id, event.event_id))
    body = event.body.replace(event.case_id.encode(), case_id.encode())
    return replace(
        event,
        position=0,
        case_id=case_id,
        event_id=event_id,
        body=body.replace(event.event_id.encode(), event_id.encode()),
        recorded_ms=event.recorded_ms + later_ms,
    )


def _other_id(known: str, copy: int) -> str:
    return str(UUID(int=UUID(known).int ^ copy << 64))


def _rebuild(folder: Path, says: Any) -> None:
    parts = Parts(Settings(data=folder))
    store = SqliteEventStore(str(folder / "log.db"))
    feeds = SqliteFeeds(str(folder / "long.db"))
    before = _peak()
    projector = Projector(store, feeds, parts.language, parts.world)
    live = seconds(lambda: _run(projector))
    rebuilding = Rebuilding(store, feeds, parts.language, parts.world)
    says.send((live, seconds(rebuilding.run), before, _peak()))


def _peak() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not say how much memory a process has")
