"""Three brokers whose partitions move, and that all hang at once: later, and nothing lost."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from adapters.kafka.names import Names
from adapters.kafka.source import KafkaSource
from domain.errors import Unavailable
from domain.feed import LANES, Progress
from services.local.brokers import Brokers
from services.local.processes import until
from tests.adapters.kafka_log import LANGUAGE, broker_of
from tests.failures import checks
from tests.failures.apart import LIMIT, WORKERS, Apart, Part, apart
from tests.failures.writing import Load, register, writing
from tests.servers import make_topics

PREFERRED = 0
"""Kind of election; 1 is the unclean one, which is never asked for."""
ROUNDS: Sequence[Sequence[Sequence[int]]] = (
    ((2, 3, 1), (3, 1, 2), (1, 2, 3)),
    ((2, 3), (3, 1), (1, 2)),
    ((3, 1, 2), (1, 2, 3), (2, 3, 1)),
)
"""In each round, the replicas of every first, second and third partition; the first one leads."""
HANG_SECONDS = 25.0
"""Longer than a producer waits for a transaction, and than a consumer may be silent."""


@pytest.fixture
def one(
    three_brokers: Brokers, database: str, hub_id: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Apart]:
    with apart(tmp_path_factory.mktemp("apart"), hub_id, database, three_brokers) as made:
        yield made


def _begin(one: Apart) -> tuple[Part, list[Part]]:
    (hub,) = one.started("hub")
    register(one, hub)
    one.topics()
    return hub, one.started(*WORKERS)


def _nothing_is_lost(one: Apart, load: Load, parts: Sequence[Part]) -> None:
    assert load.refusals() == []
    checks.log_is_what_was_answered(one, load)
    checks.kafka_has_the_log(one)
    assert checks.feeds_are_what_the_log_gives(one)
    checks.topics_have_the_feeds(one)
    assert all(part.lives for part in parts)
    for part in parts:
        assert until(checks.works(part), seconds=LIMIT), part.said()


def test_leaders_and_replicas_that_move_under_load_cost_time_and_nothing_else(
    one: Apart, three_brokers: Brokers
) -> None:
    hub, workers = _begin(one)
    options = three_brokers.client_options()
    with writing(one, [hub]) as load, closing(KafkaAdminClient(**options)) as admin:
        for replicas in ROUNDS:
            load.more()
            _move(admin, one, replicas)
            _lead(admin, one, replicas)
            _catches_up(one, load)
        load.stop()
        _nothing_is_lost(one, load, [hub, *workers])


def test_a_projector_that_is_given_its_lanes_while_leaders_move_finds_the_new_ones(
    one: Apart, three_brokers: Brokers
) -> None:
    """The client goes on asking who led when it last looked, and its paused lanes fetch nothing."""
    one.topics()
    lanes = {n: Progress() for n in range(LANES)}
    options = three_brokers.client_options()
    reader = KafkaSource(broker_of(three_brokers), one.names, LANGUAGE)
    with closing(reader), closing(KafkaAdminClient(**options)) as admin:
        assert until(lambda: _joined(reader, 0.1), seconds=LIMIT)
        for replicas in ROUNDS[:2]:
            _move(admin, one, replicas)
            _lead(admin, one, replicas)
            assert until(lambda: _placed(reader, lanes), seconds=LIMIT)


def test_a_projector_gets_its_lanes_wherever_its_polls_cut_the_joining_in_two(
    three_brokers: Brokers,
) -> None:
    """The client joins anew when it gets to know the topic; it may forget that between polls."""
    for milliseconds in range(22, 46, 2):
        names = Names(f"nrm:t{uuid4().hex[:12]}")
        make_topics(three_brokers, names)
        with closing(KafkaSource(broker_of(three_brokers), names, LANGUAGE)) as reader:
            assert until(partial(_joined, reader, milliseconds / 1_000), seconds=LIMIT)


def _joined(reader: KafkaSource, seconds: float) -> bool:
    reader.poll(seconds)
    return reader.lanes() == set(range(LANES))


def _placed(reader: KafkaSource, lanes: dict[int, Progress]) -> bool:
    try:
        reader.place(lanes)
    except Unavailable:
        return False
    return not reader.unplaced()


def _move(admin: Any, one: Apart, replicas: Sequence[Sequence[int]]) -> None:
    """Give every partition other replicas, all at once, and wait until they have it all."""
    wanted = {
        TopicPartition(topic["name"], p["partition_index"]): list(replicas[number % 3])
        for topic in _topics(admin, one)
        for number, p in enumerate(topic["partitions"])
    }
    answers = admin.alter_partition_reassignments(wanted)
    assert set(answers.values()) == {None}
    assert len(answers) == len(wanted)
    assert until(lambda: not admin.list_partition_reassignments(), seconds=LIMIT)


def _lead(admin: Any, one: Apart, replicas: Sequence[Sequence[int]]) -> None:
    """Let the first replica of each partition lead it."""
    topics = [topic["name"] for topic in _topics(admin, one)]

    def led() -> bool:
        if _leaders(admin, one) == _wanted(admin, one, replicas):
            return True
        # Asked again: a replica that has only just caught up may not lead yet.
        admin.elect_leaders(PREFERRED, topics, raise_errors=False)
        return False

    assert until(led, seconds=LIMIT, every=0.5)


def _wanted(admin: Any, one: Apart, replicas: Sequence[Sequence[int]]) -> dict[str, list[int]]:
    return {
        topic["name"]: [replicas[n % 3][0] for n, _ in enumerate(topic["partitions"])]
        for topic in _topics(admin, one)
    }


def _leaders(admin: Any, one: Apart) -> dict[str, list[int]]:
    return {
        topic["name"]: [p["leader_id"] for p in topic["partitions"]]
        for topic in _topics(admin, one)
    }


def _topics(admin: Any, one: Apart) -> list[dict[str, Any]]:
    """Return the hub's topics, partitions in order."""
    names = [one.names.log, one.names.refusals, one.names.position]
    found: list[dict[str, Any]] = admin.describe_topics([*names, *map(one.names.feed, one.seats)])
    for topic in found:
        topic["partitions"].sort(key=lambda p: p["partition_index"])
    return sorted(found, key=lambda topic: str(topic["name"]))


def _catches_up(one: Apart, load: Load) -> None:
    """Wait until what was accepted by now is on Kafka."""
    with checks.stores(one) as (store, _):
        head = store.head()
    load.until(lambda: checks.published(one) >= head)


def test_brokers_that_hang_for_longer_than_anybody_waits_lose_and_double_nothing(
    one: Apart, three_brokers: Brokers
) -> None:
    hub, workers = _begin(one)
    relay = workers[0]
    with writing(one, [hub]) as load:
        load.more()
        for node in three_brokers.pids():
            three_brokers.pause(node)
        try:
            began = time.monotonic()
            load.until(lambda: relay.waits_for().get("work") == "KAFKA_UNAVAILABLE")
            load.until(lambda: time.monotonic() - began > HANG_SECONDS)
        finally:
            for node in three_brokers.pids():
                three_brokers.resume(node)
        load.more()
        load.stop()
        _nothing_is_lost(one, load, [hub, *workers])
