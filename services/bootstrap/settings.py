"""Where a mechanism's parts live and what they are called, as the environment says it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from domain.errors import Malformed
from domain.policy import Policy, parse_policy
from domain.secret import Secret

if TYPE_CHECKING:
    from adapters.kafka.client import Broker


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where a mechanism's parts live and what they are called."""

    data: Path
    """Folder that holds a folder for each part."""
    hub_id: str = "nrm:gb"
    """Name of the hub in everything that is sealed; it cannot change later."""
    policy: str = "gb-2026"
    """File name, without ending, of the policy pack in force."""
    passphrase: str = field(default="", repr=False)
    """Passphrase of every keystore; empty makes one a part, kept beside it (SECURITY.md)."""
    database: str = field(default="", repr=False)
    """PostgreSQL of the hub, as a URL; empty keeps its stores in files."""
    kafka: "Broker | None" = None
    """The brokers, and as whom to reach them."""
    topics: Path = Path("deploy/kafka/topics.toml")
    """Declaration of topics, principals and rights."""
    trail_origin: str = ""
    """Name of the trail; empty makes it from the hub's. It cannot change later."""
    trail_seconds: float = 1.0
    """From one tree of the trail to the next, at least."""

    tsa_url: str = ""
    """Address of a time-stamp authority (RFC 3161); empty for none."""
    tsa_ca: Path | None = None
    """Its certificates, in PEM."""
    tsa_seconds: float = 3600.0
    """From one time-stamp to the next, at least."""

    @property
    def origin(self) -> str:
        """The trail's origin (C2SP tlog-checkpoint)."""
        return self.trail_origin or f"{self.hub_id}.nrm/trail"

    @classmethod
    def from_env(cls, data: Path, env: Mapping[str, str]) -> "Settings":
        """Return the settings that `env` gives; docs/operating.md lists the names."""
        return cls(
            data=data,
            hub_id=env.get("NRM_HUB_ID", "nrm:gb"),
            policy=env.get("NRM_POLICY", "gb-2026"),
            passphrase=_secret(env, "NRM_PASSPHRASE"),
            database=_secret(env, "NRM_DATABASE_URL"),
            topics=Path(env.get("NRM_TOPICS", "deploy/kafka/topics.toml")),
            kafka=_broker(env) if env.get("NRM_KAFKA_BOOTSTRAP") else None,
            trail_origin=env.get("NRM_TRAIL_ORIGIN", ""),
            trail_seconds=_seconds(env, "NRM_TRAIL_SECONDS", 1.0, (0.01, 60.0)),
            tsa_url=env.get("NRM_TSA_URL", ""),
            tsa_ca=_tsa_ca(env),
            tsa_seconds=_seconds(env, "NRM_TSA_SECONDS", 3600.0, (1.0, 86400.0)),
        )


def _seconds(env: Mapping[str, str], name: str, usual: float, within: tuple[float, float]) -> float:
    least, most = within
    try:
        found = float(env.get(name, usual))
    except ValueError:
        found = 0.0
    if not least <= found <= most:
        code = name.removeprefix("NRM_")
        raise Malformed(code, f"{name} is a number from {least:g} to {most:g}")
    return found


def _tsa_ca(env: Mapping[str, str]) -> Path | None:
    address, path = env.get("NRM_TSA_URL", ""), env.get("NRM_TSA_CA", "")
    if bool(address) != bool(path):
        message = "NRM_TSA_URL and NRM_TSA_CA, the file of its certificates, go together"
        raise Malformed("TSA_CA", message)
    return Path(path) if path else None


def _broker(env: Mapping[str, str]) -> "Broker | None":
    from adapters.kafka.client import Broker  # noqa: PLC0415 - loaded only where there are brokers

    return Broker(
        bootstrap=env["NRM_KAFKA_BOOTSTRAP"],
        user=env.get("NRM_KAFKA_USER", ""),
        password=Secret(_secret(env, "NRM_KAFKA_PASSWORD").encode()),
        ca=env.get("NRM_KAFKA_CA", ""),
    )


def _secret(env: Mapping[str, str], name: str) -> str:
    """Return the variable `name`, or what is in the file that `name`_FILE names.

    `Malformed` SETTING_FILE when that cannot be read.
    """
    path = env.get(f"{name}_FILE")
    if not path:
        return env.get(name, "")
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "it is not UTF-8"
        raise Malformed("SETTING_FILE", f"{name}_FILE: {path} cannot be read: {why}") from e


def policy_of(settings: Settings) -> Policy:
    """Return the policy pack that `settings` names."""
    source = files("domain") / "policies" / f"{settings.policy}.toml"
    try:
        return parse_policy(source.read_text("utf-8"))
    except FileNotFoundError as e:
        raise Malformed("POLICY_UNKNOWN", "NRM_POLICY names no policy pack") from e
