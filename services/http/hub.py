"""The hub's HTTP face: actions in, feeds out, registry, schemas, policy, health, metrics.

The two hot routes are plain ASGI endpoints; the OpenAPI page describes them all the same.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import msgspec
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from domain.errors import HubError, Malformed, Refused
from domain.messages import Answers, FeedPage, Submission, WhyQuestion
from domain.ports import Language, SchemaCatalogue
from domain.vocabulary import Seat
from services.accepting import Accepting
from services.explaining import Explaining
from services.feeds import FeedService
from services.followers import Followers
from services.http.auth import TokenIssuer
from services.http.problems import body_of, decoded, json_response, number_of, on_error
from services.signals import Signals, wait

BODY_LIMIT = 8 * 1024 * 1024
WAIT_LIMIT = 30.0
ACTIONS_LIMIT = 500
PING_SECONDS = 15.0
LOG = "log"
"""Topic of `Signals` for whatever is appended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """The use cases behind the face."""

    accepting: Accepting
    feeds: FeedService
    followers: Followers
    explaining: Explaining
    tokens: TokenIssuer
    language: Language
    schemas: SchemaCatalogue
    signals: Signals
    metrics: CollectorRegistry
    lag: Callable[[], int]
    """Events in the log that the projector has not projected yet."""
    custodian: str
    """Id under which the custodian proves itself."""


_SUBMISSION = msgspec.json.Decoder(Submission)
_WHY = msgspec.json.Decoder(WhyQuestion)


def hub_app(hub: Hub) -> FastAPI:
    """Return the ASGI application of a hub."""
    app = FastAPI(title="nrm-hub hub", version="1", docs_url="/docs", redoc_url=None)
    app.add_exception_handler(HubError, on_error)
    face = _Face(hub)
    for path, method, endpoint in (
        ("/oauth/token", "POST", hub.tokens.token),
        ("/v1/actions", "POST", face.actions),
        ("/v1/actions/{event_id}", "GET", face.answer),
        ("/v1/feeds/{purpose}", "GET", face.feed),
        ("/v1/feeds/{purpose}/events", "GET", face.events),
        ("/v1/registry", "GET", face.registry),
        ("/v1/custody", "GET", face.custody),
        ("/v1/policy", "GET", face.policy),
        ("/v1/why", "POST", face.why),
        ("/schemas/ids/{number}", "GET", face.schema),
        ("/subjects", "GET", face.subjects),
        ("/health", "GET", face.health),
        ("/ready", "GET", face.ready),
        ("/metrics", "GET", face.metrics),
    ):
        app.add_route(path, endpoint, methods=[method])
    return app


class _Face:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def actions(self, request: Request) -> Response:
        """Record actions of one agency, in their order; answer when durable."""
        sender = self._hub.tokens.agency(request)
        submission = decoded(_SUBMISSION, await body_of(request, BODY_LIMIT))
        if not 0 < len(submission.actions) <= ACTIONS_LIMIT:
            raise Malformed("ACTION_COUNT", f"send 1 to {ACTIONS_LIMIT} actions")
        outcomes = await self._hub.accepting.submit(submission.actions, sender)
        return json_response(Answers(outcomes=tuple(outcomes)))

    async def answer(self, request: Request) -> Response:
        """Return the first answer to one of the agency's own actions."""
        sender = self._hub.tokens.agency(request)
        return json_response(self._hub.accepting.answer(request.path_params["event_id"], sender))

    async def feed(self, request: Request) -> Response:
        """Return a page of the seat's feed after `cursor`; wait up to `wait` seconds for one."""
        seat = Seat(self._hub.tokens.agency(request), request.path_params["purpose"])
        cursor, limit = request.query_params.get("cursor", ""), number_of(request, "limit", 200)
        news = self._hub.signals.listen(seat)
        page = self._hub.feeds.page(seat, cursor, int(limit))
        if not page.items and await wait(news, min(number_of(request, "wait", 0), WAIT_LIMIT)):
            page = self._hub.feeds.page(seat, cursor, int(limit))
        news.cancel()
        return json_response(page)

    async def events(self, request: Request) -> Response:
        """Stream the seat's feed as server-sent events; the event id is the cursor."""
        seat = Seat(self._hub.tokens.agency(request), request.path_params["purpose"])
        cursor = request.headers.get("last-event-id") or request.query_params.get("cursor", "")
        first = self._hub.feeds.page(seat, cursor)
        return StreamingResponse(self._stream(seat, first), media_type="text/event-stream")

    async def _stream(self, seat: Seat, page: FeedPage) -> AsyncIterator[bytes]:
        while not self._hub.signals.closed:
            if page.items:
                data = msgspec.json.encode(page)
                yield b"id: " + page.cursor.encode() + b"\ndata: " + data + b"\n\n"
            news = self._hub.signals.listen(seat)
            cursor = page.cursor
            page = self._hub.feeds.page(seat, cursor)
            if not page.items:
                if not await wait(news, PING_SECONDS):
                    yield b": still here\n\n"
                page = self._hub.feeds.page(seat, cursor)
            news.cancel()

    async def registry(self, request: Request) -> Response:
        """Return registry facts after fact number `after`; public to whoever reaches the hub."""
        return json_response(self._hub.followers.registry(int(number_of(request, "after", 0))))

    async def custody(self, request: Request) -> Response:
        """Return consent, key and registry events after a position; for the custodian alone."""
        if self._hub.tokens.agency(request) != self._hub.custodian:
            raise Refused("NOT_THE_CUSTODIAN", "only the custodian follows consent and keys")
        after = int(number_of(request, "after", 0))
        news = self._hub.signals.listen(LOG)
        page = self._hub.followers.custody(after)
        if page.position == after and await wait(
            news, min(number_of(request, "wait", 0), WAIT_LIMIT)
        ):
            page = self._hub.followers.custody(after)
        news.cancel()
        return json_response(page)

    async def policy(self, _: Request) -> Response:
        """Return the id of the policy pack in force."""
        world = self._hub.accepting.world
        return json_response({"policy": world.policy_id, "country": world.home})

    async def why(self, request: Request) -> Response:
        """Explain one consent decision to an agency that has a right to ask."""
        asker = self._hub.tokens.agency(request)
        question = decoded(_WHY, await body_of(request, BODY_LIMIT))
        return json_response(self._hub.explaining.why(asker, question))

    async def schema(self, request: Request) -> Response:
        """Return a schema by its number, as the Confluent registry API does."""
        found = self._hub.schemas.by_number(request.path_params["number"])
        return json_response({"schema": found})

    async def subjects(self, _: Request) -> Response:
        """Return the names of all event types."""
        return json_response(list(self._hub.language.types()))

    async def health(self, _: Request) -> Response:
        """Say that the process runs."""
        return json_response({"status": "up"})

    async def ready(self, _: Request) -> Response:
        """Say whether the store answers and how far the feeds lag."""
        lag = await asyncio.to_thread(self._hub.lag)
        return json_response({"status": "ready", "lag": lag})

    async def metrics(self, _: Request) -> Response:
        """Return the metrics in Prometheus' text format."""
        return Response(generate_latest(self._hub.metrics), media_type=CONTENT_TYPE_LATEST)
