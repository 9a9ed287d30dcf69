"""The leaves of the log: entries and the EPOCH that ends every checkpoint (docs/formats.md).

An entry is what an actor signed and what the log adds: its place in the stream, when it was
recorded, and why it was refused if it was. All integers big-endian. Limit of a leaf: 65,535
bytes (C2SP tlog-tiles).
"""

import re
import struct
from typing import NamedTuple, Self

from domain.errors import Malformed
from domain.trail import statement as st
from domain.trail.statement import VERSION, ZEROS, Kind, Statement

_PLACE = struct.Struct(">Q32sQBH")
"""stream_seq, stream_prev, recorded_ms, alg, sig_len."""
_EPOCH = struct.Struct(">BBHQQ32sQ")
_CODE_AT = st.SIZE + _PLACE.size
_CODE = re.compile(r"[A-Z0-9_]{0,255}", re.ASCII)
_SIGNED_KINDS = frozenset(Kind) - {Kind.EPOCH}

ED25519 = 1
SIGNATURE_SIZES = {ED25519: 64}
"""alg -> bytes of a signature."""
EPOCH_SIZE = _EPOCH.size
"""60 bytes."""


class Entry(NamedTuple):
    """One signed statement in its place in the log."""

    statement: bytes
    """The 286 bytes as signed."""
    stream_seq: int
    """0, 1, 2... per stream, without gaps; refused entries count."""
    stream_prev: bytes
    """Leaf hash of the stream's previous entry; zeros for the first."""
    recorded_ms: int
    signature: bytes
    code: str = ""
    """Reason code of the refusal; empty if it was accepted."""
    alg: int = ED25519

    @property
    def said(self) -> Statement:
        """What was signed."""
        return Statement.decode(self.statement)

    def encode(self) -> bytes:
        """Return the leaf's bytes, 402 with Ed25519 and no code; `Malformed` ENTRY if none."""
        _check_statement(self.statement)
        _check_signature(self.alg, len(self.signature))
        if len(self.stream_prev) != len(ZEROS):
            raise _wrong(f"stream_prev is {len(ZEROS)} bytes")
        if not _CODE.fullmatch(self.code):
            raise _wrong("a reason code is at most 255 of A to Z, 0 to 9 and _")
        place = _PLACE.pack(
            self.stream_seq, self.stream_prev, self.recorded_ms, self.alg, len(self.signature)
        )
        code = self.code.encode("ascii")
        return b"".join((self.statement, place, self.signature, bytes((len(code),)), code))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the entry in `data`; `Malformed` ENTRY says what is wrong."""
        if len(data) <= _CODE_AT:
            raise _wrong(f"it ends after {len(data)} bytes")
        statement = data[: st.SIZE]
        _check_statement(statement)
        seq, prev, recorded_ms, alg, size = _PLACE.unpack_from(data, st.SIZE)
        _check_signature(alg, size)
        signed = _CODE_AT + size
        if len(data) <= signed or len(data) != signed + 1 + data[signed]:
            raise _wrong("its size is not that of its parts")
        code = data[signed + 1 :].decode("ascii", "replace") if data[signed] else ""
        if code and not _CODE.fullmatch(code):
            raise _wrong("a reason code is at most 255 of A to Z, 0 to 9 and _")
        return cls(statement, seq, prev, recorded_ms, data[_CODE_AT:signed], code, alg)


class Epoch(NamedTuple):
    """The last leaf of every published checkpoint: the map of heads over the leaves before it."""

    covered: int
    """How many leaves the map is over; its own index."""
    map_keys: int
    map_root: bytes
    recorded_ms: int
    """The newest `recorded_ms` before it; 0 if there is none."""

    def encode(self) -> bytes:
        """Return the 60 bytes; `Malformed` ENTRY when the root is none."""
        if len(self.map_root) != len(ZEROS):
            raise _wrong(f"map_root is {len(ZEROS)} bytes")
        return _EPOCH.pack(VERSION, Kind.EPOCH, 0, *self)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the EPOCH in `data`; `Malformed` ENTRY says what is wrong."""
        if len(data) != EPOCH_SIZE:
            raise _wrong(f"an EPOCH is {EPOCH_SIZE} bytes, not {len(data)}")
        version, kind, zero, *said = _EPOCH.unpack(data)
        if (version, kind, zero) != (VERSION, Kind.EPOCH, 0):
            raise _wrong("an EPOCH begins with 01 07 00 00")
        return cls._make(said)


def read(data: bytes) -> Entry | Epoch:
    """Return the leaf in `data`, of either layout; `Malformed` ENTRY says what is wrong."""
    return Epoch.decode(data) if data[1:2] == _EPOCH_KIND else Entry.decode(data)


_EPOCH_KIND = bytes((Kind.EPOCH,))


def _check_statement(data: bytes) -> None:
    if len(data) != st.SIZE:
        raise _wrong(f"a statement is {st.SIZE} bytes, not {len(data)}")
    if data[0] != VERSION:
        raise _wrong(f"version {data[0]} is unknown")
    if data[1] not in _SIGNED_KINDS:
        raise _wrong(f"kind {data[1]} is none of an entry")


def _check_signature(alg: int, size: int) -> None:
    if alg not in SIGNATURE_SIZES:
        raise _wrong(f"signature algorithm {alg} is unknown")
    if size != SIGNATURE_SIZES[alg]:
        raise _wrong(f"a signature of algorithm {alg} is {SIGNATURE_SIZES[alg]} bytes, not {size}")


def _wrong(what: str) -> Malformed:
    return Malformed("ENTRY", what)
