"""The unframed Avro body of the sealed view, to fields and back, byte for byte.

Strict where Avro is lenient: one value has one encoding and nothing stands behind it.
Foreign bytes are either taken or `Malformed`, whatever the Avro library does with them.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import pairwise
from typing import Any

from fastavro import schemaless_reader, schemaless_writer

from domain.errors import Malformed
from schemas.canonical import End

MAX_BODY = 1 << 20
"""Bytes of a body."""
MAX_ROUTING = 64 << 10
"""Bytes of its ROUTING fields; all that is decoded of a body before anybody checks it."""
DIGEST = 32
MIN_SEALED = 36
"""Header, nonce and tag of the shortest sealed value; a digest can never be one."""
SEALED_MAGIC = 0xE1

_AVRO_FAILS = (ArithmeticError, AttributeError, EOFError, LookupError, TypeError, ValueError)
"""What fastavro raises on damaged bytes, and some more of its kind."""
_SEALED, _WITHHELD = 0, 2
"""Union branches 0 and 1 in zigzag."""

Coders = Sequence[tuple[str, Any]]
"""Path of each field and the Avro schema of a record of it alone."""


def read(data: bytes, record: Any) -> dict[str, Any]:
    """Return the fields of `record` in `data`, which `split` has accepted before."""
    try:
        return _read(BytesIO(data), record)
    except _AVRO_FAILS as e:
        raise _not_avro() from e


def write(coders: Coders, values: Mapping[str, Any]) -> list[bytes]:
    """Return the Avro bytes of each field of `coders`."""
    out, ends = BytesIO(), [0]
    for _, coder in coders:
        schemaless_writer(out, coder, values)
        ends.append(out.tell())
    return _slices(out.getvalue(), ends)


def split(body: bytes, record: Any, ends: Sequence[End]) -> tuple[dict[str, Any], list[bytes], int]:
    """Return values and bytes of the fields at the start of `body`, and where they end.

    `record` is the schema of them all; `ends` finds field by field where each one ends.
    """
    cuts, source = [0], BytesIO(body)
    try:
        for end in ends:
            cuts.append(end(body, cuts[-1]))
        values = _read(source, record)
    except _AVRO_FAILS as e:
        raise _not_avro() from e
    if source.tell() != cuts[-1]:
        raise _not_avro()
    return values, _slices(body, cuts), cuts[-1]


def read_sealed(body: bytes, at: int) -> tuple[bytes, bool, int]:
    """Return the sealed value or digest at `at`, whether it is withheld, and where it ends."""
    branch = body[at] if at < len(body) else None
    if branch == _SEALED:
        size, start = _length(body, at + 1)
    elif branch == _WITHHELD:
        size, start = DIGEST, at + 1
    else:
        raise Malformed("BAD_SEALED", "a sealed field is neither sealed nor withheld")
    end, withheld = start + size, branch == _WITHHELD
    if end > len(body):
        raise Malformed("BAD_SEALED", "the body ends inside a sealed field")
    value = body[start:end]
    check_sealed(value, withheld=withheld)
    return value, withheld, end


def write_sealed(value: bytes, *, withheld: bool) -> bytes:
    """Return the Avro bytes of a sealed field."""
    check_sealed(value, withheld=withheld)
    return b"\x02" + value if withheld else b"\x00" + _varint(2 * len(value)) + value


def check_sealed(value: bytes, *, withheld: bool) -> None:
    """Refuse what is neither a digest nor the form of a sealed value."""
    if withheld and len(value) != DIGEST:
        raise Malformed("BAD_SEALED", f"a withheld field is a digest of {DIGEST} bytes")
    if not withheld and (len(value) < MIN_SEALED or value[0] != SEALED_MAGIC):
        raise Malformed("BAD_SEALED", f"a sealed field is {MIN_SEALED} bytes or more, from 0xE1")


def _length(body: bytes, at: int) -> tuple[int, int]:
    """Return the length in minimal zigzag varint at `at`, and where it ends."""
    zigzag = shift = 0
    for end in range(at, min(at + 4, len(body))):
        byte = body[end]
        zigzag |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            if zigzag & 1 or (byte == 0 and end > at):
                break
            return zigzag >> 1, end + 1
    raise Malformed("BAD_SEALED", "the length of a sealed field is not a minimal positive varint")


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read(source: BytesIO, record: Any) -> dict[str, Any]:
    return schemaless_reader(source, record, None)  # type: ignore[return-value] # of a record


def _slices(data: bytes, ends: list[int]) -> list[bytes]:
    return [data[start:end] for start, end in pairwise(ends)]


def _not_avro() -> Malformed:
    return Malformed("NOT_AVRO", "the bytes are not Avro of the event's schema")
