"""Whether two schemas are versions of one thing: each reads the other's bytes and means the same.

`unreadable` is Avro's own rule ("Schema Resolution" in its specification) for the types that we
use. `altered` is what Avro lets pass and we do not: category, codes, logical type, default.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fastavro import parse_schema

from domain.errors import Malformed
from schemas.catalogue import Schema, kind, logical
from schemas.documents import bounded
from schemas.rules import AVRO

MAX_DEPTH = 64
"""Levels of objects and lists in a schema from outside."""
_PROMOTED = {("int", "long"), ("string", "bytes"), ("bytes", "string")}
"""(Written, read): types of ours that Avro reads as another."""
_MEANING = ("nrm.category", "nrm.codes", "default")
"""Properties of a field on which two versions must agree; a default also on having one."""


class Node(NamedTuple):
    """A schema, and what the names in it stand for."""

    schema: Schema
    names: Mapping[str, Any]

    def inside(self, part: Schema) -> "Node":
        """Return a part of this schema, behind its name if it is only named there."""
        known = self.names.get(part, part) if isinstance(part, str) else part
        return Node(known, self.names)

    @property
    def kind(self) -> str:
        """Return the Avro type; one that we do not use is as good as none."""
        found = kind(self.schema)
        return found if found in AVRO or found == "union" else f"{found} (not used here)"

    @property
    def name(self) -> str:
        """Return a named type's name without its namespace: as Avro compares them."""
        return str(self.schema["name"]).rpartition(".")[2]

    @property
    def branches(self) -> list["Node"]:
        """Return the branches of a union; any other schema is its own only one."""
        return [self.inside(b) for b in self.schema] if self.kind == "union" else [self]

    @property
    def fields(self) -> dict[str, Mapping[str, Any]]:
        """Return the fields of a record by name."""
        return {str(field["name"]): field for field in self.schema["fields"]}


def parsed(schema: Schema) -> Node:
    """Return a schema from anywhere, its names resolved; `Malformed` SCHEMA_UNREADABLE or limits.

    Nothing is written out where it is named, so a small schema stays small.
    """
    if not isinstance(schema, str | list | dict):
        raise Malformed("SCHEMA_UNREADABLE", "an Avro schema is a JSON object, list or name")
    bounded(schema if isinstance(schema, dict) else {"type": schema}, MAX_DEPTH)
    names: dict[str, Any] = {}
    try:
        # The library takes a schema that carries its own mark for one that it has read before.
        return Node(_unmarked(parse_schema(_unmarked(schema), names)), names)
    except Exception as e:  # the library raises whatever garbage leads it to
        raise Malformed("SCHEMA_UNREADABLE", "this is not a schema of Avro 1.11") from e


def _unmarked(schema: Schema) -> Schema:
    if not isinstance(schema, dict):
        return schema
    return {key: value for key, value in schema.items() if not key.startswith("__")}


def conflicts(one: Schema, other: Schema) -> tuple[str, ...]:
    """Return why two schemas are not versions of one thing; empty when they are."""
    a, b = parsed(one), parsed(other)
    path = str(a.schema.get("name", "")) if isinstance(a.schema, dict) else ""
    return _conflicts(a, b, path)


def _conflicts(a: Node, b: Node, path: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*unreadable(a, b, path), *unreadable(b, a, path)])) or tuple(
        altered(a, b, path)
    )


def unreadable(reader: Node, writer: Node, path: str = "") -> Iterator[str]:
    """Yield what keeps a reader with the schema `reader` from what was written with `writer`."""
    match writer.kind, reader.kind:
        case "union", _:
            for branch in writer.branches:
                yield from unreadable(reader, branch, path)
        case written, "union":
            if not any(not [*unreadable(b, writer, path)] for b in reader.branches):
                yield f"{path}: {written} is read by no branch of the union"
        case "record", "record" if reader.name == writer.name:
            yield from _fields(reader, writer, path)
        case "fixed", "fixed" if reader.name == writer.name:
            if reader.schema["size"] != writer.schema["size"]:
                yield f"{path}: the sizes of {reader.name} differ"
        case ("record", "record") | ("fixed", "fixed"):
            yield f"{path}: {writer.name} is not read as {reader.name}"
        case "array", "array":
            items = reader.inside(reader.schema["items"]), writer.inside(writer.schema["items"])
            yield from unreadable(*items, f"{path}[]")
        case same, read if (same == read and same in AVRO) or (same, read) in _PROMOTED:
            pass
        case written, read:
            yield f"{path}: {written} is not read as {read}"


def _fields(reader: Node, writer: Node, path: str) -> Iterator[str]:
    written = writer.fields
    for name, field in reader.fields.items():
        if name in written:
            parts = reader.inside(field["type"]), writer.inside(written[name]["type"])
            yield from unreadable(*parts, f"{path}.{name}")
        elif "default" not in field:
            yield f"{path}.{name}: is not in every version and has no default"


def altered(a: Node, b: Node, path: str = "") -> Iterator[str]:
    """Yield where two schemas that read each other's bytes do not mean the same by them."""
    if logical(a.schema) != logical(b.schema):
        yield f"{path}: the logical types differ"
    match a.kind, b.kind:
        case "record", "record":
            yield from _altered_fields(a, b, path)
        case "array", "array":
            yield from altered(
                a.inside(a.schema["items"]), b.inside(b.schema["items"]), f"{path}[]"
            )
        case "bytes", "bytes" if logical(a.schema) == "nrm-sealed":
            mine, theirs = (parsed(n.schema.get("nrm.clear_type")) for n in (a, b))
            yield from _conflicts(mine, theirs, path)
        case "union", "union" if len(a.branches) == len(b.branches):
            for one, other in zip(a.branches, b.branches, strict=True):
                yield from altered(one, other, path)
        case one, other if one != other:
            yield f"{path}: {one} and {other} are not one type"


def _altered_fields(a: Node, b: Node, path: str) -> Iterator[str]:
    mine, theirs = a.fields, b.fields
    for name in mine.keys() & theirs.keys():
        one, other = mine[name], theirs[name]
        for what in _MEANING:
            if (what in one, one.get(what)) != (what in other, other.get(what)):
                yield f"{path}.{name}: the versions differ in {what}"
        yield from altered(a.inside(one["type"]), b.inside(other["type"]), f"{path}.{name}")
