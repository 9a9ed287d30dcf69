"""How our processes reach Kafka: settings checked once, and errors that say what to do."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from kafka import errors
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from domain.errors import Malformed, Refused, Unavailable
from domain.secret import Secret

BOOTSTRAP_MS = 8_000
"""Time to reach any broker. A wrong password shows as nothing but this time-out."""
MAX_RECORD = 2 << 20
"""Bytes of a record at most; topics take as much. A body holds 1 MiB, the rest is headers."""
BACKOFF_MS = 5
"""The client's default, 100, is waited out after each commit while Kafka writes its markers."""
METADATA_MS = 5_000
"""So often a client looks who leads: asked where a log ends, it asks the leader that it knows,
again and again, also when that has become another one's follower."""

# The client reports every lost connection; our own errors say what that means.
logging.getLogger("kafka").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where the brokers are and as whom to log in."""

    bootstrap: str
    """host:port, comma between."""
    user: str = ""
    password: Secret = field(default_factory=lambda: Secret(b""))
    ca: str = ""
    """File of the certificates to trust, PEM; without it nothing is encrypted."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Broker":
        """Return NRM_KAFKA_BOOTSTRAP, NRM_KAFKA_USER, NRM_KAFKA_PASSWORD and NRM_KAFKA_CA."""
        return cls(
            bootstrap=env.get("NRM_KAFKA_BOOTSTRAP", ""),
            user=env.get("NRM_KAFKA_USER", ""),
            password=Secret(env.get("NRM_KAFKA_PASSWORD", "").encode()),
            ca=env.get("NRM_KAFKA_CA", ""),
        )

    @property
    def servers(self) -> list[str]:
        """Return the bootstrap addresses."""
        return [s.strip() for s in self.bootstrap.split(",") if s.strip()]

    def options(self) -> dict[str, Any]:
        """Return the options that every client of kafka-python takes; `Malformed` if unsafe."""
        if not self.servers:
            raise Malformed("KAFKA_BOOTSTRAP", "set NRM_KAFKA_BOOTSTRAP to host:port[,host:port]")
        if not self.ca and not all(_loopback(s) for s in self.servers):
            raise Malformed("KAFKA_NOT_ENCRYPTED", "set NRM_KAFKA_CA; only loopback goes without")
        protocol = f"{'SASL_' if self.user else ''}{'SSL' if self.ca else 'PLAINTEXT'}"
        options: dict[str, Any] = {
            "bootstrap_servers": self.servers,
            "bootstrap_timeout_ms": BOOTSTRAP_MS,
            "retry_backoff_ms": BACKOFF_MS,
            "reconnect_backoff_max_ms": 1_000,
            "metadata_max_age_ms": METADATA_MS,
            "security_protocol": protocol,
            "kafka_client": _client,
        }
        if self.ca:
            options["ssl_cafile"] = self.ca
        if self.user:
            options |= {
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password.reveal().decode(),
            }
        return options


class _Connections(KafkaConnectionManager):  # type: ignore[misc] # the library has no types
    """The library's connections, closed when nobody answers.

    It leaves a thread and four files open behind each attempt; a process that tries again for
    an hour would have no files left.
    """

    def bootstrap(self, *args: Any, **options: Any) -> None:
        try:
            super().bootstrap(*args, **options)
        except BaseException:
            self.close()
            self._net.close()
            raise


def _client(**options: Any) -> Any:
    """Return what the library's consumers, producers and administrators connect with."""
    net = NetworkSelector(**options)
    return KafkaNetClient(net, _Connections(net, **options), **options)


def _loopback(server: str) -> bool:
    host = server.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def ours(what: str) -> Iterator[None]:
    """Turn the client's errors into ours; `what` says what was tried, such as "write the log"."""
    try:
        yield
    except (errors.ProducerFencedError, errors.InvalidProducerEpochError) as e:
        message = f"another process took over, or this one stood still for too long: {what}"
        raise Refused("FENCED", message) from e
    except errors.AuthorizationError as e:
        message = f"this user may not {what}; run nrm-hub topics check"
        raise Refused("KAFKA_NOT_ALLOWED", message) from e
    except (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError) as e:
        raise Refused("RECORD_TOO_LARGE", f"a record is larger than the topic takes: {what}") from e
    except (errors.KafkaError, OSError) as e:
        message = f"could not {what} ({type(e).__name__}): check address, user and password, retry"
        raise Unavailable("KAFKA_UNAVAILABLE", message) from e
