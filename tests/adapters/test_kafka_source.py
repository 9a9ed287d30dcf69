"""The log as a member of the projectors' group reads it from a real broker."""

import hashlib
from collections.abc import Callable
from contextlib import closing, suppress
from time import monotonic
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    NewTopic,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from adapters.kafka.client import Broker
from adapters.kafka.digests import record_digest
from adapters.kafka.framing import LogFraming
from adapters.kafka.names import Names
from adapters.kafka.source import READERS, KafkaSource
from domain.errors import Corrupt, Refused, Unavailable
from domain.feed import LANES, Progress, lane_of
from domain.lanes import Batch
from domain.ports import Recorded
from tests.adapters.kafka_log import broker_of
from tests.builders import uid
from tests.servers import make_topics
from tests.services.case_logs import LANGUAGE, by_lane, whole_log
from tests.services.kafka_projectors import (
    LIMIT_S,
    collected,
    inject,
    publish,
    published,
    source,
)

pytestmark = pytest.mark.filterwarnings(
    # kafka-python leaves a connection that it was still making when it was closed to the collector
    "ignore:unclosed:ResourceWarning"
)
LOG = whole_log(1)


def taken(batches: list[Batch]) -> list[list[Recorded]]:
    """Return the events of each lane."""
    lanes: list[list[Recorded]] = [[] for _ in range(LANES)]
    for batch in batches:
        lanes[batch.lane] += batch.events
    return lanes


def whole(count: int) -> Callable[[list[Batch]], bool]:
    return lambda batches: sum(len(b.events) for b in batches) >= count


ALL = sum(len(lane) for lane in by_lane(LOG))


def test_every_lane_gives_its_events_as_they_were_and_the_facts_between_them(
    brokers: Any, hub_id: str
) -> None:
    broker = published(brokers, hub_id, LOG)
    with closing(source(broker, hub_id, limit=50)) as reader:
        batches = collected(reader, whole(ALL))
        assert taken(batches) == by_lane(LOG)
        assert all(len(b.events) <= 50 for b in batches)
        assert all(b.reached.offset == b.offsets[-1] + 1 for b in batches)


def test_a_lane_goes_on_where_it_is_placed(brokers: Any, hub_id: str) -> None:
    broker = published(brokers, hub_id, LOG)
    with closing(source(broker, hub_id)) as reader:
        batches = collected(reader, whole(ALL - 7 * LANES), start=7)
        assert taken(batches) == [lane[7:] for lane in by_lane(LOG)]


def test_a_lane_that_was_not_placed_gives_nothing(brokers: Any, hub_id: str) -> None:
    broker = published(brokers, hub_id, LOG)
    with closing(source(broker, hub_id)) as reader:
        while len(reader.unplaced()) < LANES:
            assert reader.poll(0.2) == []
        for _ in range(5):
            assert reader.poll(0.2) == []
        reader.place({3: Progress()})
        batches = collected_of(reader, 3, len(by_lane(LOG)[3]))
        assert {b.lane for b in batches} == {3}


def collected_of(reader: KafkaSource, lane: int, count: int) -> list[Batch]:
    batches: list[Batch] = []
    deadline = monotonic() + LIMIT_S
    while sum(len(b.events) for b in batches if b.lane == lane) < count:
        assert monotonic() < deadline, "waited in vain"
        batches += reader.poll(0.2)
    return batches


def test_members_share_the_lanes_and_take_over_those_of_one_that_leaves(
    brokers: Any, hub_id: str
) -> None:
    broker = published(brokers, hub_id, LOG)
    with closing(source(broker, hub_id)) as one:
        with closing(source(broker, hub_id)) as other:
            shared(one, other)
            assert len(one.lanes()) == len(other.lanes()) == LANES // 2
        shared(one)


def shared(*readers: KafkaSource) -> None:
    """Wait until every lane has one owner among `readers`, and none of them is idle."""
    deadline = monotonic() + LIMIT_S
    while sorted(n for r in readers for n in r.lanes()) != list(range(LANES)) or any(
        not r.lanes() for r in readers
    ):
        assert monotonic() < deadline, "waited in vain"
        for reader in readers:
            reader.poll(0.1)
            reader.place({n: Progress() for n in reader.unplaced()})


def framed(event: Recorded, hub_id: str) -> dict[str, Any]:
    record = LogFraming(LANGUAGE, Names(hub_id)).encode(event)
    return {
        "key": record.key,
        "value": record.value,
        "headers": record.headers,
        "timestamp_ms": record.timestamp_ms,
    }


def _other_body(record: dict[str, Any]) -> None:
    record["value"] = record["value"][:-1] + bytes([record["value"][-1] ^ 1])


def _other_entry(record: dict[str, Any]) -> None:
    name, entry = record["headers"][-1]
    record["headers"][-1] = (name, entry[:-1] + bytes([entry[-1] ^ 1]))


POISON: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no value": (lambda r: r.update(value=None), "RECORD_FRAMING"),
    "magic byte": (lambda r: r.update(value=b"\x01" + r["value"][1:]), "RECORD_FRAMING"),
    "unknown schema": (lambda r: r.update(value=b"\x00\x00\x0f\xff\xff"), "RECORD_SCHEMA"),
    "no headers": (lambda r: r.update(headers=[]), "RECORD_HEADERS"),
    "key": (lambda r: r.update(key=b"a case"), "RECORD_KEY"),
    "another case": (lambda r: r.update(key=LOG[-1].case_id.encode()), "STATEMENT_MISMATCH"),
    "body": (_other_body, "STATEMENT_MISMATCH"),
    "time": (lambda r: r.update(timestamp_ms=1), "RECORD_ENTRY"),
}


def test_a_record_that_is_none_of_ours_stalls_its_lane_and_no_other(
    brokers: Any, hub_id: str
) -> None:
    first = LOG[0]
    make_topics(brokers, Names(hub_id))
    wrong = list(POISON.items())
    for lane, (_, (spoil, _)) in enumerate(wrong):
        record = framed(first, hub_id)
        spoil(record)
        inject(brokers, hub_id, lane, framed(first, hub_id), record, framed(LOG[1], hub_id))
    assert len(wrong) == LANES
    with closing(source(broker_of(brokers), hub_id)) as reader:
        batches = collected(reader, lambda found: sum(b.stall is not None for b in found) == LANES)
    for lane, (name, (_, code)) in enumerate(wrong):
        (batch,) = [b for b in batches if b.lane == lane]
        assert (batch.stall and batch.stall.code, name) == (code, name)
        assert batch.stall is not None
        assert batch.stall.offset == batch.reached.offset == 1
        assert list(batch.events) == [first]


def test_an_event_in_a_lane_that_is_not_its_own_is_refused(brokers: Any, hub_id: str) -> None:
    make_topics(brokers, Names(hub_id))
    event = LOG[-1]
    wrong = (lane_of(event.case_id) + 1) % LANES
    inject(brokers, hub_id, wrong, framed(event, hub_id))
    with closing(source(broker_of(brokers), hub_id)) as reader:
        (batch,) = collected(reader, bool)
        assert batch.stall is not None
        assert batch.stall.code == "RECORD_LANE"


def test_a_paused_lane_gives_nothing_until_it_is_placed_again(brokers: Any, hub_id: str) -> None:
    broker = published(brokers, hub_id, LOG)
    with closing(source(broker, hub_id, limit=5)) as reader:
        collected(reader, whole(5))
        reader.pause(range(LANES))
        for _ in range(5):
            assert reader.poll(0.1) == []
        reader.place({n: Progress() for n in range(LANES)})
        assert taken(collected(reader, whole(ALL))) == by_lane(LOG)


def test_figures_tell_how_far_behind_a_lane_is(brokers: Any, hub_id: str) -> None:
    broker = published(brokers, hub_id, LOG)
    with closing(source(broker, hub_id)) as reader:
        while len(reader.unplaced()) < LANES:
            reader.poll(0.2)
        reader.place({n: Progress() for n in range(LANES)})
        before = reader.figures()
        assert [before[n].lag >= len(lane) for n, lane in enumerate(by_lane(LOG))] == [True] * LANES
        collected(reader, whole(ALL))
        deadline = monotonic() + LIMIT_S
        while any(f.lag for f in reader.figures().values()):
            assert monotonic() < deadline, "waited in vain"
            reader.poll(0.2)


def test_what_the_group_is_told_is_where_the_feeds_stand(brokers: Any, hub_id: str) -> None:
    broker = published(brokers, hub_id, LOG)
    group = Names(hub_id).group(READERS)
    with closing(source(broker, hub_id)) as reader, closing(admin_of(brokers)) as admin:
        collected(reader, whole(ALL))
        deadline = monotonic() + LIMIT_S
        told: dict[Any, Any] = {}
        while len(told) < LANES:
            assert monotonic() < deadline, "waited in vain"
            reader.acknowledge({n: Progress(offset=n + 3) for n in range(LANES)})
            reader.poll(0.2)
            with suppress(KeyError):
                told = admin.list_group_offsets({group: None})[group]
        assert sorted(o.offset for o in told.values()) == list(range(3, LANES + 3))


def admin_of(brokers: Any) -> Any:
    return KafkaAdminClient(**broker_of(brokers).options())


def test_a_lane_that_has_records_and_gives_none_ends_the_process(brokers: Any, hub_id: str) -> None:
    broker = published(brokers, hub_id, LOG[:5])
    with closing(source(broker, hub_id, stuck_s=1.0)) as reader:
        collected(reader, whole(5 * LANES))
        # As if the client had forgotten a partition, which is what such clients do.
        reader._consumer.pause(TopicPartition(Names(hub_id).log, 2))  # noqa: SLF001 - nothing else stops one
        publish(brokers, hub_id, LOG[5:10])
        with pytest.raises(Refused, match="lane 2") as refused:
            collected(reader, lambda _: False)
        assert refused.value.code == "LANE_STUCK"


def allowed(brokers: Any, hub_id: str, *rights: tuple[ResourceType, str, ACLOperation]) -> Broker:
    """Return how a new user gets there that has just `rights`."""
    user, password = f"user-{hub_id[4:]}", uid(hub_id)
    credential = UserScramCredentialUpsertion(user, ScramMechanism.SCRAM_SHA_512, password)
    with closing(admin_of(brokers)) as admin:
        assert admin.alter_user_scram_credentials([credential]) == {user: None}
        admin.create_acls(
            [
                ACL(f"User:{user}", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(*what))
                for *what, operation in rights
            ]
        )
    return broker_of(brokers, user, password)


@pytest.mark.parametrize("missing", ["log", "read", "group"])
def test_a_right_that_is_missing_is_a_clear_error_and_not_an_empty_log(
    brokers: Any, hub_id: str, missing: str
) -> None:
    published(brokers, hub_id, LOG[:5])
    names = Names(hub_id)
    log = (ResourceType.TOPIC, names.log)
    rights = {
        "log": (*log, ACLOperation.DESCRIBE),
        "read": (*log, ACLOperation.READ),
        "group": (ResourceType.GROUP, names.group(READERS), ACLOperation.READ),
    }
    if missing == "log":
        del rights["read"]
    del rights[missing]
    broker = allowed(brokers, hub_id, *rights.values())
    with pytest.raises(Refused) as refused, closing(source(broker, hub_id)) as reader:
        collected(reader, lambda _: False)
    missing_topic = "TOPIC_MISSING_OR_NOT_ALLOWED"
    assert refused.value.code == (missing_topic if missing == "log" else "KAFKA_NOT_ALLOWED")


def test_a_missing_topic_is_a_clear_error(brokers: Any, hub_id: str) -> None:
    with pytest.raises(Refused, match=Names(hub_id).log):
        source(broker_of(brokers), hub_id)


def test_a_log_of_too_few_partitions_is_a_clear_error(brokers: Any, hub_id: str) -> None:
    with closing(admin_of(brokers)) as admin:
        admin.create_topics([NewTopic(Names(hub_id).log, LANES - 1, 1)])
    with pytest.raises(Refused) as refused:
        source(broker_of(brokers), hub_id)
    assert refused.value.code == "TOPIC_PARTITIONS"


def test_a_log_that_ends_before_the_feeds_was_lost(brokers: Any, hub_id: str) -> None:
    broker = published(brokers, hub_id, LOG[:5])
    with closing(source(broker, hub_id)) as reader:
        while not reader.unplaced():
            reader.poll(0.2)
        with pytest.raises(Corrupt) as lost:
            reader.place({next(iter(reader.unplaced())): Progress(offset=1_000)})
        assert lost.value.code == "LOG_LOST"


def test_a_log_made_anew_while_it_is_read_was_lost(brokers: Any, hub_id: str) -> None:
    broker = published(brokers, hub_id, LOG)
    with closing(source(broker, hub_id)) as reader, closing(admin_of(brokers)) as admin:
        collected(reader, whole(ALL))
        admin.delete_topics([Names(hub_id).log])
        deadline = monotonic() + LIMIT_S
        while Names(hub_id).log in admin.list_topics():
            assert monotonic() < deadline, "waited in vain"
        make_log(admin, hub_id)
        with pytest.raises(Corrupt) as lost:
            patiently(reader)
        assert lost.value.code == "LOG_LOST"


def patiently(reader: KafkaSource) -> None:
    """Read on, whatever Kafka does not answer."""
    deadline = monotonic() + LIMIT_S
    while monotonic() < deadline:
        with suppress(Unavailable):
            reader.poll(0.2)


def make_log(admin: Any, hub_id: str) -> None:
    admin.create_topics([NewTopic(Names(hub_id).log, LANES, 1)])
    deadline = monotonic() + LIMIT_S
    while Names(hub_id).log not in admin.list_topics():
        assert monotonic() < deadline, "waited in vain"


def test_the_digest_of_a_record_is_of_its_value(brokers: Any, hub_id: str) -> None:
    broker = published(brokers, hub_id, LOG)
    second = by_lane(LOG)[3][2]
    found = record_digest(broker, Names(hub_id), 3, 2)
    assert found == hashlib.sha256(framed(second, hub_id)["value"]).digest()
    with pytest.raises(Refused, match="RECORD_MISSING"):
        record_digest(broker, Names(hub_id), 3, 1 << 40)
