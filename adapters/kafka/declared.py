"""The parts that a hub's Kafka is made of: what a declaration asks for and a cluster has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

CLUSTER = "kafka-cluster"
"""The one name of a resource of type cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic and the settings that it has of its own."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


class Acl(NamedTuple):
    """One right, in the words of Kafka's protocol (KIP-290)."""

    principal: str
    """Type and name, such as User:nrm.gb.relay."""
    operation: str
    """READ, WRITE and so on."""
    resource: str
    """TOPIC, GROUP, TRANSACTIONAL_ID, CLUSTER and so on."""
    name: str
    prefixed: bool = False
    """Whether `name` is what the names of resources begin with."""
    permission: str = "ALLOW"
    host: str = "*"

    def __str__(self) -> str:
        name = f"{self.name}{'…' if self.prefixed else ''}"
        host = "" if self.host == "*" else f" from {self.host}"
        verb = "may" if self.permission == "ALLOW" else "may not"
        what = self.resource.lower().replace("_", " ")
        return f"{self.principal} {verb} {self.operation} {what} {name}{host}"

    def reaches(self, prefix: str) -> bool:
        """Return whether it is about anything whose name begins with `prefix`."""
        if self.resource not in {"TOPIC", "GROUP", "TRANSACTIONAL_ID"}:
            return False
        if self.prefixed and prefix.startswith(self.name):
            return True
        return self.name == "*" or self.name.startswith(prefix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a cluster must have, for one hub."""

    prefix: str
    """What every name of the hub begins with, the dot included."""
    feeds: str
    """What the topic of every seat begins with."""
    topics: tuple[Topic, ...]
    trail: frozenset[str]
    """Topics in which nothing may ever expire or be compacted."""
    seats: Mapping[str, str]
    """Principal of each seat -> its topic."""
    users: tuple[str, ...]
    """Every principal, the hub's and the seats'."""
    acls: frozenset[Acl]
    quotas: Mapping[str, int]
    """Of each seat's principal: consumer_byte_rate in bytes/s, request_percentage."""
    notes: tuple[str, ...] = ()
    """What is odd in the declaration and changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a cluster has."""

    topics: Mapping[str, Topic]
    """Those whose names begin with the hub's prefix."""
    users: Mapping[str, int] = field(default_factory=dict)
    """SCRAM-SHA-512 users -> iterations."""
    acls: frozenset[Acl] = frozenset()
