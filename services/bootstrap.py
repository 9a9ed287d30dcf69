"""The composition root: which adapter stands behind which port, for every process.

The only module that knows the adapters. Each part has its own folder, store and keys, also
when all of them run in one process.
"""

import contextlib
import gc
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from adapters.custody import SqliteCustody, SqliteShredKeys
from adapters.event_store import SqliteEventStore
from adapters.feeds import SqliteFeeds
from adapters.gateway_store import SqliteGatewayStore
from adapters.http_links import HttpCustodianLink, HttpGatewayLink, HttpHubLink
from adapters.keystore import Cost, FileKeystore
from adapters.metrics import HubMetrics
from adapters.sealing import Box, CryptographySealing, self_test
from adapters.signing import Ed25519Signing, check_public_key
from domain.agency import Registry
from domain.errors import Malformed, Refused
from domain.policy import Policy, parse_policy
from domain.rules.world import World
from domain.secret import Secret
from domain.standing import Key, Period
from schemas.language import AvroLanguage
from services.custodian.custodian import Custodian
from services.custodian.releasing import Identity
from services.directory import Directory
from services.gateway.gateway import Gateway
from services.gateway.inbox import Inbox
from services.gateway.outbox import Outbox
from services.gateway.sealer import Office, Sealer
from services.http.auth import TokenIssuer
from services.http.hub import LOG, Hub
from services.hub.accepting import Accepting
from services.hub.casebook import CaseBook
from services.hub.clocks import Clocks
from services.hub.explaining import Explaining
from services.hub.feeds import FeedService
from services.hub.followers import Followers
from services.hub.projector import Projector
from services.registering import Registering
from services.signals import Signals

CUSTODIAN = "custodian"
COORDINATOR = "gb-coordinator"
GC_THRESHOLDS = (100_000, 20, 20)
REGISTRARS = ("registrar-a", "registrar-b")


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

    @classmethod
    def from_env(cls, data: Path, env: Mapping[str, str]) -> "Settings":
        """Return the settings that `env` gives (NRM_HUB_ID, NRM_POLICY, NRM_PASSPHRASE)."""
        return cls(
            data=data,
            hub_id=env.get("NRM_HUB_ID", "nrm:gb"),
            policy=env.get("NRM_POLICY", "gb-2026"),
            passphrase=env.get("NRM_PASSPHRASE", ""),
        )


def now_ms() -> int:
    """Return the time in milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def policy_of(settings: Settings) -> Policy:
    """Return the policy pack that `settings` names."""
    source = files("domain") / "policies" / f"{settings.policy}.toml"
    try:
        return parse_policy(source.read_text("utf-8"))
    except FileNotFoundError as e:
        raise Malformed("POLICY_UNKNOWN", "NRM_POLICY names no policy pack") from e


class Parts:
    """What every part shares that holds no secret, checked once before anything starts."""

    def __init__(self, settings: Settings) -> None:
        """Run the cryptographic self-test; `Corrupt` CRYPTO_SELF_TEST when it fails."""
        self_test()
        # The state is frozen dataclasses without cycles: looking for some all the time is waste.
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        self.settings = settings
        self.language = AvroLanguage()
        self.sealing = CryptographySealing()
        self.signing = Ed25519Signing()
        policy = policy_of(settings)
        self.world = World(
            registry=Registry(),
            policies={policy.id: policy},
            home=policy.country,
            policy_id=policy.id,
        )
        self._keystores: dict[str, FileKeystore] = {}

    def folder(self, part: str) -> Path:
        """Return the folder of a part, for its owner alone."""
        path = self.settings.data / part
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    def keystore(self, part: str) -> FileKeystore:
        """Return the keystore of a part, opened once: stretching the passphrase takes a while."""
        if part not in self._keystores:
            keys = self.folder(f"{part}/keys")
            keys.chmod(0o700)
            # A random passphrase has nothing to stretch; a person's has.
            cost = None if self.settings.passphrase else Cost(memory_kib=64, iterations=1)
            self._keystores[part] = FileKeystore(keys, self._passphrase(part), cost)
        return self._keystores[part]

    def _passphrase(self, part: str) -> Secret:
        if self.settings.passphrase:
            return Secret(self.settings.passphrase.encode())
        return Secret(self.text_secret(part, "passphrase").encode())

    def text_secret(self, part: str, name: str) -> str:
        """Return the random text in a file of a part that its owner alone may read."""
        path = self.folder(part) / name
        if not path.exists():
            # Written whole and then named, so that a crash leaves no empty secret behind.
            temporary = path.with_name(f".{name}.{secrets.token_hex(8)}.new")
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(32))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(temporary)
            temporary.unlink()
        return path.read_text("ascii")

    def secret(self, part: str, name: str) -> Secret:
        """Return a part's secret, made at first use."""
        keystore = self.keystore(part)
        try:
            return keystore.get(name)
        except Refused:
            return keystore.create(name)

    def public_key(self, part: str) -> bytes:
        """Return the Ed25519 public key of a part."""
        return self.signing.public_key(self.secret(part, "signing").reveal())

    def public_keys(self, agency: str) -> tuple[bytes, bytes]:
        """Return an agency's (signing key, opening key), made at first use."""
        part = f"gateways/{agency}"
        seed = self.secret(part, "opening").reveal()
        return self.public_key(part), self.sealing.opening_key(seed)

    def has_keys(self, agency: str) -> bool:
        """Return whether the agency's keys lie here, so that its gateway can run here."""
        return (self.settings.data / "gateways" / agency / "keys").is_dir()

    def registrars(self) -> dict[str, bytes]:
        """Return the pinned registrars, id -> public key."""
        return {name: self.public_key(f"registrars/{name}") for name in REGISTRARS}

    def directory(self) -> Directory:
        """Return an empty directory that pins the registrars."""
        return Directory(self.language, self.registrars(), self.signing.verify)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubParts:
    """A hub and what runs beside its HTTP face."""

    hub: Hub
    projector: Projector
    clocks: Clocks
    metrics: HubMetrics
    store: SqliteEventStore
    book: CaseBook


def build_hub(parts: Parts, address: str) -> HubParts:
    """Return the hub that is reached at `address`."""
    folder = parts.folder("hub")
    store = SqliteEventStore(str(folder / "events.db"))
    feeds = SqliteFeeds(str(folder / "feeds.db"))
    book, signals = CaseBook(parts.language), Signals()
    registry = CollectorRegistry()
    metrics = HubMetrics(registry)
    operator = Key(
        agency=COORDINATOR,
        signing_key=parts.public_key(f"gateways/{COORDINATOR}"),
        opening_key=b"",
        period=Period(starts=0),
    )
    accepting = Accepting(
        store=store,
        language=parts.language,
        book=book,
        world=parts.world,
        registrars=parts.registrars(),
        operator=operator,
        verify=parts.signing.verify_all,
        check_key=check_public_key,
        clock=now_ms,
        on_commit=lambda _: signals.notify([LOG]),
        metrics=metrics,
    )
    pinned = {COORDINATOR: operator.signing_key, CUSTODIAN: parts.public_key("custodian")}
    projector = Projector(store, feeds, parts.language, parts.world)

    def key_of(agency: str) -> bytes | None:
        return accepting.world.registry.signing_key(agency, now_ms()) or pinned.get(agency)

    def world() -> World:
        return accepting.world

    def lag() -> int:
        return store.head() - projector.position

    metrics.watch_lag(lag)

    hub = Hub(
        accepting=accepting,
        feeds=FeedService(
            store=store,
            feeds=feeds,
            language=parts.language,
            book=book,
            world=world,
            clock=now_ms,
        ),
        followers=Followers(store, parts.language),
        explaining=Explaining(store=store, book=book, world=world, clock=now_ms),
        tokens=TokenIssuer(address, key_of, now_ms),
        language=parts.language,
        schemas=parts.language,
        signals=signals,
        metrics=registry,
        lag=lag,
        custodian=CUSTODIAN,
    )
    clocks = Clocks(store=store, language=parts.language, book=book, clock=now_ms)
    return HubParts(
        hub=hub, projector=projector, clocks=clocks, metrics=metrics, store=store, book=book
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodianProcess:
    """A custodian and its way to the hub."""

    custodian: Custodian
    tokens: TokenIssuer
    signals: Signals
    hub: HttpHubLink


def build_custodian(parts: Parts, address: str, hub_address: str) -> CustodianProcess:
    """Return the custodian that is reached at `address`."""
    folder = parts.folder("custodian")
    identity = Identity(
        id=CUSTODIAN,
        hub=parts.settings.hub_id,
        signing_seed=parts.secret("custodian", "signing"),
        opening_seed=parts.secret("custodian", "opening"),
    )
    box = Box(parts.secret("custodian", "shred-wrap").reveal())
    directory = parts.directory()
    custodian = Custodian(
        identity=identity,
        language=parts.language,
        custody=SqliteCustody(str(folder / "custody.db")),
        shreds=SqliteShredKeys(str(folder / "shred.db"), box, parts.sealing.new_key),
        sealing=parts.sealing,
        signing=parts.signing,
        directory=directory,
        world=parts.world,
        clock=now_ms,
    )

    def key_of(agency: str) -> bytes | None:
        return directory.registry.signing_key(agency, now_ms())

    hub = HttpHubLink(hub_address, CUSTODIAN, parts.public_key("custodian"), identity.signing_seed)
    return CustodianProcess(
        custodian=custodian,
        tokens=TokenIssuer(address, key_of, now_ms),
        signals=Signals(),
        hub=hub,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayProcess:
    """A gateway, its links, and the token of its agency's own systems."""

    gateway: Gateway
    sealer: Sealer
    token: Secret
    links: tuple[HttpHubLink, HttpCustodianLink]


def build_gateway(
    parts: Parts, agency: str, hub_address: str, custodian_address: str
) -> GatewayProcess:
    """Return the gateway of `agency`."""
    part = f"gateways/{agency}"
    office = Office(
        agency=agency,
        hub=parts.settings.hub_id,
        signing_seed=parts.secret(part, "signing"),
        opening_seed=parts.secret(part, "opening"),
        custodian=CUSTODIAN,
        custodian_opening_key=parts.sealing.opening_key(
            parts.secret("custodian", "opening").reveal()
        ),
        custodian_public_key=parts.public_key("custodian"),
    )
    proof = (agency, parts.public_key(part), office.signing_seed)
    hub = HttpHubLink(hub_address, *proof)
    custodian = HttpCustodianLink(custodian_address, *proof)
    store = SqliteGatewayStore(str(parts.folder(part) / "gateway.db"))
    box = Box(parts.secret(part, "box").reveal())
    common: dict[str, Any] = {
        "office": office,
        "language": parts.language,
        "sealing": parts.sealing,
        "box": box,
    }
    sealer = Sealer(
        **common,
        signing=parts.signing,
        clock=now_ms,
        policy=parts.world.policy_id,
        head=store.actor_head(),
    )
    outbox = Outbox(**common, store=store, sealer=sealer, hub=hub, custodian=custodian)
    inbox = Inbox(
        **common,
        store=store,
        signing=parts.signing,
        hub=hub,
        directory=parts.directory(),
        clock=now_ms,
    )
    gateway = Gateway(
        agency=agency,
        outbox=outbox,
        inbox=inbox,
        store=store,
        hub=hub,
        custodian=custodian,
        signals=Signals(),
    )
    token = Secret(parts.text_secret(part, "token").encode())
    return GatewayProcess(gateway=gateway, sealer=sealer, token=token, links=(hub, custodian))


def build_registering(parts: Parts, operator: GatewayProcess) -> Registering:
    """Return what writes registry facts, with both registrars' keys at hand."""

    def signs(name: str) -> Any:
        seed = parts.secret(f"registrars/{name}", "signing").reveal()
        return lambda message: parts.signing.sign(seed, message)

    return Registering(
        parts.language,
        operator.sealer,
        operator.gateway.outbox,
        [(name, signs(name)) for name in REGISTRARS],
    )


def operator_link(parts: Parts, address: str) -> HttpHubLink:
    """Return the coordinator's link to its hub."""
    part = f"gateways/{COORDINATOR}"
    return HttpHubLink(address, COORDINATOR, parts.public_key(part), parts.secret(part, "signing"))


def gateway_link(parts: Parts, agency: str, address: str) -> HttpGatewayLink:
    """Return a client of an agency's own gateway, with the token that lies beside it."""
    return HttpGatewayLink(address, parts.text_secret(f"gateways/{agency}", "token"))
