"""Topics, principals and rights on a real broker: declared, applied, read back, and what holds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType, NewPartitions

from adapters.kafka import client as clients
from adapters.kafka import cluster
from adapters.kafka import differences as diff
from adapters.kafka.admin import Admin
from adapters.kafka.client import Broker
from adapters.kafka.declaration import hub_principal, parse_declaration
from adapters.kafka.declared import Acl, Topic
from adapters.kafka.names import Names, principal_of
from adapters.kafka.preflight import Need, connected, preflight
from adapters.kafka.publisher import Outgoing, Publisher
from domain.errors import Refused, Unavailable
from domain.secret import Secret
from domain.vocabulary import Seat
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from services.local.processes import free_ports, until

DECLARATION = parse_declaration(
    (Path(__file__).parents[2] / "deploy/kafka/topics.toml").read_text("utf-8")
)
PATIENCE_S = 60

pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning"
)  # kafka-python, when refused


@dataclass
class Hub:
    """A hub of a test's own, with two seats and the passwords that were handed out."""

    brokers: Brokers | GivenBrokers
    names: Names
    here: Seat
    there: Seat
    passwords: dict[str, str] = field(default_factory=dict)

    @property
    def seats(self) -> tuple[Seat, ...]:
        return (self.here, self.there)

    @property
    def root(self) -> Broker:
        return self.broker(self.brokers.admin_user, self.brokers.admin_password)

    @property
    def admin(self) -> Admin:
        return Admin(self.root, self.names, DECLARATION)

    def broker(self, user: str, password: str) -> Broker:
        secret = Secret(password.encode())
        return Broker(
            bootstrap=self.brokers.bootstrap, user=user, password=secret, ca=self.brokers.ca
        )

    def log_in(self, user: str) -> Broker:
        return self.broker(user, self.passwords[user])

    def process(self, role: str) -> Broker:
        return self.log_in(hub_principal(self.names, role))

    def seat(self, seat: Seat) -> Broker:
        return self.log_in(principal_of(seat))

    def keep(self, user: str, password: Secret) -> None:
        self.passwords[user] = password.reveal().decode()

    def apply(self, seats: Sequence[Seat] | None = None) -> diff.Plan:
        return self.admin.apply(self.seats if seats is None else seats, self.keep)

    def plan(self, seats: Sequence[Seat] | None = None) -> diff.Plan:
        return self.admin.plan(self.seats if seats is None else seats)


def hub_of(brokers: Brokers | GivenBrokers, hub_id: str) -> Hub:
    mark = hub_id.removeprefix("nrm:")
    here, there = Seat(f"{mark}-a", "protection_support"), Seat(f"{mark}-b", "health_care")
    return Hub(brokers, Names(hub_id), here, there)


@pytest.fixture
def bare(brokers: Brokers | GivenBrokers, hub_id: str) -> Hub:
    """A hub of which nothing is on the cluster yet."""
    return hub_of(brokers, hub_id)


@pytest.fixture
def hub(bare: Hub) -> Hub:
    """A hub whose declaration was applied."""
    bare.apply()
    return bare


def refusal(broker: Broker) -> Unavailable:
    """Return why `broker` lets nobody in; it has only a moment to do so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clients, "BOOTSTRAP_MS", 2_000)
        with pytest.raises(Unavailable) as unavailable, connected(broker):
            pass
    return unavailable.value


def lines(plan: diff.Plan) -> list[str]:
    return [*map(str, plan.changes), *(b.code for b in plan.blocked)]


def write(broker: Broker, topic: str, *values: bytes) -> None:
    with closing(KafkaProducer(**broker.options(), acks="all", max_block_ms=10_000)) as producer:
        for value in values:
            producer.send(topic, value, key=value, partition=0).get(10)


def consumer_of(broker: Broker, **more: Any) -> KafkaConsumer:
    return KafkaConsumer(
        **broker.options(), auto_offset_reset="earliest", enable_auto_commit=False, **more
    )


def values(broker: Broker, topic: str, seconds: int = 3) -> list[bytes]:
    """Return what a consumer gets of partition 0 of `topic`, in so many seconds at most."""
    with closing(consumer_of(broker)) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        for _ in range(seconds):
            if found := consumer.poll(1000):
                return [r.value for records in found.values() for r in records]
    return []


def test_what_was_applied_is_what_is_there(bare: Hub) -> None:
    before = bare.plan()
    done = bare.apply()
    assert before.changes == done.changes
    assert {str(c)[:3] for c in done.changes} == {"+ t", "+ u", "+ a"}
    assert bare.plan().agrees
    assert bare.passwords.keys() == {c.user for c in done.changes if isinstance(c, diff.NewUser)}


def test_a_second_apply_does_nothing_and_no_password_changes(hub: Hub) -> None:
    first = dict(hub.passwords)
    again = hub.apply()
    assert again.agrees
    assert hub.passwords == first
    for user in first:
        with connected(hub.log_in(user)):
            pass


Spoil = Callable[[Hub, Any], None]


def configure(hub: Hub, client: Any, topic: str, **settings: str | None) -> None:
    changes = {
        name.replace("_", "."): (
            AlterConfigOp.DELETE if value is None else AlterConfigOp.SET,
            value,
        )
        for name, value in settings.items()
    }
    client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, changes)])


def mallory(hub: Hub) -> Acl:
    return Acl(f"User:mallory.{hub.names.prefix}", "READ", "TOPIC", hub.names.log)


def own_write(hub: Hub) -> Acl:
    return Acl(f"User:{principal_of(hub.here)}", "WRITE", "TOPIC", hub.names.feed(hub.here))


def own_read(hub: Hub) -> Acl:
    return own_write(hub)._replace(operation="READ")


def once(hub: Hub) -> str:
    return f"{hub.names.prefix}.once"


SPOILS: Mapping[str, tuple[Spoil, Callable[[Hub], str]]] = {
    "the cluster's min.insync.replicas instead of its own": (
        lambda hub, c: configure(hub, c, hub.names.log, min_insync_replicas=None),
        lambda hub: f"~ config {hub.names.log} min.insync.replicas unset -> 1",
    ),
    "a log that expires": (
        lambda hub, c: configure(hub, c, hub.names.log, retention_ms="86400000"),
        lambda hub: f"~ config {hub.names.log} retention.ms 86400000 -> -1",
    ),
    "a feed without compaction": (
        lambda hub, c: configure(hub, c, hub.names.feed(hub.here), cleanup_policy="delete"),
        lambda hub: f"~ config {hub.names.feed(hub.here)} cleanup.policy delete -> compact,delete",
    ),
    "a setting that nobody declared": (
        lambda hub, c: configure(hub, c, hub.names.refusals, segment_bytes="2097152"),
        lambda hub: f"~ config {hub.names.refusals} segment.bytes 2097152 -> unset",
    ),
    "a stranger who may read the log": (
        lambda hub, c: cluster.create_acls(c, [mallory(hub)]),
        lambda hub: f"- acl {mallory(hub)}",
    ),
    "a seat that may write": (
        lambda hub, c: cluster.create_acls(c, [own_write(hub)]),
        lambda hub: f"- acl {own_write(hub)}",
    ),
    "a seat that may not read": (
        lambda hub, c: cluster.remove_acls(c, [own_read(hub)]),
        lambda hub: f"+ acl {own_read(hub)}",
    ),
    "a principal of the hub that is no longer declared": (
        lambda hub, c: cluster.set_passwords(c, [(once(hub), "invented", 4096)]),
        lambda hub: f"- user {once(hub)} (revoked: its password is overwritten)",
    ),
    "a seat without a password": (
        lambda hub, c: cluster.set_passwords(
            c, [(principal_of(hub.here), "invented", diff.REVOKED)]
        ),
        lambda hub: f"+ user {principal_of(hub.here)}",
    ),
}


@pytest.mark.parametrize("what", SPOILS)
def test_what_drifted_is_named_and_put_right(hub: Hub, what: str) -> None:
    spoil, line = SPOILS[what]
    with connected(hub.root) as client:
        spoil(hub, client)
    assert until(lambda: not hub.plan().agrees, seconds=PATIENCE_S)
    assert lines(hub.plan()) == [line(hub)]
    assert lines(hub.apply()) == [line(hub)]
    assert hub.plan().agrees


def more_partitions(hub: Hub, client: Any) -> None:
    client.create_partitions({hub.names.refusals: NewPartitions(2)})


def foreign_topic(hub: Hub, client: Any) -> None:
    name = f"{hub.names.prefix}.notes"
    client.create_topics({name: {"num_partitions": 1, "replication_factor": 1}})


BLOCKED: Mapping[str, tuple[Spoil, str, Callable[[Hub], str]]] = {
    "too many partitions": (more_partitions, "TOPIC_PARTITIONS", lambda hub: hub.names.refusals),
    "a compacted log": (
        lambda hub, c: configure(hub, c, hub.names.log, cleanup_policy="compact"),
        "TOPIC_POLICY",
        lambda hub: hub.names.log,
    ),
    "a foreign topic": (foreign_topic, "TOPIC_FOREIGN", lambda hub: f"{hub.names.prefix}.notes"),
}


@pytest.mark.parametrize("what", BLOCKED)
def test_what_cannot_be_undone_is_named_and_left_alone(hub: Hub, what: str) -> None:
    spoil, code, name = BLOCKED[what]
    with connected(hub.root) as client:
        spoil(hub, client)
    assert until(lambda: not hub.plan().agrees, seconds=PATIENCE_S)
    assert lines(hub.plan()) == [code]
    with pytest.raises(Refused, match=name(hub)) as refused:
        hub.apply()
    assert refused.value.code == code
    assert lines(hub.plan()) == [code]


def test_a_log_with_fewer_partitions_is_refused_and_the_rest_is_done(bare: Hub) -> None:
    with connected(bare.root) as client:
        client.create_topics({bare.names.log: {"num_partitions": 4, "replication_factor": 1}})
    with pytest.raises(Refused, match="has 4 partitions and needs 8") as refused:
        bare.apply()
    assert refused.value.code == "TOPIC_PARTITIONS"
    assert {b.code for b in bare.plan().blocked} == {"TOPIC_PARTITIONS", "TOPIC_POLICY"}
    assert not bare.plan().changes


def test_a_seat_reads_its_own_topic_in_its_own_groups(hub: Hub) -> None:
    topic, user = hub.names.feed(hub.here), principal_of(hub.here)
    write(hub.root, topic, b"for here")
    preflight(hub.seat(hub.here), [Need(topic=topic, partitions=1)])
    with closing(consumer_of(hub.seat(hub.here), group_id=f"{user}.desk")) as consumer:
        consumer.subscribe([topic])
        found: list[bytes] = []

        def there() -> bool:
            found.extend(r.value for batch in consumer.poll(500).values() for r in batch)
            return bool(found)

        assert until(there, seconds=PATIENCE_S)
        consumer.commit()
    assert found == [b"for here"]


def test_a_seat_can_neither_read_nor_see_what_is_not_its_own(hub: Hub) -> None:
    for topic in (hub.names.feed(hub.there), hub.names.log, hub.names.position, "no.such.topic"):
        with pytest.raises(Refused, match=topic) as refused:
            preflight(hub.seat(hub.here), [Need(topic=topic)])
        assert refused.value.code == "TOPIC_MISSING_OR_NOT_ALLOWED"
    write(hub.root, hub.names.feed(hub.there), b"for there")
    assert values(hub.seat(hub.there), hub.names.feed(hub.there)) == [b"for there"]
    assert values(hub.seat(hub.here), hub.names.feed(hub.there)) == []
    with closing(consumer_of(hub.seat(hub.here))) as consumer:
        assert consumer.topics() == {hub.names.feed(hub.here)}


def test_a_seat_cannot_write_anywhere(hub: Hub) -> None:
    for topic in (hub.names.feed(hub.here), hub.names.feed(hub.there), hub.names.log):
        for idempotent in (True, False):
            options = hub.seat(hub.here).options() | {"enable_idempotence": idempotent}
            with (
                closing(KafkaProducer(**options, max_block_ms=3_000)) as producer,
                pytest.raises(errors.KafkaError),
            ):
                producer.send(topic, b"forged", key=b"forged", partition=0).get(10)
    assert values(hub.root, hub.names.log) == []
    assert values(hub.root, hub.names.feed(hub.here)) == []


def test_a_seat_cannot_use_the_groups_of_others(hub: Hub) -> None:
    for group in (f"{principal_of(hub.there)}.desk", hub.names.group("projector"), "desk"):
        with closing(consumer_of(hub.seat(hub.here), group_id=group)) as consumer:
            consumer.subscribe([hub.names.feed(hub.here)])
            with pytest.raises(errors.GroupAuthorizationFailedError):
                consumer.poll(PATIENCE_S * 1_000)


def record(topic: str) -> Outgoing:
    return Outgoing(topic, 0, b"key", b"value", [], 1_700_000_000_000)


def test_the_relay_writes_log_and_position_in_a_transaction(hub: Hub) -> None:
    names, relay = hub.names, hub.process("relay")
    with closing(Publisher(relay, names, "relay")) as publisher:
        assert publisher.positions() == {}
        publisher.publish([record(names.log), record(names.refusals)], {b"relay/log": b"1"})
        assert publisher.positions() == {b"relay/log": b"1"}
    assert values(hub.process("projector"), names.log) == [b"value"]


def test_the_relay_cannot_write_a_feed_or_take_over_from_the_feed_relay(hub: Hub) -> None:
    names, relay = hub.names, hub.process("relay")
    for topic in (names.feed(hub.here), names.feed(hub.there)):
        with pytest.raises(Refused) as refused:
            preflight(relay, [Need(topic=topic, operation="WRITE")])
        assert refused.value.code == "TOPIC_MISSING_OR_NOT_ALLOWED"
    with (
        closing(Publisher(relay, names, "feeds")) as publisher,
        pytest.raises(Refused) as refused,
    ):
        publisher.positions()
    assert refused.value.code == "KAFKA_NOT_ALLOWED"


def test_the_feed_relay_writes_feeds_and_cannot_touch_the_log(hub: Hub) -> None:
    names, relay = hub.names, hub.process("feed-relay")
    with closing(Publisher(relay, names, "feeds")) as publisher:
        publisher.positions()
        publisher.publish([record(names.feed(hub.here))], {b"feeds/here": b"1"})
    assert values(hub.seat(hub.here), names.feed(hub.here)) == [b"value"]
    with pytest.raises(Refused):
        preflight(relay, [Need(topic=names.log)])


@pytest.mark.parametrize("role", ["projector", "auditor", "restorer"])
def test_readers_of_the_log_cannot_write_it(hub: Hub, role: str) -> None:
    need = Need(topic=hub.names.log, partitions=8, cleanup="delete")
    preflight(hub.process(role), [need])
    with pytest.raises(Refused, match="may not WRITE") as refused:
        preflight(hub.process(role), [Need(topic=hub.names.log, operation="WRITE")])
    assert refused.value.code == "KAFKA_NOT_ALLOWED"
    with pytest.raises(errors.KafkaError):
        write(hub.process(role), hub.names.log, b"forged")


@pytest.mark.parametrize("role", ["auditor", "restorer"])
def test_who_checks_or_restores_the_log_reads_how_far_it_goes_too(hub: Hub, role: str) -> None:
    names = hub.names
    for topic in (names.log, names.refusals, names.position):
        preflight(hub.process(role), [Need(topic=topic)])


def test_the_operator_sees_everything_makes_topics_and_reads_no_record(hub: Hub) -> None:
    names, operator = hub.names, hub.process("operator")
    write(hub.root, names.log, b"an event")
    with pytest.raises(Refused, match="may not READ") as refused:
        preflight(operator, [Need(topic=names.log)])
    assert refused.value.code == "KAFKA_NOT_ALLOWED"
    with pytest.raises(errors.TopicAuthorizationFailedError):
        values(operator, names.log, PATIENCE_S)
    acting = Admin(operator, names, DECLARATION)
    assert acting.plan(hub.seats).agrees
    with connected(hub.root) as client:
        configure(hub, client, names.log, retention_ms="1")
    assert until(lambda: not acting.plan(hub.seats).agrees, seconds=PATIENCE_S)
    acting.apply(hub.seats, hub.keep)
    assert acting.plan(hub.seats).agrees


def test_the_operator_can_give_nobody_a_right_or_a_password(hub: Hub) -> None:
    acting = Admin(hub.process("operator"), hub.names, DECLARATION)
    another = Seat(f"{hub.here.agency}-new", "monitoring")
    with pytest.raises(Refused):
        acting.apply([*hub.seats, another], hub.keep)
    assert f"+ user {principal_of(another)}" in lines(hub.plan([*hub.seats, another]))


def test_a_seat_that_left_is_revoked_and_nobody_else_notices(hub: Hub) -> None:
    user, topic = principal_of(hub.here), hub.names.feed(hub.here)
    plan = hub.plan([hub.there])
    rights = [a for a in DECLARATION.expand(hub.names, 1, hub.seats).acls if user in a.principal]
    assert sorted(lines(plan)) == sorted(
        [*(f"- acl {a}" for a in rights), f"- user {user} (revoked: its password is overwritten)"]
    )
    assert [note for note in plan.notes if topic in note]
    hub.apply([hub.there])
    assert hub.plan([hub.there]).agrees
    assert refusal(hub.seat(hub.here)).code == "KAFKA_UNAVAILABLE"
    with connected(hub.seat(hub.there)):
        pass


def test_a_seat_that_comes_back_gets_another_password(hub: Hub) -> None:
    user, old = principal_of(hub.here), hub.passwords[principal_of(hub.here)]
    hub.apply([hub.there])
    hub.apply()
    assert hub.passwords[user] != old
    preflight(hub.seat(hub.here), [Need(topic=hub.names.feed(hub.here))])
    assert hub.plan().agrees


def test_a_new_password_takes_the_place_of_the_old(hub: Hub) -> None:
    user, old = principal_of(hub.here), hub.passwords[principal_of(hub.here)]
    hub.admin.rotate(user, hub.seats, hub.keep)
    hub.admin.rotate(user, hub.seats, hub.keep)
    with connected(hub.seat(hub.here)):
        pass
    assert refusal(hub.broker(user, old)).code == "KAFKA_UNAVAILABLE"
    assert hub.plan().agrees


def test_only_who_is_declared_gets_a_new_password(hub: Hub) -> None:
    for user in ("admin", "mallory"):
        with pytest.raises(Refused) as refused:
            hub.admin.rotate(user, hub.seats, hub.keep)
        assert refused.value.code == "PRINCIPAL_UNKNOWN"


def test_a_password_that_cannot_be_handed_out_is_not_set(bare: Hub) -> None:
    def full(user: str, password: Secret) -> None:
        raise Unavailable("PASSWORD_FILE", "the disk is full")

    with pytest.raises(Unavailable, match="the disk is full"):
        bare.admin.apply(bare.seats, full)
    assert f"+ user {principal_of(bare.here)}" in lines(bare.plan())


def test_a_wrong_password_or_address_is_named(hub: Hub) -> None:
    user = principal_of(hub.here)
    (port,) = free_ports(1)
    nowhere = Broker(bootstrap=f"127.0.0.1:{port}", user=user, password=Secret(b"x"))
    for broker in (hub.broker(user, "wrong"), nowhere):
        unavailable = refusal(broker)
        assert unavailable.code == "KAFKA_UNAVAILABLE"
        for named in (broker.bootstrap, user, "address", "password"):
            assert named in unavailable.message


def test_the_preflight_names_a_wrong_count_and_policy(hub: Hub) -> None:
    log = hub.names.log
    with pytest.raises(Refused, match=f"{log} has 8 partitions, not 12") as refused:
        preflight(hub.process("relay"), [Need(topic=log, partitions=12)])
    assert refused.value.code == "TOPIC_PARTITIONS"
    with pytest.raises(Refused, match=f"{log} has cleanup.policy delete, not compact") as refused:
        preflight(hub.process("relay"), [Need(topic=log, cleanup="compact")])
    assert refused.value.code == "TOPIC_POLICY"
    feed = Need(topic=hub.names.feed(hub.here), cleanup="compact,delete")
    with pytest.raises(Refused, match="DESCRIBE_CONFIGS"):
        preflight(hub.seat(hub.here), [feed])


def test_a_topic_with_more_copies_than_brokers_waits_for_them(bare: Hub) -> None:
    topic = Topic(name=bare.names.log, partitions=1, replication=30, config={})
    with connected(bare.root) as client, pytest.raises(Unavailable, match="30 brokers") as late:
        cluster.create_topics(client, [topic])
    assert late.value.code == "KAFKA_BROKERS_MISSING"


def test_a_broker_that_is_down_does_not_make_the_hub_ask_for_less(
    three_brokers: Brokers, hub_id: str
) -> None:
    hub = hub_of(three_brokers, hub_id)
    hub.apply()
    with connected(hub.root) as client:
        found = cluster.found(client, f"{hub.names.prefix}.")
    log = found.topics[hub.names.log]
    assert (log.replication, log.config["min.insync.replicas"]) == (3, "2")
    three_brokers.kill(3)
    try:
        assert until(lambda: alive(hub) == 2, seconds=PATIENCE_S)
        assert hub.plan().agrees
        more = [*hub.seats, Seat(f"{hub.here.agency}-c", "monitoring")]
        hub.apply(more)
        assert hub.plan(more).agrees
        with connected(hub.root) as client:
            found = cluster.found(client, f"{hub.names.prefix}.")
        assert {t.replication for t in found.topics.values()} == {3}
    finally:
        three_brokers.up(3)


def alive(hub: Hub) -> int:
    try:
        with connected(hub.root) as client:
            return sum(not b["is_fenced"] for b in client.describe_cluster()["brokers"])
    except (errors.KafkaError, Unavailable):  # asked the one that is down
        return 0


REAUTH_MS = 5_000


@pytest.fixture
def strict(server_folder: Path, hub_id: str) -> Iterator[Hub]:
    """A hub on a broker of its own, where everybody logs in again every few seconds."""
    brokers = Brokers(server_folder / "strict", reauth_ms=REAUTH_MS)
    brokers.start()
    hub = hub_of(brokers, hub_id)
    # The name matters: Kafka loses every user when one early in the alphabet is deleted.
    hub.here, hub.there = Seat("agency-b", "protection_support"), Seat("zeta", "monitoring")
    try:
        yield hub
    finally:
        brokers.stop()


def test_who_is_revoked_is_cut_off_and_after_a_restart_everybody_else_logs_in(strict: Hub) -> None:
    assert isinstance(strict.brokers, Brokers)
    strict.apply()
    topic, lost = strict.names.feed(strict.here), principal_of(strict.here)
    with closing(consumer_of(strict.seat(strict.here))) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        write(strict.root, topic, b"before")
        assert until(lambda: bool(consumer.poll(500)), seconds=PATIENCE_S)
        with connected(strict.root) as client:  # the password alone: the rights are still there
            cluster.set_passwords(client, [(lost, "invented and unknown", diff.REVOKED)])

        def cut_off() -> bool:
            """Return whether one record after the other does not arrive."""
            for _ in range(3):
                write(strict.root, topic, b"after")
                if consumer.poll(2_000):
                    return False
            return True

        assert until(cut_off, seconds=PATIENCE_S)
        write(strict.root, strict.names.feed(strict.there), b"as ever")
        assert values(strict.seat(strict.there), strict.names.feed(strict.there), PATIENCE_S)
    strict.apply([strict.there])
    strict.brokers.restart()
    assert strict.plan([strict.there]).agrees
    for user in strict.passwords.keys() - {lost}:
        with connected(strict.log_in(user)):
            pass
    assert refusal(strict.log_in(lost)).code == "KAFKA_UNAVAILABLE"
