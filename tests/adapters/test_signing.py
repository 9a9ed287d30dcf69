"""Ed25519 against RFC 8032, its malleable forms, and keys that must not be registered."""

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha512
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_core_ed25519_add

from adapters.signing import Ed25519Signing, check_public_key
from domain.errors import Malformed, NotAuthentic
from domain.sealing import Signing
from tests.vectors import key, load

ED25519 = Ed25519Signing()
SIGNING: Signing = ED25519
SEED = key("agency signing seed")
PUBLIC = SIGNING.public_key(SEED)
MESSAGE = b"a statement"
SIGNATURE = SIGNING.sign(SEED, MESSAGE)
ORDER = 2**252 + 27742317777372353535851937790883648493

# The eight points whose order divides 8, canonical and with the forms that only lax decoders
# take (Chalkias, Garillot, Nikolaenko, "Taming the many EdDSAs", table 5; libsodium's list).
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]
NON_CANONICAL = [
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]
NO_POINT = "0200000000000000000000000000000000000000000000000000000000000000"


@pytest.mark.parametrize("vector", load("ed25519")["vectors"])
def test_signatures_are_those_of_the_rfc(vector: dict[str, Any]) -> None:
    seed, public, message, signature = (
        bytes.fromhex(vector[n]) for n in ("seed", "public_key", "message", "signature")
    )
    assert SIGNING.public_key(seed) == public
    assert SIGNING.sign(seed, message) == signature
    assert SIGNING.verify(public, message, signature)


def test_the_published_statement_is_signed_as_published() -> None:
    vector = load("statement")
    signed = bytes.fromhex(vector["signed_bytes"])
    assert SIGNING.public_key(key(vector["seed_label"])).hex() == vector["public_key"]
    assert SIGNING.sign(key(vector["seed_label"]), signed).hex() == vector["signature"]


@given(st.binary(max_size=500))
def test_what_one_library_signs_the_other_verifies(message: bytes) -> None:
    assert SIGNING.verify(PUBLIC, message, SIGNING.sign(SEED, message))


@given(st.integers(0, 63), st.integers(0, 7))
def test_no_bit_of_a_signature_can_be_flipped(at: int, bit: int) -> None:
    damaged = bytearray(SIGNATURE)
    damaged[at] ^= 1 << bit
    assert not SIGNING.verify(PUBLIC, MESSAGE, bytes(damaged))


def test_another_message_or_key_does_not_verify() -> None:
    assert not SIGNING.verify(PUBLIC, MESSAGE + b".", SIGNATURE)
    assert not SIGNING.verify(SIGNING.public_key(key("another")), MESSAGE, SIGNATURE)


@pytest.mark.parametrize("size", [0, 1, 32, 63, 65, 128])
def test_signatures_of_another_size_are_only_false(size: int) -> None:
    assert not SIGNING.verify(PUBLIC, MESSAGE, (SIGNATURE + bytes(64))[:size])


@pytest.mark.parametrize("size", [0, 31, 33])
def test_keys_of_another_size_are_only_false(size: int) -> None:
    assert not SIGNING.verify((PUBLIC + bytes(1))[:size], MESSAGE, SIGNATURE)


def test_a_byte_cannot_move_between_signature_and_message() -> None:
    assert not SIGNING.verify(PUBLIC, MESSAGE[1:], SIGNATURE + MESSAGE[:1])
    assert not SIGNING.verify(PUBLIC, SIGNATURE[-1:] + MESSAGE, SIGNATURE[:-1])


def test_a_second_form_of_a_signature_is_refused() -> None:
    grown = int.from_bytes(SIGNATURE[32:], "little") + ORDER
    assert not SIGNING.verify(PUBLIC, MESSAGE, SIGNATURE[:32] + grown.to_bytes(32, "little"))


def accepted_by_openssl(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def test_a_signature_that_nobody_made_is_refused_though_it_fits_its_small_order_key() -> None:
    identity = bytes.fromhex(SMALL_ORDER[0])
    forged = identity + bytes(32)
    assert accepted_by_openssl(identity, b"any message", forged)
    assert not SIGNING.verify(identity, b"any message", forged)


def test_a_signature_without_a_nonce_point_is_refused() -> None:
    # R is the identity, so S = k * a: one such signature gives the private scalar away.
    wide = bytearray(sha512(SEED).digest()[:32])
    wide[0], wide[31] = wide[0] & 248, wide[31] & 127 | 64
    identity = bytes.fromhex(SMALL_ORDER[0])
    k = int.from_bytes(sha512(identity + PUBLIC + MESSAGE).digest(), "little")
    s = k * int.from_bytes(wide, "little") % ORDER
    signature = identity + s.to_bytes(32, "little")
    assert accepted_by_openssl(PUBLIC, MESSAGE, signature)
    assert not SIGNING.verify(PUBLIC, MESSAGE, signature)


@pytest.mark.parametrize("encoded", [*SMALL_ORDER, *NON_CANONICAL, NO_POINT, "", PUBLIC.hex()[2:]])
def test_a_weak_key_is_not_registered(encoded: str) -> None:
    with pytest.raises(NotAuthentic) as refusal:
        check_public_key(bytes.fromhex(encoded))
    assert refusal.value.code == "WEAK_KEY"


def test_a_key_outside_the_prime_order_group_is_not_registered() -> None:
    mixed = crypto_core_ed25519_add(PUBLIC, bytes.fromhex(SMALL_ORDER[4]))
    with pytest.raises(NotAuthentic):
        check_public_key(mixed)


@given(st.binary(min_size=32, max_size=32))
def test_an_honest_key_is_registered(seed: bytes) -> None:
    check_public_key(SIGNING.public_key(seed))


def test_a_batch_is_judged_one_by_one_in_any_thread() -> None:
    items = [(PUBLIC, b"%d" % n, SIGNING.sign(SEED, b"%d" % n)) for n in range(40)]
    items[7] = (PUBLIC, b"7", SIGNATURE)
    items[11] = (b"", b"11", b"")
    expected = [n not in {7, 11} for n in range(40)]
    assert ED25519.verify_all(items) == expected
    with ThreadPoolExecutor(2) as pool:
        halves = list(pool.map(ED25519.verify_all, (items[:20], items[20:])))
    assert halves[0] + halves[1] == expected


def test_an_empty_batch_has_no_verdicts() -> None:
    assert ED25519.verify_all([]) == []


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_seed_is_32_bytes(size: int) -> None:
    with pytest.raises(Malformed):
        SIGNING.sign(bytes(size), MESSAGE)
