"""The custodian's wiring."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from adapters.http_links import HttpHubLink
from adapters.metrics import CustodianMetrics
from adapters.sealing import Box
from adapters.sqlite.custody import SqliteCustody, SqliteShredKeys
from services.bootstrap.parts import CUSTODIAN, Parts, now_ms
from services.bootstrap.watching import custodian_vitals
from services.custodian.custodian import Custodian
from services.custodian.releasing import Identity
from services.http.auth import TokenIssuer
from services.http.health import Vitals
from services.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodianProcess:
    """A custodian and its way to the hub."""

    custodian: Custodian
    tokens: TokenIssuer
    signals: Signals
    hub: HttpHubLink
    vitals: Vitals


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
    registry = CollectorRegistry()
    metrics = CustodianMetrics(registry)
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
        metrics=metrics,
    )

    def key_of(agency: str) -> bytes | None:
        return directory.registry.signing_key(agency, now_ms())

    hub = HttpHubLink(hub_address, CUSTODIAN, parts.trust.custodian, identity.signing_seed)
    return CustodianProcess(
        custodian=custodian,
        tokens=TokenIssuer(address, key_of, now_ms),
        signals=Signals(),
        hub=hub,
        vitals=custodian_vitals(registry, metrics, custodian, hub),
    )
