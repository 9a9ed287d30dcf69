"""A cheap HTTP/1.1 load generator: prepared requests over keep-alive connections, no parser.

It must cost little, because it shares the machine with what it measures.
"""

import asyncio
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass(slots=True)
class Load:
    """What one round of load brought."""

    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    actions: int = 0
    """Actions answered."""
    accepted: int = 0


class _Connection(asyncio.Protocol):
    """Sends its requests one after the other, each when the one before is answered."""

    def __init__(self, requests: Sequence[bytes], load: Load, done: asyncio.Future[None]) -> None:
        self._requests = deque(requests)
        self._load = load
        self._done = done
        self._buffer = b""
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are Transports in all but the class.
        self._transport = cast("asyncio.Transport", transport)

    def start(self) -> None:
        """Send the first request."""
        self._next()

    def _next(self) -> None:
        if self._transport is None:
            return
        if not self._requests:
            self._transport.close()
            self._done.set_result(None)
            return
        self._sent = perf_counter()
        self._transport.write(self._requests.popleft())

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer = self._buffer + data
        head = buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        length = _LENGTH.search(buffer, 0, head)
        if length is None or len(buffer) < head + 4 + int(length[1]):
            return
        self._load.latencies_ms.append((perf_counter() - self._sent) * 1000)
        if not buffer.startswith(b"HTTP/1.1 200"):
            self._done.set_exception(RuntimeError(buffer.decode(errors="replace")))
            return
        self._load.actions += buffer.count(b'"accepted":', head)
        self._load.accepted += buffer.count(b'"accepted":true', head)
        self._buffer = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("the server hung up"))


async def drive(port: int, plans: Sequence[Sequence[bytes]]) -> Load:
    """Send each plan over a connection of its own, all at once; connecting is not counted."""
    loop, load = asyncio.get_running_loop(), Load()
    waiting, connections = [], []
    for plan in plans:
        done: asyncio.Future[None] = loop.create_future()
        _, connection = await loop.create_connection(
            lambda plan=plan, done=done: _Connection(plan, load, done),  # type: ignore[misc] # bound now
            "127.0.0.1",
            port,
        )
        waiting.append(done)
        connections.append(connection)
    started = perf_counter()
    for connection in connections:
        connection.start()
    await asyncio.gather(*waiting)
    load.seconds = perf_counter() - started
    return load


def request(path: str, token: str, body: bytes) -> bytes:
    """Return the bytes of a POST of JSON."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
