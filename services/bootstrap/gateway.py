"""The wiring of an agency's gateway, and of those who speak to one."""

from dataclasses import dataclass
from typing import Any

from adapters.http_links import HttpCustodianLink, HttpGatewayLink, HttpHubLink
from adapters.sealing import Box
from adapters.sqlite.gateway_store import SqliteGatewayStore
from domain.secret import Secret
from services.bootstrap.parts import COORDINATOR, CUSTODIAN, REGISTRARS, Parts, now_ms
from services.bootstrap.watching import gateway_vitals
from services.gateway.gateway import Gateway
from services.gateway.inbox import Inbox
from services.gateway.outbox import Outbox
from services.gateway.sealer import Office, Sealer
from services.http.health import Vitals
from services.registering import Registering
from services.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayProcess:
    """A gateway, its links, and the token of its agency's own systems."""

    gateway: Gateway
    sealer: Sealer
    token: Secret
    links: tuple[HttpHubLink, HttpCustodianLink]
    vitals: Vitals


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
        custodian_opening_key=parts.trust.custodian_opening,
        custodian_public_key=parts.trust.custodian,
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
    return GatewayProcess(
        gateway=gateway,
        sealer=sealer,
        token=token,
        links=(hub, custodian),
        vitals=gateway_vitals(gateway, store, hub, custodian),
    )


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
