"""The wiring of an agency's gateway, and of those who speak to one."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from adapters.http_links import HttpCustodianLink, HttpGatewayLink, HttpHubLink
from adapters.http_trail import HttpTrailLink
from adapters.notes import NoteVerifier
from adapters.sealing import Box
from adapters.sqlite.gateway_store import SqliteGatewayStore
from adapters.sqlite.gateway_trail import SqliteGatewayTrail
from adapters.sqlite.own_acts import SqliteOwnActs
from domain.errors import Refused
from domain.gateway_trail import GatewayTrail
from domain.ports import HubLink
from domain.secret import Secret
from services.bootstrap.parts import COORDINATOR, CUSTODIAN, REGISTRARS, Parts, now_ms
from services.bootstrap.trail_policy import pinned_policy
from services.bootstrap.watching import gateway_vitals
from services.gateway.checkpoints import Checkpoints
from services.gateway.confirming import Confirming, Reader
from services.gateway.deliveries import Deliveries
from services.gateway.gateway import Gateway
from services.gateway.inbox import Inbox
from services.gateway.outbox import Outbox
from services.gateway.receipts import Receipts
from services.gateway.sealer import Office, Sealer
from services.gateway.trail import TrailWatch, Watching
from services.gateway.trail_report import TrailReport
from services.http.health import Vitals
from services.registering import Registering
from services.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayProcess:
    """A gateway, its links, and the token of its agency's own systems."""

    gateway: Gateway
    report: TrailReport
    sealer: Sealer
    token: Secret
    links: tuple[HttpHubLink, HttpCustodianLink, HttpTrailLink]
    vitals: Vitals


def build_gateway(
    parts: Parts,
    agency: str,
    hub_address: str,
    custodian_address: str,
    trail_address: str = "",
) -> GatewayProcess:
    """Return the gateway of `agency`; the trail is at the hub's address if no other is given."""
    part, proof = _part(agency), _proof(parts, agency)
    hub = HttpHubLink(hub_address, *proof)
    custodian = HttpCustodianLink(custodian_address, *proof)
    trail_link = HttpTrailLink(trail_address or hub_address, *proof)
    store = SqliteGatewayStore(str(parts.folder(part) / "gateway.db"))
    watch = _watch(parts, agency, store=store, link=trail_link, hub=hub)
    common: dict[str, Any] = {
        "office": _office(parts, agency),
        "language": parts.language,
        "sealing": parts.sealing,
        "box": Box(parts.secret(part, "box").reveal()),
    }
    sealer = Sealer(
        **common,
        signing=parts.signing,
        clock=now_ms,
        policy=parts.world.policy_id,
        head=store.actor_head(),
        seen=watch.checkpoints.seen,
    )
    gateway = Gateway(
        agency=agency,
        outbox=Outbox(**common, store=store, sealer=sealer, hub=hub, custodian=custodian),
        inbox=Inbox(
            **common,
            store=store,
            signing=parts.signing,
            hub=hub,
            directory=parts.directory(),
            clock=now_ms,
            delivered=watch.deliveries.take,
        ),
        store=store,
        hub=hub,
        custodian=custodian,
        signals=Signals(),
        watching=Watching(watch),
    )
    return GatewayProcess(
        gateway=gateway,
        report=TrailReport(
            watching=gateway.watching,
            acts=SqliteOwnActs(store.file),
            policy=pinned_policy(parts),
            verifying=NoteVerifier(),
            clock=now_ms,
        ),
        sealer=sealer,
        token=Secret(parts.text_secret(part, "token").encode()),
        links=(hub, custodian, trail_link),
        vitals=gateway_vitals(gateway, store, hub, custodian),
    )


@contextmanager
def kept_trail(parts: Parts, agency: str) -> Iterator[GatewayTrail]:
    """Give what the gateway of `agency` keeps of the trail; `Refused` NO_GATEWAY if none does."""
    path = parts.settings.data / _part(agency) / "gateway.db"
    if not path.exists():
        raise Refused("NO_GATEWAY", f"{path} is missing: no gateway of this agency ran here")
    with closing(SqliteGatewayStore(str(path))) as store:
        yield SqliteGatewayTrail(store.file)


def _watch(
    parts: Parts,
    agency: str,
    *,
    store: SqliteGatewayStore,
    link: HttpTrailLink,
    hub: HubLink,
) -> TrailWatch:
    """Return what watches the trail for `agency`."""
    trail, policy = SqliteGatewayTrail(store.file), pinned_policy(parts)
    checkpoints = Checkpoints(
        link=link, trail=trail, policy=policy, verifying=NoteVerifier(), clock=now_ms
    )
    common: dict[str, Any] = {"link": link, "trail": trail, "checkpoints": checkpoints}
    _, public_key, seed = _proof(parts, agency)
    return TrailWatch(
        trail=trail,
        checkpoints=checkpoints,
        receipts=Receipts(**common, clock=now_ms),
        deliveries=Deliveries(
            **common,
            agency=agency,
            hub=hub,
            cursor=lambda purpose: store.place(f"feed {purpose}"),
            clock=now_ms,
        ),
        confirming=Confirming(
            **common,
            reader=Reader(seed=seed, public_key=public_key, notary=parts.trust.notary),
            signing=parts.signing,
            clock=now_ms,
        ),
    )


def _office(parts: Parts, agency: str) -> Office:
    return Office(
        agency=agency,
        hub=parts.settings.hub_id,
        signing_seed=parts.secret(_part(agency), "signing"),
        opening_seed=parts.secret(_part(agency), "opening"),
        custodian=CUSTODIAN,
        custodian_opening_key=parts.trust.custodian_opening,
        custodian_public_key=parts.trust.custodian,
    )


def _part(agency: str) -> str:
    """Return the name under which a gateway keeps its secrets and files."""
    return f"gateways/{agency}"


def _proof(parts: Parts, agency: str) -> tuple[str, bytes, Secret]:
    """Return what a link proves `agency` by."""
    return agency, parts.public_key(_part(agency)), parts.secret(_part(agency), "signing")


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
    return HttpHubLink(address, *_proof(parts, COORDINATOR))


def gateway_link(parts: Parts, agency: str, address: str) -> HttpGatewayLink:
    """Return a client of an agency's own gateway, with the token that lies beside it."""
    return HttpGatewayLink(address, parts.text_secret(_part(agency), "token"))
