"""The statement: the fixed 286 bytes that an agency signs for one action.

No personal data: who acted in which stream, after what, over which field digests.
Layout (docs/formats.md): reference audit 3.1 without the two stream fields, `after` in their place.
All integers big-endian.
"""

import hashlib
import struct
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple, Self
from uuid import UUID

from domain.errors import Malformed

_LAYOUT = struct.Struct(">BBH32s32s32sQ32sQ32sH32s32sQ32s")
SIZE = _LAYOUT.size
"""286 bytes."""
VERSION = 1
ZEROS = bytes(32)
_DIGESTS = (
    "stream",
    "after",
    "actor",
    "actor_prev",
    "schema",
    "fields",
    "payload",
    "seen_root",
)
CONTEXT = b"nrm-trail/v1/action\n"
"""Put before the statement when it is signed."""


class Kind(IntEnum):
    """What kind of entry it is in the trail; 4, 5 and 8 were never written."""

    ACTION = 1
    DISCLOSURE = 2
    RECEIPT = 3
    AUDIT = 6
    EPOCH = 7
    """Signed by nobody but the checkpoint; it has a layout of its own."""


class Statement(NamedTuple):
    """One action as signed; its parts in the order of its bytes."""

    kind: int
    type: int
    """Number of the event type in the schema registry; 0 when it is not shown."""
    stream: bytes
    """`stream_tag` of the case."""
    after: bytes
    """Digest of the newest statement of this case that the actor has seen; zeros if none."""
    actor: bytes
    """`actor_id` of the signing key."""
    actor_seq: int
    """0, 1, 2... per actor, without gaps."""
    actor_prev: bytes
    """Digest of this actor's previous statement; zeros for the first."""
    actor_time_ms: int
    schema: bytes
    """The 32-byte seal fingerprint of the event's schema."""
    field_count: int
    fields: bytes
    """RFC 6962 root over the field digests."""
    payload: bytes
    """SHA-256 of the unframed Avro body with every field sealed."""
    seen_size: int
    """Size of the newest checkpoint that the actor verified; 0 at the start."""
    seen_root: bytes

    def encode(self) -> bytes:
        """Return the 286 bytes; `Malformed` STATEMENT_SIZE when a digest in it is none."""
        for name in _DIGESTS:
            if len(getattr(self, name)) != len(ZEROS):
                raise Malformed("STATEMENT_SIZE", f"{name} is {len(ZEROS)} bytes")
        return _LAYOUT.pack(VERSION, *self)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the statement in `data`, or raise `Malformed`."""
        if len(data) != SIZE:
            raise Malformed("STATEMENT_SIZE", f"a statement is {SIZE} bytes, not {len(data)}")
        parts = _LAYOUT.unpack(data)
        if parts[0] != VERSION:
            raise Malformed("STATEMENT_VERSION", f"statement version {parts[0]} is unknown")
        return cls._make(parts[1:])


def digest(statement: bytes) -> bytes:
    """Return the 32-byte digest by which statements name each other."""
    return hashlib.sha256(statement).digest()


def signed_bytes(statement: bytes) -> bytes:
    """Return what the Ed25519 signature is over."""
    return CONTEXT + statement


@lru_cache(maxsize=4096)  # a case is acted in, and shown, many times running
def stream_tag(case_id: str) -> bytes:
    """Return the 32-byte tag of a case's stream; case ids are random, so it needs no salt."""
    return hashlib.sha256(b"nrm-trail/v1/stream\n" + UUID(case_id).bytes).digest()


@lru_cache(maxsize=4096)
def disclosure_stream(case_id: str) -> bytes:
    """Return the 32-byte tag of what was disclosed, received and asked about a case.

    A stream of its own, so that the hub's records never race with an agency's action.
    """
    return hashlib.sha256(b"nrm-trail/v1/disclosures\n" + UUID(case_id).bytes).digest()


def actor_id(signing_key: bytes) -> bytes:
    """Return the 32-byte id of an actor: H(context || 0x01 (Ed25519) || public key)."""
    return hashlib.sha256(b"nrm-trail/v1/actor\n\x01" + signing_key).digest()


def reader_id(signing_key: bytes) -> bytes:
    """Return the 32-byte id under which the same key confirms what it read.

    A chain of its own, so that reading never races with writing.
    """
    return hashlib.sha256(b"nrm-trail/v1/reader\n\x01" + signing_key).digest()
