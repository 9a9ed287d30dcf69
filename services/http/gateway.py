"""The gateway's HTTP face on the agency's own machine: JSON in clear, for staff and systems."""

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from domain.errors import Malformed, NotAuthentic, Refused
from domain.gateway import Command, Result
from domain.messages import Why, WhyQuestion
from domain.secret import Secret
from services.gateway.gateway import ANSWER_SECONDS, Gateway
from services.http.health import Vitals, vital_endpoints
from services.http.openapi import application, get, post
from services.http.problems import body_of, decoded, json_response, number_of, problem
from services.registering import Registering

BODY_LIMIT = 2 * 1024 * 1024
COMMANDS_LIMIT = 100
WAIT_LIMIT = 30.0


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    """One command as JSON; see `Command`."""

    type: str
    fields: dict[str, Any] = {}
    command_id: str | None = None
    case_id: str | None = None
    legal_basis: str = "consent"
    occurred_at: int | None = None

    def command(self) -> Command:
        """Return the command, with an id of its own if the caller gave none."""
        return Command(
            command_id=_uuid("command_id", self.command_id) if self.command_id else str(uuid4()),
            type=self.type,
            case_id=_uuid("case_id", self.case_id) if self.case_id else None,
            fields=self.fields,
            legal_basis=self.legal_basis,
            occurred_at=self.occurred_at,
        )


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    commands: list[_Asked]


class _Fact(msgspec.Struct, forbid_unknown_fields=True):
    fact: str
    facts: dict[str, Any]


_FACT = msgspec.json.Decoder(_Fact)
_ASKED = msgspec.json.Decoder(_Asked)
_BATCH = msgspec.json.Decoder(_Batch)
_WHY = msgspec.json.Decoder(WhyQuestion)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayParts:
    """The use case behind the face, and who may use it."""

    gateway: Gateway
    token: Secret
    """Bearer token of the agency's own systems and command line."""
    vitals: Vitals
    console: tuple[BaseRoute, ...] = ()
    registering: Registering | None = None
    """The coordinator's gateway alone can write registry facts."""


_WAIT = {"wait": "Seconds to wait at most, 30."}
_AFTER = {"after": "Number of the last event seen."}
_PAGE = {"limit": "Cases at most.", "before": "Number of the last case seen."}


def gateway_app(parts: GatewayParts) -> FastAPI:
    """Return the ASGI application of a gateway."""
    face = _Face(parts)
    endpoints = [
        post("/v1/actions", face.action, _Asked, Result, query=_WAIT),
        post("/v1/actions/batch", face.batch, _Batch, dict[str, list[Result]], query=_WAIT),
        get("/v1/cases", face.cases, dict[str, Any], query=_PAGE),
        get("/v1/cases/{case_id}", face.case, dict[str, Any]),
        get("/v1/events", face.events, dict[str, Any], query=_AFTER | _WAIT),
        get("/v1/agencies", face.agencies, dict[str, Any]),
        post("/v1/why", face.why, WhyQuestion, Why),
        get("/v1/status", face.status, dict[str, int]),
        *vital_endpoints(parts.vitals),
    ]
    if parts.registering is not None:
        endpoints.append(post("/v1/registry", face.record, _Fact, dict[str, str]))
    app = application(f"nrm-hub gateway of {parts.gateway.agency}", endpoints)
    app.routes.extend(parts.console)
    return app


class _Face:
    def __init__(self, parts: GatewayParts) -> None:
        self._gateway = parts.gateway
        self._registering = parts.registering
        self._token = sha256(parts.token.reveal()).digest()

    def _allow(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = sha256(token.encode()).digest()
        if scheme != "Bearer" or not hmac.compare_digest(given, self._token):
            raise NotAuthentic("TOKEN_MISSING", "send the gateway's token as Bearer")

    async def action(self, request: Request) -> Response:
        """Carry out one command; 202 when the hub is away and it waits in the outbox."""
        self._allow(request)
        command = decoded(_ASKED, await body_of(request, BODY_LIMIT)).command()
        result = (await self._gateway.submit([command], _wait(request)))[0]
        if result.status == "refused":
            return problem(Refused(result.code or "REFUSED", result.message or "refused"))
        return json_response(result, 202 if result.status == "queued" else 200)

    async def batch(self, request: Request) -> Response:
        """Carry out commands in their order; each has a result of its own."""
        self._allow(request)
        asked = decoded(_BATCH, await body_of(request, 16 * BODY_LIMIT)).commands
        if not 0 < len(asked) <= COMMANDS_LIMIT:
            raise Malformed("COMMAND_COUNT", f"send 1 to {COMMANDS_LIMIT} commands")
        results: list[Result] = await self._gateway.submit(
            [a.command() for a in asked], _wait(request)
        )
        return json_response({"results": results})

    async def cases(self, request: Request) -> Response:
        """Return the agency's cases, the newest first."""
        self._allow(request)
        limit = int(number_of(request, "limit", 50))
        found = self._gateway.cases(min(limit, 500), int(number_of(request, "before", 0)))
        return json_response({"cases": [{"number": n, "case_id": c} for n, c in found]})

    async def case(self, request: Request) -> Response:
        """Return the events of one case, opened as far as keys allow."""
        self._allow(request)
        return json_response({"events": self._gateway.case(request.path_params["case_id"])})

    async def events(self, request: Request) -> Response:
        """Return events that arrived after a number; wait for one if asked."""
        self._allow(request)
        after = int(number_of(request, "after", 0))
        seconds = min(number_of(request, "wait", 0), WAIT_LIMIT)
        return json_response({"events": await self._gateway.since(after, seconds)})

    async def agencies(self, request: Request) -> Response:
        """Return the agencies that a referral can go to."""
        self._allow(request)
        return json_response({"agencies": self._gateway.agencies()})

    async def why(self, request: Request) -> Response:
        """Return one consent decision, with its reason."""
        self._allow(request)
        asked = decoded(_WHY, await body_of(request, BODY_LIMIT))
        return json_response(await self._gateway.why(asked))

    async def record(self, request: Request) -> Response:
        """Record a registry fact, with the registrars' signatures."""
        self._allow(request)
        asked = decoded(_FACT, await body_of(request, BODY_LIMIT))
        if self._registering is None:
            raise Refused("NOT_THE_COORDINATOR", "only the coordinator writes registry facts")
        await self._registering.record(asked.fact, asked.facts)
        return json_response({"recorded": asked.fact})

    async def status(self, request: Request) -> Response:
        """Return the counts of outbox and inbox."""
        self._allow(request)
        return json_response(dict(self._gateway.counts()))


def _wait(request: Request) -> float:
    return min(number_of(request, "wait", ANSWER_SECONDS), WAIT_LIMIT)


def _uuid(name: str, text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as e:
        raise Malformed("BAD_ID", f"{name} is a UUID") from e
