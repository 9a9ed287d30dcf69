"""A trail's files for an auditor: from a folder, or over HTTP with a bearer token."""

import http.client
import io
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from adapters.http_peer import Link
from domain.errors import Malformed, NotAuthentic, Refused, Unavailable

ANSWER_SECONDS = 30.0
SLOWEST = 10_000
"""Bytes of an answer a second: of one that comes slower, `ANSWER_SECONDS` later no more is read."""
_OK, _UNAUTHORIZED, _FORBIDDEN, _MISSING, _GONE = 200, 401, 403, 404, 410


class Address(NamedTuple):
    """The parts of a web address."""

    secure: bool
    host: str
    port: int | None
    path: str


def address_of(text: str) -> Address:
    """Return the parts of an address such as https://hub.example/trail; `Malformed` SOURCE."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise Malformed("SOURCE", "an address is ASCII without spaces: write others as %20, xn--…")
    try:
        found = urlsplit(text)
        host, port = found.hostname or "", found.port
        host.encode("idna")  # as whoever connects does
    except ValueError:
        raise Malformed("SOURCE", "the host or port in the address is none") from None
    if found.scheme not in {"http", "https"} or not host or found.query:
        raise Malformed("SOURCE", "an address is http:// or https://, a host and a path")
    return Address(found.scheme == "https", host, port, found.path)


class FolderSource:
    """`TrailReading` of a folder: a copy of the trail, or the notary's own."""

    def __init__(self, folder: Path) -> None:
        """Read in `folder`; `Malformed` SOURCE if it is none."""
        if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises where it may not look
            raise Malformed("SOURCE", f"{folder} is no folder; give that of a trail, or its URL")
        self._folder = folder
        self.name = str(folder)

    def read(self, path: str, most: int) -> bytes | None:
        """Return the file at `path`, or None."""
        file = self._folder / path
        try:
            if not file.is_file():  # a copy from elsewhere may hold pipes and devices, too
                return None
            with file.open("rb") as opened:
                return _bounded(opened.read(most + 1), path, most)
        except FileNotFoundError:
            return None
        except PermissionError as e:
            raise NotAuthentic("NOT_ALLOWED", f"{path} cannot be read: {e.strerror}") from e
        except OSError as e:
            raise Unavailable("SOURCE_AWAY", f"{path} cannot be read: {e.strerror}") from e


class HttpSource:
    """`TrailReading` of a web address, over one connection that is kept; it never redirects."""

    def __init__(self, address: str, token: Callable[[], str]) -> None:
        """Read below `address`, such as https://hub.example/trail; `token` may give none ("")."""
        secure, host, port, path = address_of(address)
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection = kind(host, port, timeout=ANSWER_SECONDS)
        self._connection.response_class = _PacedResponse
        self._prefix = path.rstrip("/")
        self._token = token
        self._headers: dict[str, str] | None = None
        self.name = address

    def close(self) -> None:
        """Close the connection; a later read opens another."""
        self._connection.close()

    def __del__(self) -> None:
        """Close it when the last who read here has gone."""
        if hasattr(self, "_connection"):
            self.close()

    def read(self, path: str, most: int) -> bytes | None:
        """Return the file at `path`, or None."""
        status, data = self._get(path, most)
        if status == _UNAUTHORIZED:  # a token is short-lived
            self._headers = None
            status, data = self._get(path, most)
        if status == _OK:
            return _bounded(data, path, most)
        if status in {_MISSING, _GONE}:
            return None
        if status in {_UNAUTHORIZED, _FORBIDDEN}:
            message = f"{path} is for auditors: say --as an agency with an oversight role"
            raise NotAuthentic("NOT_ALLOWED", message)
        if 300 <= status < 400:
            raise Refused("REDIRECTED", f"{path} leads elsewhere; give the trail's own address")
        raise self._away(path, f"answered {status}")

    def _get(self, path: str, most: int) -> tuple[int, bytes]:
        try:
            return self._asked(path, most)
        except (http.client.HTTPException, ConnectionError):
            self._connection.close()  # it was kept open for too long; asking twice does no harm
        except OSError as e:
            self._connection.close()
            raise self._silent(path, e) from e
        try:
            return self._asked(path, most)
        except (http.client.HTTPException, OSError) as e:
            self._connection.close()
            raise self._silent(path, e) from e

    def _asked(self, path: str, most: int) -> tuple[int, bytes]:
        if self._headers is None:
            token = self._token()
            self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._connection.request("GET", f"{self._prefix}/{path}", headers=self._headers)
        response = self._connection.getresponse()
        data = response.read(most + 1)
        if len(data) <= most and response.length:
            raise http.client.IncompleteRead(data, response.length)
        if not response.isclosed():
            self._connection.close()
        return response.status, data

    def _silent(self, path: str, why: Exception) -> Unavailable:
        slow = isinstance(why, TimeoutError)
        return self._away(path, "was too slow" if slow else "did not answer")

    def _away(self, path: str, what: str) -> Unavailable:
        return Unavailable("SOURCE_AWAY", f"{self.name} {what} for {path}; retry later")


class Paced(io.RawIOBase):
    """An answer as it comes; TimeoutError when it is slower than `SLOWEST` for too long.

    A timeout of the socket alone bounds each wait, not how often somebody lets us wait.
    """

    def __init__(
        self,
        raw: io.RawIOBase,
        wait: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read from `raw`; `wait` sets how many seconds its next wait may take."""
        self._raw = raw
        self._wait = wait
        self._clock = clock
        self._until = clock() + ANSWER_SECONDS

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, into: Any) -> int | None:
        """Read what has come."""
        left = self._until - self._clock()
        if left <= 0:
            raise TimeoutError
        self._wait(min(left, ANSWER_SECONDS))
        came = self._raw.readinto(into)
        self._wait(ANSWER_SECONDS)
        self._until += (came or 0) / SLOWEST
        return came

    def close(self) -> None:
        """Close what it reads from."""
        self._raw.close()
        super().close()


class _PacedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *words: Any, **named: Any) -> None:
        super().__init__(sock, *words, **named)
        self.fp = io.BufferedReader(Paced(self.fp.detach(), sock.settimeout))


def _bounded(data: bytes, path: str, most: int) -> bytes:
    if len(data) > most:
        raise Malformed("FILE_SIZE", f"{path} is larger than {most} bytes")
    return data


class AgencyTokens(Link):
    """Access tokens of a hub, for the agency whose key this is."""

    async def fetch(self) -> str:
        """Return a fresh token; `Unavailable` or `NotAuthentic` when there is none to be had."""
        try:
            return await self.new_token()
        finally:
            await self.close()
