"""The custodian's wiring."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from adapters.http_disclosures import HttpDisclosureLink
from adapters.http_links import HttpHubLink
from adapters.metrics import CustodianMetrics
from adapters.notes import NoteVerifier
from adapters.sealing import Box
from adapters.sqlite.custody import SqliteCustody
from adapters.sqlite.shred_keys import SqliteShredKeys
from domain.errors import Refused
from services.bootstrap.parts import CUSTODIAN, Parts, now_ms
from services.bootstrap.trail_policy import pinned_policy
from services.bootstrap.watching import custodian_vitals
from services.custodian.checkpoints import Checkpoints
from services.custodian.custodian import Custodian
from services.custodian.disclosures import Disclosures
from services.custodian.gate import Gate
from services.custodian.releasing import Identity
from services.custodian.tiles import Tiles
from services.custodian.trail import SeenTrail
from services.http.auth import TokenIssuer
from services.http.health import Vitals
from services.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodianProcess:
    """A custodian and its ways to hub and trail."""

    custodian: Custodian
    gate: Gate
    tokens: TokenIssuer
    signals: Signals
    hub: HttpHubLink
    trail: HttpDisclosureLink
    vitals: Vitals

    async def close(self) -> None:
        """Close the connections."""
        await self.hub.close()
        await self.trail.close()


def build_custodian(
    parts: Parts, address: str, hub_address: str, trail_address: str
) -> CustodianProcess:
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
    custody = SqliteCustody(str(folder / "custody.db"))
    registry = CollectorRegistry()
    metrics = CustodianMetrics(registry)
    custodian = Custodian(
        identity=identity,
        language=parts.language,
        custody=custody,
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

    proof = CUSTODIAN, parts.trust.custodian, identity.signing_seed
    hub, trail = HttpHubLink(hub_address, *proof), HttpDisclosureLink(trail_address, *proof)
    signals = Signals()
    gate = _gate(parts, custodian, custody, trail, signals, metrics)
    vitals = custodian_vitals(registry, metrics, custodian, hub)
    vitals.says = gate.checkpoints.says
    return CustodianProcess(
        custodian=custodian,
        gate=gate,
        tokens=TokenIssuer(address, key_of, now_ms),
        signals=signals,
        hub=hub,
        trail=trail,
        vitals=vitals,
    )


def _gate(  # noqa: PLR0917 - all that the gate looks at
    parts: Parts,
    custodian: Custodian,
    custody: SqliteCustody,
    link: HttpDisclosureLink,
    signals: Signals,
    metrics: CustodianMetrics,
) -> Gate:
    vkey, tiles = parts.trust.log, Tiles(link.file)
    trail = SeenTrail(pinned_policy(parts), NoteVerifier(), tiles.nodes, custody.seen(vkey), now_ms)
    return Gate(
        custodian=custodian,
        link=link,
        checkpoints=Checkpoints(custody=custody, vkey=vkey, trail=trail, tiles=tiles, clock=now_ms),
        disclosures=Disclosures(trail, parts.trust.notary, parts.signing.verify),
        tiles=tiles,
        signals=signals,
        metrics=metrics,
    )


@contextmanager
def kept_custody(parts: Parts) -> Iterator[SqliteCustody]:
    """Give what the custodian keeps; `Refused` NO_CUSTODIAN if none ran here."""
    path = parts.settings.data / "custodian" / "custody.db"
    if not path.exists():
        raise Refused("NO_CUSTODIAN", f"{path} is missing: no custodian ran here")
    with closing(SqliteCustody(str(path))) as custody:
        yield custody
