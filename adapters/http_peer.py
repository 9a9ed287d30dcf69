"""One peer over HTTP, on aiohttp, with `private_key_jwt` (RFC 7523); its answers have a limit."""

import base64
import time
from collections.abc import Mapping
from io import BytesIO
from types import MappingProxyType
from typing import Any, TypeVar
from uuid import uuid4

import aiohttp
import msgspec
from joserfc import jwt
from joserfc.jwk import OKPKey

from domain.errors import (
    Conflict,
    Corrupt,
    HubError,
    Malformed,
    NotAuthentic,
    Refused,
    Unavailable,
    Unreadable,
)
from domain.secret import Secret

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS = 120
ANSWER_SECONDS = 30.0
PAGE_BYTES = 64 << 20
"""Of an answer with many items: an honest page has a tenth of it."""
SMALL_BYTES = 1 << 20
"""Of a token or one proof."""
_UNAUTHORIZED = 401
_REDIRECTS = range(300, 400)
_CLASSES: dict[str, type[HubError]] = {
    c.__name__: c
    for c in (Refused, Malformed, NotAuthentic, Conflict, Corrupt, Unreadable, Unavailable)
}

T = TypeVar("T")


class Link:
    """One peer: its address, our proof of who we are, and the token it gave us."""

    def __init__(
        self, base: str, agency: str, public_key: bytes, seed: Secret, token: str = ""
    ) -> None:
        self._base = base.rstrip("/")
        self._agency = agency
        self._public = public_key
        self._seed = seed
        self._token = token
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        body: Any = None,
        wait: float = 0.0,
        most: int = PAGE_BYTES,
    ) -> T:
        """Return the peer's answer; its problem documents and silences become errors of ours.

        `Unavailable` PEER_TOO_LARGE for one of more than `most` bytes.
        """
        data = None if body is None else msgspec.json.encode(body)
        for fresh in (False, True):
            if fresh or not self._token:
                self._token = await self.new_token()
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
            status, found = await self.send(
                method, path, data=data, headers=headers, wait=wait, most=most
            )
            if status != _UNAUTHORIZED or fresh:
                break
        return _read(status, found, answer)

    async def send(
        self,
        method: str,
        path: str,
        *,
        data: Any = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        wait: float = 0.0,
        most: int,
    ) -> tuple[int, bytes]:
        """Return status and body as they came.

        `Unavailable` PEER_AWAY, PEER_TOO_LARGE, or PEER_REDIRECTS: what is meant for this peer,
        a token above all, goes nowhere else.
        """
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
            self._session = aiohttp.ClientSession(
                connector=connector,
                headers={"Accept-Encoding": "identity"},
                auto_decompress=False,  # else a small answer could grow without limit
            )
        if isinstance(data, bytes):
            data = BytesIO(data)  # sent piece by piece: a large body holds up nobody
        timeout = aiohttp.ClientTimeout(total=wait + ANSWER_SECONDS)
        try:
            async with self._session.request(
                method,
                self._base + path,
                data=data,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                status, answer = response.status, await self._body_of(response, most)
        except (aiohttp.ClientError, TimeoutError, OSError) as e:
            raise Unavailable("PEER_AWAY", f"{self._base} did not answer; retry later") from e
        if status in _REDIRECTS:
            message = f"{self._base} answered {status} and leads elsewhere; set its own address"
            raise Unavailable("PEER_REDIRECTS", message)
        return status, answer

    async def _body_of(self, response: aiohttp.ClientResponse, most: int) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > most:
                response.close()
                message = f"{self._base} answered more than {most} bytes; ask whoever runs it"
                raise Unavailable("PEER_TOO_LARGE", message)
        return bytes(body)

    async def new_token(self) -> str:
        """Return a fresh access token."""
        now = int(time.time())
        claims = {
            "iss": self._agency,
            "sub": self._agency,
            "aud": self._base,
            "exp": now + _ASSERTION_SECONDS,
            "jti": str(uuid4()),
        }
        key = OKPKey.import_key(
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": _b64url(self._public),
                "d": _b64url(self._seed.reveal()),
            }
        )
        form = aiohttp.FormData(
            {
                "grant_type": "client_credentials",
                "client_assertion_type": _ASSERTION_TYPE,
                "client_assertion": jwt.encode(
                    {"alg": "Ed25519"}, claims, key, algorithms=["Ed25519"]
                ),
            }
        )
        status, body = await self.send("POST", "/oauth/token", data=form, most=SMALL_BYTES)
        return _read(status, body, _Token).access_token


class _Token(msgspec.Struct):
    access_token: str


class _Problem(msgspec.Struct):
    title: str
    code: str
    detail: str


def _read(status: int, body: bytes, answer: type[T]) -> T:
    try:
        if status in (200, 202):
            return msgspec.json.decode(body, type=answer)
        problem = msgspec.json.decode(body, type=_Problem)
    except msgspec.MsgspecError as e:
        raise Unavailable("PEER_BROKEN", f"the peer answered {status} with something else") from e
    raise _CLASSES.get(problem.title, Unavailable)(problem.code, problem.detail)


def _b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
