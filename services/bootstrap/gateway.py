"""The wiring of an agency's gateway, and of those who speak to one."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from adapters.http_links import HttpCustodianLink, HttpGatewayLink, HttpHubLink
from adapters.http_trail import HttpTrailLink
from adapters.notes import NoteVerifier
from adapters.sealing import Box
from adapters.sqlite.gateway_store import SqliteGatewayStore
from adapters.sqlite.gateway_trail import SqliteGatewayTrail
from adapters.sqlite.own_acts import SqliteOwnActs
from domain.errors import Refused
from domain.gateway_trail import GatewayTrail
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


class Links(NamedTuple):
    """A gateway's ways to the other parts."""

    hub: HttpHubLink
    custodian: HttpCustodianLink
    trail: HttpTrailLink


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayProcess:
    """A gateway, its links, and the token of its agency's own systems."""

    gateway: Gateway
    report: TrailReport
    sealer: Sealer
    token: Secret
    links: Links
    vitals: Vitals


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    """What the parts of one agency's gateway are made of."""

    parts: Parts
    agency: str
    store: SqliteGatewayStore
    links: Links
    sealed: Mapping[str, Any]
    """What everything is given that seals or opens."""


def build_gateway(
    parts: Parts,
    agency: str,
    hub_address: str,
    custodian_address: str,
    trail_address: str = "",
) -> GatewayProcess:
    """Return the gateway of `agency`; the trail is at the hub's address if no other is given."""
    proof = _proof(parts, agency)
    links = Links(
        HttpHubLink(hub_address, *proof),
        HttpCustodianLink(custodian_address, *proof),
        HttpTrailLink(trail_address or hub_address, *proof),
    )
    store = SqliteGatewayStore(str(parts.folder(_part(agency)) / "gateway.db"))
    sealed = _sealed(parts, agency)
    own = _Own(parts=parts, agency=agency, store=store, links=links, sealed=sealed)
    watch = _watch(own)
    sealer = _sealer(own, watch)
    gateway = _gateway(own, watch, sealer)
    return GatewayProcess(
        gateway=gateway,
        report=_report(own, gateway.watching),
        sealer=sealer,
        token=Secret(parts.text_secret(_part(agency), "token").encode()),
        links=links,
        vitals=gateway_vitals(gateway, store, links.hub, links.custodian),
    )


def _sealed(parts: Parts, agency: str) -> Mapping[str, Any]:
    return {
        "office": _office(parts, agency),
        "language": parts.language,
        "sealing": parts.sealing,
        "box": Box(parts.secret(_part(agency), "box").reveal()),
    }


def _gateway(own: _Own, watch: TrailWatch, sealer: Sealer) -> Gateway:
    hub, custodian, _ = own.links
    outbox = Outbox(**own.sealed, store=own.store, sealer=sealer, hub=hub, custodian=custodian)
    inbox = Inbox(
        **own.sealed,
        store=own.store,
        signing=own.parts.signing,
        hub=hub,
        directory=own.parts.directory(),
        clock=now_ms,
        delivered=watch.deliveries.take,
    )
    return Gateway(
        agency=own.agency,
        outbox=outbox,
        inbox=inbox,
        store=own.store,
        hub=hub,
        custodian=custodian,
        signals=Signals(),
        watching=Watching(watch),
    )


def _sealer(own: _Own, watch: TrailWatch) -> Sealer:
    return Sealer(
        **own.sealed,
        signing=own.parts.signing,
        clock=now_ms,
        policy=own.parts.world.policy_id,
        head=own.store.actor_head(),
        seen=watch.checkpoints.seen,
    )


def _report(own: _Own, watching: Watching) -> TrailReport:
    return TrailReport(
        watching=watching,
        acts=SqliteOwnActs(own.store.file),
        policy=pinned_policy(own.parts),
        verifying=NoteVerifier(),
        clock=now_ms,
    )


@contextmanager
def kept_trail(parts: Parts, agency: str) -> Iterator[GatewayTrail]:
    """Give what the gateway of `agency` keeps of the trail; `Refused` NO_GATEWAY if none does."""
    path = parts.settings.data / _part(agency) / "gateway.db"
    if not path.exists():
        raise Refused("NO_GATEWAY", f"{path} is missing: no gateway of this agency ran here")
    with closing(SqliteGatewayStore(str(path))) as store:
        yield SqliteGatewayTrail(store.file)


def _watch(own: _Own) -> TrailWatch:
    """Return what watches the trail for an agency."""
    link, trail = own.links.trail, SqliteGatewayTrail(own.store.file)
    checkpoints = Checkpoints(
        link=link,
        trail=trail,
        policy=pinned_policy(own.parts),
        verifying=NoteVerifier(),
        clock=now_ms,
    )
    common: dict[str, Any] = {"trail": trail, "checkpoints": checkpoints, "clock": now_ms}
    return TrailWatch(
        trail=trail,
        checkpoints=checkpoints,
        receipts=Receipts(**common),
        deliveries=Deliveries(
            **common,
            agency=own.agency,
            link=link,
            hub=own.links.hub,
            cursor=lambda purpose: own.store.place(f"feed {purpose}"),
        ),
        confirming=Confirming(**common, reader=_reader(own), signing=own.parts.signing, link=link),
    )


def _reader(own: _Own) -> Reader:
    _, public_key, seed = _proof(own.parts, own.agency)
    return Reader(seed=seed, public_key=public_key, notary=own.parts.trust.notary)


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
