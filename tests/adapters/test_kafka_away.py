"""Kafka out of reach, a wrong password, rights that are missing: each a clear error, and soon."""

import gc
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_urlsafe

import pytest
from kafka.admin import KafkaAdminClient, NewTopic

from adapters.kafka import client, cluster
from adapters.kafka.client import Broker
from adapters.kafka.declared import Acl
from adapters.kafka.log import RELAY, KafkaLogReader, KafkaLogTopic
from adapters.kafka.names import Names
from adapters.kafka.publisher import Publisher
from domain.errors import HubError, Malformed, Refused, Unavailable
from domain.secret import Secret
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from services.local.processes import free_ports, until
from tests.adapters.kafka_log import LANGUAGE, broker_of, history, place
from tests.servers import make_topics

pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning"  # kafka-python leaves a refused connection to the collector
)
EVENTS = history(9)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait long for a broker that will not let anybody in."""
    monkeypatch.setattr(client, "BOOTSTRAP_MS", 2_000)


@dataclass
class Hub:
    """The brokers as a relay with a user of its own reaches them."""

    brokers: Brokers | GivenBrokers
    names: Names
    broker: Broker

    def topic(self, broker: Broker | None = None) -> KafkaLogTopic:
        broker = broker or self.broker
        return KafkaLogTopic(Publisher(broker, self.names, RELAY), LANGUAGE, self.names)

    def grant(self, operations: Sequence[str], resource: str, name: str) -> None:
        user = f"User:{self.broker.user}"
        with closing(KafkaAdminClient(**broker_of(self.brokers).options())) as admin:
            cluster.create_acls(admin, [Acl(user, op, resource, name) for op in operations])


@pytest.fixture
def hub(brokers: Brokers | GivenBrokers, hub_id: str) -> Hub:
    names, password = Names(hub_id), token_urlsafe(12)
    user = f"{names.prefix}.relay"
    make_topics(brokers, names)
    with closing(KafkaAdminClient(**broker_of(brokers).options())) as admin:
        cluster.set_passwords(admin, [(user, password, 4096)])
        assert until(lambda: user in cluster.users(admin), seconds=30)
    return Hub(brokers, names, broker_of(brokers, user, password))


def error_of(topic: KafkaLogTopic, *, publishes: bool = False) -> HubError:
    with closing(topic):
        if publishes:
            topic.published()
        with pytest.raises(HubError) as error:
            topic.publish(EVENTS, (), place(EVENTS)) if publishes else topic.published()
    return error.value


def allow_reading(hub: Hub) -> None:
    hub.grant(["WRITE", "DESCRIBE"], "TRANSACTIONAL_ID", hub.names.transactional(RELAY))
    hub.grant(["READ", "DESCRIBE"], "TOPIC", hub.names.position)
    hub.grant(["READ", "DESCRIBE"], "TOPIC", hub.names.log)
    hub.grant(["READ", "DESCRIBE"], "TOPIC", hub.names.refusals)


def test_an_address_where_nobody_is_is_unavailable(hub: Hub) -> None:
    nobody = replace(hub.broker, bootstrap=f"127.0.0.1:{free_ports(1)[0]}")
    error = error_of(hub.topic(nobody))
    assert isinstance(error, Unavailable)
    assert "check address, user and password" in error.message


def test_a_wrong_password_is_unavailable_and_never_shown(hub: Hub) -> None:
    error = error_of(hub.topic(replace(hub.broker, password=Secret(b"not the password"))))
    assert isinstance(error, Unavailable)
    assert "check address, user and password" in error.message
    assert "not the password" not in str(error)


def test_attempts_that_failed_leave_no_threads_and_no_files_open(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "BOOTSTRAP_MS", 200)
    nobody = replace(hub.broker, bootstrap=f"127.0.0.1:{free_ports(1)[0]}")
    reader = KafkaLogReader(nobody, hub.names, LANGUAGE)
    threads, files = _held()
    for _ in range(5):
        assert isinstance(error_of(hub.topic(nobody)), Unavailable)
        with pytest.raises(Unavailable):
            reader.published()
    assert _held() <= (threads, files)


def _held() -> tuple[int, int]:
    gc.collect()
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


def test_a_broker_elsewhere_is_never_reached_unencrypted(hub: Hub) -> None:
    error = error_of(hub.topic(replace(hub.broker, bootstrap="kafka.example.org:9092", ca="")))
    assert isinstance(error, Malformed)
    assert error.code == "KAFKA_NOT_ENCRYPTED"


def test_a_user_that_may_not_write_under_the_relays_name_is_told(hub: Hub) -> None:
    error = error_of(hub.topic())
    assert isinstance(error, Refused)
    assert (error.code, "topics check" in error.message) == ("KAFKA_NOT_ALLOWED", True)


def test_a_user_that_may_not_see_a_topic_is_told_which(hub: Hub) -> None:
    hub.grant(["WRITE", "DESCRIBE"], "TRANSACTIONAL_ID", hub.names.transactional(RELAY))
    error = error_of(hub.topic())
    assert isinstance(error, Refused)
    assert (error.code, hub.names.position in error.message) == ("TOPIC_MISSING", True)


def test_a_user_that_may_see_but_not_read_is_told_which(hub: Hub) -> None:
    allow_reading(hub)
    hub.grant(["WRITE"], "TOPIC", hub.names.position)
    hub.grant(["WRITE"], "TOPIC", hub.names.log)
    with closing(hub.topic()) as topic:
        topic.published()
        topic.publish(EVENTS, (), place(EVENTS))
    blind = Hub(hub.brokers, hub.names, hub.broker)
    with closing(KafkaAdminClient(**broker_of(hub.brokers).options())) as admin:
        user = f"User:{hub.broker.user}"
        cluster.remove_acls(admin, [Acl(user, "READ", "TOPIC", hub.names.log)])
    reader = KafkaLogReader(blind.broker, hub.names, LANGUAGE)
    with pytest.raises(HubError) as error:
        until(lambda: not list(reader.events(place(EVENTS))), seconds=30)
    assert isinstance(error.value, Refused)
    assert (error.value.code, hub.names.log in error.value.message) == ("KAFKA_NOT_ALLOWED", True)


def test_a_user_that_may_not_write_the_log_is_told_and_nothing_is_written(hub: Hub) -> None:
    allow_reading(hub)
    hub.grant(["WRITE"], "TOPIC", hub.names.position)
    error = error_of(hub.topic(), publishes=True)
    assert isinstance(error, Refused)
    assert error.code == "KAFKA_NOT_ALLOWED"
    assert KafkaLogReader(broker_of(hub.brokers), hub.names, LANGUAGE).published() is None


def test_a_topic_that_is_not_there_is_named(brokers: Brokers | GivenBrokers, hub_id: str) -> None:
    names = Names(hub_id)
    hub = Hub(brokers, names, broker_of(brokers))
    assert names.position in error_of(hub.topic()).message


def test_a_log_with_other_lanes_is_refused(brokers: Brokers | GivenBrokers, hub_id: str) -> None:
    names = Names(hub_id)
    topics = [NewTopic(names.log, 12, 1), NewTopic(names.position, 1, 1)]
    with closing(KafkaAdminClient(**broker_of(brokers).options())) as admin:
        admin.create_topics([*topics, NewTopic(names.refusals, 1, 1)])
        assert until(lambda: names.log in admin.list_topics(), seconds=30)
    error = error_of(Hub(brokers, names, broker_of(brokers)).topic())
    assert (error.code, "12 partitions, not 8" in error.message) == ("TOPIC_PARTITIONS", True)
