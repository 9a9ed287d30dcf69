"""confluent-kafka reads a feed: librdkafka and Confluent's own registry client and decoder."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from confluent_kafka import Consumer, Message
from confluent_kafka.serialization import MessageField, SerializationContext

from tests.clients.confluent import AvroDeserializer, SchemaRegistryClient
from tests.clients.feed import LANGUAGE, Feed, headers_of, values_of
from tests.schemas.golden import text

SECONDS = 60.0


@pytest.fixture(scope="module")
def messages(feed: Feed) -> Sequence[Message]:
    return read(feed)


@pytest.fixture
def client(registry: str) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": registry}) as client:
        yield client


def read(feed: Feed, **options: Any) -> list[Message]:
    """Return the feed's records as the seat's own principal finds them."""
    consumer = Consumer(
        {
            "bootstrap.servers": feed.bootstrap,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": feed.user,
            "sasl.password": feed.password,
            "group.id": feed.group("confluent"),
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
        | options
    )
    try:
        consumer.subscribe([feed.topic])
        found: list[Message] = []
        while len(found) < feed.count:
            some = consumer.consume(feed.count - len(found), SECONDS)
            assert some, "no record came"
            found += some
        return found
    finally:
        consumer.close()


def test_confluents_client_reads_every_entry_as_we_do(
    feed: Feed, feed_hub: str, messages: Sequence[Message], client: SchemaRegistryClient
) -> None:
    *read, heartbeat = messages
    decode = AvroDeserializer(client)

    assert (heartbeat.key(), heartbeat.value()) == (b"heartbeat", None)
    assert len(read) == len(feed.entries)
    for entry, message in zip(feed.entries, read, strict=True):
        value = decode(message.value(), SerializationContext(feed.topic, MessageField.VALUE))
        assert message.key() == entry.event_id.encode()
        assert message.timestamp()[1] > entry.item.event.recorded_ms, "when it was published"
        assert dict(message.headers() or ()) == headers_of(entry, feed_hub)
        assert flat(value) == values_of(entry, branches=False)


def test_it_needs_nothing_but_the_schema_behind_the_number(
    feed: Feed, messages: Sequence[Message], client: SchemaRegistryClient
) -> None:
    of_each_type = feed.entries[: len(LANGUAGE.types())]
    for entry, message in zip(of_each_type, messages, strict=False):
        number = int.from_bytes((message.value() or b"")[1:5], "big")
        schema = client.get_schema(number)
        assert schema.schema_type == "AVRO"
        assert [s.subject for s in client.get_schema_versions(number)] == [entry.item.event.type]


def test_the_registry_takes_part_in_the_other_calls_of_that_client(
    client: SchemaRegistryClient,
) -> None:
    subject = "nrm.v1.ReferralSent"
    latest = client.get_latest_version(subject)

    assert subject in client.get_subjects()
    assert client.get_versions(subject) == [1]
    assert client.get_version(subject, 1).schema_id == latest.schema_id
    assert client.lookup_schema(subject, latest.schema).schema_id == latest.schema_id
    assert client.get_config(subject).compatibility_level == "FULL_TRANSITIVE"
    assert client.test_compatibility(subject, latest.schema)


def test_a_record_of_an_unknown_number_is_an_error_that_names_it(
    feed: Feed, client: SchemaRegistryClient
) -> None:
    with pytest.raises(Exception, match="no schema has this number"):
        AvroDeserializer(client)(
            b"\x00\x00\x00\x27\x0f\x02",
            SerializationContext(feed.topic, MessageField.VALUE),
        )


def flat(value: Any) -> Any:
    """Return the decoder's values with instants in milliseconds and bytes in base64."""
    match value:
        case bytes():
            return text(value)
        case datetime():
            return round((value - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
        case UUID():
            return str(value)
        case dict():
            return {key: flat(part) for key, part in value.items()}
        case list():
            return [flat(part) for part in value]
        case _:
            return value
