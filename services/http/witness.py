"""A witness's HTTP face (C2SP tlog-witness): text in, text out, and nobody has to log in."""

import asyncio
from dataclasses import dataclass

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from domain.errors import Conflict, HubError, Malformed, Refused, Unavailable
from domain.witness import MAX_REQUEST, AddCheckpoint, OtherSize
from services.http.health import Vitals, vital_endpoints
from services.http.openapi import application, get, post
from services.http.problems import body_of
from services.witness.witness import Metrics, Witness

READ_SECONDS = 10.0
"""For a request to arrive whole."""
SIZE_MEDIA = "text/x.tlog.size"
_BY_CODE = {"UNKNOWN_LOG": 404, "LOG_SIGNATURE": 403, "TOO_LARGE": 413}
_BY_CLASS: tuple[tuple[type[HubError], int], ...] = (
    (Conflict, 409),
    (Malformed, 400),
    (Refused, 422),
    (Unavailable, 503),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessParts:
    """The use case behind the face."""

    witness: Witness
    metrics: Metrics
    vitals: Vitals


def witness_app(parts: WitnessParts) -> FastAPI:
    """Return the ASGI application of a witness."""
    face = _Face(parts)
    return application(
        "nrm-hub witness",
        [
            post("/add-checkpoint", face.add, None, None, public=True, media="text/plain"),
            *vital_endpoints(parts.vitals),
            get("/{origin}/checkpoint", face.checkpoint, public=True, media="text/plain"),
        ],
    )


class _Face:
    def __init__(self, parts: WitnessParts) -> None:
        self._parts = parts

    async def add(self, request: Request) -> Response:
        """Cosign a checkpoint that continues the newest one (C2SP tlog-witness)."""
        try:
            async with asyncio.timeout(READ_SECONDS):
                body = await body_of(request, MAX_REQUEST)
            lines = await self._parts.witness.add_checkpoint(AddCheckpoint.decode(body))
        except TimeoutError:
            return self._no(Malformed("LATE", "the request did not arrive in time"), 408)
        except HubError as e:
            return self._no(e, _status(e))
        self._parts.metrics.answered("COSIGNED")
        return _text("".join(s.line for s in lines))

    async def checkpoint(self, request: Request) -> Response:
        """Return the newest cosigned checkpoint of the log whose origin has this SHA-256."""
        try:
            note = self._parts.witness.newest(request.path_params["origin"])
        except HubError as e:
            return _text(f"{e}\n", _status(e))
        return _text(note.decode())

    def _no(self, error: HubError, status: int) -> Response:
        """Answer why a checkpoint was not cosigned; after a conflict the size, as C2SP says."""
        self._parts.metrics.answered(error.code)
        if isinstance(error, OtherSize):
            return Response(f"{error.size}\n", status, media_type=SIZE_MEDIA)
        return _text(f"{error}\n", status)


def _status(error: HubError) -> int:
    by_class = (s for c, s in _BY_CLASS if isinstance(error, c))
    return _BY_CODE.get(error.code) or next(by_class, 500)


def _text(text: str, status: int = 200) -> Response:
    headers = {"Retry-After": "1"} if status == 503 else None
    return Response(text, status, headers, "text/plain")
