"""Routes and their description in one table: what is served is what the OpenAPI page says.

Endpoints with a fixed path are called straight: a framework's layers would cost as much as the
hub's own work. The document is made from the message types themselves.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import cleandoc
from typing import Any

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from domain.errors import HubError
from services.http.problems import Problem, on_error, problem

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One route: how it is asked and what it answers."""

    method: str
    path: str
    handler: Handler
    body: Any = None
    """Type of the JSON body; None when there is none."""
    answer: Any = None
    """Type of the JSON answer; None when it is no JSON."""
    query: Mapping[str, str] = field(default_factory=dict)
    """Query parameter -> what it means."""
    public: bool = False
    """Whether it needs no access token."""
    media: str = "application/json"
    """Media type of the answer."""


def get(path: str, handler: Handler, answer: Any = None, **more: Any) -> Endpoint:
    """Return a route that is read."""
    return Endpoint(method="GET", path=path, handler=handler, answer=answer, **more)


def post(path: str, handler: Handler, body: Any, answer: Any, **more: Any) -> Endpoint:
    """Return a route that is sent a JSON body; None when the body is another."""
    return Endpoint(method="POST", path=path, handler=handler, body=body, answer=answer, **more)


class _Application(FastAPI):
    """Serves endpoints with a fixed path itself and leaves everything else to the framework."""

    def __init__(self, title: str, endpoints: Sequence[Endpoint]) -> None:
        super().__init__(title=title, version="1", docs_url="/docs", redoc_url=None)
        self._fixed = {(e.method, e.path): e.handler for e in endpoints if "{" not in e.path}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._fixed.get((scope.get("method", ""), scope.get("path", "")))
        if handler is None:
            await super().__call__(scope, receive, send)
            return
        try:
            response = await handler(Request(scope, receive))
        except HubError as e:
            response = problem(e)
        await response(scope, receive, send)


def application(title: str, endpoints: Sequence[Endpoint]) -> FastAPI:
    """Return an application that serves `endpoints` and their OpenAPI 3.1 page at /docs."""
    app = _Application(title, endpoints)
    app.add_exception_handler(HubError, on_error)
    for e in endpoints:
        app.add_route(e.path, e.handler, methods=[e.method])
    document = _document(title, endpoints)
    app.openapi = lambda: document  # type: ignore[method-assign] # FastAPI's own way to replace it
    return app


def _document(title: str, endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    types = [t for e in endpoints for t in (e.body, e.answer) if t is not None]
    schemas, components = msgspec.json.schema_components(
        [*types, Problem], ref_template="#/components/schemas/{name}"
    )
    found = dict(zip(map(_key, [*types, Problem]), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for e in endpoints:
        paths.setdefault(e.path.replace(":path}", "}"), {})[e.method.lower()] = _operation(e, found)
    bearer = {"type": "http", "scheme": "bearer"}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"bearer": bearer}},
    }


def _operation(e: Endpoint, schemas: Mapping[str, Any]) -> dict[str, Any]:
    said = cleandoc(e.handler.__doc__ or "")
    answer = {"schema": schemas[_key(e.answer)]} if e.answer is not None else {}
    problem = {"application/problem+json": {"schema": schemas[_key(Problem)]}}
    operation: dict[str, Any] = {
        "summary": said,
        "operationId": f"{e.method.lower()}{e.path}",
        "parameters": [*_path_parameters(e.path), *_query_parameters(e.query)],
        "responses": {
            "200": {"description": "Done.", "content": {e.media: answer}},
            "default": {"description": "A problem document (RFC 9457).", "content": problem},
        },
    }
    if e.body is not None:
        content = {"application/json": {"schema": schemas[_key(e.body)]}}
        operation["requestBody"] = {"required": True, "content": content}
    if not e.public:
        operation["security"] = [{"bearer": []}]
    return operation


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = [part[1:-1].removesuffix(":path") for part in path.split("/") if part.startswith("{")]
    text = {"type": "string"}
    return [{"name": n, "in": "path", "required": True, "schema": text} for n in names]


def _query_parameters(query: Mapping[str, str]) -> list[dict[str, Any]]:
    text = {"type": "string"}
    return [
        {"name": n, "in": "query", "description": said, "schema": text} for n, said in query.items()
    ]


def _key(type: Any) -> str:
    return repr(type)
