"""HTTP faces of the parts in this process: sockets opened first, servers closed last."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import uvicorn

from domain.errors import Malformed, Unavailable

KEEP_ALIVE_SECONDS = 75
"""Longer than a link keeps an idle connection: else one is closed just when it is used again."""
STOP_SECONDS = 3.0


class _Server(uvicorn.Server):
    """A server that leaves signals to the process it is one of several in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class Faces:
    """The servers of a process."""

    def __init__(self) -> None:
        """Start with none."""
        self._serving: list[asyncio.Task[None]] = []
        self._servers: list[_Server] = []

    def serve(self, listener: socket.socket, app: Any) -> None:
        """Serve the ASGI application `app` from now on."""
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        server = _Server(config)
        self._servers.append(server)
        self._serving.append(asyncio.create_task(server.serve(sockets=[listener])))

    async def close(self) -> None:
        """Stop serving; who is still asking after some seconds is cut off."""
        for server in self._servers:
            server.should_exit = True
        if self._serving:
            await asyncio.wait(self._serving, timeout=STOP_SECONDS)
        await end(self._serving)


def listeners(port: int) -> Iterator[socket.socket]:
    """Yield sockets that listen on loopback from `port` on; any free ones if it is 0."""
    for number in count():
        yield listen("127.0.0.1", port + number if port else 0)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; `Unavailable` PORT_TAKEN when somebody else does."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as e:
        listener.close()
        raise Unavailable("PORT_TAKEN", f"port {port} is in use; choose another") from e
    listener.listen(1024)
    return listener


def listen_at(place: str) -> socket.socket:
    """Return a socket that listens at `place`, which is host:port."""
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit():
        raise Malformed("LISTEN", "say where to listen as host:port, such as 127.0.0.1:8700")
    return listen(host, int(port))


def address_of(listener: socket.socket) -> str:
    """Return the address at which a socket on this machine is reached."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


async def end(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Cancel `tasks` and wait until they are done."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
