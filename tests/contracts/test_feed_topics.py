"""The contract of `FeedTopics`: entries and places together or not at all, one writer at a time."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from adapters.kafka.names import Names
from domain.errors import Refused, Unavailable
from domain.feed import Cursor
from domain.publishing import FeedRecord
from domain.vocabulary import Seat
from services.hub.feed_needs import BeatenTopics
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from tests.adapters.kafka_feeds import POLICE, SHELTER, entry, feed_of, places, topics_of
from tests.servers import make_topics
from tests.services.feed_memory import MemoryFeedTopics, MemoryTopics

ABSENT = Seat("gb-absent", "monitoring")
Feed = Callable[[Seat], list[FeedRecord]]


class Served:
    """The topics of one hub, written by any number of writers and read by somebody else."""

    def __init__(self, writer: Callable[[], BeatenTopics], feed: Feed) -> None:
        self.writer = writer
        self.feed = feed


def _kafka(brokers: Brokers | GivenBrokers, hub_id: str) -> Served:
    make_topics(brokers, Names(hub_id), [SHELTER, POLICE])
    return Served(lambda: topics_of(brokers, hub_id), lambda seat: feed_of(brokers, hub_id, seat))


def _memory() -> Served:
    topics = MemoryTopics({SHELTER, POLICE})
    return Served(lambda: MemoryFeedTopics(topics), topics.entries)


@pytest.fixture(params=["kafka", "memory"])
def served(request: pytest.FixtureRequest, hub_id: str) -> Served:
    if request.param == "memory":
        return _memory()
    return _kafka(request.getfixturevalue("brokers"), hub_id)


@pytest.fixture
def topics(served: Served) -> Iterator[BeatenTopics]:
    with closing(served.writer()) as opened:
        yield opened


def test_at_the_start_nothing_was_published(topics: BeatenTopics) -> None:
    assert dict(topics.published()) == {}


def test_what_was_published_is_there_with_its_places(served: Served, topics: BeatenTopics) -> None:
    first = [entry(SHELTER, 1), entry(POLICE, 1, lane=3), entry(SHELTER, 2)]
    later = [entry(SHELTER, 1, lane=7), entry(SHELTER, 3, "event 0 1", supersedes=1, mask=0)]
    topics.published()
    topics.publish(first, places(first))
    topics.publish(later, {SHELTER: places(first + later)[SHELTER]})
    assert topics.published() == places(first + later)
    assert served.feed(SHELTER) == [first[0], first[2], *later]
    assert served.feed(POLICE) == [first[1]]


def test_another_writer_goes_on_where_the_first_came_to(
    served: Served, topics: BeatenTopics
) -> None:
    records = [entry(SHELTER, seq) for seq in (1, 2, 3)]
    topics.published()
    topics.publish(records[:2], places(records[:2]))
    with closing(served.writer()) as second:
        assert second.published() == places(records[:2])
        second.publish(records[2:], places(records))
    assert served.feed(SHELTER) == records


def test_the_older_writer_is_fenced_and_writes_nothing(
    served: Served, topics: BeatenTopics
) -> None:
    records = [entry(SHELTER, seq) for seq in (1, 2)]
    topics.published()
    with closing(served.writer()) as second:
        second.published()
        with pytest.raises(Refused) as fenced:
            topics.publish(records, places(records))
        assert fenced.value.code == "FENCED"
        assert served.feed(SHELTER) == []
        second.publish(records, places(records))
    assert served.feed(SHELTER) == records


def test_nothing_is_published_before_the_places_were_asked_for(topics: BeatenTopics) -> None:
    records = [entry(SHELTER, 1)]
    with pytest.raises(Unavailable):
        topics.publish(records, places(records))
    assert dict(topics.published()) == {}


def test_a_seat_without_a_topic_is_refused_and_nothing_is_written(
    served: Served, topics: BeatenTopics
) -> None:
    records = [entry(SHELTER, 1), entry(ABSENT, 1)]
    topics.published()
    with pytest.raises(Refused) as refused:
        topics.publish(records, places(records))
    assert refused.value.code == "TOPIC_MISSING"
    assert dict(topics.published()) == {}
    assert served.feed(SHELTER) == []


def test_it_says_before_which_topics_cannot_be_written(topics: BeatenTopics) -> None:
    assert topics.unready([SHELTER, ABSENT]) == {ABSENT: "TOPIC_MISSING"}
    assert topics.unready([POLICE]) == {}


def test_a_heartbeat_says_nothing_and_moves_nothing(served: Served, topics: BeatenTopics) -> None:
    records = [entry(SHELTER, 1)]
    topics.published()
    topics.publish(records, places(records))
    topics.beat([SHELTER, POLICE])
    assert topics.published() == places(records)
    assert (served.feed(SHELTER), served.feed(POLICE)) == (records, [])


def test_a_cursor_of_every_lane_comes_back(topics: BeatenTopics) -> None:
    cursor = Cursor((0, 1, 2, 3, 1 << 40, 5, 6, (1 << 63) - 1))
    topics.published()
    topics.publish([], {SHELTER: cursor})
    assert topics.published() == {SHELTER: cursor}
