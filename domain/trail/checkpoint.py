"""Checkpoints (C2SP tlog-checkpoint) and what is signed over them (C2SP tlog-cosignature).

The log signs the text; a cosigner signs that, at a time, this was the largest tree it had seen.
"""

import re
import struct
from typing import NamedTuple, Self

from domain.errors import Malformed
from domain.trail.merkle import EMPTY_ROOT
from domain.trail.notes import (
    Algorithm,
    NoteSigning,
    NoteVerifying,
    Signature,
    VerifierKey,
    from_base64,
    to_base64,
)

MAX_NUMBER = (1 << 63) - 1
"""The largest size, index and time: what every implementation can hold."""
_DECIMAL = re.compile("0|[1-9][0-9]{0,18}")
_TIME = struct.Struct(">Q")
_SUBTREE = b"subtree/v1\n\0"
_MAX_NAME = 255


class Checkpoint(NamedTuple):
    """The head of a log at one size."""

    origin: str
    size: int
    """Number of entries."""
    root: bytes
    """32-byte RFC 6962 root over them."""

    @property
    def text(self) -> str:
        """The note text: three lines."""
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the checkpoint of a note text, or raise `Malformed` CHECKPOINT.

        Extension lines are refused: monitors cannot audit them and ML-DSA does not cover them.
        """
        origin, *rest = text.split("\n")
        if not origin or len(rest) != 3 or rest[2]:
            raise _malformed("it is three lines: origin, size, root")
        try:
            size, root = from_decimal(rest[0]), from_base64(rest[1])
        except ValueError:
            raise _malformed("its size is not decimal or its root is not base64") from None
        if len(root) != len(EMPTY_ROOT) or (size == 0 and root != EMPTY_ROOT):
            raise _malformed("its root cannot be that of a tree of this size")
        return cls(origin, size, root)


def sign(checkpoint: Checkpoint, signer: NoteSigning, time_s: int) -> Signature:
    """Return the signature line of `signer`; `time_s` (seconds since 1970) is a cosigner's."""
    key = signer.key
    value = signer.sign(_message(checkpoint, key, time_s))
    if key.algorithm is not Algorithm.ED25519:
        value = _TIME.pack(time_s) + value
    return Signature(key.name, key.id, value)


def signed_at(
    checkpoint: Checkpoint, key: VerifierKey, signature: Signature, verifying: NoteVerifying
) -> int | None:
    """Return when `key` cosigned, in seconds since 1970, or None if the signature does not hold.

    An Ed25519 signature without a time, and an ML-DSA one that claims none, give 0.
    """
    time_s, value = 0, signature.value
    if key.algorithm is not Algorithm.ED25519:
        if len(value) < _TIME.size:
            return None
        (time_s,) = _TIME.unpack_from(value)
        value = value[_TIME.size :]
    if time_s > MAX_NUMBER:
        return None
    message = _message(checkpoint, key, time_s)
    return time_s if verifying.verify(key.algorithm, key.public_key, message, value) else None


def from_decimal(text: str) -> int:
    """Return the number; ValueError unless ASCII digits, no leading zero, below 2**63."""
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_NUMBER:
        raise ValueError
    return int(text)


def _message(checkpoint: Checkpoint, key: VerifierKey, time_s: int) -> bytes:
    match key.algorithm:
        case Algorithm.ED25519:
            return checkpoint.text.encode()
        case Algorithm.ED25519_COSIGNATURE:
            return f"cosignature/v1\ntime {time_s}\n{checkpoint.text}".encode()
        case Algorithm.ML_DSA_44_COSIGNATURE:
            return b"".join(
                (
                    _SUBTREE,
                    _short(key.name),
                    _TIME.pack(time_s),
                    _short(checkpoint.origin),
                    struct.pack(">QQ", 0, checkpoint.size),
                    checkpoint.root,
                )
            )


def _short(name: str) -> bytes:
    data = name.encode()
    if len(data) > _MAX_NAME:
        raise _malformed(f"ML-DSA signs names and origins of up to {_MAX_NAME} bytes")
    return bytes([len(data)]) + data


def _malformed(why: str) -> Malformed:
    return Malformed("CHECKPOINT", f"this is no checkpoint: {why}")
