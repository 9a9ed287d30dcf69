"""What a local broker is told: server.properties and log4j2.properties of one node."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SCRAM = "SCRAM-SHA-512"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The four ports of a node; `operator` serves nothing without TLS."""

    client: int
    internal: int
    controller: int
    operator: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One broker among `ports`, which lists the whole cluster by node id, beginning at 1."""

    id: int
    ports: Sequence[Ports]
    home: Path
    pems: Path | None
    """Folder with ca.pem and broker-<id>.pem; None is without TLS."""
    reauth_ms: int
    """Time after which a connection has to log in again, milliseconds."""

    def server(self) -> str:
        """Return the node's server.properties."""
        return "".join(f"{k}={v}\n" for k, v in (self._all() | self._security()).items())

    def _all(self) -> dict[str, object]:
        copies, in_sync = (1, 1) if len(self.ports) == 1 else (3, 2)
        voters = (f"{n}@127.0.0.1:{p.controller}" for n, p in enumerate(self.ports, start=1))
        return {
            "process.roles": "broker,controller",
            "node.id": self.id,
            "controller.quorum.voters": ",".join(voters),
            "listeners": self._listeners("CLIENT", "INTERNAL", "OPERATOR", "CONTROLLER"),
            "advertised.listeners": self._listeners("CLIENT", "INTERNAL", "OPERATOR"),
            "inter.broker.listener.name": "INTERNAL",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self.home / "data",
            "auto.create.topics.enable": "false",
            "default.replication.factor": copies,
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": in_sync,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": in_sync,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.num.partitions": 4,
            "group.initial.rebalance.delay.ms": 0,
            "log.retention.ms": -1,
            "log.cleaner.backoff.ms": 500,
            "log.cleaner.dedupe.buffer.size": 8 << 20,  # of a heap of 384 MB
            "unclean.leader.election.enable": "false",
            # A dead broker is noticed in seconds: what tests wait for.
            "broker.session.timeout.ms": 3_000,
            "broker.heartbeat.interval.ms": 500,
            "replica.lag.time.max.ms": 3_000,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "sasl.enabled.mechanisms": SCRAM,
            f"listener.name.client.{SCRAM.lower()}.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "listener.name.client.connections.max.reauth.ms": self.reauth_ms,
        }

    def _listeners(self, *names: str) -> str:
        mine = self.ports[self.id - 1]
        used = [n for n in names if self.pems or n != "OPERATOR"]
        return ",".join(f"{n}://127.0.0.1:{getattr(mine, n.lower())}" for n in used)

    def _security(self) -> dict[str, object]:
        if self.pems is None:
            return {
                "listener.security.protocol.map": (
                    "CLIENT:SASL_PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT"
                ),
                "super.users": "User:admin;User:ANONYMOUS",
            }
        brokers = (f"User:broker-{n}" for n in range(1, len(self.ports) + 1))
        return {
            "listener.security.protocol.map": (
                "CLIENT:SASL_SSL,INTERNAL:SSL,OPERATOR:SSL,CONTROLLER:SSL"
            ),
            "super.users": ";".join(("User:admin", "User:operator", *brokers)),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self.pems / f"broker-{self.id}.pem",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.pems / "ca.pem",
            "ssl.principal.mapping.rules": "RULE:^CN=([a-z0-9-]+)$/$1/",
            "ssl.client.auth": "required",
            "listener.name.client.ssl.client.auth": "none",  # it has a password instead
        }


def log4j(home: Path) -> str:
    """Return the node's log4j2.properties: warnings, and the broker's own course, in a file."""
    return f"""status=warn
appender.f.type=File
appender.f.name=F
appender.f.fileName={home}/server.log
appender.f.layout.type=PatternLayout
appender.f.layout.pattern=%d %p %c %m%n
rootLogger.level=warn
rootLogger.appenderRef.f.ref=F
logger.ks.name=kafka.server
logger.ks.level=info
"""
