"""The cryptography that the use cases need, said in their own words."""

from typing import Protocol

from domain.sealing.fields import Context
from domain.vocabulary import Category

OPENING_KEY_SIZE = 1216
"""ML-KEM-768 encapsulation key (1184 bytes), then X25519 public key (32)."""


class Sealing(Protocol):
    """The cryptography of sealed fields and releases. Nonces are its own affair."""

    def new_key(self) -> bytes:
        """Return 32 random bytes."""
        ...

    def opening_key(self, seed: bytes) -> bytes:
        """Return the 1216-byte public key of a 32-byte seed (X-Wing key generation)."""
        ...

    def seal_field(  # noqa: PLR0917 - a field is bound to all of them
        self,
        dek: bytes,
        context: Context,
        path: str,
        category: Category,
        epoch: int,
        clear: bytes,
    ) -> bytes:
        """Return the sealed field over the Avro bytes `clear`."""
        ...

    def open_field(
        self, dek: bytes, context: Context, path: str, category: Category, sealed: bytes
    ) -> bytes:
        """Return the Avro bytes; `Unreadable` NO_KEY, BAD_HEADER or BAD_TAG, never a part."""
        ...

    def wrap(self, opening_key: bytes, info: bytes, bundle: bytes) -> bytes:
        """Return `bundle` sealed to the holder of the seed; `Malformed` OPENING_KEY if unfit."""
        ...

    def unwrap(self, seed: bytes, info: bytes, sealed: bytes) -> bytes:
        """Return what was wrapped; `Unreadable` BAD_TAG when seed, info or bytes differ."""
        ...

    def forget(self) -> None:
        """Drop the keys kept for speed; to be called when a key is erased."""
        ...


class Signing(Protocol):
    """Ed25519 (RFC 8032): 32-byte seeds and public keys, 64-byte signatures."""

    def public_key(self, seed: bytes) -> bytes:
        """Return the 32-byte public key of `seed`."""
        ...

    def sign(self, seed: bytes, message: bytes) -> bytes:
        """Return the 64-byte signature."""
        ...

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Say whether the signature holds; bytes of any size are only false."""
        ...
