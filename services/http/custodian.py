"""The custodian's HTTP face: deposits and withdrawals in, releases out."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from domain.action import Action
from domain.messages import Deposits, ReleasePage
from services.custodian.custodian import Custodian
from services.http.auth import TokenIssuer
from services.http.health import Vitals, vital_endpoints
from services.http.hub import WAIT_LIMIT
from services.http.openapi import application, get, post
from services.http.problems import body_of, decoded, json_response, number_of
from services.signals import Signals, wait

BODY_LIMIT = 4 * 1024 * 1024

_DEPOSITS = msgspec.json.Decoder(Deposits)
_ACTION = msgspec.json.Decoder(Action)


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodianParts:
    """The use case behind the face."""

    custodian: Custodian
    tokens: TokenIssuer
    signals: Signals
    vitals: Vitals


_AFTER = {
    "after": "Number of the last change seen.",
    "wait": "Seconds to wait for news, 30 at most.",
}


def custodian_app(parts: CustodianParts) -> FastAPI:
    """Return the ASGI application of a custodian."""
    face = _Face(parts)
    return application(
        "nrm-hub custodian",
        [
            post("/oauth/token", parts.tokens.token, None, dict[str, Any], public=True),
            get("/v1/identity", face.identity, dict[str, bytes], public=True),
            post("/v1/deposits", face.deposits, Deposits, dict[str, int]),
            post("/v1/withdrawals", face.withdrawals, Action, dict[str, str]),
            get("/v1/releases", face.releases, ReleasePage, query=_AFTER),
            *vital_endpoints(parts.vitals),
        ],
    )


class _Face:
    def __init__(self, parts: CustodianParts) -> None:
        self._parts = parts

    def _notify(self, recipients: Iterable[str]) -> None:
        self._parts.signals.notify(recipients)

    async def identity(self, _: Request) -> Response:
        """Return the keys that gateways pin at onboarding."""
        custodian = self._parts.custodian
        return json_response(
            {"opening_key": custodian.opening_key, "public_key": custodian.public_key}
        )

    async def deposits(self, request: Request) -> Response:
        """Keep data keys that the sender wrapped for this custodian."""
        sender = self._parts.tokens.agency(request)
        deposits = decoded(_DEPOSITS, await body_of(request, BODY_LIMIT)).deposits
        self._notify(self._parts.custodian.deposit(deposits, sender))
        return json_response({"kept": len(deposits)})

    async def withdrawals(self, request: Request) -> Response:
        """Take a withdrawal before the hub's log brings it."""
        self._parts.tokens.agency(request)
        action = decoded(_ACTION, await body_of(request, BODY_LIMIT))
        self._notify(self._parts.custodian.withdraw(action))
        return json_response({"taken": action.event_id})

    async def releases(self, request: Request) -> Response:
        """Return changes in what the agency may open, after `after`; wait for one if asked."""
        recipient = self._parts.tokens.agency(request)
        after = int(number_of(request, "after", 0))
        news = self._parts.signals.listen(recipient)
        page = self._parts.custodian.releases(recipient, after)
        seconds = min(number_of(request, "wait", 0), WAIT_LIMIT)
        if not page.items and await wait(news, seconds):
            page = self._parts.custodian.releases(recipient, after)
        news.cancel()
        return json_response(page)
