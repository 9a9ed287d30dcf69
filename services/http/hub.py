"""The hub's HTTP face: actions in, feeds out, registry, schemas, policy, health, metrics.

The two hot routes are plain ASGI endpoints; the OpenAPI page describes them all the same.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from domain.action import Outcome
from domain.errors import Malformed, Refused
from domain.messages import Answers, FeedPage, FollowedPage, Submission, Why, WhyQuestion
from domain.ports import Language
from domain.published import PublishedLanguage
from domain.vocabulary import Seat
from services.http.auth import TokenIssuer
from services.http.health import Vitals, vital_endpoints
from services.http.openapi import Endpoint, application, get, post
from services.http.problems import body_of, decoded, json_response, number_of
from services.http.registry import registry_app
from services.hub.accepting import Accepting
from services.hub.explaining import Explaining
from services.hub.feeds import FeedService
from services.hub.followers import Followers
from services.hub.watching import Watching
from services.signals import Signals, wait

BODY_LIMIT = 8 * 1024 * 1024
WAIT_LIMIT = 30.0
ACTIONS_LIMIT = 500
PING_SECONDS = 15.0
LOG = "log"
"""Topic of `Signals` for whatever is appended."""


class Metrics(Protocol):
    """What is noted of what the face hands out."""

    def served(self, page: FeedPage, language: Language) -> None:
        """Count the fields of a page, as its entries show or withhold them."""
        ...

    def decided(self, code: str) -> None:
        """Count one consent decision that was explained."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """The use cases behind the face."""

    accepting: Accepting
    feeds: FeedService
    followers: Followers
    explaining: Explaining
    tokens: TokenIssuer
    language: Language
    schemas: PublishedLanguage
    signals: Signals
    metrics: CollectorRegistry
    noted: Metrics
    watching: Watching
    vitals: Vitals
    lag: Callable[[], int]
    """Events in the log that the projector has not projected yet."""
    custodian: str
    """Id under which the custodian proves itself."""


_SUBMISSION = msgspec.json.Decoder(Submission)
_WHY = msgspec.json.Decoder(WhyQuestion)


_CURSOR = {"cursor": "Where to go on, as the last page gave it.", "limit": "Entries at most, 200."}
_WAIT = {"wait": "Seconds to wait for news, 30 at most."}
_STREAM = "text/event-stream"
_AFTER = {"after": "Number of the last one seen."}


def hub_app(hub: Hub, trail: Sequence[Endpoint] = ()) -> FastAPI:
    """Return the ASGI application of a hub, with the routes of the trail if it is kept here."""
    face = _Face(hub)
    app = application(
        "nrm-hub hub",
        [
            post("/oauth/token", hub.tokens.token, None, dict[str, Any], public=True),
            post("/v1/actions", face.actions, Submission, Answers),
            get("/v1/actions/{event_id}", face.answer, Outcome),
            get("/v1/feeds/{purpose}", face.feed, FeedPage, query=_CURSOR | _WAIT),
            get(
                "/v1/feeds/{purpose}/events", face.events, query=_CURSOR, media="text/event-stream"
            ),
            get("/v1/registry", face.registry, FollowedPage, query=_AFTER),
            get("/v1/custody", face.custody, FollowedPage, query=_AFTER | _WAIT),
            get("/v1/policy", face.policy, dict[str, str], public=True),
            post("/v1/why", face.why, WhyQuestion, Why),
            *trail,
            *vital_endpoints(hub.vitals),
        ],
    )
    app.mount("/registry", registry_app(hub.schemas))
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
        self._hub.watching.readers.asked(seat, cursor)
        if not page.items and await wait(news, min(number_of(request, "wait", 0), WAIT_LIMIT)):
            page = self._hub.feeds.page(seat, cursor, int(limit))
        news.cancel()
        self._hub.noted.served(page, self._hub.language)
        return json_response(page)

    async def events(self, request: Request) -> Response:
        """Stream the seat's feed as server-sent events; the event id is the cursor."""
        seat = Seat(self._hub.tokens.agency(request), request.path_params["purpose"])
        cursor = request.headers.get("last-event-id") or request.query_params.get("cursor", "")
        first = self._hub.feeds.page(seat, cursor)
        return StreamingResponse(self._stream(seat, first), media_type=_STREAM)

    async def _stream(self, seat: Seat, page: FeedPage) -> AsyncIterator[bytes]:
        while not self._hub.signals.closed:
            if page.items:
                data = msgspec.json.encode(page)
                yield b"id: " + page.cursor.encode() + b"\ndata: " + data + b"\n\n"
                self._hub.noted.served(page, self._hub.language)
            news = self._hub.signals.listen(seat)
            cursor = page.cursor
            page = self._hub.feeds.page(seat, cursor)
            self._hub.watching.readers.asked(seat, cursor)
            if not page.items:
                if not await wait(news, PING_SECONDS):
                    yield b": still here\n\n"
                page = self._hub.feeds.page(seat, cursor)
            news.cancel()

    async def registry(self, request: Request) -> Response:
        """Return registry facts after fact number `after`; for members: a shelter's name tells."""
        self._hub.tokens.agency(request)
        return json_response(self._hub.followers.registry(int(number_of(request, "after", 0))))

    async def custody(self, request: Request) -> Response:
        """Return consent, key and registry events after a position; for the custodian alone."""
        if self._hub.tokens.agency(request) != self._hub.custodian:
            raise Refused("NOT_THE_CUSTODIAN", "only the custodian follows consent and keys")
        after = int(number_of(request, "after", 0))
        self._hub.watching.followed(after)
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
        why = self._hub.explaining.why(asker, question)
        self._hub.noted.decided(why.code)
        return json_response(why)
