"""Says why Kafka would answer with nothing, before a process waits for it.

A client gets no error for a topic that it may not read or that is not there, and for a wrong
password just a time-out.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from kafka import errors
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from adapters.kafka.client import Broker, ours
from domain.errors import Refused, Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a process needs of one topic."""

    topic: str
    operation: str = "READ"
    """READ or WRITE."""
    partitions: int | None = None
    """How many there must be; None does not look."""
    cleanup: str | None = None
    """cleanup.policy; None does not look, else the right DESCRIBE_CONFIGS is needed."""


@contextmanager
def connected(broker: Broker) -> Iterator[Any]:
    """Yield an admin client; `Unavailable` KAFKA_UNAVAILABLE names the address and the user."""
    options = broker.options()
    try:
        client = KafkaAdminClient(**options)
    except (errors.KafkaError, OSError) as e:
        user = f"log {broker.user} in" if broker.user else "answer"
        seconds = options["bootstrap_timeout_ms"] // 1000
        message = (
            f"{broker.bootstrap} did not {user} within {seconds} s: check that the "
            "brokers run and the address is right, and the user's name and password"
        )
        raise Unavailable("KAFKA_UNAVAILABLE", message) from e
    with closing(client):
        yield client


def preflight(broker: Broker, needs: Sequence[Need]) -> None:
    """Return if every topic is there as needed.

    `Unavailable` KAFKA_UNAVAILABLE; `Refused` TOPIC_MISSING_OR_NOT_ALLOWED, KAFKA_NOT_ALLOWED,
    TOPIC_PARTITIONS or TOPIC_POLICY names the topic and the next step.
    """
    with connected(broker) as client, ours("look at the topics"):
        described = {t["name"]: t for t in client.describe_topics([n.topic for n in needs])}
        for need in needs:
            _check(broker, need, described[need.topic])
            if need.cleanup is not None:
                _check_cleanup(need, settings_of(client, [need.topic])[need.topic])


def settings_of(client: Any, topics: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return every setting of each topic, as kafka-python describes it.

    `Refused` KAFKA_NOT_ALLOWED: Kafka's own refusal looks like a topic without settings.
    """
    if not topics:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in topics]
    described: dict[str, dict[str, Any]] = client.describe_configs(asked, config_filter="all")[
        "topic"
    ]
    for name in topics:
        if not described.get(name):
            message = f"this user may not see the settings of {name}: it needs DESCRIBE_CONFIGS"
            raise Refused("KAFKA_NOT_ALLOWED", message)
    return described


def _check(broker: Broker, need: Need, described: dict[str, Any]) -> None:
    if described["error_code"]:
        message = (
            f"topic {need.topic} is not there, or {broker.user or 'this user'} may not see it: it "
            "would look empty; check the topic's name and the user, then run nrm-hub topics check"
        )
        raise Refused("TOPIC_MISSING_OR_NOT_ALLOWED", message)
    if need.operation not in described["authorized_operations"]:
        message = f"{broker.user} may not {need.operation} {need.topic}; run nrm-hub topics check"
        raise Refused("KAFKA_NOT_ALLOWED", message)
    there = len(described["partitions"])
    if need.partitions not in {None, there}:
        message = (
            f"topic {need.topic} has {there} partitions, not {need.partitions}: "
            "nrm-hub topics check says what to do"
        )
        raise Refused("TOPIC_PARTITIONS", message)


def _check_cleanup(need: Need, settings: dict[str, Any]) -> None:
    there = settings["cleanup.policy"]["value"]
    if there != need.cleanup:
        message = (
            f"topic {need.topic} has cleanup.policy {there}, not {need.cleanup}: "
            "nrm-hub topics check says what to do"
        )
        raise Refused("TOPIC_POLICY", message)
