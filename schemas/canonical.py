"""Where a value ends in Avro bytes, if it is written in the one canonical way.

Compiled once per field. Avro lets a number have idle bytes and a list come in blocks; here the
bytes of a value are the ones that every Avro library writes, or they are `Malformed`.
"""

from collections.abc import Callable, Sequence

from domain.errors import Malformed
from schemas.catalogue import Schema, full_name, kind

End = Callable[[bytes, int], int]
"""(bytes, where a value begins) -> where it ends; `IndexError` when the bytes end before it."""

_LONGEST = 10
"""Bytes of a number of 64 bits."""


def end(schema: Schema) -> End:
    """Return what finds the end of a value of `schema`, a type of the published schemas."""
    return _end(schema, {})


def _end(schema: Schema, named: dict[str, End]) -> End:
    match kind(schema):
        case "boolean":
            return _boolean
        case "int" | "long":
            return _number
        case "string" | "bytes":
            return _sized
        case "union":
            return _optional(_end(schema[1], named))
        case "array":
            return _items(_end(schema["items"], named))
        case "fixed":
            found = _fixed(schema["size"])
        case "record":
            found = _record([_end(f["type"], named) for f in schema["fields"]])
        case name:
            return named[name]
    named[full_name(schema)] = found
    return found


def _boolean(body: bytes, at: int) -> int:
    if body[at] > 1:
        raise _not_canonical()
    return at + 1


def _number(body: bytes, at: int) -> int:
    last = at
    while body[last] > 0x7F:
        last += 1
    if last > at:
        idle = body[last] == 0
        too_large = last - at >= _LONGEST or (last - at == _LONGEST - 1 and body[last] > 1)
        if idle or too_large:
            raise _not_canonical()
    return last + 1


def _sized(body: bytes, at: int) -> int:
    size = body[at]
    if size > 0x7F:
        size, at = _zigzag(body, at)
        at -= 1
    if size & 1:
        raise Malformed("NOT_AVRO", "a length is negative")
    return at + 1 + (size >> 1)


def _zigzag(body: bytes, at: int) -> tuple[int, int]:
    """Return the number at `at` as it is written, with its sign in the lowest bit, and its end."""
    after = _number(body, at)
    number = 0
    for byte in reversed(body[at:after]):
        number = number << 7 | byte & 0x7F
    return number, after


def _fixed(size: int) -> End:
    return lambda _, at: at + size


def _optional(inner: End) -> End:
    def run(body: bytes, at: int) -> int:
        branch = body[at]
        if branch == 0:
            return at + 1
        if branch != 2:
            raise Malformed("NOT_AVRO", "a union of two has no such branch")
        return inner(body, at + 1)

    return run


def _items(item: End) -> End:
    def run(body: bytes, at: int) -> int:
        count, at = _zigzag(body, at)
        if count == 0:
            return at
        if count & 1:
            raise _not_canonical()
        if count >> 1 > len(body) - at:
            raise Malformed("NOT_AVRO", "a list has more items than there are bytes")
        for _ in range(count >> 1):
            at = item(body, at)
        if body[at] != 0:
            raise _not_canonical()
        return at + 1

    return run


def _record(parts: Sequence[End]) -> End:
    def run(body: bytes, at: int) -> int:
        for part in parts:
            at = part(body, at)
        return at

    return run


def _not_canonical() -> Malformed:
    return Malformed("NOT_CANONICAL", "a field is not written in the one canonical way")
