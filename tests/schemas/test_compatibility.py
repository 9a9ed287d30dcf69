"""Our verdicts on versions of a schema, with an Avro library's own behaviour as the judge."""

import copy
import json
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from hypothesis import event, given, settings
from hypothesis import strategies as st

from domain.errors import Malformed
from schemas import compatibility
from schemas.catalogue import Schema, kind
from schemas.compatibility import conflicts, parsed, unreadable
from tests.schemas.builders import LANGUAGE, TYPES

SIMPLE = ("boolean", "int", "long", "string", "bytes")
DEFAULTS = {"boolean": True, "int": 3, "long": 4, "string": "x", "bytes": "x"}


@st.composite
def schemas(draw: st.DrawFn, path: str = "R", depth: int = 2) -> Schema:
    """Schemas of the types that we use; a named type is called after its place."""
    kinds = [*SIMPLE, "fixed", *(("array", "union", "record") if depth else ())]
    match draw(st.sampled_from(kinds)):
        case "fixed":
            return {"type": "fixed", "name": f"{path}F", "size": draw(st.sampled_from((4, 8)))}
        case "array":
            return {"type": "array", "items": draw(schemas(path, depth - 1))}
        case "union":
            branch = draw(schemas(path, depth - 1).filter(lambda s: kind(s) != "union"))
            return ["null", branch]
        case "record":
            return draw(records(path, depth - 1))
        case simple:
            return simple


@st.composite
def records(draw: st.DrawFn, path: str = "R", depth: int = 2) -> dict[str, Any]:
    names = draw(st.sets(st.sampled_from("abcd"), min_size=1, max_size=3))
    fields = [draw(fields_called(n, path, depth)) for n in sorted(names)]
    return {
        "type": "record",
        "name": draw(st.sampled_from((path, path, f"Z{path}"))),
        "fields": fields,
    }


@st.composite
def fields_called(draw: st.DrawFn, name: str, path: str, depth: int) -> dict[str, Any]:
    type = draw(schemas(path + name, depth))
    simple = type if isinstance(type, str) else None
    if isinstance(type, list):
        return {"name": name, "type": type} | draw(st.sampled_from(({}, {"default": None})))
    if simple and draw(st.booleans()):
        return {"name": name, "type": type, "default": DEFAULTS[simple]}
    return {"name": name, "type": type}


@st.composite
def changed(draw: st.DrawFn, schema: Schema, path: str = "R", depth: int = 2) -> Schema:
    """The schema with something changed somewhere, or nothing."""
    match schema if draw(st.integers(0, 5)) else None:
        case {"type": "record", "fields": fields}:
            kept = [
                f | {"type": draw(changed(f["type"], path + f["name"], depth - 1))}
                if "default" not in f
                else f
                for f in fields
                if draw(st.integers(0, 4)) != 0
            ]
            free = sorted(set("abcd") - {f["name"] for f in fields})
            if draw(st.booleans()) and free:
                kept.append(draw(fields_called(free[0], path, max(depth - 1, 0))))
            return {**schema, "fields": kept}
        case {"type": "array", "items": items}:
            return {"type": "array", "items": draw(changed(items, path, depth - 1))}
        case ["null", branch]:
            return ["null", draw(changed(branch, path, 0).filter(lambda s: kind(s) != "union"))]
        case None if isinstance(schema, str) and draw(st.booleans()):
            return ["null", schema]
        case None:
            return draw(schemas(path, max(depth, 0)))
        case same:
            return same


def value(schema: Schema, turn: int) -> Any:
    """A value that takes branch `turn` of every union and fills every list."""
    match kind(schema):
        case "null":
            return None
        case "boolean":
            return True
        case "int" | "long":
            return 7
        case "string":
            return "text"
        case "bytes":
            return b"text"
        case "fixed":
            return bytes(schema["size"])
        case "array":
            return [value(schema["items"], turn)]
        case "union":
            return value(schema[turn], turn)
        case _:
            return {f["name"]: value(f["type"], turn) for f in schema["fields"]}


def fastavro_reads(reader: Schema, writer: Schema) -> bool:
    """Whether the library reads values of all branches of `writer` with `reader`."""
    written, read = (parse_schema(copy.deepcopy(s)) for s in (writer, reader))
    for turn in (0, 1):
        data = BytesIO()
        schemaless_writer(data, written, value(writer, turn))
        data.seek(0)
        try:
            schemaless_reader(data, written, read)
        except Exception:  # noqa: BLE001 - whatever it is, it did not read
            return False
    return True


@settings(max_examples=300)
@given(st.data())
def test_a_schema_reads_another_exactly_when_an_avro_library_does(data: st.DataObject) -> None:
    one = data.draw(records())
    other = data.draw(changed(one))

    for reader, writer in ((one, other), (other, one)):
        found = list(unreadable(parsed(reader), parsed(writer)))
        event("unreadable" if found else "readable")
        assert fastavro_reads(reader, writer) == (not found), found


@given(records())
def test_a_schema_is_always_a_version_of_itself(schema: dict[str, Any]) -> None:
    assert conflicts(schema, schema) == ()


@pytest.mark.parametrize("type", TYPES)
def test_every_event_is_a_version_of_itself_as_the_registry_shows_it(type: str) -> None:
    shown = next(p for p in LANGUAGE.published() if p.subject == type)

    assert LANGUAGE.conflicts(shown.number, shown.schema) == ()


def field(**changes: Any) -> dict[str, Any]:
    return {"name": "x", "type": "string", "nrm.category": "CASEWORK"} | changes


def event_of(*fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": "ThingDone", "namespace": "nrm.v1", "fields": list(fields)}


def sealed(clear: Any) -> dict[str, Any]:
    inner = {"type": "bytes", "logicalType": "nrm-sealed", "nrm.clear_type": clear}
    return field(type=[inner, {"type": "fixed", "name": "Withheld", "size": 32}])


DAY = {"type": "int", "logicalType": "date"}
BEFORE = event_of(field())
CHANGES: dict[str, tuple[Any, Any, str]] = {
    "another category": (BEFORE, event_of(field(**{"nrm.category": "HEALTH"})), "nrm.category"),
    "another list of codes": (BEFORE, event_of(field(**{"nrm.codes": "nrm:risk"})), "nrm.codes"),
    "a default that was not there": (BEFORE, event_of(field(default="")), "default"),
    "another default": (event_of(field(default="a")), event_of(field(default="b")), "default"),
    "a default that is null": (
        event_of(field(type=["null", "string"])),
        event_of(field(type=["null", "string"], default=None)),
        "default",
    ),
    "another logical type": (event_of(field(type="int")), event_of(field(type=DAY)), "logical"),
    "another logical type in a list": (
        event_of(field(type={"type": "array", "items": "int"})),
        event_of(field(type={"type": "array", "items": DAY})),
        "logical",
    ),
    "another logical type beside null": (
        event_of(field(type=["null", "int"])),
        event_of(field(type=["null", DAY])),
        "logical",
    ),
    "text for bytes, which Avro lets pass": (BEFORE, event_of(field(type="bytes")), "one type"),
    "another type under the seal": (
        event_of(sealed("int")),
        event_of(sealed("string")),
        "x: string is not read as int",
    ),
    "another logical type under the seal": (
        event_of(sealed("int")),
        event_of(sealed(DAY)),
        "logical",
    ),
    "a field more without a default": (BEFORE, event_of(field(), field(name="y")), "no default"),
    "a field less without a default": (event_of(field(), field(name="y")), BEFORE, "no default"),
    "another name": (BEFORE, {**BEFORE, "name": "OtherDone"}, "not read as"),
    "a type that we do not use": (BEFORE, event_of(field(type="double")), "not used here"),
    "an enum": (
        BEFORE,
        event_of(field(type={"type": "enum", "name": "E", "symbols": ["A"]})),
        "not used here",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_no_two_versions_of_one_thing_differ_by(what: str) -> None:
    one, other, says = CHANGES[what]

    for found in (conflicts(one, other), conflicts(other, one)):
        assert found
        assert any(says in line for line in found)


@pytest.mark.parametrize(
    "other",
    [
        event_of(field(doc="Another wording.")),
        event_of(field(), field(name="y", type=["null", "string"], default=None)),
        {**BEFORE, "namespace": "nrm.v2"},
    ],
)
def test_versions_may_differ_in_wording_optional_fields_and_namespace(other: Any) -> None:
    assert conflicts(BEFORE, other) == ()


BOMB = {
    "type": "record",
    "name": "ThingDone",
    "namespace": "nrm.v1",
    "fields": [
        {
            "name": "x",
            "type": {
                "type": "record",
                "name": f"A{n}",
                "fields": [{"name": "a", "type": f"A{n - 1}"}, {"name": "b", "type": f"A{n - 1}"}],
            }
            if n
            else {"type": "fixed", "name": "A0", "size": 1},
        }
        | {"name": f"x{n}"}
        for n in range(40)
    ],
}
"""Written out in full it would hold 2 to the power of 40 names."""
LOOP = event_of(field(type=["null", "ThingDone"]))
NESTED: Any = "int"
for _ in range(200):
    NESTED = {"type": "array", "items": NESTED}


@pytest.mark.parametrize("schema", [BOMB, LOOP, [[]], ["null", "null"]])
def test_a_schema_that_is_like_none_of_ours_gets_its_verdict_all_the_same(schema: Any) -> None:
    assert conflicts(BEFORE, schema)
    assert conflicts(schema, BEFORE)


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        (None, "SCHEMA_UNREADABLE"),
        (5, "SCHEMA_UNREADABLE"),
        ("nrm.v1.Unknown", "SCHEMA_UNREADABLE"),
        ({}, "SCHEMA_UNREADABLE"),
        ({"type": "record"}, "SCHEMA_UNREADABLE"),
        ({"type": "record", "name": "A", "fields": 5}, "SCHEMA_UNREADABLE"),
        ({"type": "record", "name": 5, "fields": []}, "SCHEMA_UNREADABLE"),
        ({"type": "record", "name": "A", "fields": [5]}, "SCHEMA_UNREADABLE"),
        ({"type": "fixed", "name": "A"}, "SCHEMA_UNREADABLE"),
        ({"type": "record", "__fastavro_parsed__": True}, "SCHEMA_UNREADABLE"),
        (event_of(sealed(None)), "SCHEMA_UNREADABLE"),
        (event_of(field(default=5)), "SCHEMA_UNREADABLE"),
        (NESTED, "TOO_DEEP"),
        ({"type": "string", "doc": "x" * (2 << 20)}, "TOO_LARGE"),
    ],
)
def test_what_is_no_schema_is_refused_and_nothing_else_escapes(schema: Any, code: str) -> None:
    with pytest.raises(Malformed) as refusal:
        conflicts(event_of(sealed("int")), schema)

    assert refusal.value.code == code


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_schema_never_raises_anything_else(data: st.DataObject) -> None:
    shown = LANGUAGE.published()[data.draw(st.integers(0, len(TYPES)))]
    tree = json.loads(shown.schema)
    node = tree
    while isinstance(node, dict | list) and node:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(node[key], dict | list) or data.draw(st.booleans()):
            node[key] = data.draw(
                st.sampled_from([None, 5, "string", [], {}, ["null"], "nrm.v1.X"])
            )
            break
        node = node[key]
    try:
        found = LANGUAGE.conflicts(shown.number, json.dumps(tree))
    except Malformed as e:
        event(e.code)
    else:
        event("conflicts" if found else "none")


def test_the_two_versions_of_an_event_are_told_apart_field_by_field() -> None:
    old, new = (
        next(p for p in LANGUAGE.published() if p.subject == f"nrm.v{v}.SafeContactSet")
        for v in (1, 2)
    )

    found = LANGUAGE.conflicts(old.number, new.schema)

    assert {line.split(":")[0].rpartition(".")[2] for line in found} == {
        "channel",
        "address",
        "channels",
    }


def test_a_union_and_what_is_in_it_are_two_types() -> None:
    beside, alone = parsed(["null", "string"]), parsed("string")

    assert list(unreadable(beside, alone)) == []
    assert list(unreadable(alone, beside)) != []
    assert list(compatibility.altered(alone, beside)) != []
