"""Signed notes and verifier keys (C2SP signed-note): text that several keys sign, line by line.

A note is text, an empty line and one line `— <name> <base64>` a signature. A key is known by
its name and its 4-byte id together. What a note says counts only after its signatures held.
"""

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple, Protocol, Self

from domain.errors import Malformed

MAX_SIZE = 1_000_000
"""Bytes of a note, as in golang.org/x/mod/sumdb/note."""
MAX_SIGNATURES = 100
_ID_SIZE = 4
_MARK = "\N{EM DASH} "
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f]")


class Algorithm(IntEnum):
    """The signature types that we know, by their C2SP identifier byte."""

    ED25519 = 0x01
    """Ed25519 over the note text."""
    ED25519_COSIGNATURE = 0x04
    """Ed25519 with a time, for checkpoints alone (C2SP tlog-cosignature)."""
    ML_DSA_44_COSIGNATURE = 0x06
    """ML-DSA-44 with a time, for checkpoints alone (C2SP tlog-cosignature)."""


_KEY_SIZE = {
    Algorithm.ED25519: 32,
    Algorithm.ED25519_COSIGNATURE: 32,
    Algorithm.ML_DSA_44_COSIGNATURE: 1312,
}


class VerifierKey(NamedTuple):
    """The public half of a key; made by `parse` or by a signer."""

    name: str
    algorithm: Algorithm
    public_key: bytes
    """32 bytes of Ed25519 or 1312 of ML-DSA-44."""

    @property
    def id(self) -> bytes:
        """The 4 bytes by which signatures name the key: H(name, newline, algorithm, key)."""
        return hashlib.sha256(
            self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public_key
        ).digest()[:_ID_SIZE]

    @property
    def text(self) -> str:
        """The vkey: `<name>+<8 hex of the id>+<base64 of algorithm and key>`."""
        material = to_base64(bytes([self.algorithm]) + self.public_key)
        return f"{self.name}+{self.id.hex()}+{material}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key of a vkey without a newline, or raise `Malformed` VKEY."""
        name, _, rest = text.partition("+")
        key_id, _, material = rest.partition("+")
        try:
            name.encode()
            data = from_base64(material)
        except ValueError:
            message = "the key material is not base64, or the name is not UTF-8"
            raise Malformed("VKEY", message) from None
        if not is_key_name(name) or not data:
            raise Malformed("VKEY", "a verifier key is <name>+<8 hex digits>+<base64>")
        if data[0] not in _KEY_SIZE:
            raise Malformed("VKEY", f"signature type {data[0]} is unknown; use 1, 4 or 6")
        key = cls(name, Algorithm(data[0]), data[1:])
        if len(key.public_key) != _KEY_SIZE[key.algorithm]:
            message = f"a key of type {data[0]} is {_KEY_SIZE[key.algorithm]} bytes"
            raise Malformed("VKEY", message)
        if key.id.hex() != key_id:
            raise Malformed("VKEY", "the key id is not that of the key; copy the vkey whole")
        return key


class NoteVerifying(Protocol):
    """Verifies what stands in notes."""

    def verify(
        self, algorithm: Algorithm, public_key: bytes, message: bytes, signature: bytes
    ) -> bool:
        """Say whether the signature holds; bytes of any size are only false.

        `Refused` ALGORITHM_UNAVAILABLE when this build cannot verify such signatures.
        """
        ...


class NoteSigning(Protocol):
    """One key that signs notes."""

    @property
    def key(self) -> VerifierKey:
        """The public half."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the bare signature: 64 bytes of Ed25519, 2420 of ML-DSA-44."""
        ...


class Signature(NamedTuple):
    """One signature line."""

    name: str
    key_id: bytes
    value: bytes
    """What follows the key id: at least one byte; its layout is the algorithm's."""

    @property
    def line(self) -> str:
        """The line, with its newline."""
        return f"{_MARK}{self.name} {to_base64(self.key_id + self.value)}\n"


class Note(NamedTuple):
    """A note as read: nothing in it has been verified."""

    text: str
    """Ends in a newline."""
    signatures: tuple[Signature, ...]

    def encode(self) -> bytes:
        """Return the UTF-8 bytes of the note."""
        return (self.text + "\n" + "".join(s.line for s in self.signatures)).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the note in `data`, or raise `Malformed` NOTE. `encode` gives `data` again."""
        text, found, lines = _read(data).rpartition("\n\n")
        if not found or not lines.endswith("\n"):
            raise _malformed("it is text, an empty line and lines that end in newlines")
        signatures = lines[:-1].split("\n")
        if len(signatures) > MAX_SIGNATURES:
            raise _malformed(f"it has more than {MAX_SIGNATURES} signatures")
        return cls(text + "\n", tuple(_signature(line) for line in signatures))

    def signed_by(self, keys: Iterable[VerifierKey]) -> list[tuple[VerifierKey, Signature]]:
        """Return the signatures of `keys` in the note's order; still to be verified.

        Others are ignored. `Malformed` NOTE when a key stands in the note twice.
        """
        known = {(key.name, key.id): key for key in keys}
        signed = [
            (known[s.name, s.key_id], s) for s in self.signatures if (s.name, s.key_id) in known
        ]
        if len({key for key, _ in signed}) != len(signed):
            raise Malformed("NOTE", "a key has signed the note twice; ask for the note again")
        return signed


def to_base64(data: bytes) -> str:
    """Return standard base64 with padding (RFC 4648 section 4)."""
    return b64encode(data).decode()


def from_base64(text: str) -> bytes:
    """Return the bytes; ValueError unless `text` is just what `to_base64` makes of them."""
    data = b64decode(text.encode(), validate=True)
    if to_base64(data) != text:
        raise ValueError
    return data


def is_key_name(name: str) -> bool:
    """Say whether `name` may stand in a signature line: not empty, no spaces, no plus."""
    return bool(name) and not any(c.isspace() or c == "+" for c in name)


def _read(data: bytes) -> str:
    if len(data) > MAX_SIZE:
        raise _malformed(f"it is larger than {MAX_SIZE} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise _malformed("it is not UTF-8") from None
    if _CONTROL.search(text):
        raise _malformed("it has a control character other than newline")
    return text


def _signature(line: str) -> Signature:
    if not line.startswith(_MARK):
        raise _malformed("a signature line starts with an em dash and a space")
    name, _, encoded = line.removeprefix(_MARK).partition(" ")
    if not is_key_name(name):
        raise _malformed("the name of a key has spaces or a plus, or is empty")
    try:
        data = from_base64(encoded)
    except ValueError:
        raise _malformed("a signature is not base64") from None
    if len(data) <= _ID_SIZE:
        raise _malformed("a signature is shorter than a key id and one byte")
    return Signature(name, data[:_ID_SIZE], data[_ID_SIZE:])


def _malformed(why: str) -> Malformed:
    return Malformed("NOTE", f"this is no signed note: {why}")
