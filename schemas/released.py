"""What was released: the append-only list in registry.lock.json.

An event's number and fingerprints stand in signed statements for ever, so a released
schema never changes and a number is never used again.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from domain.errors import Corrupt
from schemas.catalogue import Schema, Sources, avro_fp, full_name, kind, logical, package, seal_fp

LOCK = "registry.lock.json"
TRANSPORT = 1001
"""First number of the records of transport; below it are events."""


@dataclass(frozen=True, slots=True)
class Released:
    """One released event type or record of transport."""

    name: str
    number: int
    seal_fp: str
    """32 bytes in hex."""
    avro_fp: str
    """Avro's SHA-256 fingerprint in hex."""
    fields: dict[str, list[str | None]]
    """Path of each leaf -> category (None in transport), type, logical type."""


@cache
def lock() -> tuple[Released, ...]:
    """Return the list that ships with this package, oldest first."""
    return loads((package() / LOCK).read_text("utf-8"))


def loads(text: str) -> tuple[Released, ...]:
    """Return the list in `text`."""
    return tuple(Released(**entry) for entry in json.loads(text))


def dumps(entries: tuple[Released, ...]) -> str:
    """Return the list as JSON with one entry a line, so that a diff shows that it only grew."""
    lines = ",\n".join(json.dumps(asdict(e), separators=(",", ":")) for e in entries)
    return f"[\n{lines}\n]\n"


def release(written: Sources, entries: tuple[Released, ...]) -> tuple[Released, ...]:
    """Return `entries` and, after them, what is new in `written`: events, then transport."""
    for names, first in ((written.events, 1), (written.transport, TRANSPORT)):
        free = first + sum((e.number < TRANSPORT) == (first < TRANSPORT) for e in entries)
        new = sorted(names.keys() - {e.name for e in entries})
        entries += tuple(describe(written.full(n), free + i) for i, n in enumerate(new))
    return entries


def version(name: str) -> int:
    """Return the number in the namespace of a full name: 2 for nrm.v2.X."""
    return int(name.split(".")[1].removeprefix("v"))


def describe(full: Mapping[str, Any], number: int) -> Released:
    """Return what the list says of a full schema."""
    return Released(
        name=full_name(full),
        number=number,
        seal_fp=seal_fp(full).hex(),
        avro_fp=avro_fp(full),
        fields={
            path: [field.get("nrm.category"), *leaf]
            for field in full["fields"]
            for path, *leaf in _leaves(field["type"], field["name"])
        },
    )


def entry_of(name: str, full: Mapping[str, Any]) -> Released:
    """Return the released entry of `name`; `Corrupt` when the schema is not the released one."""
    entry = next((e for e in lock() if e.name == name), None)
    if entry is None or entry.seal_fp != seal_fp(full).hex():
        raise Corrupt("SCHEMA_NOT_RELEASED", f"{name} is not as released; run schemas.lint")
    return entry


def _leaves(schema: Schema, path: str) -> Iterator[tuple[str, str, str | None]]:
    match kind(schema):
        case "record" if isinstance(schema, dict):
            for field in schema["fields"]:
                yield from _leaves(field["type"], f"{path}.{field['name']}")
        case "array":
            yield from _leaves(schema["items"], f"{path}[]")
        case "union":
            for branch in schema:
                yield from _leaves(branch, f"{path}|{kind(branch)}")
        case "fixed":
            yield path, f"fixed {schema['size']}", logical(schema)
        case simple:
            yield path, simple, logical(schema)
