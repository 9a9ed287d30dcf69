"""Everything in one process: hub, projector, clocks, custodian and gateways over loopback HTTP.

The parts keep separate stores and keys and meet over HTTP alone, as they do when each runs
by itself.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from time import perf_counter
from typing import Any

import uvicorn

from domain.errors import HubError, Unavailable
from services.bootstrap import (
    COORDINATOR,
    CustodianProcess,
    GatewayProcess,
    HubParts,
    Parts,
    build_custodian,
    build_gateway,
    build_hub,
    build_registering,
    now_ms,
)
from services.http.console import console_routes
from services.http.custodian import CustodianParts, custodian_app
from services.http.gateway import GatewayParts, gateway_app
from services.http.hub import LOG, hub_app
from services.http.login import OneTimeLogin
from services.members import Member, member_of, register
from services.registering import Registering
from services.signals import wait

PROJECT_STEP = 100
CLOCK_SECONDS = 1.0
FIRST_BACKOFF, LAST_BACKOFF = 0.05, 5.0
LONG_POLL = 20.0
STOP_SECONDS = 3.0

OPERATOR = Member(
    id=COORDINATOR,
    name="National Coordinator",
    country="GB",
    roles={"nrm_coordinator": ()},
)
log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """A server that leaves signals to the process it is one of several in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


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
        return _address(self.listener)

    def login_address(self) -> str:
        """Return a new address that logs a person in, once."""
        return f"{self.address}/login?code={self.login.new_code()}"


class Mechanism:
    """A whole mechanism in one process; an async context manager that runs it."""

    def __init__(self, parts: Parts, members: Sequence[Member], port: int = 0) -> None:
        """Listen on loopback from `port` on (0: any free ports)."""
        self._parts = parts
        sockets = _sockets(port)
        self._hub_socket, self._custodian_socket = next(sockets), next(sockets)
        self._operator_socket = next(sockets)
        self.hub_address = _address(self._hub_socket)
        self.custodian_address = _address(self._custodian_socket)
        self.operator_address = _address(self._operator_socket)
        self.hub: HubParts = build_hub(parts, self.hub_address)
        self.custodian: CustodianProcess = build_custodian(
            parts, self.custodian_address, self.hub_address
        )
        self._operator = self._gateway(COORDINATOR)
        self.offices = {m.id: self._office(m, next(sockets)) for m in self._everybody(members)}
        self._tasks: list[asyncio.Task[None]] = []
        self._serving: list[asyncio.Task[None]] = []
        self._servers: list[_Server] = []
        self.failed = asyncio.Event()
        """Set when a part stopped by itself; whoever runs the mechanism should start it anew."""
        self.on_projected: Callable[[list[float], float], None] = lambda *_: None
        """Told, per step of the projector, each event's time in ms from recorded to readable,
        and the seconds that the step took."""
        self.on_withdrawn: Callable[[float], None] = lambda _: None
        """Told the time in ms from a withdrawal recorded to its releases gone."""

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
        """Start every part and register the members that the registry does not know yet."""
        self._start(self.hub.hub.accepting.run())
        self._start(self._project())
        self._serve(self._hub_socket, hub_app(self.hub.hub))
        self._start(self._follow())
        parts = CustodianParts(
            custodian=self.custodian.custodian,
            tokens=self.custodian.tokens,
            signals=self.custodian.signals,
        )
        self._serve(self._custodian_socket, custodian_app(parts))
        registering = build_registering(self._parts, self._operator)
        operator = GatewayParts(
            gateway=self._operator.gateway,
            token=self._operator.token,
            registering=registering,
        )
        self._serve(self._operator_socket, gateway_app(operator))
        self._start(self._operator.gateway.run(()))
        await self._register(registering)
        await self._custodian_knows_everybody()
        for office in self.offices.values():
            await self._open(office)
        self._start(self._ring())
        return self

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
        console = console_routes(gateway, office.login, language=self._parts.language, clock=now_ms)
        face = GatewayParts(gateway=gateway, token=office.process.token, console=tuple(console))
        self._serve(office.listener, gateway_app(face))
        self._start(gateway.run(sorted(office.member.purposes)))

    async def __aexit__(self, *_: object) -> None:
        """Stop every part: who asks first, then who answers."""
        offices = self.offices.values()
        gateways = [self._operator.gateway, *(o.process.gateway for o in offices)]
        for signals in (
            self.hub.hub.signals,
            self.custodian.signals,
            *(g.signals for g in gateways),
        ):
            signals.close()
        await _end(self._tasks)
        for link in (
            self.custodian.hub,
            *self._operator.links,
            *(link for o in offices for link in o.process.links),
        ):
            await link.close()
        for server in self._servers:
            server.should_exit = True
        await asyncio.wait(self._serving, timeout=STOP_SECONDS)
        await _end(self._serving)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._report)
        self._tasks.append(task)

    def _report(self, task: "asyncio.Task[None]") -> None:
        """A part has ended that should run for ever: say so, and let the process end."""
        if not task.cancelled() and task.exception() is not None:
            log.error("a part has stopped", exc_info=task.exception())
            self.failed.set()

    def _serve(self, listener: socket.socket, app: Any) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        server = _Server(config)
        self._servers.append(server)
        self._serving.append(asyncio.create_task(server.serve(sockets=[listener])))

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
            latencies = [float(now - recorded) for recorded in step.recorded_ms]
            for latency in latencies:
                self.hub.metrics.projected(latency)
            self.on_projected(latencies, seconds)
            signals.notify(step.seats)
            await asyncio.sleep(0)

    async def _follow(self) -> None:
        """Let the custodian follow the hub's log, over HTTP."""
        custodian, backoff = self.custodian.custodian, FIRST_BACKOFF
        while not self.custodian.signals.closed:
            try:
                page = await self.custodian.hub.custody(custodian.position, LONG_POLL)
                self.custodian.signals.notify(custodian.follow(page))
            except HubError as e:
                if not isinstance(e, Unavailable):
                    log.warning("the custodian stopped following: %s", e.code)
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, LAST_BACKOFF)
                continue
            backoff = FIRST_BACKOFF
            for item in page.items:
                if item.event.type.endswith(".ConsentWithdrawn"):
                    self.on_withdrawn(now_ms() - item.event.recorded_ms)

    async def _ring(self) -> None:
        """Record what falls due."""
        clocks = self.hub.clocks
        while not self.hub.hub.signals.closed:
            clocks.follow()
            commands = clocks.ring()
            if commands:
                for result in await self._operator.gateway.submit(commands):
                    if result.status == "refused":
                        log.warning("a clock's event was refused: %s", result.code)
            await asyncio.sleep(CLOCK_SECONDS)


def _sockets(port: int) -> Iterator[socket.socket]:
    """Yield listening sockets from `port` on; any free ones if it is 0."""
    for number in count():
        yield _listen(port + number if port else 0)


def _address(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as e:
        listener.close()
        raise Unavailable("PORT_TAKEN", f"port {port} is in use; choose another with --port") from e
    listener.listen(1024)
    return listener


async def _end(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
