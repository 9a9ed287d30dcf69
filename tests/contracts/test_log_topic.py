"""The contract of `LogTopic`: events and place together or not at all, one writer at a time."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from adapters.kafka.log import KafkaLogReader
from adapters.kafka.names import Names
from domain.errors import Refused, Unavailable
from domain.ports import Recorded
from domain.publishing import LogTopic
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from tests.adapters.kafka_log import LANGUAGE, broker_of, history, place, refused, topic_of
from tests.servers import make_topics


class Served:
    """The topic of one hub, written by any number of writers and read by somebody else."""

    def __init__(self, brokers: Brokers | GivenBrokers, hub_id: str) -> None:
        self._brokers = brokers
        self._hub_id = hub_id
        make_topics(brokers, Names(hub_id))

    def writer(self) -> LogTopic:
        return topic_of(self._brokers, self._hub_id)

    def events(self) -> list[Recorded]:
        """Return what the log holds, for somebody who reads it all."""
        reader = KafkaLogReader(broker_of(self._brokers), Names(self._hub_id), LANGUAGE)
        published = reader.published()
        return [] if published is None else list(reader.events(published))


@pytest.fixture
def served(brokers: Brokers | GivenBrokers, hub_id: str) -> Served:
    return Served(brokers, hub_id)


@pytest.fixture
def topic(served: Served) -> Iterator[LogTopic]:
    with closing(served.writer()) as opened:
        yield opened


def test_at_the_start_nothing_was_published(topic: LogTopic) -> None:
    assert topic.published() is None


def test_what_was_published_is_there_with_its_place(served: Served, topic: LogTopic) -> None:
    events, refusals = history(12), refused(3)
    topic.published()
    topic.publish(events[:5], (), place(events[:5]))
    topic.publish(events[5:], refusals, place(events, refusals))
    assert topic.published() == place(events, refusals)
    assert served.events() == events


def test_another_writer_goes_on_where_the_first_came_to(served: Served, topic: LogTopic) -> None:
    events = history(4)
    topic.published()
    topic.publish(events[:3], (), place(events[:3]))
    with closing(served.writer()) as second:
        assert second.published() == place(events[:3])
        second.publish(events[3:], (), place(events))
    assert served.events() == events


def test_the_older_writer_is_fenced_and_writes_nothing(served: Served, topic: LogTopic) -> None:
    events = history(4)
    topic.published()
    topic.publish(events[:2], (), place(events[:2]))
    with closing(served.writer()) as second:
        second.published()
        with pytest.raises(Refused) as fenced:
            topic.publish(events[2:], (), place(events))
        assert fenced.value.code == "FENCED"
        assert served.events() == events[:2]
        second.publish(events[2:], (), place(events))
    assert served.events() == events


def test_nothing_is_published_before_the_place_was_asked_for(topic: LogTopic) -> None:
    events = history(1)
    with pytest.raises(Unavailable):
        topic.publish(events, (), place(events))
    assert topic.published() is None


def test_a_page_with_an_event_that_is_too_large_is_not_published(
    served: Served, topic: LogTopic
) -> None:
    events = history(4)
    events[2] = replace(events[2], body=bytes(3 << 20))
    topic.published()
    with pytest.raises(Refused) as refusal:
        topic.publish(events, (), place(events))
    assert refusal.value.code == "RECORD_TOO_LARGE"
    with pytest.raises(Unavailable):
        topic.publish(events[:2], (), place(events[:2]))
    assert topic.published() is None
    topic.publish(events[:2], (), place(events[:2]))
    assert served.events() == events[:2]


def test_a_topic_that_was_closed_is_taken_hold_of_again(served: Served, topic: LogTopic) -> None:
    events = history(2)
    topic.published()
    for event in events:
        topic.publish([event], (), place([event]))
        topic.close()
        assert topic.published() == place([event])
    assert served.events() == events
