"""Another registry server holds our schemas, says what ours says, and judges as we do."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from schemas.compatibility import parsed, unreadable
from services.http.registry import registry_app
from tests.clients import apicurio
from tests.clients.feed import LANGUAGE
from tests.clients.serving import serving

PUBLISHED = LANGUAGE.published()
JUDGED = (*PUBLISHED[::4], PUBLISHED[-1])
"""A part of them: all of them would take a minute."""
Schema = dict[str, Any]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Apicurio with our schemas, registered in the order of the lock."""
    with (
        apicurio.running(tmp_path_factory.mktemp("apicurio")) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        client.put("/config", json={"compatibility": "FULL_TRANSITIVE"}).raise_for_status()
        for p in PUBLISHED:
            added = client.post(f"/subjects/{p.subject}/versions", json={"schema": p.schema})
            assert added.status_code == 200, added.text
        yield client


@pytest.fixture(scope="module")
def ours() -> Iterator[httpx.Client]:
    app = Starlette()
    app.mount("/registry", registry_app(LANGUAGE))
    with serving(app) as address, httpx.Client(base_url=f"{address}/registry") as client:
        yield client


def both(theirs: httpx.Client, ours: httpx.Client, path: str) -> tuple[httpx.Response, ...]:
    return theirs.get(path), ours.get(path)


def test_the_events_have_the_numbers_that_any_registry_gives_in_the_order_of_the_lock(
    theirs: httpx.Client,
) -> None:
    for place, p in enumerate(PUBLISHED, start=1):
        given = theirs.get(f"/subjects/{p.subject}/versions/1").json()["id"]
        assert given == place
        assert given == p.number or p.number > 1000


def test_both_list_the_same_subjects(theirs: httpx.Client, ours: httpx.Client) -> None:
    there, here = both(theirs, ours, "/subjects")

    assert sorted(there.json()) == here.json()


@pytest.mark.parametrize("p", JUDGED, ids=lambda p: p.subject)
def test_a_subject_is_shown_alike(theirs: httpx.Client, ours: httpx.Client, p: Any) -> None:
    at = f"/subjects/{p.subject}/versions"
    for path in ("", "/1/referencedby"):
        there, here = both(theirs, ours, at + path)
        assert there.json() == here.json()
    there, here = both(theirs, ours, f"{at}/1/schema")
    assert parsed(there.json()).schema == parsed(here.json()).schema
    for version in ("1", "latest", "-1"):
        there, here = both(theirs, ours, f"{at}/{version}")
        assert said(there.json()) == said(here.json())
        numbers = there.json()["id"], here.json()["id"]
        for path in ("", "/versions"):
            shown = [
                client.get(f"/schemas/ids/{number}{path}").json()
                for client, number in zip((theirs, ours), numbers, strict=True)
            ]
            assert said(shown[0]) == said(shown[1])


def said(answer: Any) -> Any:
    """Return an answer without its number and the references that there never are.

    A schema is compared as a schema: Java leaves out a namespace that goes without saying.
    """
    if not isinstance(answer, dict):
        return answer
    kept = {key: answer[key] for key in ("subject", "version") if key in answer}
    return kept | {"schema": parsed(json.loads(answer["schema"])).schema}


@pytest.mark.parametrize(
    "path",
    [
        "/schemas/ids/9999",
        "/subjects/none/versions",
        "/subjects/none/versions/1",
        "/subjects/none/versions/latest",
        "/subjects/nrm.v1.ReferralSent/versions/2",
        "/config/none",
    ],
)
def test_what_is_not_there_is_said_alike(
    theirs: httpx.Client, ours: httpx.Client, path: str
) -> None:
    there, here = both(theirs, ours, path)

    assert (there.status_code, there.json()["error_code"]) == (
        here.status_code,
        here.json()["error_code"],
    )


@pytest.mark.parametrize(
    ("subject", "schema"),
    [
        ("nrm.v1.ReferralSent", PUBLISHED[0].schema),
        ("none", PUBLISHED[0].schema),
        (PUBLISHED[0].subject, PUBLISHED[0].schema),
    ],
)
def test_a_lookup_is_answered_alike(
    theirs: httpx.Client, ours: httpx.Client, subject: str, schema: str
) -> None:
    there, here = (c.post(f"/subjects/{subject}", json={"schema": schema}) for c in (theirs, ours))

    assert there.status_code == here.status_code
    for part in ("error_code", "subject", "version", "id", "schema"):
        assert there.json().get(part) == here.json().get(part)


def _fields(change: Callable[[list[Schema]], Any]) -> Callable[[Schema], Any]:
    return lambda schema: change(schema["fields"])


def _head(schema: Schema) -> list[Schema]:
    """Return the fields of the envelope, or of the record itself if it has none."""
    first = schema["fields"][0]
    fields: list[Schema] = first["type"]["fields"] if first["name"] == "head" else schema["fields"]
    return fields


def _retype(schema: Schema, old: str, new: Any) -> None:
    """Give the first field of type `old` another."""
    for field in _head(schema):
        kind = field["type"].get("type") if isinstance(field["type"], dict) else field["type"]
        if kind == old:
            field["type"] = new
            return


CHANGES: dict[str, Callable[[Schema], Any]] = {
    "nothing": lambda s: None,
    "wording": lambda s: s.update(doc="Another wording."),
    "a field less": _fields(lambda fields: fields.pop()),
    "a field more": _fields(lambda fields: fields.append({"name": "zz", "type": "long"})),
    "a field more with a default": _fields(
        lambda fields: fields.append({"name": "zz", "type": "long", "default": 0})
    ),
    "an optional field more": _fields(
        lambda fields: fields.append({"name": "zz", "type": ["null", "string"], "default": None})
    ),
    "another name": lambda s: s.update(name="Other"),
    "another namespace": lambda s: s.update(namespace="nrm.v7"),
    "a field with another name": _fields(lambda fields: fields[-1].update(name="zz")),
    "another category": _fields(lambda fields: fields[-1].update({"nrm.category": "HEALTH"})),
    "text for a number": lambda s: _retype(s, "long", "string"),
    "half a number": lambda s: _retype(s, "long", "int"),
    "bytes for text": lambda s: _retype(s, "string", "bytes"),
    "text or nothing": lambda s: _retype(s, "string", ["null", "string"]),
    "a list of text": lambda s: _retype(s, "string", {"type": "array", "items": "string"}),
    "a field that is never sealed": _fields(lambda fields: fields[-1].update(type="boolean")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_both_judge_a_proposed_schema_alike_but_we_also_ask_what_it_means(
    theirs: httpx.Client, ours: httpx.Client, change: str
) -> None:
    for p in JUDGED:
        schema = json.loads(p.schema)
        proposed = copy.deepcopy(schema)
        CHANGES[change](proposed)
        path = f"/compatibility/subjects/{p.subject}/versions/latest"
        there, here = (
            c.post(path, json={"schema": json.dumps(proposed)}).json() for c in (theirs, ours)
        )
        one, other = parsed(schema), parsed(proposed)
        reads = not [*unreadable(one, other), *unreadable(other, one)]

        assert there["is_compatible"] == reads, p.subject
        assert there["is_compatible"] or not here["is_compatible"], p.subject
