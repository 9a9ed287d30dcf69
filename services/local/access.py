"""How the super user of some brokers logs in: ours, or those that the environment names."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from services.local.properties import SCRAM

# While a broker starts or ends, the client reports every lost connection.
logging.getLogger("kafka").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenBrokers:
    """Brokers that somebody else runs."""

    bootstrap: str
    """host:port, comma between."""
    admin_user: str = ""
    admin_password: str = field(default="", repr=False)
    ca: str = ""
    """File of the certificate to trust; "" is without TLS."""

    def client_options(self) -> dict[str, Any]:
        """Return what a kafka-python client needs to log in as the super user."""
        secure = "SSL" if self.ca else "PLAINTEXT"
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap.split(","),
            "security_protocol": f"SASL_{secure}" if self.admin_user else secure,
        }
        if self.admin_user:
            options |= {
                "sasl_mechanism": SCRAM,
                "sasl_plain_username": self.admin_user,
                "sasl_plain_password": self.admin_password,
            }
        return options | ({"ssl_cafile": self.ca} if self.ca else {})


def given(env: Mapping[str, str]) -> GivenBrokers | None:
    """Return the brokers that NRM_KAFKA_BOOTSTRAP names, if it does."""
    if not env.get("NRM_KAFKA_BOOTSTRAP"):
        return None
    return GivenBrokers(
        bootstrap=env["NRM_KAFKA_BOOTSTRAP"],
        admin_user=env.get("NRM_KAFKA_USER", ""),
        admin_password=env.get("NRM_KAFKA_PASSWORD", ""),
        ca=env.get("NRM_KAFKA_CA", ""),
    )


def taking_part(options: Mapping[str, Any]) -> set[int]:
    """Return the ids of the nodes that serve, none while nobody answers `options`."""
    try:
        quick = {"bootstrap_timeout_ms": 2_000, "request_timeout_ms": 3_000}
        admin = KafkaAdminClient(**{**options, **quick})
    except KafkaError:
        return set()
    try:
        nodes = admin.describe_cluster()["brokers"]
    except KafkaError:
        return set()
    finally:
        admin.close()
    return {n["broker_id"] for n in nodes if not n["is_fenced"]}
