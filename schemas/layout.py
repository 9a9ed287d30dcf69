"""What the language compiles of one event type: coders, checks and the class that rules see."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from fastavro import parse_schema

from domain import events
from domain.errors import Malformed
from domain.record import Shape
from domain.vocabulary import Category
from schemas import canonical, checks, documents
from schemas.catalogue import Schema, full_name, kind, seal_fp, sources
from schemas.released import entry_of, version

Build = Callable[[Any], Any]

_CLASSES: Mapping[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        *get_args(events.Event),
        events.Head,
        events.Recipient,
        events.KeyCommitment,
        events.Approval,
    )
}
"""The closed list of classes that bytes may become."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldLayout:
    """One field, compiled."""

    path: str
    category: Category
    coder: Any
    """Avro schema of a record of this one field: encoded, the same bytes as the field."""
    end: canonical.End
    check: checks.Check | None
    render: documents.Render | None
    build: Build | None
    """From the plain value to what the event class holds; None when they are the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One event type, compiled."""

    shape: Shape
    routing: Any
    """Avro schema of the record of the ROUTING fields."""
    fields: tuple[FieldLayout, ...]
    coders: tuple[tuple[str, Any], ...]
    """Path and coder of each field."""
    routing_count: int
    ends: tuple[canonical.End, ...]
    """`end` of each ROUTING field."""
    builds: tuple[tuple[str, Build], ...]
    """Path and `build` of each ROUTING field that has one."""
    parse: documents.Parse
    event: type[Any]


@cache
def layout(name: str) -> Layout:
    """Return the compiled event type; `Malformed` UNKNOWN_EVENT when it is not published."""
    written = sources()
    if name not in written.events:
        raise Malformed("UNKNOWN_EVENT", "the event type is not in the published schemas")
    full = written.full(name)
    whole = [{**f, "type": written.field_type(f)} for f in written.events[name]["fields"]]
    fields = tuple(_field(f) for f in whole)
    routing_count = sum(f["nrm.category"] == "ROUTING" for f in whole)
    return Layout(
        shape=_shape(name, full, fields),
        routing=_coder(full["fields"][:routing_count]),
        fields=fields,
        coders=tuple((f.path, f.coder) for f in fields),
        routing_count=routing_count,
        ends=tuple(f.end for f in fields[:routing_count]),
        builds=tuple((f.path, f.build) for f in fields if f.build is not None),
        parse=documents.members(whole, ""),
        event=_CLASSES[name.rpartition(".")[2]],
    )


def _shape(name: str, full: Mapping[str, Any], fields: tuple[FieldLayout, ...]) -> Shape:
    return Shape(
        type=name,
        number=entry_of(name, full).number,
        version=version(name),
        seal_fp=seal_fp(full),
        fields=tuple((f.path, f.category) for f in fields),
    )


def _field(field: Mapping[str, Any]) -> FieldLayout:
    path, schema, category = field["name"], field["type"], Category[field["nrm.category"]]
    clear = category is Category.ROUTING
    limits = checks.ROUTING_LIMITS if clear else checks.SEALED_LIMITS
    return FieldLayout(
        path=path,
        category=category,
        coder=_coder([field]),
        end=canonical.end(schema),
        check=checks.check(schema, path, limits),
        render=documents.render(schema),
        build=_build(schema) if clear else None,
    )


def _coder(fields: list[Mapping[str, Any]]) -> Any:
    plain = [{"name": f["name"], "type": _plain(f["type"])} for f in fields]
    return parse_schema({"type": "record", "name": "Fields", "fields": plain})


def _plain(node: Any) -> Any:
    """Return a schema without logical types: instants are integers here, and UUIDs text."""
    match node:
        case {"type": str(name), "logicalType": _}:
            return name
        case dict():
            return {key: _plain(value) for key, value in node.items()}
        case list():
            return [_plain(item) for item in node]
        case _:
            return node


def _build(schema: Schema) -> Build | None:
    match kind(schema):
        case "record":
            return _build_record(schema)
        case "array":
            item = _build(schema["items"])
            return tuple if item is None else lambda value: tuple([item(v) for v in value])
        case "union":
            inner = _build(schema[1])
            return inner and (lambda value: None if value is None else inner(value))
        case _:
            return None


def _build_record(schema: Mapping[str, Any]) -> Build:
    cls = _CLASSES[full_name(schema).rpartition(".")[2]]
    parts = [(f["name"], b) for f in schema["fields"] if (b := _build(f["type"])) is not None]

    def run(value: dict[str, Any]) -> Any:
        for name, part in parts:
            value[name] = part(value[name])
        return cls(**value)

    return run
