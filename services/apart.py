"""Each part in a process of its own, as a ministry runs them: many hubs, many projectors.

Every process has a face with health and metrics, pins the keys in trust.json, and ends when a
part of it fails; whoever supervises it starts it anew.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from domain.errors import HubError, Unavailable
from domain.ports import Notices
from services.bootstrap import (
    COORDINATOR,
    Parts,
    build_custodian,
    build_gateway,
    build_registering,
    now_ms,
)
from services.bootstrap.clocks import build_clocks_apart
from services.bootstrap.hub import build_hub_apart, notices_of
from services.bootstrap.notary import build_notary_apart
from services.bootstrap.witness import Watched, build_witness
from services.custodian.keeping_up import FIRST_BACKOFF, LAST_BACKOFF, keep_up
from services.gateway.gateway import Gateway
from services.http.console import console_routes
from services.http.custodian import CustodianParts, custodian_app
from services.http.gateway import GatewayParts, gateway_app
from services.http.hub import hub_app
from services.http.login import OneTimeLogin
from services.http.witness import witness_app
from services.serving import Faces, address_of, end, listen_at
from services.signals import Signals
from services.worker import Worker

NOTICE_SECONDS = 1.0
log = logging.getLogger(__name__)


class _Process:
    """The faces and loops of this process; it ends with `stop`, or with the first that fails."""

    def __init__(self) -> None:
        self.faces = Faces()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def until(self, stop: asyncio.Event) -> None:
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait(
                [stopping, *self._tasks], return_when=asyncio.FIRST_COMPLETED
            )
            for task in done - {stopping}:
                await task
        finally:
            stopping.cancel()

    async def close(self) -> None:
        await end(self._tasks)
        await self.faces.close()


@asynccontextmanager
async def _process(*signals: Signals) -> AsyncIterator[_Process]:
    process = _Process()
    try:
        yield process
    finally:
        for one in signals:
            one.close()
        await process.close()


async def run_worker(worker: Worker, app: Any, place: str, *, stop: asyncio.Event) -> None:
    """Let a part work, and serve its health and metrics at `place`."""
    listener = listen_at(place)
    async with _process() as process:
        process.faces.serve(listener, app)
        await worker.run(stop)


async def run_hub(parts: Parts, place: str, address: str, *, stop: asyncio.Event) -> None:
    """Serve a hub at `place` (host:port), which clients reach at `address`."""
    listener = listen_at(place)
    hub, notices = build_hub_apart(parts, address), notices_of(parts)
    async with _process(hub.hub.signals) as process:
        process.start(hub.hub.accepting.run())
        process.start(_wake(notices, hub.hub.signals))
        process.faces.serve(listener, hub_app(hub.hub))
        await process.until(stop)


async def _wake(notices: Notices, signals: Signals) -> None:
    """Pass on what other processes have appended or projected."""
    while not signals.closed:
        try:
            signals.notify(await asyncio.to_thread(notices.wait, NOTICE_SECONDS))
        except Unavailable:
            await asyncio.sleep(NOTICE_SECONDS)


async def run_custodian(
    parts: Parts, place: str, address: str, links: tuple[str, str], *, stop: asyncio.Event
) -> None:
    """Serve the custodian; `links` are the addresses of hub and trail."""
    listener = listen_at(place)
    built = build_custodian(parts, address, *links)
    async with _process(built.signals) as process:
        process.start(keep_up(built.custodian, built.hub, built.signals, lambda _: None))
        process.start(built.gate.run())
        face = CustodianParts(
            custodian=built.custodian,
            tokens=built.tokens,
            signals=built.signals,
            vitals=built.vitals,
        )
        process.faces.serve(listener, custodian_app(face))
        await process.until(stop)
        await built.close()


async def run_clocks(parts: Parts, place: str, coordinator: str, *, stop: asyncio.Event) -> None:
    """Watch the clocks; what falls due goes through the gateway at `coordinator`."""
    listener, built = listen_at(place), build_clocks_apart(parts, coordinator)
    async with _process(built.signals) as process:
        process.start(built.ringing.run())
        process.faces.serve(listener, built.app)
        await process.until(stop)
        await built.link.close()


async def run_notary(parts: Parts, place: str, address: str, *, stop: asyncio.Event) -> None:
    """Keep the trail and serve it at `place`; clients reach it at `address`."""
    listener = listen_at(place)
    built, app = build_notary_apart(parts, address)
    async with _process() as process:
        process.faces.serve(listener, app)
        async with asyncio.TaskGroup() as working:
            working.create_task(built.sequencing.run(stop))
            working.create_task(built.publishing.run(stop))
            await stop.wait()
            built.leading.end()


async def run_witness(
    parts: Parts, body: str, watched: Watched, place: str, *, stop: asyncio.Event
) -> None:
    """Serve the witness that `body` runs, and replay the trail if it does that."""
    built = build_witness(parts, body, watched)
    async with _process() as process:
        process.faces.serve(listen_at(place), witness_app(built.face))
        await (built.worker.run(stop) if built.worker else process.until(stop))
    built.store.close()


async def run_gateway(
    parts: Parts,
    agency: str,
    place: str,
    links: tuple[str, str, str],
    *,
    stop: asyncio.Event,
    greet: Callable[[str], None],
) -> None:
    """Serve the gateway of `agency`; `links` are the addresses of hub, custodian and trail.

    `greet` is told an address that logs a person in, once.
    """
    listener = listen_at(place)
    built = build_gateway(parts, agency, *links)
    gateway, login = built.gateway, OneTimeLogin(now_ms)
    registering = build_registering(parts, built) if agency == COORDINATOR else None
    console = (
        ()
        if registering
        else console_routes(
            gateway, login, trail=built.report, language=parts.language, clock=now_ms
        )
    )
    face = GatewayParts(
        gateway=gateway,
        token=built.token,
        vitals=built.vitals,
        registering=registering,
        console=tuple(console),
    )
    async with _process(gateway.signals) as process:
        process.start(gateway.run(()))
        process.start(_read(gateway, agency))
        process.faces.serve(listener, gateway_app(face))
        if console:
            greet(f"{address_of(listener)}/login?code={login.new_code()}")
        await process.until(stop)
        for link in built.links:
            await link.close()


async def _read(gateway: Gateway, agency: str) -> None:
    """Read the feeds of the seats that the registry gives the agency, once it does."""
    backoff = FIRST_BACKOFF
    while not gateway.signals.closed:
        try:
            await gateway.inbox.refresh_directory()
        except HubError as e:
            log.info("waiting for the registry: %s", e.code)
        for known in gateway.inbox.agencies():
            if known["id"] == agency:
                await gateway.read(known["purposes"])
        await asyncio.sleep(backoff)
        backoff = min(2 * backoff, LAST_BACKOFF)
