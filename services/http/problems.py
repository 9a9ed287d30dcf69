"""Errors as RFC 9457 problem documents: the class gives the status, the code says why."""

from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

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

_STATUS: tuple[tuple[type[HubError], int], ...] = (
    (Malformed, 400),
    (NotAuthentic, 401),
    (Refused, 422),
    (Conflict, 409),
    (Unavailable, 503),
    (Unreadable, 422),
    (Corrupt, 500),
)
_BY_CODE = {
    "NO_SUCH_ALARM": 404,
    "NO_SUCH_CASE": 404,
    "NO_SUCH_PROOF": 404,
    "NOT_IN_TRAIL": 404,
    "NOT_OVERSIGHT": 403,
    "TOO_LARGE": 413,
    "AGENCY_NOT_ACTIVE": 403,
    "PURPOSE_NOT_MANDATED": 403,
}
_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}  # in seconds

T = TypeVar("T")


class Problem(msgspec.Struct):
    """A problem document (RFC 9457) with the reason code."""

    type: str
    title: str
    status: int
    code: str
    detail: str


def status_of(error: HubError) -> int:
    """Return the HTTP status of an error."""
    return _BY_CODE.get(error.code) or next(s for c, s in _STATUS if isinstance(error, c))


def problem(error: HubError) -> Response:
    """Return the problem document of `error`; it holds a code and what to do, never identity."""
    status = status_of(error)
    body = Problem(
        type="about:blank",
        title=type(error).__name__,
        status=status,
        code=error.code,
        detail=error.message,
    )
    return Response(
        msgspec.json.encode(body), status, _HEADERS.get(status), "application/problem+json"
    )


def json_response(value: object, status: int = 200) -> Response:
    """Return `value` (dataclasses, bytes as base64) as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def on_error(_: Request, error: Exception) -> Response:
    """Answer an error of ours; everything else is the server's own 500 without a word of it."""
    if isinstance(error, HubError):
        return problem(error)
    raise error


async def body_of(request: Request, limit: int) -> bytes:
    """Return the request's body of at most `limit` bytes, or raise `Malformed` TOO_LARGE."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise Malformed("TOO_LARGE", f"a request is at most {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def decoded(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    """Return what `decoder` reads from `body`, or raise `Malformed` without repeating the input."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as e:
        raise Malformed(
            "BAD_JSON", "the body is not the JSON that the OpenAPI page describes"
        ) from e


def number_of(request: Request, name: str, default: float) -> float:
    """Return a number of the query, or raise `Malformed` BAD_NUMBER."""
    try:
        value = float(request.query_params.get(name, default))
    except ValueError as e:
        raise Malformed("BAD_NUMBER", f"{name} is a number") from e
    if not 0 <= value < 1 << 53:
        raise Malformed("BAD_NUMBER", f"{name} is out of range")
    return value
