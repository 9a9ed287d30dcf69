"""An archive with one encoding: a ZIP whose equal content gives equal bytes (docs/formats.md).

Members are stored as they are, in the order of their names, dated 1980-01-01, and nothing else
is in it. So any tool unpacks it, and a reader that packs again what it has read finds out
whatever a ZIP can hide: comments, extra fields, second members of a name, bytes in between.
"""

import re
import struct
from binascii import crc32
from collections.abc import Mapping

from domain.errors import Malformed

MAX_SIZE = 256 << 20
"""Bytes of an archive."""
MAX_MEMBERS = 60_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,79}){0,3}")
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_STORED, _VERSION, _UNIX = 0, 20, 3
_DATE = 1 << 5 | 1
"""1980-01-01."""
_MODE = 0o100644 << 16


def encode(members: Mapping[str, bytes]) -> bytes:
    """Return the archive of `members` by name; `Malformed` ARCHIVE above its limits."""
    if len(members) > MAX_MEMBERS or sum(map(len, members.values())) > MAX_SIZE:
        raise _malformed(f"it has at most {MAX_MEMBERS} members and {MAX_SIZE} bytes")
    parts, directory, at = [], [], 0
    for name, data in sorted(members.items()):
        if not _NAME.fullmatch(name):
            raise _malformed("a member's name is no plain path")
        path, size = name.encode("ascii"), len(data)
        about = (_STORED, 0, _DATE, crc32(data), size, size, len(path), 0)
        local = _LOCAL.pack(b"PK\x03\x04", _VERSION, 0, *about) + path
        made_by = _UNIX << 8 | _VERSION
        central = _CENTRAL.pack(b"PK\x01\x02", made_by, _VERSION, 0, *about, 0, 0, 0, _MODE, at)
        parts += [local, data]
        directory.append(central + path)
        at += len(local) + size
    whole = b"".join(directory)
    count = len(directory)
    end = _END.pack(b"PK\x05\x06", 0, 0, count, count, len(whole), at, 0)
    return b"".join((*parts, whole, end))


def decode(data: bytes) -> dict[str, bytes]:
    """Return the members by name; `Malformed` ARCHIVE unless `encode` gives `data` again."""
    if len(data) > MAX_SIZE:
        raise _malformed(f"it is larger than {MAX_SIZE} bytes")
    members: dict[str, bytes] = {}
    at = 0
    while data[at : at + 4] == b"PK\x03\x04" and len(members) <= MAX_MEMBERS:
        start = at + _LOCAL.size
        if len(data) < start:
            raise _malformed("it is cut off")
        method, size, length = (_LOCAL.unpack_from(data, at)[i] for i in (3, 8, 9))
        if method != _STORED:
            raise _malformed("a member is compressed; evidence is stored as it is")
        at = start + length + size
        name = data[start : start + length].decode("ascii", "replace")
        if name in members:
            raise _malformed("a member stands in it twice")
        members[name] = data[start + length : at]
    if encode(members) != data:
        raise _malformed("it is not as `audit bundle` writes one; something was added or changed")
    return members


def _malformed(why: str) -> Malformed:
    return Malformed("ARCHIVE", f"this is no archive of evidence: {why}")
