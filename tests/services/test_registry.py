"""The registry as its clients ask it: what it serves, what it refuses and how it says so."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette

from schemas.language import AvroLanguage
from services.http.registry import BODY_LIMIT, MEDIA, registry_app

LANGUAGE = AvroLanguage()
PUBLISHED = LANGUAGE.published()
SENT = next(p for p in PUBLISHED if p.subject == "nrm.v1.ReferralSent")
ONE = {"subject": SENT.subject, "version": 1, "id": SENT.number, "schema": SENT.schema}
AT = f"/subjects/{SENT.subject}"


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette()
    app.mount("/registry", registry_app(LANGUAGE))
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub/registry") as client:
        yield client


ANSWERS: list[tuple[str, Any]] = [
    ("/", {}),
    ("/schemas/types", ["AVRO"]),
    (f"/schemas/ids/{SENT.number}", {"schema": SENT.schema}),
    (f"/schemas/ids/{SENT.number}/schema", json.loads(SENT.schema)),
    (f"/schemas/ids/{SENT.number}/subjects", [SENT.subject]),
    (f"/schemas/ids/{SENT.number}/versions", [{"subject": SENT.subject, "version": 1}]),
    ("/subjects", sorted(p.subject for p in PUBLISHED)),
    (f"{AT}/versions", [1]),
    (f"{AT}/versions/1", ONE),
    (f"{AT}/versions/latest", ONE),
    (f"{AT}/versions/-1", ONE),
    (f"{AT}/versions/latest/schema", json.loads(SENT.schema)),
    (f"{AT}/versions/1/referencedby", []),
    ("/config", {"compatibilityLevel": "FULL_TRANSITIVE"}),
    (f"/config/{SENT.subject}", {"compatibilityLevel": "FULL_TRANSITIVE"}),
    ("/mode", {"mode": "READONLY"}),
    (f"/mode/{SENT.subject}", {"mode": "READONLY"}),
    ("/contexts", ["."]),
    (
        "/v1/metadata/id",
        {"scope": {"path": [], "clusters": {"schema-registry-cluster": "nrm"}}, "id": ""},
    ),
]


@pytest.mark.parametrize("query", ["", "?subject=nrm.gb.log-value&normalize=true&deleted=false"])
@pytest.mark.parametrize(("path", "answer"), ANSWERS)
async def test_it_answers_whatever_stands_in_the_query(
    client: httpx.AsyncClient, path: str, answer: Any, query: str
) -> None:
    got = await client.get(path + query)

    assert (got.status_code, got.headers["content-type"]) == (200, MEDIA)
    assert got.json() == answer


async def test_every_number_leads_to_the_schema_that_is_on_the_wire(
    client: httpx.AsyncClient,
) -> None:
    for published in PUBLISHED:
        got = await client.get(f"/schemas/ids/{published.number}")
        assert got.json() == {"schema": published.schema}


ERRORS: list[tuple[str, str, int, int]] = [
    ("GET", "/schemas/ids/9999", 404, 40403),
    ("GET", "/schemas/ids/0", 404, 40403),
    ("GET", "/schemas/ids/-1/subjects", 404, 40403),
    ("GET", "/schemas/ids/one/schema", 404, 40403),
    ("GET", f"/schemas/ids/{'9' * 400}/versions", 404, 40403),
    ("GET", "/subjects/none/versions", 404, 40401),
    ("GET", "/subjects/none/versions/1", 404, 40401),
    ("GET", "/subjects/nrm.gb.log-value/versions/latest", 404, 40401),
    ("GET", f"{AT}/versions/2", 404, 40402),
    ("GET", f"{AT}/versions/0/schema", 404, 40402),
    ("GET", f"{AT}/versions/2/referencedby", 404, 40402),
    ("GET", f"{AT}/versions/newest", 422, 42202),
    ("GET", f"{AT}/versions/\u0661", 422, 42202),
    ("GET", "/config/none", 404, 40401),
    ("GET", "/mode/none", 404, 40401),
    ("GET", "/associations/resources/-/nrm.gb.log?resourceType=topic", 404, 404),
    ("GET", "/schemas/guids/x", 404, 404),
    ("GET", "/subjects/a%2Fb/versions/1/x", 404, 404),
    ("POST", f"{AT}/versions", 405, 405),
    ("DELETE", AT, 405, 405),
    ("DELETE", f"{AT}/versions/1", 405, 405),
    ("PUT", "/config", 405, 405),
    ("PUT", f"/mode/{SENT.subject}", 405, 405),
    ("POST", "/associations", 404, 404),
]


@pytest.mark.parametrize(("method", "path", "status", "number"), ERRORS)
async def test_it_refuses_in_the_words_of_a_registry(
    client: httpx.AsyncClient, method: str, path: str, status: int, number: int
) -> None:
    got = await client.request(method, path, content=b"{}")

    assert (got.status_code, got.headers["content-type"]) == (status, MEDIA)
    assert got.json()["error_code"] == number
    assert got.json()["message"]
    assert got.json().keys() == {"error_code", "message"}


async def test_a_client_finds_the_number_of_a_schema_that_it_has(client: httpx.AsyncClient) -> None:
    rewritten = json.dumps(json.loads(SENT.schema), indent=4)

    got = await client.post(f"{AT}?normalize=true", json={"schema": rewritten})

    assert (got.status_code, got.json()) == (200, ONE)


@pytest.mark.parametrize(
    ("subject", "schema", "status", "number"),
    [
        ("none", SENT.schema, 404, 40401),
        (SENT.subject, PUBLISHED[0].schema, 404, 40403),
        (SENT.subject, '"string"', 404, 40403),
        (SENT.subject, "{", 422, 42201),
        (SENT.subject, "[" * 100_000, 422, 42201),
        (SENT.subject, '{"type": "record"}', 422, 42201),
        (SENT.subject, "null", 422, 42201),
    ],
)
async def test_a_schema_that_is_not_the_released_one_is_not_found(
    client: httpx.AsyncClient, subject: str, schema: str, status: int, number: int
) -> None:
    got = await client.post(f"/subjects/{subject}", json={"schema": schema})

    assert (got.status_code, got.json()["error_code"]) == (status, number)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"schema": 5}', 400),
        (b'{"schema": "{}", "schemaType": "JSON"}', 422),
        (b'{"schema": "{}", "references": [{"name": "x"}]}', 422),
        (b'{"schema": "' + b"x" * BODY_LIMIT + b'"}', 413),
    ],
)
@pytest.mark.parametrize("path", [AT, f"/compatibility{AT}/versions/latest"])
async def test_a_body_that_is_no_question_is_refused(
    client: httpx.AsyncClient, path: str, body: bytes, status: int
) -> None:
    got = await client.post(path, content=body)

    assert (got.status_code, got.headers["content-type"]) == (status, MEDIA)


def changed(**changes: Any) -> str:
    """The schema of a referral with one routing field changed."""
    schema = json.loads(SENT.schema)
    return json.dumps(
        {
            **schema,
            "fields": [f | changes if f["name"] == "urgency" else f for f in schema["fields"]],
        }
    )


@pytest.mark.parametrize(
    ("schema", "compatible"),
    [
        (SENT.schema, True),
        (changed(doc="Another wording."), True),
        (changed(type=["null", "string"]), False),
        (changed(type="bytes"), False),
        (changed(name="haste"), False),
        (changed(**{"nrm.category": "CASEWORK"}), False),
        ('"string"', False),
    ],
)
async def test_a_verdict_is_given_and_nothing_is_written(
    client: httpx.AsyncClient, schema: str, *, compatible: bool
) -> None:
    got = await client.post(
        f"/compatibility{AT}/versions/latest?verbose=true", json={"schema": schema}
    )

    assert got.status_code == 200
    assert got.json()["is_compatible"] == compatible
    assert bool(got.json()["messages"]) != compatible
    assert (await client.get(f"{AT}/versions")).json() == [1]


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/compatibility/subjects/none/versions/latest", 40401),
        (f"/compatibility{AT}/versions/2", 40402),
        (f"/compatibility{AT}/versions/x", 42202),
    ],
)
async def test_a_verdict_on_what_is_not_there_is_refused(
    client: httpx.AsyncClient, path: str, number: int
) -> None:
    got = await client.post(path, json={"schema": SENT.schema})

    assert got.json()["error_code"] == number


async def test_its_own_page_describes_every_route(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    assert len(document["paths"]) == 19
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            assert "security" not in operation
