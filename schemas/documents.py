"""Values as JSON documents write them, to plain Avro values and back.

Bytes are base64, instants ISO 8601 with an offset (or milliseconds when read), null may be
left out. Strict: what is missing, unknown or of another type is `Malformed`, by path alone.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.errors import Malformed
from schemas.catalogue import Schema, kind, logical

Parse = Callable[[Any], Any]
Render = Callable[[Any], Any]

MAX_DOCUMENT = 1 << 20
"""Characters and values that a document may hold."""
MAX_DEPTH = 8
"""Levels of objects and lists in a document."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_PYTHON = {"boolean": bool, "int": int, "long": int, "string": str}
_WORDS = {"boolean": "true or false", "int": "an integer", "long": "an integer", "string": "text"}


def bounded(document: Mapping[str, Any], depth: int = MAX_DEPTH) -> None:
    """Refuse a document that is too deep (TOO_DEEP) or too large (TOO_LARGE) to look at."""
    weight = 0
    level: list[Any] = [document]
    for _ in range(depth):
        deeper: list[Any] = []
        for node in level:
            values = node.values() if isinstance(node, Mapping) else node
            weight += len(values)
            for value in values:
                if isinstance(value, str):
                    weight += len(value)
                elif isinstance(value, dict | list):
                    deeper.append(value)
            if weight > MAX_DOCUMENT:
                raise Malformed("TOO_LARGE", f"a document may hold {MAX_DOCUMENT} characters")
        if not deeper:
            return
        level = deeper
    raise Malformed("TOO_DEEP", f"a document may be {depth} levels deep")


def parse(schema: Schema, path: str, codes: str = "") -> Parse:
    """Return the function from a JSON value to the plain value of a self-contained `schema`."""
    match kind(schema):
        case "bytes":
            return _parse_bytes(path, None)
        case "fixed":
            return _parse_bytes(path, schema["size"])
        case "long" if logical(schema) == "timestamp-millis":
            return _parse_instant(path)
        case "union":
            return _or_null(parse(schema[1], path, codes))
        case "array":
            return _parse_items(path, parse(schema["items"], f"{path}[]", codes))
        case "record":
            return _parse_record(schema, path)
        case "string" if codes.startswith("htcds:"):
            return _parse_htcds(path)
        case simple:
            return _parse_simple(path, simple)


def members(fields: Iterable[Mapping[str, Any]], path: str) -> Parse:
    """Return the function from a JSON object to the plain value of each of `fields`."""
    at = f"{path}." if path else ""
    parts = [
        (f["name"], kind(f["type"]) == "union", parse(f["type"], at + f["name"], _codes(f)))
        for f in fields
    ]
    names = frozenset(name for name, _, _ in parts)

    def run(value: Any) -> dict[str, Any]:
        if not value.keys() <= names:
            where = path or "the document"
            raise Malformed("FIELD_UNKNOWN", f"{where} holds a field that its schema does not name")
        plain = {}
        for name, nullable, part in parts:
            if name in value:
                plain[name] = part(value[name])
            elif nullable:
                plain[name] = None
            else:
                raise Malformed("FIELD_MISSING", f"{at}{name} is missing")
        return plain

    return run


def render(schema: Schema) -> Render | None:
    """Return the function from a plain value to its JSON value; None when they are the same."""
    match kind(schema):
        case "bytes" | "fixed":
            return lambda value: b64encode(value).decode()
        case "long" if logical(schema) == "timestamp-millis":
            return _instant
        case "union":
            inner = render(schema[1])
            return inner and (lambda value: None if value is None else inner(value))
        case "array":
            item = render(schema["items"])
            return item and (lambda value: [item(v) for v in value])
        case "record":
            return _render_record(schema)
        case _:
            return None


def _codes(field: Mapping[str, Any]) -> str:
    return str(field.get("nrm.codes", ""))


def _refuse(path: str, what: str) -> Malformed:
    return Malformed("FIELD_TYPE", f"{path} must be {what}")


def _parse_simple(path: str, name: str) -> Parse:
    wanted, words = _PYTHON[name], _WORDS[name]

    def run(value: Any) -> Any:
        if type(value) is not wanted:
            raise _refuse(path, words)
        return value

    return run


def _parse_htcds(path: str) -> Parse:
    """HTCDS 2.0 publishes `DebtBondage ` with a space behind it; we take it and never emit it."""
    text = _parse_simple(path, "string")
    return lambda value: text(value).strip(" ")


def _parse_bytes(path: str, size: int | None) -> Parse:
    words = "bytes in base64" if size is None else f"{size} bytes in base64"

    def run(value: Any) -> bytes:
        if type(value) is not str:
            raise _refuse(path, words)
        try:
            data = b64decode(value, validate=True)
        except ValueError as e:
            raise _refuse(path, words) from e
        if size is not None and len(data) != size:
            raise _refuse(path, words)
        return data

    return run


def _parse_instant(path: str) -> Parse:
    """A time without an offset is refused: it would mean another instant in each place."""
    words = "ISO 8601 with an offset, or integer milliseconds"

    def run(value: Any) -> int:
        if type(value) is int:
            return value
        if type(value) is not str:
            raise _refuse(path, words)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as e:
            raise _refuse(path, words) from e
        if moment.tzinfo is None:
            raise _refuse(path, words)
        return (moment - _EPOCH) // _MILLISECOND

    return run


def _instant(value: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=value)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _or_null(inner: Parse) -> Parse:
    return lambda value: None if value is None else inner(value)


def _parse_items(path: str, item: Parse) -> Parse:
    def run(value: Any) -> list[Any]:
        if type(value) is not list:
            raise _refuse(path, "a list")
        return [item(v) for v in value]

    return run


def _parse_record(schema: Mapping[str, Any], path: str) -> Parse:
    parts = members(schema["fields"], path)

    def run(value: Any) -> Any:
        if type(value) is not dict:
            raise _refuse(path, "an object")
        return parts(value)

    return run


def _render_record(schema: Mapping[str, Any]) -> Render:
    parts = [(f["name"], render(f["type"])) for f in schema["fields"]]

    def run(value: Any) -> dict[str, Any]:
        return {name: part(value[name]) if part else value[name] for name, part in parts}

    return run
