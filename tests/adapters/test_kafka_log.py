"""The log on a real broker: what stands where, and what is said when it is not as it must be."""

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from threading import Timer

import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import TopicAlreadyExistsError

from adapters.kafka.framing import LogFraming
from adapters.kafka.log import RELAY, KafkaLogReader, KafkaLogTopic
from adapters.kafka.names import Names
from adapters.kafka.publisher import Outgoing, Publisher
from domain.errors import Corrupt
from domain.feed import LANES
from domain.ports import Recorded
from domain.publishing import Published
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from services.local.processes import until
from tests.adapters.kafka_log import (
    LANGUAGE,
    broker_of,
    case_in,
    found,
    history,
    place,
    positions,
    refused,
    topic_of,
)
from tests.contracts.making import recorded
from tests.servers import make_topics
from tests.services.relay_store import expected


class Log:
    """The topics of one hub, with a relay that writes what it is told, true or not."""

    def __init__(self, brokers: Brokers | GivenBrokers, hub_id: str) -> None:
        self.brokers = brokers
        self.names = Names(hub_id)
        self.broker = broker_of(brokers)
        self.framing = LogFraming(LANGUAGE, self.names)
        self.topic: KafkaLogTopic = topic_of(brokers, hub_id)
        self.reader = KafkaLogReader(self.broker, self.names, LANGUAGE)

    def publish(self, events: Sequence[Recorded], published: Published | None = None) -> None:
        self.topic.published()
        self.topic.publish(events, (), published or place(events))

    def put(self, *records: Outgoing) -> None:
        """Write records as they are, and no place."""
        self.topic.close()
        with closing(Publisher(self.broker, self.names, RELAY)) as publisher:
            publisher.positions()
            publisher.publish(records, {})

    def outgoing(self, event: Recorded, lane: int) -> Outgoing:
        return Outgoing(self.names.log, lane, *self.framing.encode(event))

    def read(self) -> list[Recorded]:
        published = self.reader.published()
        assert published is not None
        return list(self.reader.events(published))

    def refuses(self) -> Corrupt:
        with pytest.raises(Corrupt) as error:
            self.read()
        return error.value


@pytest.fixture
def log(brokers: Brokers | GivenBrokers, hub_id: str) -> Iterator[Log]:
    make_topics(brokers, Names(hub_id))
    made = Log(brokers, hub_id)
    yield made
    made.topic.close()


EVENTS = history(23)


def test_each_lane_has_its_cases_and_every_fact_of_the_registry(log: Log) -> None:
    log.publish(EVENTS)
    lanes = found(log.brokers, log.names.log)
    assert [positions(lane) for lane in lanes] == expected(EVENTS)
    for event in EVENTS:
        for lane in lanes:
            for record in lane:
                if dict(record.headers)["ce_id"] == event.event_id.encode():
                    assert (record.key, record.timestamp) == (
                        event.case_id.encode(),
                        event.recorded_ms,
                    )
    assert log.read() == EVENTS


def test_the_reader_stops_where_the_relay_had_come_to(log: Log) -> None:
    log.publish(EVENTS[:9])
    published = log.reader.published()
    log.publish(EVENTS[9:], place(EVENTS))
    assert published == place(EVENTS[:9])
    assert list(log.reader.events(published)) == EVENTS[:9]


def test_an_event_that_is_missing_is_named(log: Log) -> None:
    log.publish([e for e in EVENTS if e.position != 12], place(EVENTS))
    error = log.refuses()
    assert (error.code, "event 12 " in error.message) == ("LOG_GAP", True)


def test_events_that_are_missing_at_the_end_are_named(log: Log) -> None:
    log.publish(EVENTS[:-2], place(EVENTS))
    error = log.refuses()
    assert (error.code, "event 22 " in error.message) == ("LOG_GAP", True)


def test_a_registry_fact_that_is_missing_in_one_lane_is_named(log: Log) -> None:
    log.put(*(log.outgoing(EVENTS[0], lane) for lane in range(7)))
    log.put(*(log.outgoing(e, e.position % 8) for e in EVENTS[1:5]))
    error = _with_place(log, EVENTS[:5])
    assert (error.code, "event 1 " in error.message) == ("LOG_GAP", True)


def test_a_registry_fact_that_differs_between_lanes_is_named(log: Log) -> None:
    other = replace(EVENTS[0], body=b"another")
    log.put(*(log.outgoing(other if lane == 3 else EVENTS[0], lane) for lane in range(8)))
    error = _with_place(log, EVENTS[:1])
    assert (error.code, "event 1 " in error.message) == ("LOG_FORKED", True)


def test_an_event_in_the_lane_of_another_case_is_named(log: Log) -> None:
    event = recorded("stray", position=1, case_id=case_in(2, "case"))
    log.put(log.outgoing(event, 5))
    assert _with_place(log, [event]).code == "LOG_LANE"


def _with_place(log: Log, events: Sequence[Recorded]) -> Corrupt:
    """Read what was put there as if a relay had come so far."""
    with closing(Publisher(log.broker, log.names, RELAY)) as publisher:
        publisher.positions()
        KafkaLogTopic(publisher, LANGUAGE, log.names).publish((), (), place(events))
    return log.refuses()


def test_records_that_were_written_twice_count_once(log: Log) -> None:
    log.publish(EVENTS[:9])
    log.put(*(log.outgoing(e, e.position % 8) for e in EVENTS[1:5]))
    log.publish(EVENTS[9:], place(EVENTS))
    assert log.read() == EVENTS


def test_a_record_that_is_none_is_named_with_its_place(log: Log) -> None:
    log.publish(EVENTS[:9])
    good = log.outgoing(EVENTS[9], 2)
    log.put(good._replace(value=b"\x01" + (good.value or b"")[1:]))
    log.publish(EVENTS[9:], place(EVENTS))
    error = log.refuses()
    assert error.code == "RECORD_FRAMING"
    assert f"topic {log.names.log}, partition 2, offset " in error.message


def test_a_record_of_a_foreign_producer_is_named(log: Log) -> None:
    log.publish(EVENTS[:9])
    with closing(KafkaProducer(**log.broker.options())) as producer:
        producer.send(log.names.log, b"{}", b"key", partition=4).get(timeout=30)
    log.publish(EVENTS[9:], place(EVENTS))
    error = log.refuses()
    assert (error.code, "partition 4" in error.message) == ("RECORD_FRAMING", True)


def test_all_refusals_come_back_in_order_and_a_missing_one_is_named(log: Log) -> None:
    refusals = refused(6)
    log.topic.published()
    log.topic.publish((), refusals[:3], place((), refusals[:3]))
    log.topic.publish((), refusals[4:], place((), refusals))
    three = log.reader.refusals(place((), refusals[:3]))
    assert list(three) == refusals[:3]
    with pytest.raises(Corrupt, match="refusal 4 ") as error:
        list(log.reader.refusals(place((), refusals)))
    assert error.value.code == "LOG_GAP"


def test_a_log_that_lost_its_position_is_not_written_a_second_time(log: Log) -> None:
    log.put(log.outgoing(EVENTS[2], 3))
    with pytest.raises(Corrupt) as error:
        log.topic.published()
    assert error.value.code == "LOG_LOST"
    assert log.names.position in error.value.message


def test_a_log_that_was_made_anew_is_not_written_from_the_middle(log: Log) -> None:
    log.publish(EVENTS)
    with closing(KafkaAdminClient(**log.broker.options())) as admin:
        admin.delete_topics([log.names.log])
        assert until(lambda: _made(admin, log.names.log), seconds=60)
    with pytest.raises(Corrupt) as error:
        log.topic.published()
    assert error.value.code == "LOG_LOST"


def _made(admin: KafkaAdminClient, topic: str) -> bool:
    """Make the topic once Kafka has forgotten the old one; return whether it is to be seen."""
    with suppress(TopicAlreadyExistsError):
        admin.create_topics([NewTopic(topic, LANES, 1)])
        return until(lambda: topic in admin.list_topics(), seconds=30)
    return False


def test_another_writers_open_transaction_hides_no_place(log: Log) -> None:
    """Until it ends, a committed reader sees nothing of what was committed behind it."""
    options = log.broker.options() | {"transactional_id": log.names.transactional("another")}
    log.topic.published()
    with closing(KafkaProducer(**options)) as another:
        another.init_transactions()
        another.begin_transaction()
        another.send(log.names.position, b"{}", b"another/place", partition=0).get(timeout=30)
        log.topic.publish(EVENTS, (), place(EVENTS))
        ending = Timer(1.0, another.commit_transaction)
        ending.start()
        assert log.topic.published() == place(EVENTS)
        ending.join()
