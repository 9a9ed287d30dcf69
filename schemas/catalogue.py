"""The published schemas as they stand in the files, and the fingerprints that name them.

A full schema is self-contained: each named type is written out where it is first used.
`seal_fp` covers what Avro's own fingerprint leaves out: categories, logical types, defaults.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from fastavro.schema import fingerprint, to_parsing_canonical_form

Schema = Any
"""An Avro schema as JSON: a name, a union (list) or an object."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The schemas as written, by Avro full name."""

    events: Mapping[str, dict[str, Any]]
    types: Mapping[str, dict[str, Any]]
    """The named types that others share."""
    transport: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """Records that travel and are no events: nothing in them is sealed."""

    @property
    def published(self) -> Mapping[str, dict[str, Any]]:
        """Return everything that gets a number: events and records of transport."""
        return {**self.events, **self.transport}

    def full(self, name: str) -> dict[str, Any]:
        """Return the self-contained clear schema of `name`."""
        schema: dict[str, Any] = inline(self.published[name], self.types)
        return schema

    def field_type(self, field: Mapping[str, Any]) -> Schema:
        """Return the self-contained type of one field."""
        return inline(field["type"], self.types)


@cache
def sources() -> Sources:
    """Return the schemas that ship with this package."""
    return Sources(_read("events"), _read("types"), _read("transport"))


def _read(folder: str) -> dict[str, dict[str, Any]]:
    return {
        f.name.removesuffix(".avsc"): json.loads(f.read_text("utf-8"))
        for f in sorted((package() / folder).iterdir(), key=lambda f: f.name)
        if f.name.endswith(".avsc")
    }


def package() -> Traversable:
    """Return the folder of the schemas."""
    return files("schemas")


def inline(
    schema: Schema, types: Mapping[str, dict[str, Any]], seen: set[str] | None = None
) -> Schema:
    """Return `schema` with each named type of `types` written out at its first use."""
    seen = set() if seen is None else seen
    match schema:
        case str():
            if schema in seen or schema not in types:
                return schema
            return inline(types[schema], types, seen)
        case list():
            return [inline(branch, types, seen) for branch in schema]
        case _:
            return _inline_object(schema, types, seen)


def _inline_object(
    schema: Mapping[str, Any], types: Mapping[str, dict[str, Any]], seen: set[str]
) -> dict[str, Any]:
    if "name" in schema:
        seen.add(full_name(schema))
    out = dict(schema)
    if "fields" in out:
        out["fields"] = [{**f, "type": inline(f["type"], types, seen)} for f in out["fields"]]
    if "items" in out:
        out["items"] = inline(out["items"], types, seen)
    return out


def full_name(schema: Mapping[str, Any]) -> str:
    """Return the Avro full name of a named type."""
    return f"{schema['namespace']}.{schema['name']}" if "namespace" in schema else schema["name"]


def kind(schema: Schema) -> str:
    """Return the Avro type of a self-contained schema: string, record, union, ..."""
    match schema:
        case str():
            return schema
        case list():
            return "union"
        case _:
            return str(schema["type"])


def logical(schema: Schema) -> str | None:
    """Return the logical type of `schema`, if it has one."""
    return schema.get("logicalType") if isinstance(schema, dict) else None


def seal_fp(full: Schema) -> bytes:
    """Return SHA-256 over the canonical JSON of `full`: keys sorted, no spaces, UTF-8, no `doc`."""
    text = json.dumps(_without_doc(full), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).digest()


def avro_fp(full: Schema) -> str:
    """Return Avro's own SHA-256 fingerprint of `full`, over its parsing canonical form, in hex."""
    return fingerprint(to_parsing_canonical_form(full), "sha256")


def _without_doc(node: Any) -> Any:
    match node:
        case dict():
            return {key: _without_doc(value) for key, value in node.items() if key != "doc"}
        case list():
            return [_without_doc(item) for item in node]
        case _:
            return node
