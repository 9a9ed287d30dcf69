"""Local brokers: who gets in, and what survives kills."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from adapters.kafka.names import Names
from domain.vocabulary import Seat
from services.local.access import GivenBrokers, taking_part
from services.local.brokers import Brokers
from services.local.processes import until
from tests.servers import make_topics


@contextmanager
def administrator(options: Mapping[str, Any]) -> Iterator[KafkaAdminClient]:
    admin = KafkaAdminClient(**options)
    try:
        yield admin
    finally:
        admin.close()


def own(brokers: Brokers | GivenBrokers) -> Brokers:
    if isinstance(brokers, GivenBrokers):
        pytest.skip("of brokers that somebody else runs, nothing is known")
    return brokers


def test_the_administrator_logs_in_by_scram(brokers: Brokers | GivenBrokers) -> None:
    assert taking_part(brokers.client_options())


@pytest.mark.parametrize(
    "wrong",
    [
        {"sasl_plain_password": "wrong"},
        {"sasl_plain_username": "nobody"},
        {"security_protocol": "PLAINTEXT"},
        {"sasl_mechanism": "PLAIN"},
    ],
    ids=["wrong password", "unknown user", "no password", "password in the clear"],
)
def test_nobody_else_gets_in(brokers: Brokers | GivenBrokers, wrong: dict[str, str]) -> None:
    assert not taking_part(brokers.client_options() | wrong)


def test_the_password_stands_in_one_private_file_and_nowhere_else(
    brokers: Brokers | GivenBrokers,
) -> None:
    # given
    ours = own(brokers)
    assert ours.password_file.stat().st_mode & 0o777 == 0o600
    # when
    secret = ours.admin_password.encode()
    holders = [f for f in ours.folder.rglob("*") if f.is_file() and secret in f.read_bytes()]
    # then
    assert holders == [ours.password_file]


def test_topics_are_made_as_the_hub_names_them(
    brokers: Brokers | GivenBrokers, hub_id: str
) -> None:
    # given
    names, seat = Names(hub_id), Seat("gb-shelter", "protection_support")
    # when
    make_topics(brokers, names, [seat], segment_ms="2000")
    # then
    with administrator(brokers.client_options()) as admin:
        made = {t["name"]: len(t["partitions"]) for t in admin.describe_topics()}
    mine = {name: count for name, count in made.items() if name.startswith(f"{names.prefix}.")}
    assert mine == {names.log: 8, names.refusals: 1, names.position: 1, names.feed(seat): 1}


def test_a_topic_is_never_made_by_writing_to_it(
    brokers: Brokers | GivenBrokers, hub_id: str
) -> None:
    # given
    producer = KafkaProducer(**brokers.client_options(), max_block_ms=2_000)
    topic = Names(hub_id).log
    # when
    with pytest.raises(KafkaError):
        producer.send(topic, b"lost").get(timeout=10)
    producer.close()
    # then
    with administrator(brokers.client_options()) as admin:
        assert topic not in admin.list_topics()


def test_two_of_three_brokers_go_on_and_the_third_catches_up(
    three_brokers: Brokers, hub_id: str
) -> None:
    # given
    names = Names(hub_id)
    make_topics(three_brokers, names)
    # when
    three_brokers.kill(2)
    # then
    written = written_to(three_brokers, names.refusals, b"while one is dead")
    # when
    three_brokers.up(2)
    # then
    assert written
    assert until(lambda: in_sync(three_brokers, names.refusals) == {1, 2, 3}, seconds=60, every=0.3)


def test_a_hanging_broker_is_left_out_until_it_goes_on(three_brokers: Brokers) -> None:
    # given
    options = three_brokers.client_options()
    options |= {"bootstrap_servers": options["bootstrap_servers"][:1]}
    # when
    three_brokers.pause(3)
    # then
    assert until(lambda: taking_part(options) == {1, 2}, seconds=60, every=0.3)
    # when
    three_brokers.resume(3)
    # then
    assert until(lambda: taking_part(options) == {1, 2, 3}, seconds=60, every=0.3)


def written_to(brokers: Brokers, topic: str, value: bytes) -> bool:
    producer = KafkaProducer(**brokers.client_options(), acks="all", delivery_timeout_ms=60_000)
    try:
        return int(producer.send(topic, value).get(timeout=60).offset) == 0
    finally:
        producer.close()


def in_sync(brokers: Brokers, topic: str) -> set[int]:
    with administrator(brokers.client_options()) as admin:
        (described,) = admin.describe_topics([topic])
    return set(described["partitions"][0]["isr_nodes"])
