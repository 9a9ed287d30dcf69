"""What differs between the declaration and a cluster, and what of it can be changed safely.

Pure: `admin` reads the cluster and carries the changes out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from adapters.kafka.declared import Acl, Found, Topic, Wanted
from adapters.kafka.names import principal_of
from domain.errors import Malformed
from domain.vocabulary import Purpose, Seat

REVOKED = 16_384
"""Iterations of a credential that nobody knows: what Kafka shows of one marks it so."""
_PURPOSES = frozenset(Purpose)


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic is missing."""

    topic: Topic

    def __str__(self) -> str:
        return f"+ topic {self.topic.name} partitions={self.topic.partitions}"


@dataclass(frozen=True, slots=True)
class Setting:
    """A topic's own setting is another, or missing, or (`new` is None) one too many."""

    topic: str
    name: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        old, new = ("unset" if v is None else v for v in (self.old, self.new))
        return f"~ config {self.topic} {self.name} {old} -> {new}"


@dataclass(frozen=True, slots=True)
class NewUser:
    """A principal has no password, or had its password taken away."""

    user: str

    def __str__(self) -> str:
        return f"+ user {self.user}"


@dataclass(frozen=True, slots=True)
class Revocation:
    """Somebody who may read no longer still has a password that works."""

    user: str

    def __str__(self) -> str:
        return f"- user {self.user} (revoked: its password is overwritten)"


@dataclass(frozen=True, slots=True)
class NewAcl:
    """A right is missing."""

    acl: Acl

    def __str__(self) -> str:
        return f"+ acl {self.acl}"


@dataclass(frozen=True, slots=True)
class OldAcl:
    """A right is one too many."""

    acl: Acl

    def __str__(self) -> str:
        return f"- acl {self.acl}"


Change = NewTopic | Setting | NewUser | Revocation | NewAcl | OldAcl


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """A difference that no program may put right by itself."""

    code: str
    message: str
    """What differs, and the next step."""

    def __str__(self) -> str:
        return f"! {self.code}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that differs."""

    changes: tuple[Change, ...] = ()
    """What `apply` does, in this order."""
    blocked: tuple[Blocked, ...] = ()
    """What it refuses to do."""
    notes: tuple[str, ...] = ()
    """What is worth knowing and no difference."""

    @property
    def agrees(self) -> bool:
        """Return whether the cluster is as declared."""
        return not self.changes and not self.blocked


def compare(wanted: Wanted, found: Found) -> Plan:
    """Return what differs; rights that are too many go first."""
    former = _former(wanted, found)
    return Plan(
        changes=(*_cut(wanted, found, former), *_topics(wanted, found), *_let_in(wanted, found)),
        blocked=tuple(_blocked(wanted, found, former)),
        notes=(*wanted.notes, *_left_over(wanted, found, former)),
    )


def _former(wanted: Wanted, found: Found) -> dict[str, str]:
    """Return the principals of what were seats, with their topics.

    A topic tells of a seat also when its rights are gone, and a right when its topic is.
    """
    topics = {*found.topics, *(a.name for a in found.acls if a.resource == "TOPIC")}
    others = sorted(topics - set(wanted.seats.values()))
    return {user: topic for topic in others if (user := _reader(wanted, topic)) is not None}


def _reader(wanted: Wanted, topic: str) -> str | None:
    """Return the principal of the seat whose topic this is, if it is the topic of a seat."""
    agency, _, purpose = topic.removeprefix(wanted.feeds).rpartition(".")
    if not topic.startswith(wanted.feeds) or not agency or purpose not in _PURPOSES:
        return None
    try:
        return principal_of(Seat(agency, purpose))
    except Malformed:
        return None


def _cut(wanted: Wanted, found: Found, former: dict[str, str]) -> Iterator[Change]:
    ours = {f"User:{user}" for user in (*wanted.users, *former)}
    prefixes = (wanted.prefix, *(f"{user}." for user in wanted.seats))
    # A right is ours if it reaches what is ours, or if whoever has it is.
    reach = {a for a in found.acls if a.principal in ours or any(map(a.reaches, prefixes))}
    yield from (OldAcl(acl) for acl in sorted(reach - wanted.acls))
    for user, iterations in sorted(found.users.items()):
        dropped = user in former or user.startswith(wanted.prefix)
        if dropped and user not in wanted.users and iterations != REVOKED:
            yield Revocation(user)


def _topics(wanted: Wanted, found: Found) -> Iterator[Change]:
    for topic in wanted.topics:
        there = found.topics.get(topic.name)
        if there is None:
            yield NewTopic(topic)
            continue
        for name in sorted(topic.config.keys() | there.config.keys()):
            old, new = there.config.get(name), topic.config.get(name)
            if old != new and not (name == "cleanup.policy" and topic.name in wanted.trail):
                yield Setting(topic.name, name, old, new)


def _let_in(wanted: Wanted, found: Found) -> Iterator[Change]:
    for user in wanted.users:
        if found.users.get(user, REVOKED) == REVOKED:
            yield NewUser(user)
    yield from (NewAcl(acl) for acl in sorted(wanted.acls - found.acls))


def _blocked(wanted: Wanted, found: Found, former: dict[str, str]) -> Iterator[Blocked]:
    for topic in wanted.topics:
        if there := found.topics.get(topic.name):
            yield from _cannot_change(topic, there, on_trail=topic.name in wanted.trail)
    known = {*(t.name for t in wanted.topics), *former.values()}
    for name in sorted(found.topics.keys() - known):
        yield Blocked(
            code="TOPIC_FOREIGN",
            message=f"{name} is not declared: find out who made it, then delete it by hand",
        )


def _cannot_change(topic: Topic, there: Topic, *, on_trail: bool) -> Iterator[Blocked]:
    if there.partitions != topic.partitions:
        yield Blocked(
            code="TOPIC_PARTITIONS",
            message=f"{topic.name} has {there.partitions} partitions and needs {topic.partitions}; "
            "keys would move between lanes: stop its writers, delete the topic, apply, and "
            "publish it again from the store",
        )
    if there.replication < topic.replication:
        yield Blocked(
            code="TOPIC_REPLICATION",
            message=f"{topic.name} has {there.replication} copies and needs {topic.replication}: "
            "add them with kafka-reassign-partitions",
        )
    policy, needed = there.config.get("cleanup.policy"), topic.config.get("cleanup.policy")
    if on_trail and policy != needed:
        yield Blocked(
            code="TOPIC_POLICY",
            message=f"{topic.name} has cleanup.policy {policy or 'unset'} and needs {needed}; "
            "records may be gone already: stop its writers, keep the disks, compare it with the "
            "store, then delete the topic, apply, and publish it again from the store",
        )


def _left_over(wanted: Wanted, found: Found, former: dict[str, str]) -> Iterator[str]:
    for user, topic in former.items():
        if topic in found.topics:
            yield f"{topic} is of a former seat, {user}: its records expire, delete it by hand then"
