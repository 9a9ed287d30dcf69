"""Walking over schemas as they are written, for the lint."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from schemas.catalogue import Schema, Sources, full_name, kind, logical

Node = Mapping[str, Any]


def roots(written: Sources) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and schema of each file."""
    yield from written.types.items()
    yield from written.published.items()


def schemas(schema: Schema) -> Iterator[Schema]:
    """Yield `schema` and every schema written inside it."""
    yield schema
    inner: list[Schema] = []
    match schema:
        case list():
            inner = schema
        case dict():
            inner = [field["type"] for field in schema.get("fields", ())]
            inner += [schema[key] for key in ("items", "values") if key in schema]
        case _:
            pass
    for part in inner:
        yield from schemas(part)


def objects(schema: Schema) -> Iterator[Node]:
    """Yield every schema object and field object written inside `schema`."""
    for node in schemas(schema):
        if isinstance(node, dict):
            yield node
            yield from node.get("fields", ())


def names_used(schema: Schema) -> Iterator[str]:
    """Yield each full name by which `schema` uses a type."""
    for node in schemas(schema):
        if isinstance(node, str) and "." in node:
            yield node


def comes_back(schema: Node, types: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    """Return whether following names from `schema` leads to one of `path` or to itself."""
    path = (*path, full_name(schema))
    return any(
        used in path or (used in types and comes_back(types[used], types, path))
        for used in names_used(schema)
    )


def every_field(written: Sources, fields: Sequence[Node], where: str) -> Iterator[tuple[str, Node]]:
    """Yield path and object of each field, down through records."""
    for field in fields:
        path = f"{where}.{field['name']}"
        yield path, field
        for record in _records(written.field_type(field)):
            yield from every_field(written, record["fields"], path)


def is_text(schema: Schema) -> bool:
    """Return whether a field of this type is text, a list of texts, or one of them or null."""
    match schema:
        case list():
            return any(is_text(branch) for branch in schema)
        case {"type": "array", "items": items}:
            return is_text(items)
        case _:
            return kind(schema) == "string" and logical(schema) != "uuid"


def has_width(schema: Schema, types: Mapping[str, Any]) -> bool:
    """Return whether a value of this type takes at least one byte."""
    match types.get(schema, schema) if isinstance(schema, str) else schema:
        case "null" | {"type": "null"} | {"type": "fixed", "size": 0}:
            return False
        case {"type": "record", "fields": fields}:
            return any(has_width(field["type"], types) for field in fields)
        case _:
            return True


def _records(schema: Schema) -> Iterator[Node]:
    """Yield the records that a field of this type holds directly, also in a list or beside null."""
    match schema:
        case list():
            for branch in schema:
                yield from _records(branch)
        case {"type": "array", "items": items}:
            yield from _records(items)
        case {"type": "record"}:
            yield schema
        case _:
            pass
