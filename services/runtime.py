"""Everything in one process: hub, projector, clocks, custodian and gateways over loopback HTTP.

The parts keep separate stores and keys and meet over HTTP alone, as they do when each runs
by itself.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from domain.errors import Unavailable
from services.bootstrap import (
    COORDINATOR,
    CustodianProcess,
    GatewayProcess,
    Parts,
    WholeHub,
    build_custodian,
    build_gateway,
    build_hub,
    build_registering,
    now_ms,
)
from services.custodian.keeping_up import FIRST_BACKOFF, LAST_BACKOFF, keep_up
from services.http.console import console_routes
from services.http.custodian import CustodianParts, custodian_app
from services.http.gateway import GatewayParts, gateway_app
from services.http.hub import LOG, hub_app
from services.http.login import OneTimeLogin
from services.http.trail import trail_endpoints
from services.hub.ringing import Ringing
from services.members import Member, member_of, register
from services.own_trail import WITNESSES, OwnTrail
from services.registering import Registering
from services.serving import Faces, address_of, end, listeners
from services.signals import wait

PROJECT_STEP = 100

OPERATOR = Member(
    id=COORDINATOR,
    name="National Coordinator",
    country="GB",
    roles={"nrm_coordinator": ()},
)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """One agency's gateway as it runs."""

    member: Member
    listener: socket.socket
    process: GatewayProcess
    login: OneTimeLogin

    @property
    def address(self) -> str:
        """Where the gateway is reached."""
        return address_of(self.listener)

    def login_address(self) -> str:
        """Return a new address that logs a person in, once."""
        return f"{self.address}/login?code={self.login.new_code()}"


class Mechanism:
    """A whole mechanism in one process; an async context manager that runs it."""

    def __init__(self, parts: Parts, members: Sequence[Member], port: int = 0) -> None:
        """Listen on loopback from `port` on (0: any free ports)."""
        self._parts = parts
        sockets = listeners(port)
        self._hub_socket, self._custodian_socket = next(sockets), next(sockets)
        self._operator_socket = next(sockets)
        self.hub_address = address_of(self._hub_socket)
        self.custodian_address = address_of(self._custodian_socket)
        self.operator_address = address_of(self._operator_socket)
        self.hub: WholeHub = build_hub(parts, self.hub_address)
        self.custodian: CustodianProcess = build_custodian(
            parts, self.custodian_address, self.hub_address, self.hub_address
        )
        self._operator = self._gateway(COORDINATOR)
        self.offices = {m.id: self._office(m, next(sockets)) for m in self._everybody(members)}
        self.trail = OwnTrail(parts, self.hub, {name: next(sockets) for name in WITNESSES})
        self._tasks: list[asyncio.Task[None]] = []
        self._faces = Faces()
        self.failed = asyncio.Event()
        """Set when a part stopped by itself; whoever runs the mechanism should start it anew."""
        self.on_projected: Callable[[list[float], float], None] = lambda *_: None
        """Told, per step of the projector, each event's time in ms from recorded to readable,
        and the seconds that the step took."""
        self.on_withdrawn: Callable[[float], None] = lambda _: None
        """Told the time in ms from a withdrawal recorded to its releases gone."""

    def _withdrawn(self, recorded_ms: int) -> None:
        self.on_withdrawn(now_ms() - recorded_ms)

    def _everybody(self, members: Sequence[Member]) -> list[Member]:
        """Return `members` and whoever was registered later and has keys here."""
        named = {COORDINATOR, *(m.id for m in members)}
        registered = self.hub.hub.accepting.world.registry.agencies
        later = [
            member_of(agency, now_ms())
            for agency in registered.values()
            if agency.id not in named and self._parts.has_keys(agency.id)
        ]
        return [*members, *later]

    def _office(self, member: Member, listener: socket.socket) -> Office:
        return Office(
            member=member,
            listener=listener,
            process=self._gateway(member.id),
            login=OneTimeLogin(now_ms),
        )

    def _gateway(self, agency: str) -> GatewayProcess:
        return build_gateway(self._parts, agency, self.hub_address, self.custodian_address)

    async def __aenter__(self) -> "Mechanism":
        """Start every part, or none: what was started ends when another cannot be."""
        try:
            await self._begin()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _begin(self) -> None:
        """Start every part and register the members that the registry does not know yet."""
        self._start(self.hub.hub.accepting.run())
        self._start(self._project())
        self.trail.start(self._faces)
        routes = trail_endpoints(self.trail.notary.trail)
        self._faces.serve(self._hub_socket, hub_app(self.hub.hub, routes))
        built = self.custodian
        self._start(keep_up(built.custodian, built.hub, built.signals, self._withdrawn))
        self._start(built.gate.run())
        parts = CustodianParts(
            custodian=self.custodian.custodian,
            tokens=self.custodian.tokens,
            signals=self.custodian.signals,
            vitals=self.custodian.vitals,
        )
        self._faces.serve(self._custodian_socket, custodian_app(parts))
        registering = build_registering(self._parts, self._operator)
        operator = GatewayParts(
            gateway=self._operator.gateway,
            token=self._operator.token,
            vitals=self._operator.vitals,
            registering=registering,
        )
        self._faces.serve(self._operator_socket, gateway_app(operator))
        self._start(self._operator.gateway.run(()))
        await self._register(registering)
        await self._custodian_knows_everybody()
        for office in self.offices.values():
            await self._open(office)
        signals = self.hub.hub.signals
        submit = self._operator.gateway.submit
        ringing = Ringing(self.hub.clocks, submit, signals, self.hub.clock_metrics.rang)
        self._start(ringing.run())

    async def _register(self, registering: Registering) -> None:
        registry = self.hub.hub.accepting.world.registry
        for member in (OPERATOR, *(o.member for o in self.offices.values())):
            if registry.signing_key(member.id, now_ms()) is None:
                keys = self._parts.public_keys(member.id)
                await register(registering.record, member, *keys, now_ms())

    async def _custodian_knows_everybody(self) -> None:
        """Wait until the custodian has followed the registry, so that it can tell who asks."""
        facts = self.hub.hub.accepting.world.registry.version
        while self.custodian.custodian.directory.seq < facts:  # noqa: ASYNC110 - it is a process apart
            await asyncio.sleep(FIRST_BACKOFF)

    async def _open(self, office: Office) -> None:
        gateway = office.process.gateway
        await gateway.inbox.refresh_directory()
        console = console_routes(
            gateway,
            office.login,
            trail=office.process.report,
            language=self._parts.language,
            clock=now_ms,
        )
        face = GatewayParts(
            gateway=gateway,
            token=office.process.token,
            vitals=office.process.vitals,
            console=tuple(console),
        )
        self._faces.serve(office.listener, gateway_app(face))
        self._start(gateway.run(sorted(office.member.purposes)))

    async def __aexit__(self, *_: object) -> None:
        """Stop every part: who asks first, then who answers."""
        await self.trail.stop()
        offices = self.offices.values()
        gateways = [self._operator.gateway, *(o.process.gateway for o in offices)]
        for signals in (
            self.hub.hub.signals,
            self.custodian.signals,
            *(g.signals for g in gateways),
        ):
            signals.close()
        await end(self._tasks)
        for link in (
            self.custodian,
            *self._operator.links,
            *(link for o in offices for link in o.process.links),
        ):
            await link.close()
        await self._faces.close()
        for office in offices:
            office.listener.close()  # which nobody serves if the start has failed

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._report)
        self._tasks.append(task)

    def _report(self, task: "asyncio.Task[None]") -> None:
        """A part has ended that should run for ever: say so, and let the process end."""
        if not task.cancelled() and task.exception() is not None:
            log.error("a part has stopped", exc_info=task.exception())
            self.failed.set()

    async def _project(self) -> None:
        """Project whatever the log has new, and wake the feeds' readers."""
        signals, projector = self.hub.hub.signals, self.hub.projector
        while not signals.closed:
            news = signals.listen(LOG)
            started = perf_counter()
            try:
                step = projector.step(PROJECT_STEP)
            except Unavailable as e:
                log.warning("the projector waits: %s", e.code)
                await asyncio.sleep(LAST_BACKOFF)
                continue
            seconds = perf_counter() - started
            if not step.recorded_ms:
                await wait(news, LAST_BACKOFF)
                continue
            news.cancel()
            now = now_ms()
            self.hub.projector_metrics.projected(step.events, now)
            self.on_projected([float(now - recorded) for recorded in step.recorded_ms], seconds)
            signals.notify(step.seats)
            await asyncio.sleep(0)
