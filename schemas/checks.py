"""Limits on values that Avro's types do not state: lengths, ranges, formats.

A check is compiled once per field and refuses with `Malformed`; its message names the path
and the limit, never the value.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from domain.errors import Malformed
from schemas.catalogue import Schema, kind, logical

Check = Callable[[Any], None]

INT: Final = range(-(1 << 31), 1 << 31)
LONG: Final = range(-(1 << 63), 1 << 63)
INSTANTS: Final = range(-62_135_596_800_000, 253_402_300_800_000)
"""Milliseconds of the years 1 to 9999, which ISO 8601 can write."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters, line separators and what reverses the direction of text."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a field may hold."""

    text: int
    """Bytes of one string or bytes value."""
    items: int
    """Items of one array."""
    control: bool
    """Whether strings may hold control characters."""


ROUTING_LIMITS = Limits(text=4 << 10, items=256, control=False)
SEALED_LIMITS = Limits(text=256 << 10, items=64 << 10, control=True)


def check(schema: Schema, path: str, limits: Limits) -> Check | None:
    """Return the check of a self-contained `schema`; None when there is nothing to check."""
    match kind(schema):
        case "string" if logical(schema) == "uuid":
            return _uuid(path)
        case "string":
            return _text(path, limits)
        case "bytes":
            return _bytes(path, limits)
        case "int":
            return _within(path, INT, "INTEGER_RANGE")
        case "long" if logical(schema) == "timestamp-millis":
            return _within(path, INSTANTS, "TIME_RANGE")
        case "long":
            return _within(path, LONG, "INTEGER_RANGE")
        case "union":
            return _unless_null(check(schema[1], path, limits))
        case "array":
            return _items(path, limits, check(schema["items"], f"{path}[]", limits))
        case "record":
            return _parts(schema, path, limits)
        case _:
            return None


def _uuid(path: str) -> Check:
    def run(value: Any) -> None:
        if _UUID.fullmatch(value) is None:
            raise Malformed("NOT_A_UUID", f"{path} must be a UUID in lower case (RFC 9562)")

    return run


def _text(path: str, limits: Limits) -> Check:
    most, control = limits.text, limits.control

    def run(value: Any) -> None:
        if len(value) <= most and value.isascii() and (control or value.isprintable()):
            return
        if _utf8_size(value, path) > most:
            raise Malformed("TEXT_TOO_LONG", f"{path} may hold {most} bytes")
        if not control and _CONTROL.search(value) is not None:
            raise Malformed("CONTROL_CHARACTER", f"{path} may hold no control characters")

    return run


def _utf8_size(value: str, path: str) -> int:
    try:
        return len(value.encode())
    except UnicodeEncodeError as e:
        raise Malformed("FIELD_TYPE", f"{path} must be valid Unicode") from e


def _bytes(path: str, limits: Limits) -> Check:
    def run(value: Any) -> None:
        if len(value) > limits.text:
            raise Malformed("TEXT_TOO_LONG", f"{path} may hold {limits.text} bytes")

    return run


def _within(path: str, allowed: range, code: str) -> Check:
    def run(value: Any) -> None:
        if value not in allowed:
            raise Malformed(code, f"{path} must be from {allowed.start} to {allowed.stop - 1}")

    return run


def _unless_null(inner: Check | None) -> Check | None:
    if inner is None:
        return None

    def run(value: Any) -> None:
        if value is not None:
            inner(value)

    return run


def _items(path: str, limits: Limits, each: Check | None) -> Check:
    def run(value: Any) -> None:
        if len(value) > limits.items:
            raise Malformed("TOO_MANY_ITEMS", f"{path} may hold {limits.items} items")
        if each is not None:
            for item in value:
                each(item)

    return run


def _parts(schema: dict[str, Any], path: str, limits: Limits) -> Check:
    named = [(f["name"], check(f["type"], f"{path}.{f['name']}", limits)) for f in schema["fields"]]
    parts = [(name, part) for name, part in named if part is not None]

    def run(value: Any) -> None:
        for name, part in parts:
            part(value[name])

    return run
