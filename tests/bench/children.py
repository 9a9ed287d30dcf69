"""Processes of the bench: `python -m tests.bench.children hub|trail|mechanism|memory DATA ...`.

A child says where it is reached in one JSON line, and ends when its standard input closes.
"""

import asyncio
import contextlib
import gc
import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
import uvloop
from fastapi import FastAPI, Request

from services.bootstrap import COORDINATOR, Parts, Settings, WholeHub, build_hub
from services.http.hub import hub_app
from services.members import Member
from services.own_trail import WITNESSES, OwnTrail
from services.runtime import Mechanism
from services.serving import Faces
from tests.bench.cases import Sent
from tests.bench.ledger import put, running
from tests.bench.town import OPENER_ROLES, PROVIDER_ROLES, Town

OPENERS = ("gb-police-0", "gb-police-1", "gb-police-2", "gb-police-3")
SHELTER = "gb-shelter"
_DATABASE = "NRM_BENCH_DATABASE"
"""Names the hub's database to a child; others can read its arguments, and this has a password."""


@contextlib.contextmanager
def child(
    *arguments: str, database: str = ""
) -> Iterator[tuple[dict[str, Any], "subprocess.Popen[str]"]]:
    """Run a child for the block, its hub over `database` if given; yield what it said and it."""
    command = [sys.executable, "-m", "tests.bench.children", *arguments]
    pipe, env = subprocess.PIPE, {**os.environ, _DATABASE: database}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env) as process:
        try:
            yield said(process), process
        finally:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def said(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Return the next line that the child said."""
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line:
        raise RuntimeError("a process of the bench has ended")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _say(**words: object) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


async def _stdin_closed() -> None:
    await asyncio.to_thread(sys.stdin.read)


def _listen() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)  # noqa: FBT003 - the name of the method says it
    return listener


def _server(app: FastAPI) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
    )


def _noop_app() -> FastAPI:
    app = FastAPI()

    @app.post("/noop")
    async def noop(request: Request) -> dict[str, bool]:
        await request.body()
        return {"done": True}

    return app


async def _hub(data: str, openers: int, *, trail: bool = False) -> None:
    """Serve a hub with `openers` agencies, and beside it a FastAPI route that does nothing.

    With `trail`, its notary and both witnesses work in the process too.
    """
    hub_socket, noop_socket = _listen(), _listen()
    parts = Parts(Settings(data=Path(data), database=os.environ[_DATABASE]))
    port, noop = hub_socket.getsockname()[1], noop_socket.getsockname()[1]
    whole = build_hub(parts, f"http://127.0.0.1:{port}")
    hub, town = whole.hub, Town(parts, openers, 1)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(running(hub.accepting))
        await put(hub.accepting, ((COORDINATOR, fact) for fact in town.facts()))
        if trail:
            await stack.enter_async_context(_trail(parts, whole))
        servers = [_server(hub_app(hub)), _server(_noop_app())]
        serving = [
            asyncio.create_task(server.serve(sockets=[listener]))
            for server, listener in zip(servers, (hub_socket, noop_socket), strict=True)
        ]
        tokens = {agency: hub.tokens.issue(agency) for agency in town.openers}
        _say(port=port, noop=noop, tokens=tokens)
        await _stdin_closed()
        for server in servers:
            server.should_exit = True
        await asyncio.wait(serving)


@contextlib.asynccontextmanager
async def _trail(parts: Parts, hub: WholeHub) -> AsyncIterator[None]:
    trail = OwnTrail(parts, hub, {name: _listen() for name in WITNESSES})
    faces = Faces()
    trail.start(faces)
    try:
        yield
    finally:
        await trail.stop()
        await faces.close()


def members() -> list[Member]:
    """Return the members of the mechanism that runs in one process."""
    police = [Member(id=i, name=i, country="GB", roles=OPENER_ROLES) for i in OPENERS]
    return [*police, Member(id=SHELTER, name=SHELTER, country="GB", roles=PROVIDER_ROLES)]


async def _mechanism(data: str) -> None:
    async with Mechanism(Parts(Settings(data=Path(data))), members()) as mechanism:
        gateways = {i: office.address for i, office in mechanism.offices.items()}
        _say(hub=mechanism.hub_address, custodian=mechanism.custodian_address, gateways=gateways)
        await _stdin_closed()


async def _memory(data: str) -> None:
    """Take in files of actions, named on standard input; say the resident size when asked."""
    hub = build_hub(parts := Parts(Settings(data=Path(data))), "http://127.0.0.1:1")
    accepting = hub.hub.accepting
    async with running(accepting):
        town = Town(parts, 50, 50)
        await put(accepting, ((COORDINATOR, fact) for fact in town.facts()))
        _say(bytes=_resident())
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            if line == "size":
                _say(bytes=_resident())
                continue
            await put(accepting, _taken(line))
            while hub.projector.step().recorded_ms:
                pass


def _taken(line: str) -> list[Sent]:
    path = Path(line)
    sent = msgspec.msgpack.decode(path.read_bytes(), type=list[Sent])
    path.unlink()
    return sent


def _resident() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()


def _main(arguments: Sequence[str]) -> None:
    match arguments:
        case "hub", data, openers:
            uvloop.run(_hub(data, int(openers)))
        case "trail", data, openers:
            uvloop.run(_hub(data, int(openers), trail=True))
        case "mechanism", data:
            uvloop.run(_mechanism(data))
        case "memory", data:
            uvloop.run(_memory(data))
        case _:
            raise SystemExit("no such process")


if __name__ == "__main__":
    _main(sys.argv[1:])
