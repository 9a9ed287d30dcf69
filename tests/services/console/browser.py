"""A browser on the staff console in a real server; the gateway behind it is a fake."""

import re
import socket
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import aiohttp
import uvicorn
from starlette.applications import Starlette

from domain.errors import HubError, Refused
from domain.gateway import Command, Result
from domain.gateway_trail import Alarm
from domain.messages import Why, WhyQuestion
from domain.notary import Receipt
from domain.own_acts import OwnAct
from domain.reasons import CODES
from schemas.language import AvroLanguage
from services.gateway.gateway import Gateway
from services.gateway.trail_report import Act, Fed, Newest, State, TrailReport
from services.http.console import ConsoleGateway, console_routes
from services.http.login import OneTimeLogin
from services.http.trail_pages import ConsoleTrail
from tests.services.console.documents import CASE, ME, NOW, OTHER, uid

LANGUAGE = AvroLanguage()
DRAFT = {
    "to": OTHER,
    "purpose": "legal_aid",
    "service": "legal_advice",
    "urgency": "routine",
    "days": "3",
    "basis": "consent",
    "reason": "Wants to know her rights\r\nSoon",
}
REFER = f"/cases/{CASE}/refer"


@dataclass
class FakeGateway:
    """Holds cases in a dictionary and answers every command alike."""

    held: dict[str, list[dict[str, Any]]]
    status: str = "accepted"
    error: HubError | None = None
    """What `why` raises."""
    agency: str = ME
    commands: list[Command] = field(default_factory=list)
    asked: list[WhyQuestion] = field(default_factory=list)

    def cases(self, limit: int, before: int = 0) -> Sequence[tuple[int, str]]:
        numbered = [(len(self.held) - n, c) for n, c in enumerate(self.held)]
        return [(n, c) for n, c in numbered if not before or n < before][:limit]

    def case(self, case_id: str) -> Sequence[Mapping[str, Any]]:
        if case_id not in self.held:
            raise Refused("NO_SUCH_CASE", "there is no such case in which you have a part")
        return self.held[case_id]

    def counts(self) -> Mapping[str, int]:
        return {"queued": 2, "refused": 1, "alarms": 0}

    def agencies(self) -> Sequence[Mapping[str, Any]]:
        return [
            {"id": ME, "name": "Our own", "purposes": ["protection_support"]},
            {"id": OTHER, "name": "Another", "purposes": ["protection_support"]},
        ]

    async def why(self, asked: WhyQuestion) -> Why:
        if self.error:
            raise self.error
        self.asked.append(asked)
        permit = asked.category == "IDENTITY"
        code, act = ("P01", uid("consent")) if permit else ("D00", None)
        return Why(permit=permit, code=code, reason=CODES[code], rests_on=act, notice=False)

    async def submit(self, commands: Sequence[Command]) -> Sequence[Result]:
        self.commands += commands
        return [
            Result(
                command_id=c.command_id,
                event_id=uid("answer"),
                case_id=c.case_id or CASE,
                type=c.type,
                status=self.status,
                code="OUT_OF_ORDER" if self.status == "refused" else None,
                message="not possible now" if self.status == "refused" else None,
            )
            for c in commands
        ]


class QuietTrail:
    """A trail of which there is nothing to say."""

    def state(self) -> State:
        return State()

    def counts(self) -> Mapping[str, int]:
        names = ("receipts", "receipts_waiting", "overdue", "confirmations_waiting")
        return dict.fromkeys(names, 0)

    def newest(self) -> Newest | None:
        return None

    def feeds(self) -> Sequence[Fed]:
        return ()

    def alarms(self) -> Sequence[tuple[Alarm, OwnAct | None]]:
        return ()

    def acts(self, event_ids: Iterable[str]) -> Mapping[str, Act]:
        return {}

    def proof(self, event_id: str) -> tuple[int, Receipt]:
        raise NotImplementedError

    def evidence(self, number: int) -> Sequence[tuple[str, bytes]]:
        raise NotImplementedError


def as_console(gateway: Gateway, trail: TrailReport) -> tuple[ConsoleGateway, ConsoleTrail]:
    """The type checker holds the real parts against what the console asks."""
    return gateway, trail


class Clock:
    now = NOW

    def __call__(self) -> int:
        return self.now


@dataclass
class Browser:
    """A browser with a cookie jar, and what stands behind the address it asks."""

    http: aiohttp.ClientSession
    root: str
    login: OneTimeLogin
    clock: Clock
    gateway: FakeGateway

    async def get(self, path: str) -> tuple[int, str]:
        async with self.http.get(self.root + path) as answer:
            return answer.status, await answer.text()

    async def post(self, path: str, **form: str) -> tuple[int, str]:
        async with self.http.post(self.root + path, data=form) as answer:
            return answer.status, await answer.text()

    async def log_in(self) -> None:
        status, _ = await self.post("/login", code=self.login.new_code())
        assert status == 200

    async def token(self) -> str:
        _, page = await self.get("/")
        return hidden(page)["csrf"]


def hidden(page: str) -> dict[str, str]:
    """Return the hidden fields of a page's forms; of a name used twice, the last."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
    return {name: unescape(value) for name, value in found}


def form_of(page: str, action: str) -> dict[str, str]:
    """Return the hidden fields of the first form that posts to `action`."""
    return hidden(page.split(f'action="{action}"', 1)[1].split("</form>", 1)[0])


@asynccontextmanager
async def browser_of(
    gateway: FakeGateway, trail: ConsoleTrail | None = None
) -> AsyncIterator[Browser]:
    clock = Clock()
    login = OneTimeLogin(clock)
    routes = console_routes(
        gateway, login, trail=trail or QuietTrail(), language=LANGUAGE, clock=clock
    )
    app = Starlette(routes=routes)
    config = uvicorn.Config(app, log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        await server.startup([listening])
        jar = aiohttp.CookieJar(unsafe=True)
        root = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with aiohttp.ClientSession(cookie_jar=jar) as http:
            yield Browser(http, root, login, clock, gateway)
        for one in server.servers:
            one.close()
            await one.wait_closed()
