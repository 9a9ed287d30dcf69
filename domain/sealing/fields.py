"""A sealed field: header, nonce, encrypted padded Avro bytes; and what it is bound to.

Foreign bytes that are not what they claim are `Malformed`; nothing else escapes.
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from domain.errors import Malformed
from domain.sealing.encoding import exactly, lp, uint, uuid_bytes
from domain.vocabulary import Category

NONCE_SIZE = 12
TAG_SIZE = 16

_MAGIC = 0xE1
_HEADER = struct.Struct(">BBBBI")
HEADER_SIZE = _HEADER.size
BODY_AT = HEADER_SIZE + NONCE_SIZE
_PAGE = 4096
_FLOORS = {
    Category.IDENTITY: 64,
    Category.CONTACT: 128,
    Category.FAMILY: 128,
    Category.HEALTH: 256,
    Category.EXPLOITATION: 1024,
    Category.LEGAL: 128,
    Category.PROTECTION: 256,
    Category.CASEWORK: 256,
    Category.STATISTICS: 128,
}
"""The smallest padded size of each category, in bytes; a power of two."""


class Suite(IntEnum):
    """How a field is encrypted; the number stands in its header."""

    AES_256_GCM_SIV = 1
    AES_256_GCM = 2


_SUITES = {int(s): s for s in Suite}
_CATEGORIES = {int(c): c for c in _FLOORS}


class Header(NamedTuple):
    """What a sealed field says of itself in clear."""

    suite: Suite
    category: Category
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Where a field stands: the writer's own words, which no view or upcast may change."""

    hub: str
    writer: str
    type: str
    """Avro full name of the event."""
    version: int
    seal_fp: bytes
    case_id: str
    event_id: str
    _prefix: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        prefix = (
            b"nrm-fle/1\x00"
            + lp(self.hub)
            + lp(self.writer)
            + lp(self.type)
            + uint(self.version, 4)
            + exactly(32, self.seal_fp)
            + uuid_bytes(self.case_id)
            + uuid_bytes(self.event_id)
        )
        object.__setattr__(self, "_prefix", prefix)

    def aad(self, header: bytes, path: str) -> bytes:
        """Return the associated data of the field at `path` under its 8-byte header."""
        return self._prefix + header + path.encode()


def header(category: Category, epoch: int, suite: Suite = Suite.AES_256_GCM_SIV) -> bytes:
    """Return the 8 bytes before a sealed field's nonce; epochs run from 1 to 2**32 - 1."""
    if category not in _FLOORS or not 0 < epoch < 1 << 32:
        raise Malformed("BAD_HEADER", f"category {category:d}, epoch {epoch} cannot be sealed")
    return _HEADER.pack(_MAGIC, suite, category, 0, epoch)


def parse_header(sealed: bytes) -> Header:
    """Return the header of a whole sealed field, or raise `Malformed` BAD_HEADER.

    A size that padding cannot have made is refused too, so that no writer leaks lengths.
    """
    size = len(sealed) - BODY_AT - TAG_SIZE
    if size <= 0:
        raise Malformed("BAD_HEADER", f"{len(sealed)} bytes are no sealed field")
    magic, number, category, flags, epoch = _HEADER.unpack_from(sealed)
    suite, known = _SUITES.get(number), _CATEGORIES.get(category)
    if magic != _MAGIC or suite is None or known is None or flags or not epoch:
        # Not the bytes themselves: they may be clear data that somebody forgot to seal.
        raise Malformed("BAD_HEADER", "the first 8 bytes are no header of a sealed field")
    if bucket(size, known) != size:
        raise Malformed("BAD_HEADER", f"{size} bytes are no padded size of {known.name}")
    return Header(suite, known, epoch)


def bucket(size: int, category: Category) -> int:
    """Return the padded size, in bytes, that hides a content of `size` bytes."""
    floor = _FLOORS[category]
    if size <= floor:
        return floor
    return 1 << (size - 1).bit_length() if size <= _PAGE else -(-size // _PAGE) * _PAGE


def pad(clear: bytes, category: Category) -> bytes:
    """Return `clear`, 0x80 and zeros up to the bucket."""
    return (clear + b"\x80").ljust(bucket(len(clear) + 1, category), b"\x00")


def unpad(padded: bytes) -> bytes:
    """Return what `pad` was given, or raise `Malformed` BAD_PADDING."""
    marked = padded.rstrip(b"\x00")
    if not marked.endswith(b"\x80"):
        raise Malformed("BAD_PADDING", "the padding has no 0x80")
    return marked[:-1]
