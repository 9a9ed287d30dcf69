"""Sealing on `cryptography`: AES-256-GCM-SIV fields, HPKE MLKEM768-X25519 releases, boxes at rest.

Nonces come from the operating system and are no parameter of anything here. `self_test` must
pass before a process holds a key: without a post-quantum backend nothing starts.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from functools import lru_cache, partial

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV, ChaCha20Poly1305

from adapters import known_answers
from domain.errors import Corrupt, Malformed, Unreadable
from domain.sealing import (
    BODY_AT,
    HEADER_SIZE,
    KEY_SIZE,
    NONCE_SIZE,
    OPENING_KEY_SIZE,
    TAG_SIZE,
    Context,
    Suite,
    header,
    pad,
    parse_header,
    unpad,
)
from domain.vocabulary import Category

_Aead = AESGCM | AESGCMSIV
_AEADS: dict[Suite, type[_Aead]] = {Suite.AES_256_GCM_SIV: AESGCMSIV, Suite.AES_256_GCM: AESGCM}
_HPKE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_MLKEM_KEY_SIZE = 1184
_MLKEM_SEED_SIZE = 64
_CACHED_SEEDS = 8


class CryptographySealing:
    """`Sealing`; fields are sealed with `suite` and opened with whichever their header names."""

    def __init__(self, suite: Suite = Suite.AES_256_GCM_SIV, cached_keys: int = 4096) -> None:
        self._suite = suite
        # Building the cipher costs as much as using it (1.4 us), and a key seals many fields.
        self._aead = lru_cache(maxsize=cached_keys)(_aead)
        # So does expanding a seed (100 us), and a process has very few.
        self._opener = lru_cache(maxsize=_CACHED_SEEDS)(_opener)

    def new_key(self) -> bytes:
        """Return 32 random bytes."""
        return os.urandom(KEY_SIZE)

    def seal_field(  # noqa: PLR0917 - a field is bound to all of them
        self,
        dek: bytes,
        context: Context,
        path: str,
        category: Category,
        epoch: int,
        clear: bytes,
    ) -> bytes:
        """Return header, random nonce and ciphertext of the padded Avro bytes."""
        if len(dek) != KEY_SIZE:
            raise Malformed("WRONG_SIZE", f"a data key is {KEY_SIZE} bytes, not {len(dek)}")
        head = header(category, epoch, self._suite)
        aead = self._aead(self._suite, dek)
        return _sealed(
            aead, context.aad(head, path), head, os.urandom(NONCE_SIZE), pad(clear, category)
        )

    def open_field(
        self, dek: bytes, context: Context, path: str, category: Category, sealed: bytes
    ) -> bytes:
        """Return the Avro bytes, or raise `Unreadable` NO_KEY, BAD_HEADER or BAD_TAG."""
        if len(dek) != KEY_SIZE:
            raise Unreadable("NO_KEY", f"a data key is {KEY_SIZE} bytes, not {len(dek)}")
        suite = _suite(sealed, category)
        aad = context.aad(sealed[:HEADER_SIZE], path)
        try:
            padded = self._aead(suite, dek).decrypt(
                sealed[HEADER_SIZE:BODY_AT], sealed[BODY_AT:], aad
            )
            return unpad(padded)
        except (InvalidTag, Malformed):
            raise _bad_tag("the field was altered, moved, or sealed under another key") from None

    def opening_key(self, seed: bytes) -> bytes:
        """Return the 1216 bytes to be published for a 32-byte seed."""
        kem, ecdh = _private_keys(seed)
        return kem.public_key().public_bytes_raw() + ecdh.public_key().public_bytes_raw()

    def wrap(self, opening_key: bytes, info: bytes, bundle: bytes) -> bytes:
        """Return the encapsulated key (1120 bytes) and the sealed bundle (16 more than clear)."""
        if len(opening_key) != OPENING_KEY_SIZE:
            raise Malformed("OPENING_KEY", f"{len(opening_key)} bytes, not {OPENING_KEY_SIZE}")
        try:
            key = hpke.MLKEM768X25519PublicKey(
                mlkem.MLKEM768PublicKey.from_public_bytes(opening_key[:_MLKEM_KEY_SIZE]),
                x25519.X25519PublicKey.from_public_bytes(opening_key[_MLKEM_KEY_SIZE:]),
            )
            return _HPKE.encrypt(bundle, key, info)
        except ValueError as e:
            raise Malformed("OPENING_KEY", "no key that can be sealed to") from e

    def unwrap(self, seed: bytes, info: bytes, sealed: bytes) -> bytes:
        """Return the bundle, or raise `Unreadable` BAD_TAG."""
        try:
            return _HPKE.decrypt(sealed, self._opener(seed), info)
        except (InvalidTag, ValueError):
            raise _bad_tag("the release is not for this key, or was altered") from None

    def forget(self) -> None:
        """Drop the keys kept for speed."""
        self._aead.cache_clear()
        self._opener.cache_clear()


class Box:
    """Wraps small secrets at rest under one key: nonce, then AES-256-GCM-SIV ciphertext."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise Malformed("WRONG_SIZE", f"a box key is {KEY_SIZE} bytes, not {len(key)}")
        self._aead = AESGCMSIV(key)

    def seal(self, clear: bytes, aad: bytes) -> bytes:
        """Return `clear` sealed for the place that `aad` names; 28 bytes more."""
        nonce = os.urandom(NONCE_SIZE)
        return nonce + self._aead.encrypt(nonce, clear, _BOX + aad)

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """Return what was sealed for this place, or raise `Unreadable` BAD_TAG."""
        if len(sealed) < NONCE_SIZE + TAG_SIZE:
            raise _bad_tag(f"{len(sealed)} bytes are no box")
        try:
            return self._aead.decrypt(sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], _BOX + aad)
        except InvalidTag:
            raise _bad_tag("the box was altered, moved, or sealed under another key") from None


def self_test() -> None:
    """Recompute known answers and make a round trip; a wrong one is `Corrupt` CRYPTO_SELF_TEST.

    To be called before anything starts.
    """
    for name, check in _checks():
        try:
            right = check()
        except Exception as e:
            raise _failed(name) from e
        if not right:
            raise _failed(name)


_BOX = b"nrm-fle/1 box\x00"


def _aead(suite: Suite, dek: bytes) -> _Aead:
    return _AEADS[suite](dek)


def _sealed(aead: _Aead, aad: bytes, head: bytes, nonce: bytes, padded: bytes) -> bytes:
    return head + nonce + aead.encrypt(nonce, padded, aad)


def _suite(sealed: bytes, category: Category) -> Suite:
    try:
        found = parse_header(sealed)
    except Malformed as e:
        raise Unreadable("BAD_HEADER", e.message) from None
    if found.category != category:
        raise Unreadable("BAD_HEADER", f"sealed as {found.category:d}, expected {category:d}")
    return found.suite


def _private_keys(seed: bytes) -> tuple[mlkem.MLKEM768PrivateKey, x25519.X25519PrivateKey]:
    """Expand a seed as X-Wing does (draft-connolly-cfrg-xwing-kem 5.2)."""
    if len(seed) != KEY_SIZE:
        raise Malformed("WRONG_SIZE", f"a seed is {KEY_SIZE} bytes, not {len(seed)}")
    expanded = hashlib.shake_256(seed).digest(_MLKEM_SEED_SIZE + KEY_SIZE)
    return (
        mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:_MLKEM_SEED_SIZE]),
        x25519.X25519PrivateKey.from_private_bytes(expanded[_MLKEM_SEED_SIZE:]),
    )


def _opener(seed: bytes) -> hpke.MLKEM768X25519PrivateKey:
    return hpke.MLKEM768X25519PrivateKey(*_private_keys(seed))


def _bad_tag(message: str) -> Unreadable:
    return Unreadable("BAD_TAG", message)


def _checks() -> Iterator[tuple[str, Callable[[], bool]]]:
    for suite, aead in known_answers.AEAD.items():
        yield suite, partial(_aead_right, Suite[suite], aead)
    for kdf, xwing in known_answers.XWING.items():
        yield f"MLKEM768_X25519 with {kdf}", partial(_xwing_right, kdf, xwing)
    yield "release round trip", _release_right


def _aead_right(suite: Suite, answer: known_answers.AeadAnswer) -> bool:
    return _aead(suite, answer.key).encrypt(answer.nonce, answer.clear, b"") == answer.sealed


def _xwing_right(kdf: str, answer: known_answers.XwingAnswer) -> bool:
    # The published ciphertexts carry associated data, which `cryptography` does not offer; so
    # the published key seals a text of ours, and only the right decapsulation can open it.
    text = kdf.encode()
    sealed = ChaCha20Poly1305(answer.key).encrypt(answer.base_nonce, text, b"")
    suite = hpke.Suite(
        hpke.KEM.MLKEM768_X25519, getattr(hpke.KDF, kdf), hpke.AEAD.CHACHA20_POLY1305
    )
    opening_key = CryptographySealing().opening_key(answer.seed)
    return (
        hashlib.sha256(opening_key).digest() == answer.opening_key_fp
        and suite.decrypt(answer.enc + sealed, _opener(answer.seed), answer.info) == text
    )


def _release_right() -> bool:
    sealing, seed = CryptographySealing(), os.urandom(KEY_SIZE)
    sealed = sealing.wrap(sealing.opening_key(seed), b"info", b"bundle")
    return sealing.unwrap(seed, b"info", sealed) == b"bundle"


def _failed(name: str) -> Corrupt:
    return Corrupt(
        "CRYPTO_SELF_TEST", f"{name} failed; install cryptography 50 or newer from its own wheel"
    )
