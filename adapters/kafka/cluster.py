"""A cluster as kafka-python's admin client shows and changes it, in the words of `declared`."""

from collections.abc import Mapping, Sequence
from typing import Any

from kafka import errors
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    AlterConfigOp,
    ConfigResource,
    ConfigResourceType,
    ConfigSourceType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from adapters.kafka.declared import Acl, Found, Topic
from adapters.kafka.differences import Setting
from adapters.kafka.preflight import settings_of
from domain.errors import Refused, Unavailable


def found(client: Any, prefix: str) -> Found:
    """Return all SCRAM-SHA-512 users and rights, and the topics that begin with `prefix`."""
    described = [t for t in client.describe_topics() if t["name"].startswith(prefix)]
    settings = settings_of(client, [t["name"] for t in described])
    topics = {t["name"]: _topic(t, settings[t["name"]]) for t in described}
    return Found(topics=topics, users=users(client), acls=acls(client))


def _topic(described: Mapping[str, Any], settings: Mapping[str, Mapping[str, Any]]) -> Topic:
    # A setting that the topic has not itself changes with the cluster's.
    own = ConfigSourceType.DYNAMIC_TOPIC_CONFIG.name
    return Topic(
        name=described["name"],
        partitions=len(described["partitions"]),
        replication=min(len(p["replica_nodes"]) for p in described["partitions"]),
        config={n: s["value"] for n, s in settings.items() if s["config_source"] == own},
    )


def users(client: Any) -> dict[str, int]:
    """Return the SCRAM-SHA-512 users with their iterations."""
    return {
        user: info["iterations"]
        for user, described in client.describe_user_scram_credentials().items()
        for info in described["credential_infos"]
        if info["mechanism"] == ScramMechanism.SCRAM_SHA_512
    }


def acls(client: Any) -> frozenset[Acl]:
    """Return every right in the cluster; `Refused` KAFKA_NO_AUTHORIZER if it checks none."""
    everything = ACLFilter(
        principal=None,
        host=None,
        operation=ACLOperation.ANY,
        permission_type=ACLPermissionType.ANY,
        resource_pattern=ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
    )
    try:
        described, _ = client.describe_acls(everything)
    except errors.SecurityDisabledError as e:
        message = "the brokers check no rights: set authorizer.class.name"
        raise Refused("KAFKA_NO_AUTHORIZER", message) from e
    return frozenset(map(_acl, described))


def _acl(described: ACL) -> Acl:
    pattern = described.resource_pattern
    return Acl(
        principal=described.principal,
        operation=described.operation.name,
        resource=pattern.resource_type.name,
        name=pattern.resource_name,
        prefixed=pattern.pattern_type is ACLResourcePatternType.PREFIXED,
        permission=described.permission_type.name,
        host=described.host,
    )


def create_topics(client: Any, topics: Sequence[Topic]) -> None:
    """Create `topics`; `Unavailable` KAFKA_BROKERS_MISSING when too few brokers are up."""
    if not topics:
        return
    new = {
        t.name: {
            "num_partitions": t.partitions,
            "replication_factor": t.replication,
            "configs": t.config,
        }
        for t in topics
    }
    try:
        client.create_topics(new)
    except errors.InvalidReplicationFactorError as e:
        message = f"{topics[0].replication} brokers are needed for the new topics: bring all up"
        raise Unavailable("KAFKA_BROKERS_MISSING", message) from e


def set_configs(client: Any, settings: Sequence[Setting]) -> None:
    """Set or unset each; `Refused` TOPIC_CONFIG_REFUSED when Kafka does not take one."""
    by_topic: dict[str, dict[str, tuple[AlterConfigOp, str | None]]] = {}
    for s in settings:
        op = AlterConfigOp.DELETE if s.new is None else AlterConfigOp.SET
        by_topic.setdefault(s.topic, {})[s.name] = (op, s.new)
    asked = [ConfigResource(ConfigResourceType.TOPIC, t, c) for t, c in by_topic.items()]
    if not asked:
        return
    for topic, answer in client.alter_configs(asked, raise_on_unknown=False)["topic"].items():
        if answer != "OK":
            raise Refused("TOPIC_CONFIG_REFUSED", f"Kafka does not take it of {topic}: {answer}")


def set_passwords(client: Any, credentials: Sequence[tuple[str, str, int]]) -> None:
    """Set (user, password, iterations) of each, over what there was.

    Success says little: the client takes NOT_CONTROLLER for it. Read `users`.
    """
    if not credentials:
        return
    answers = client.alter_user_scram_credentials(
        [
            UserScramCredentialUpsertion(user, ScramMechanism.SCRAM_SHA_512, password, n)
            for user, password, n in credentials
        ]
    )
    for user, refusal in answers.items():
        if refusal is not None:
            raise Refused("USER_REFUSED", f"Kafka does not take a password for {user}: {refusal}")


def create_acls(client: Any, acls: Sequence[Acl]) -> None:
    """Grant each; the client's error when one is refused."""
    if not acls:
        return
    new = [ACL(**_parts(a), resource_pattern=_pattern(a)) for a in acls]
    failed = client.create_acls(new)["failed"]
    if failed:
        raise failed[0]


def remove_acls(client: Any, acls: Sequence[Acl]) -> None:
    """Take back each; the client's error when one is refused."""
    if not acls:
        return
    exact = [ACLFilter(**_parts(a), resource_pattern=_pattern(a)) for a in acls]
    for _, _, error in client.delete_acls(exact):
        if error is not errors.NoError:
            raise error


def _parts(acl: Acl) -> dict[str, Any]:
    return {
        "principal": acl.principal,
        "host": acl.host,
        "operation": ACLOperation[acl.operation],
        "permission_type": ACLPermissionType[acl.permission],
    }


def _pattern(acl: Acl) -> ResourcePattern:
    kind = ACLResourcePatternType.PREFIXED if acl.prefixed else ACLResourcePatternType.LITERAL
    return ResourcePattern(ResourceType[acl.resource], acl.name, kind)
