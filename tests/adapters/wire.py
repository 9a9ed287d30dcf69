"""A wire between a client and a server that a test can cut, or hold up, at a chosen moment."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from urllib.parse import urlsplit, urlunsplit


class Wire:
    """Forwards TCP connections on a loopback port to `target`, until told otherwise."""

    def __init__(self, target: tuple[str, int]) -> None:
        """Listen on a free port."""
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._cut_on: bytes | None = None
        self._cut_before: bytes | None = None
        self._flows = Event()
        self._flows.set()
        self.made = 0
        """Connections that clients have made so far."""
        Thread(target=self._accept, daemon=True).start()

    def url(self, url: str) -> str:
        """Return `url` with the wire's address in place of the server's."""
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        port = self._listening.getsockname()[1]
        return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{port}"))

    def cut_on(self, said: bytes) -> None:
        """Cut every connection once the server has answered a request with `said` in it.

        The server does what was asked; the answer is lost.
        """
        self._cut_on = said

    def cut_before(self, said: bytes) -> None:
        """Cut every connection in the middle of what a client says, just before `said`."""
        self._cut_before = said

    def hold(self) -> None:
        """Let no byte pass, in either direction, with every connection open."""
        self._flows.clear()

    def close(self) -> None:
        """Cut every connection and take no more."""
        self._flows.set()
        self._listening.close()
        self._cut()

    def _cut(self) -> None:
        # A client that comes back at once finds the wire whole: only what was open now is cut.
        ends, self._open = self._open, []
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self.made += 1
                try:
                    server = socket.create_connection(self._target)
                except OSError:
                    client.close()  # nobody is there
                    continue
                self._open += [client, server]
                asked = Event()
                for job in (
                    Thread(target=self._carry, args=(client, server, asked), daemon=True),
                    Thread(target=self._answer, args=(server, client, asked), daemon=True),
                ):
                    job.start()

    def _carry(self, client: socket.socket, server: socket.socket, asked: Event) -> None:
        with suppress(OSError), client, server:
            while data := client.recv(1 << 16):
                self._flows.wait()
                if self._cut_on is not None and self._cut_on in data:
                    self._cut_on = None
                    asked.set()
                if self._cut_before is not None and self._cut_before in data:
                    server.sendall(data.partition(self._cut_before)[0])
                    self._cut_before = None
                    self._cut()
                    return
                server.sendall(data)

    def _answer(self, server: socket.socket, client: socket.socket, asked: Event) -> None:
        with suppress(OSError), client, server:
            while data := server.recv(1 << 16):
                self._flows.wait()
                if asked.is_set():
                    self._cut()
                    return
                client.sendall(data)


@contextmanager
def wired(url: str) -> Iterator[tuple[Wire, str]]:
    """Yield a wire to the server of `url`, and the URL by which to go through it."""
    parts = urlsplit(url)
    wire = Wire((parts.hostname or "127.0.0.1", parts.port or 5432))
    try:
        yield wire, wire.url(url)
    finally:
        wire.close()
