"""The declaration of topics, principals and rights: one TOML file, read strictly and expanded.

Every refusal is `Malformed` under a code TOPICS_… and names the key.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from adapters.kafka.declared import CLUSTER, Acl, Topic, Wanted
from adapters.kafka.names import Names, checked_principal, principal_of
from adapters.kafka.settings import MOST, settings
from domain.errors import Malformed
from domain.feed import LANES
from domain.strict_toml import Table
from domain.vocabulary import Seat

DAY_MS = 86_400_000
_TOPICS = ("log", "refusals", "position")
_TRAIL = ("log", "refusals")
_FOR_EVER = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
"""What keeps every record of the trail: none expires, none stands for another."""
_READING = ("READ", "DESCRIBE")
_OPERATIONS = (
    *("READ", "WRITE", "CREATE", "DELETE", "ALTER", "DESCRIBE"),
    *("DESCRIBE_CONFIGS", "ALTER_CONFIGS"),
)
_QUOTAS = ("consumer_byte_rate", "request_percentage")
_RESOURCES = ("topic", "group", "transactional_id", "cluster")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A topic before it has a name."""

    partitions: int
    config: Mapping[str, str]


class Right(NamedTuple):
    """What a principal of the hub may do with one kind of thing."""

    principal: str
    kind: str
    """topic, group, transactional_id or cluster."""
    name: str
    may: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """The file as read; `expand` gives the names of one hub."""

    replication: int
    min_insync: int
    topics: Mapping[str, Template]
    feed: Template
    retention_days: int
    agreed_days: Mapping[str, int]
    """Agency -> days."""
    seat_topic: tuple[str, ...]
    seat_group: tuple[str, ...]
    quotas: Mapping[str, int]
    rights: tuple[Right, ...]

    def expand(self, names: Names, brokers: int, seats: Sequence[Seat]) -> Wanted:
        """Return what a cluster of so many `brokers` must have for the hub and its `seats`.

        `Malformed` PRINCIPAL when a name is not one that Kafka takes as it is.
        """
        of_seats = {principal_of(_plain(seat)): seat for seat in sorted(set(seats))}
        of_hub = {r.principal: hub_principal(names, r.principal) for r in self.rights}
        hub_acls = (a for r in self.rights for a in _acls(names, of_hub[r.principal], r))
        seat_acls = (a for user, s in of_seats.items() for a in self._seat_acls(names, user, s))
        return Wanted(
            prefix=f"{names.prefix}.",
            feeds=names.feeds,
            topics=self._topics(names, brokers, tuple(of_seats.values())),
            trail=frozenset(f"{names.prefix}.{kind}" for kind in _TRAIL),
            seats={user: names.feed(seat) for user, seat in of_seats.items()},
            users=(*of_hub.values(), *of_seats),
            acls=frozenset((*hub_acls, *seat_acls)),
            quotas=self.quotas,
            notes=self._notes(seats),
        )

    def _topics(self, names: Names, brokers: int, seats: Sequence[Seat]) -> tuple[Topic, ...]:
        copies = min(self.replication, brokers)
        # Of two copies, asking for both would stop all writing whenever one broker restarts.
        safe = {"min.insync.replicas": str(max(1, min(self.min_insync, copies - 1)))}

        def topic(name: str, template: Template, **more: str) -> Topic:
            config = {**safe, **template.config, **more}
            return Topic(
                name=name, partitions=template.partitions, replication=copies, config=config
            )

        own = (topic(f"{names.prefix}.{kind}", t) for kind, t in self.topics.items())
        feeds = (
            topic(names.feed(s), self.feed, **{"retention.ms": self._retention(s)}) for s in seats
        )
        return (*own, *feeds)

    def _retention(self, seat: Seat) -> str:
        return str(self.agreed_days.get(seat.agency, self.retention_days) * DAY_MS)

    def _seat_acls(self, names: Names, user: str, seat: Seat) -> list[Acl]:
        topic = [Acl(f"User:{user}", op, "TOPIC", names.feed(seat)) for op in self.seat_topic]
        return topic + [
            Acl(f"User:{user}", op, "GROUP", f"{user}.", prefixed=True) for op in self.seat_group
        ]

    def _notes(self, seats: Sequence[Seat]) -> tuple[str, ...]:
        # No error: an agency that was suspended must not keep `apply` from cutting it off.
        unknown = sorted(self.agreed_days.keys() - {seat.agency for seat in seats})
        return tuple(f"feed.agreed names {a}, which has no seat: check its id" for a in unknown)


def hub_principal(names: Names, role: str) -> str:
    """Return the principal of one of the hub's own processes, such as nrm.gb.relay."""
    return checked_principal(f"{names.prefix}.{role}")


def parse_declaration(text: str) -> Declaration:
    """Return the declaration in TOML `text`; `Malformed` TOPICS_… if it is not understood."""
    try:
        return _declaration(Table("topics.toml", tomllib.loads(text)))
    except (tomllib.TOMLDecodeError, RecursionError) as e:
        raise Malformed("TOPICS_SYNTAX", f"topics.toml is not TOML: {e}") from e
    except Malformed as e:  # the reader's own codes are those of policy packs
        raise Malformed(e.code.replace("POLICY_", "TOPICS_"), e.message) from e


def _declaration(top: Table) -> Declaration:
    common = settings(top.table("every_topic"))
    topics, feed, seats = top.table("topics"), top.table("feed"), top.table("seats")
    declaration = Declaration(
        replication=top.number("replication", 1, 9),
        min_insync=top.number("min_insync", 1, 9),
        topics={kind: _template(topics.table(kind), common) for kind in _TOPICS},
        retention_days=feed.number("retention_days", 1, 3660),
        agreed_days=_agreed(feed),
        feed=_template(feed, common),
        seat_topic=seats.words("topic", _READING),
        seat_group=seats.words("group", _READING),
        quotas=_quotas(seats.table("quotas")),
        rights=tuple(_right(t) for t in top.tables("rights")),
    )
    for table in (top, topics, seats):
        _nothing_left(table)
    _check(declaration)
    return declaration


def _check(declaration: Declaration) -> None:
    if declaration.topics["log"].partitions != LANES:
        raise Malformed("TOPICS_LANES", f"topics.log.partitions is {LANES}, for good")
    for kind in _TRAIL:
        config = declaration.topics[kind].config
        if wrong := [k for k, v in _FOR_EVER.items() if config.get(k) != v]:
            message = f"topics.{kind}: {wrong[0]} must be {_FOR_EVER[wrong[0]]}; it is the trail"
            raise Malformed("TOPICS_TRAIL", message)
    if "retention.ms" in declaration.feed.config:
        raise Malformed("TOPICS_RETENTION", "say feed.retention_days, not retention.ms")


def _template(table: Table, common: Mapping[str, str]) -> Template:
    template = Template(
        partitions=table.number("partitions", 1, 1000),
        config={**common, **settings(table.table("config"))},
    )
    _nothing_left(table)
    return template


def _agreed(feed: Table) -> dict[str, int]:
    agreed: dict[str, int] = {}
    for table in feed.tables("agreed"):
        agreed[table.take("agency", str)] = table.number("days", 1, 3660)
        _nothing_left(table)
    return agreed


def _quotas(table: Table) -> dict[str, int]:
    return {key: table.number(key, 1, MOST) for key in table.keys(_QUOTAS)}


def _right(table: Table) -> Right:
    principal, may = table.take("principal", str), table.words("may", _OPERATIONS)
    kinds = table.keys(_RESOURCES)
    if len(kinds) != 1:
        raise Malformed("TOPICS_RIGHT", f"{table.path} names one of {', '.join(_RESOURCES)}")
    return Right(principal, kinds[0], _resource(table, kinds[0]), may)


def _resource(table: Table, kind: str) -> str:
    match kind:
        case "topic":
            return table.word(kind, (*_TOPICS, "feed", "all"))
        case "cluster":
            return table.word(kind, (CLUSTER,))
        case _:
            return table.take(kind, str)


def _acls(names: Names, user: str, right: Right) -> list[Acl]:
    match right.kind, right.name:
        case "topic", "all":
            name, prefixed = f"{names.prefix}.", True
        case "topic", "feed":
            name, prefixed = names.feeds, True
        case "group", readers:
            name, prefixed = names.group(readers), True
        case "transactional_id", relay:
            name, prefixed = names.transactional(relay), False
        case "topic", kind:
            name, prefixed = f"{names.prefix}.{kind}", False
        case _, name:
            prefixed = False
    return [Acl(f"User:{user}", op, right.kind.upper(), name, prefixed) for op in right.may]


def _nothing_left(table: Table) -> None:
    table.keys(())


def _plain(seat: Seat) -> Seat:
    # With a dot, one agency's names could be what another's begin with.
    if "." in seat.agency:
        raise Malformed("PRINCIPAL", f"{seat.agency} has a dot: it cannot have a topic of its own")
    return seat
