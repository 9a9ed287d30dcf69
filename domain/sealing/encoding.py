"""The few building blocks of the sealing formats: lp(x) = u16 length then x, ids, integers."""

from uuid import UUID

from domain.errors import Malformed


def utf8(text: str) -> bytes:
    """Return the UTF-8 bytes of `text`."""
    try:
        return text.encode()
    except UnicodeEncodeError as e:
        raise Malformed("BAD_TEXT", "a name has no UTF-8 form") from e


def lp(text: str) -> bytes:
    """Return u16 length, then the UTF-8 bytes of `text`."""
    return lp_bytes(utf8(text))


def lp_bytes(data: bytes) -> bytes:
    """Return u16 length, then `data`."""
    return uint(len(data), 2) + data


def lp_split(data: bytes) -> list[bytes]:
    """Return the parts of a row of lp values; a cut last part comes back short."""
    parts, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        parts.append(data[at + 2 : end])
        at = end
    return parts


def uuid_bytes(text: str) -> bytes:
    """Return the 16 bytes of a UUID."""
    try:
        return UUID(text).bytes
    except ValueError as e:
        raise Malformed("BAD_ID", "an id is a UUID") from e


def uint(value: int, size: int) -> bytes:
    """Return `value` as `size` unsigned bytes."""
    try:
        return value.to_bytes(size, "big")
    except OverflowError as e:
        raise Malformed("OUT_OF_RANGE", f"{value} does not fit {size} unsigned bytes") from e


def exactly(size: int, data: bytes) -> bytes:
    """Return `data` when it is `size` bytes long."""
    if len(data) != size:
        raise Malformed("WRONG_SIZE", f"{len(data)} bytes where {size} are due")
    return data
