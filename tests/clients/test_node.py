"""Node reads a feed: kafkajs, the Confluent registry client and avsc, none of it ours."""

import base64
import json

import pytest

from tests.clients import node
from tests.clients.feed import Feed, headers_of, values_of


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    node.installed()


def test_node_reads_every_entry_as_we_do(feed: Feed, feed_hub: str, registry: str) -> None:
    asked = {
        "bootstrap": feed.bootstrap,
        "user": feed.user,
        "password": feed.password,
        "group": feed.group("node"),
        "topic": feed.topic,
        "registry": registry,
        "count": feed.count,
    }

    *read, heartbeat = node.run("read_feed.mjs", env={"FEED": json.dumps(asked)})

    assert (heartbeat["key"], heartbeat["value"]) == ("heartbeat", None)
    assert len(read) == len(feed.entries)
    for entry, record in zip(feed.entries, read, strict=True):
        assert record["key"] == entry.event_id
        assert record["timestamp"] > entry.item.event.recorded_ms, "when it was published"
        assert plain(record["value"]) == values_of(entry, branches=True)
        assert {
            name: base64.b64decode(data["base64"]) for name, data in record["headers"]
        } == headers_of(entry, feed_hub)


def plain(value: object) -> object:
    """Return avsc's values with bytes in base64."""
    match value:
        case {"base64": text}:
            return text
        case dict():
            return {key: plain(part) for key, part in value.items()}
        case list():
            return [plain(part) for part in value]
        case _:
            return value
