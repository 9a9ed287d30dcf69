"""The links to hub and custodian over HTTP, on aiohttp, with `private_key_jwt` (RFC 7523)."""

import base64
import time
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, TypeVar
from uuid import uuid4

import aiohttp
import msgspec
from joserfc import jwt
from joserfc.jwk import OKPKey

from domain.action import Action
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
from domain.gateway import Command, Result
from domain.messages import (
    Answers,
    Deposits,
    FeedPage,
    FollowedPage,
    ReleasePage,
    Submission,
    Why,
    WhyQuestion,
)
from domain.secret import Secret

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS = 120
_ANSWER_SECONDS = 30.0
_UNAUTHORIZED = 401
_CLASSES: dict[str, type[HubError]] = {
    c.__name__: c
    for c in (Refused, Malformed, NotAuthentic, Conflict, Corrupt, Unreadable, Unavailable)
}

T = TypeVar("T")


class _Link:
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
        self, method: str, path: str, answer: type[T], *, body: Any = None, wait: float = 0.0
    ) -> T:
        """Return the peer's answer; its problem documents and silences become errors of ours."""
        data = None if body is None else msgspec.json.encode(body)
        for fresh in (False, True):
            if fresh or not self._token:
                self._token = await self._new_token()
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
            status, found = await self._send(method, path, data, headers, wait)
            if status != _UNAUTHORIZED or fresh:
                break
        return _read(status, found, answer)

    async def _send(
        self, method: str, path: str, data: Any, headers: dict[str, str], wait: float
    ) -> tuple[int, bytes]:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
            self._session = aiohttp.ClientSession(connector=connector)
        if isinstance(data, bytes):
            data = BytesIO(data)  # sent piece by piece: a large body holds up nobody
        timeout = aiohttp.ClientTimeout(total=wait + _ANSWER_SECONDS)
        try:
            async with self._session.request(
                method, self._base + path, data=data, headers=headers, timeout=timeout
            ) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as e:
            raise Unavailable("PEER_AWAY", f"{self._base} did not answer; retry later") from e

    async def _new_token(self) -> str:
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
        status, body = await self._send("POST", "/oauth/token", form, {}, 0.0)
        return _read(status, body, _Token).access_token


class _Token(msgspec.Struct):
    access_token: str


class _Problem(msgspec.Struct):
    title: str
    code: str
    detail: str


class HttpHubLink(_Link):
    """See the port `HubLink`."""

    async def submit(self, submission: Submission) -> Answers:
        """Send actions in order and return their outcomes."""
        return await self.call("POST", "/v1/actions", Answers, body=submission)

    async def feed(self, purpose: str, cursor: str, wait: float) -> FeedPage:
        """Return a page of the seat's feed."""
        path = f"/v1/feeds/{purpose}?cursor={cursor}&wait={wait}"
        return await self.call("GET", path, FeedPage, wait=wait)

    async def registry(self, after: int) -> FollowedPage:
        """Return registry facts after fact number `after`."""
        return await self.call("GET", f"/v1/registry?after={after}", FollowedPage)

    async def custody(self, after: int, wait: float) -> FollowedPage:
        """Return what the custodian follows after log position `after`."""
        path = f"/v1/custody?after={after}&wait={wait}"
        return await self.call("GET", path, FollowedPage, wait=wait)

    async def why(self, asked: WhyQuestion) -> Why:
        """Return the hub's consent decision."""
        return await self.call("POST", "/v1/why", Why, body=asked)


class HttpCustodianLink(_Link):
    """See the port `CustodianLink`."""

    async def deposit(self, deposits: Deposits) -> None:
        """Hand over wrapped data keys."""
        await self.call("POST", "/v1/deposits", dict[str, int], body=deposits)

    async def withdraw(self, action: Action) -> None:
        """Tell of a withdrawal at once."""
        await self.call("POST", "/v1/withdrawals", dict[str, str], body=action)

    async def releases(self, after: int, wait: float) -> ReleasePage:
        """Return changes in what this agency may open."""
        path = f"/v1/releases?after={after}&wait={wait}"
        return await self.call("GET", path, ReleasePage, wait=wait)


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


class HttpGatewayLink:
    """An agency's own systems, command line or demo talking to their gateway."""

    def __init__(self, base: str, token: str) -> None:
        self._link = _Link(base, "", b"", Secret(b""), token)

    async def close(self) -> None:
        """Close the connections."""
        await self._link.close()

    async def submit(self, commands: Sequence[Command], wait: float = 10.0) -> Sequence[Result]:
        """Carry out commands in their order and return a result for each."""
        body = {"commands": commands}
        path = f"/v1/actions/batch?wait={wait}"
        answer = await self._link.call("POST", path, _Results, body=body, wait=wait)
        return answer.results

    async def case(self, case_id: str) -> list[dict[str, Any]]:
        """Return the events of one case, opened as far as keys allow."""
        return (await self._link.call("GET", f"/v1/cases/{case_id}", _Events)).events

    async def cases(self, limit: int) -> list[dict[str, Any]]:
        """Return the agency's cases, the newest first."""
        return (await self._link.call("GET", f"/v1/cases?limit={limit}", _Cases)).cases

    async def events(self, after: int, wait: float) -> list[dict[str, Any]]:
        """Return events that arrived after number `after`."""
        path = f"/v1/events?after={after}&wait={wait}"
        return (await self._link.call("GET", path, _Events, wait=wait)).events

    async def why(self, asked: WhyQuestion) -> Why:
        """Return one consent decision, with its reason."""
        return await self._link.call("POST", "/v1/why", Why, body=asked)

    async def record(self, fact: str, facts: Mapping[str, Any]) -> None:
        """Record a registry fact, where the gateway is the coordinator's."""
        body = {"fact": fact, "facts": facts}
        await self._link.call(
            "POST", "/v1/registry", dict[str, str], body=body, wait=_ANSWER_SECONDS
        )

    async def status(self) -> dict[str, int]:
        """Return the counts of outbox and inbox."""
        return await self._link.call("GET", "/v1/status", dict[str, int])


class _Results(msgspec.Struct):
    results: list[Result]


class _Events(msgspec.Struct):
    events: list[dict[str, Any]]


class _Cases(msgspec.Struct):
    cases: list[dict[str, Any]]
