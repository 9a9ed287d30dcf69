"""`/health`, `/ready` and `/metrics` of any process: true answers, within a bounded time.

Health says that the process goes round; readiness, that what it depends on answers now. What
hangs is named, is never waited for twice, and never holds up an answer or the end of a process.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from domain.errors import HubError
from services.http.openapi import Endpoint, application, get
from services.http.problems import json_response

ANSWER_SECONDS = 3.0
"""Time for a dependency to answer; a probe should allow a second more."""
SCRAPE_SECONDS = 8.0
"""Time to collect metrics; below Prometheus' own time-out of 10 s."""
FRESH_SECONDS = 1.0
"""For so long an answer is not asked for again, so that asking cannot become a load."""
STUCK_SECONDS = 60.0
"""A loop that has not gone round for so long hangs; no step of ours may take half of it."""
LATE, FAILED, STUCK = "LATE", "CHECK_FAILED", "STUCK"

Ask = Callable[[], Awaitable[object]]
"""Asks a dependency something small; raises when it does not answer."""
T = TypeVar("T")


def in_thread(ask: Callable[[], T]) -> Callable[[], Awaitable[T]]:
    """Return `ask` as something to await, in a thread that the end of the process ignores."""

    async def asked() -> T:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def tell(set_answer: Callable[[Any], None], value: object) -> None:
            if not answer.done():
                set_answer(value)

        def work() -> None:
            try:
                value, set_answer = ask(), answer.set_result
            except Exception as e:  # noqa: BLE001 - handed to who awaits it
                value, set_answer = e, answer.set_exception  # type: ignore[assignment]
            with suppress(RuntimeError):  # the process ends, and nobody waits any more
                loop.call_soon_threadsafe(tell, set_answer, value)

        threading.Thread(target=work, name="asked", daemon=True).start()
        return await answer

    return asked


@dataclass(slots=True)
class _Asked:
    """One question, put once at a time; who comes while it is open waits for the same answer."""

    ask: Ask
    seconds: float
    open: "asyncio.Task[str] | None" = None
    code: str = LATE
    at: float = float("-inf")

    async def state(self) -> str:
        """Return "" when it was answered now or a moment ago, else the reason code."""
        if time.monotonic() - self.at < FRESH_SECONDS:
            return self.code
        if self.open is None or self.open.done():
            self.open = asyncio.create_task(_code(self.ask))
        done, _ = await asyncio.wait([self.open], timeout=self.seconds)
        self.code, self.at = (self.open.result() if done else LATE), time.monotonic()
        return self.code


async def _code(ask: Ask) -> str:
    try:
        await ask()
    except HubError as e:
        return e.code
    except Exception:  # noqa: BLE001 - a check that breaks is an answer too, without its text
        return FAILED
    return ""


@dataclass(slots=True, kw_only=True)
class Vitals:
    """What a process can say of itself."""

    registry: CollectorRegistry
    depends: Mapping[str, Ask]
    """Name of what the process needs -> a question that it answers."""
    loops: Mapping[str, Callable[[], float]] = field(default_factory=dict)
    """Name of a loop -> when it last went round, as `time.monotonic` counts."""
    says: Callable[[], Mapping[str, object]] = dict
    """What readiness shows beside; it decides nothing."""
    _asked: dict[str, _Asked] = field(init=False)
    _scrape: "asyncio.Task[bytes] | None" = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Ask nothing yet."""
        self._asked = {n: _Asked(ask, ANSWER_SECONDS) for n, ask in self.depends.items()}

    def ages(self) -> Mapping[str, float]:
        """Return the seconds since each loop went round."""
        return {name: max(0.0, time.monotonic() - at()) for name, at in self.loops.items()}

    def states(self) -> Mapping[str, str]:
        """Return the reason code of each dependency as last asked; "" is up."""
        return {name: asked.code for name, asked in self._asked.items()}

    async def ask(self) -> Mapping[str, str]:
        """Ask every dependency at once and return `states`."""
        await asyncio.gather(*(asked.state() for asked in self._asked.values()))
        return self.states()

    async def scrape(self) -> bytes | None:
        """Return the metrics as text; None when they cannot be had in time."""
        await self.ask()
        if self._scrape is None or self._scrape.done():
            collect = in_thread(lambda: generate_latest(self.registry))
            self._scrape = asyncio.ensure_future(collect())
        done, _ = await asyncio.wait([self._scrape], timeout=SCRAPE_SECONDS - ANSWER_SECONDS)
        return self._scrape.result() if done else None


def vital_endpoints(vitals: Vitals) -> list[Endpoint]:
    """Return the three routes, for a face that has others too."""
    face = _Face(vitals)
    return [
        get("/health", face.health, dict[str, Any], public=True),
        get("/ready", face.ready, dict[str, Any], public=True),
        get("/metrics", face.metrics, public=True, media="text/plain"),
    ]


def health_app(title: str, vitals: Vitals) -> FastAPI:
    """Return the ASGI application of a process that has no other face."""
    return application(title, vital_endpoints(vitals))


class _Face:
    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals

    async def health(self, _: Request) -> Response:
        """Say whether every loop of the process goes round; 503 names those that hang."""
        stuck = {n: STUCK for n, age in self._vitals.ages().items() if age > STUCK_SECONDS}
        if stuck:
            return json_response({"status": "stuck", "loops": stuck}, 503)
        return json_response({"status": "up"})

    async def ready(self, _: Request) -> Response:
        """Say whether what the process depends on answers now; 503 gives the reason codes."""
        states = await self._vitals.ask()
        said = {name: code or "UP" for name, code in states.items()}
        more = self._vitals.says()
        if any(states.values()):
            return json_response({"status": "not ready", "dependencies": said, **more}, 503)
        return json_response({"status": "ready", "dependencies": said, **more})

    async def metrics(self, _: Request) -> Response:
        """Return the metrics in Prometheus' text format."""
        text = await self._vitals.scrape()
        if text is None:
            return Response(status_code=503)
        return Response(text, media_type=CONTENT_TYPE_LATEST)
