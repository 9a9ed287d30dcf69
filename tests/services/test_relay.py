"""The relay over a real broker: in order, once, from the right store, and only one of them."""

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from adapters.kafka.log import KafkaLogReader, KafkaLogTopic
from adapters.kafka.names import Names
from adapters.sqlite.event_store import SqliteEventStore
from domain.errors import Corrupt, HubError, Refused, Unavailable
from services.hub.relay import Relay
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from tests.adapters.kafka_log import LANGUAGE, broker_of, found, positions, topic_of
from tests.servers import make_topics
from tests.services.relay_child import FENCED, PAGE
from tests.services.relay_process import RelayProcess, relaying
from tests.services.relay_store import Alone, expected, grow, opened, read_log, read_refusals


class Hub:
    """A store in a file, the log on Kafka, and relays between them."""

    def __init__(self, brokers: Brokers | GivenBrokers, hub_id: str, folder: Path) -> None:
        self.brokers = brokers
        self.hub_id = hub_id
        self.names = Names(hub_id)
        self.folder = folder
        self.file = folder / "events.db"
        self.store = SqliteEventStore(str(self.file))
        make_topics(brokers, self.names, max_message_bytes=str(2 << 20))

    def topic(self) -> KafkaLogTopic:
        return topic_of(self.brokers, self.hub_id)

    def relay(self, store: SqliteEventStore | None = None) -> Relay:
        return Relay(store or self.store, self.topic(), Alone())

    def process(self, fails: str = "") -> AbstractContextManager[RelayProcess]:
        return relaying(self.brokers, str(self.file), self.hub_id, fails)

    def publish(self) -> None:
        """Publish all that the store holds."""
        with closing(self.relay()) as relay:
            while relay.step():
                pass

    def check(self) -> None:
        """Each partition holds what it must, in order; and all of it is what the store holds."""
        events = read_log(self.store)
        assert [positions(lane) for lane in found(self.brokers, self.names.log)] == expected(events)
        reader = KafkaLogReader(broker_of(self.brokers), self.names, LANGUAGE)
        published = reader.published()
        assert published is not None
        assert list(reader.events(published)) == events
        assert list(reader.refusals(published)) == read_refusals(self.store)

    def backup(self) -> Path:
        """Copy the store as it is now."""
        copy = self.folder / "backup.db"
        with closing(sqlite3.connect(self.file)) as here, closing(sqlite3.connect(copy)) as there:
            here.backup(there)
        return copy


@pytest.fixture
def hub(brokers: Brokers | GivenBrokers, hub_id: str, tmp_path: Path) -> Iterator[Hub]:
    made = Hub(brokers, hub_id, tmp_path)
    yield made
    made.store.close()


def test_it_publishes_events_and_refusals_in_order_and_then_rests(hub: Hub) -> None:
    grow(hub.store, 1_203, refusals=7)
    with closing(hub.relay()) as relay:
        assert relay.lag() is None
        assert [relay.step() for _ in range(4)] == [True, True, True, False]
        assert relay.lag() == 0
        assert relay.commit_seconds > 0
        grow(hub.store, 2)
        assert relay.lag() == 2
        grow(hub.store, 0, refusals=1)
        assert [relay.step(), relay.step()] == [True, False]
    hub.check()


def test_a_page_is_bounded_by_bytes_and_one_large_event_goes_alone(hub: Hub) -> None:
    sizes = [400_000, 400_000, 400_000, 1_040_000, 20_000]
    grow(hub.store, len(sizes))
    with closing(sqlite3.connect(hub.file)) as db:
        for position, size in enumerate(sizes, start=1):
            db.execute(
                "UPDATE stored_events SET state = ? WHERE rowid = ?", (bytes(size), position)
            )
        db.commit()
    with closing(hub.relay()) as relay:
        reached = []
        while relay.step():
            reached.append(hub.store.head() - (relay.lag() or 0))
    assert reached == [2, 3, 4, 5]
    hub.check()


def test_it_reads_nothing_and_takes_nothing_over_before_it_has_the_lease(hub: Hub) -> None:
    class Taken(Alone):
        def acquire(self, seconds: float) -> bool:
            return False

    grow(hub.store, 5)
    with closing(hub.topic()) as leading, closing(Relay(hub.store, hub.topic(), Taken())) as second:
        assert leading.published() is None
        assert second.step() is False
        assert second.lag() is None
        with closing(Relay(hub.store, leading, Alone())) as first:
            assert first.step() is True  # nobody fenced it
    hub.check()


def test_a_relay_that_lost_its_lease_begins_again(hub: Hub) -> None:
    class Lost(Alone):
        lost = False

        def check(self) -> None:
            if self.lost:
                raise Unavailable("LEASE_LOST", "it is gone")

    grow(hub.store, 5)
    lease = Lost()
    with closing(Relay(hub.store, hub.topic(), lease)) as relay:
        assert relay.step() is True
        grow(hub.store, 5)
        lease.lost = True
        with pytest.raises(Unavailable):
            relay.step()
        assert relay.lag() is None
        lease.lost = False
        assert relay.step() is True
    hub.check()


def refuses(relay: Relay) -> HubError:
    with closing(relay), pytest.raises(HubError) as refused:
        relay.step()
    return refused.value


def test_a_restored_store_that_is_behind_the_log_is_refused(hub: Hub) -> None:
    grow(hub.store, 40)
    older = hub.backup()
    grow(hub.store, 3)
    hub.publish()
    with closing(SqliteEventStore(str(older))) as store:
        error = refuses(hub.relay(store))
        assert isinstance(error, Corrupt)
        assert error.code == "STORE_RESTORED"
        assert "nrm-hub rebuild --from-kafka" in error.message
    hub.publish()
    hub.check()


def test_a_restored_store_that_lacks_refusals_alone_is_refused(hub: Hub) -> None:
    grow(hub.store, 10)
    older = hub.backup()
    grow(hub.store, 0, refusals=1)
    hub.publish()
    with closing(SqliteEventStore(str(older))) as store:
        assert refuses(hub.relay(store)).code == "STORE_RESTORED"


def test_a_restored_store_that_was_written_to_again_is_refused(hub: Hub) -> None:
    grow(hub.store, 40)
    older = hub.backup()
    grow(hub.store, 3)
    hub.publish()
    with closing(SqliteEventStore(str(older))) as store:
        grow(store, 9, label="another")
        assert refuses(hub.relay(store)).code == "STORE_FORKED"
    hub.check()


def test_another_store_is_refused_even_if_it_is_empty(hub: Hub) -> None:
    grow(hub.store, 3)
    hub.publish()
    with closing(SqliteEventStore(str(hub.folder / "another.db"))) as store:
        assert refuses(hub.relay(store)).code == "LOG_OF_ANOTHER_STORE"
        store.adopt(hub.store.incarnation())
        assert refuses(hub.relay(store)).code == "STORE_RESTORED"


def test_a_store_with_a_gap_is_refused(hub: Hub) -> None:
    grow(hub.store, 9)
    with closing(sqlite3.connect(hub.file)) as db:
        db.execute("DELETE FROM entries WHERE position = 4")
        db.commit()
    assert refuses(hub.relay()).code == "STORE_GAP"


def test_an_event_larger_than_the_topic_takes_stops_the_relay_right_before_it(hub: Hub) -> None:
    grow(hub.store, 3)
    with closing(sqlite3.connect(hub.file)) as db:
        db.execute("UPDATE stored_events SET state = ? WHERE rowid = 2", (bytes(3 << 20),))
        db.commit()
    hub.relay().step()
    error = refuses(hub.relay())
    assert isinstance(error, Refused)
    assert error.code == "RECORD_TOO_LARGE"
    written = [positions(lane) for lane in found(hub.brokers, hub.names.log)]
    assert written == expected(read_log(hub.store)[:1])


@pytest.mark.parametrize("moment", ["stop sent 2", "stop opened 2", "stop committed 2"])
def test_a_relay_that_hung_ends_when_another_has_taken_over(hub: Hub, moment: str) -> None:
    grow(hub.store, 400, refusals=3)
    with hub.process(moment) as older:
        older.stopped()
        grow(hub.store, 400)
        with hub.process("stop sent 9") as newer:
            newer.stopped()
            older.signal(signal.SIGCONT)
            assert older.wait() == FENCED, older.said()
            newer.signal(signal.SIGCONT)
            assert newer.wait() == 0, newer.said()
    hub.check()


def test_of_two_relays_the_second_waits_until_the_first_is_gone(
    brokers: Brokers | GivenBrokers, hub_id: str, database: str
) -> None:
    make_topics(brokers, Names(hub_id))
    with closing(opened(database)) as store:
        grow(store, 400)
        with relaying(brokers, database, hub_id, "stop committed 3") as first:
            first.stopped()
            with relaying(brokers, database, hub_id) as second:
                assert second.says() == "waits"
                reader = KafkaLogReader(broker_of(brokers), Names(hub_id), LANGUAGE)
                published = reader.published()
                assert published is not None
                assert published.position == 3 * PAGE
                first.signal(signal.SIGKILL)
                assert second.says() == "leads"
                assert second.wait() == 0, second.said()
        log = [positions(lane) for lane in found(brokers, Names(hub_id).log)]
        assert log == expected(read_log(store))
