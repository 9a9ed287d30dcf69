"""Sealing against its vectors, cut-and-paste, substitution and damage."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from hypothesis import given
from hypothesis import strategies as st

from adapters import known_answers
from adapters.sealing import Box, CryptographySealing, _aead, _sealed, self_test
from adapters.signing import Ed25519Signing
from domain.errors import Corrupt, Malformed, NotAuthentic, Unreadable
from domain.sealing import (
    BODY_AT,
    HEADER_SIZE,
    Context,
    DataKey,
    KeyRelease,
    Scope,
    Sealing,
    Suite,
    check_keys,
    commitment,
    decode_bundle,
    encode_bundles,
    header,
    pad,
    parse_header,
)
from domain.vocabulary import SEALED, Category
from tests.vectors import key, load

SEALING: Sealing = CryptographySealing()
DEK = key("dek")
PATH = "given_name"
VECTORS = load("sealed")["vectors"]
RELEASE = load("release")


def context_of(document: dict[str, Any]) -> Context:
    return Context(**document | {"seal_fp": bytes.fromhex(document["seal_fp"])})


CONTEXT = context_of(VECTORS[0]["context"])
CLEAR = bytes.fromhex(VECTORS[0]["clear"])


def sealed(context: Context = CONTEXT, dek: bytes = DEK) -> bytes:
    return SEALING.seal_field(dek, context, PATH, Category.IDENTITY, 1, CLEAR)


def code(
    data: bytes,
    *,
    dek: bytes = DEK,
    context: Context = CONTEXT,
    path: str = PATH,
    category: Category = Category.IDENTITY,
) -> str:
    """Return the code with which the field cannot be opened."""
    with pytest.raises(Unreadable) as failure:
        SEALING.open_field(dek, context, path, category, data)
    return failure.value.code


# Vectors


@pytest.mark.parametrize("vector", VECTORS)
def test_the_published_fields_are_opened(vector: dict[str, Any]) -> None:
    opened = SEALING.open_field(
        key(vector["dek_label"]),
        context_of(vector["context"]),
        vector["path"],
        Category(vector["category"]),
        bytes.fromhex(vector["sealed"]),
    )
    assert opened.hex() == vector["clear"]


@pytest.mark.parametrize("vector", VECTORS)
def test_the_published_fields_are_made_from_their_nonces(vector: dict[str, Any]) -> None:
    suite, category = Suite(vector["suite"]), Category(vector["category"])
    head = header(category, vector["epoch"], suite)
    # The nonce is no parameter of what others may call.
    made = _sealed(
        _aead(suite, key(vector["dek_label"])),
        context_of(vector["context"]).aad(head, vector["path"]),
        head,
        bytes.fromhex(vector["nonce"]),
        pad(bytes.fromhex(vector["clear"]), category),
    )
    assert made.hex() == vector["sealed"]


@pytest.mark.parametrize("vector", load("negative")["vectors"], ids=lambda v: v["what"])
def test_the_published_failures_fail_as_published(vector: dict[str, Any]) -> None:
    assert code(bytes.fromhex(vector["sealed"])) == vector["code"]


def test_the_published_release_is_opened_checked_and_signed_as_published() -> None:
    seed = key(RELEASE["recipient_seed_label"])
    opened = SEALING.unwrap(seed, bytes.fromhex(RELEASE["info"]), bytes.fromhex(RELEASE["sealed"]))
    assert opened.hex() == RELEASE["bundle"]
    signature = Ed25519Signing().sign(
        key(RELEASE["issuer_seed_label"]), bytes.fromhex(RELEASE["signed_bytes"])
    )
    assert signature.hex() == RELEASE["signature"]


@pytest.mark.parametrize("vector", load("hpke_xwing")["vectors"])
def test_opening_keys_are_those_of_the_public_vectors(vector: dict[str, Any]) -> None:
    assert SEALING.opening_key(bytes.fromhex(vector["skRm"])).hex() == vector["pkRm"]


def test_the_self_test_holds_the_public_vectors() -> None:
    by_kdf = {"HKDF_SHA256": 1, "SHAKE256": 17}
    for kdf, answer in known_answers.XWING.items():
        (vector,) = (v for v in load("hpke_xwing")["vectors"] if v["kdf_id"] == by_kdf[kdf])
        held = (answer.seed, answer.info, answer.key, answer.base_nonce, answer.enc)
        names = ("skRm", "info", "key", "base_nonce", "enc")
        assert [h.hex() for h in held] == [vector[n] for n in names]


def test_a_box_of_the_published_bytes_is_opened() -> None:
    vector = load("box")
    box = Box(key(vector["key_label"]))
    opened = box.open(bytes.fromhex(vector["sealed"]), vector["aad"].encode())
    assert opened.hex() == vector["clear"]


# Fields


@given(st.binary(max_size=3000), st.sampled_from(SEALED), st.integers(1, 2**32 - 1))
def test_what_was_sealed_is_opened(clear: bytes, category: Category, epoch: int) -> None:
    for suite in Suite:
        made = CryptographySealing(suite).seal_field(DEK, CONTEXT, PATH, category, epoch, clear)
        assert parse_header(made) == (suite, category, epoch)
        assert SEALING.open_field(DEK, CONTEXT, PATH, category, made) == clear


OTHER_ID = str(UUID(int=7))


@pytest.mark.parametrize(
    "change",
    [
        {"hub": "fr"},
        {"writer": "ngo-b"},
        {"type": "nrm.v1.SafeContactSet"},
        {"version": 2},
        {"seal_fp": key("another schema")},
        {"case_id": OTHER_ID},
        {"event_id": OTHER_ID},
        {"hub": CONTEXT.hub + "n", "writer": CONTEXT.writer[1:]},
    ],
    ids="+".join,
)
def test_a_field_moved_to_another_context_does_not_open(change: dict[str, Any]) -> None:
    assert code(sealed(), context=replace(CONTEXT, **change)) == "BAD_TAG"


def test_a_field_moved_to_another_path_does_not_open() -> None:
    assert code(sealed(), path="family_name") == "BAD_TAG"


def test_a_field_moved_to_another_category_does_not_open() -> None:
    # A size that both categories have, so that only the binding can tell.
    made = SEALING.seal_field(DEK, CONTEXT, PATH, Category.CONTACT, 1, bytes(100))
    assert code(made, category=Category.FAMILY) == "BAD_HEADER"
    moved = made[:2] + bytes([Category.FAMILY]) + made[3:]
    assert code(moved, category=Category.FAMILY) == "BAD_TAG"


def test_a_field_moved_to_another_epoch_does_not_open() -> None:
    made = sealed()
    assert code(header(Category.IDENTITY, 2) + made[HEADER_SIZE:]) == "BAD_TAG"


def test_a_field_does_not_open_under_another_key() -> None:
    assert code(sealed(), dek=key("another dek")) == "BAD_TAG"


def test_a_field_does_not_open_without_a_key() -> None:
    assert code(sealed(), dek=b"") == "NO_KEY"


def test_two_fields_of_one_event_cannot_swap_bodies() -> None:
    one, two = sealed(), SEALING.seal_field(DEK, CONTEXT, "alias", Category.IDENTITY, 1, CLEAR)
    assert code(one[:BODY_AT] + two[BODY_AT:]) == "BAD_TAG"


@given(st.integers(0, 99), st.integers(0, 7))
def test_no_bit_can_be_flipped(at: int, bit: int) -> None:
    made = bytearray(sealed())
    made[at] ^= 1 << bit
    assert code(bytes(made)) in {"BAD_TAG", "BAD_HEADER"}


@given(st.integers(0, 99))
def test_no_byte_can_be_cut_off(size: int) -> None:
    assert code(sealed()[:size]) == "BAD_HEADER"


@given(st.binary(max_size=200))
def test_foreign_bytes_are_unreadable_and_nothing_else(data: bytes) -> None:
    assert code(data) in {"BAD_TAG", "BAD_HEADER"}


def test_a_key_of_another_size_seals_nothing() -> None:
    with pytest.raises(Malformed):
        SEALING.seal_field(bytes(16), CONTEXT, PATH, Category.IDENTITY, 1, CLEAR)


def test_ciphertexts_of_one_category_do_not_show_how_long_a_short_value_is() -> None:
    sizes = {
        len(SEALING.seal_field(DEK, CONTEXT, PATH, Category.HEALTH, 1, bytes(n)))
        for n in range(256)
    }
    assert len(sizes) == 1


def test_a_nonce_never_comes_twice_in_ten_thousand_fields() -> None:
    nonces = {sealed()[HEADER_SIZE:BODY_AT] for _ in range(10_000)}
    assert len(nonces) == 10_000


def test_forgotten_and_evicted_keys_still_open_when_given_again() -> None:
    small = CryptographySealing(cached_keys=1)
    fields = [(key(f"dek {n}"), sealed(dek=key(f"dek {n}"))) for n in range(3)]
    for dek, made in fields * 2:
        assert small.open_field(dek, CONTEXT, PATH, Category.IDENTITY, made) == CLEAR
    small.forget()
    assert small.open_field(fields[0][0], CONTEXT, PATH, Category.IDENTITY, fields[0][1]) == CLEAR


def test_forgetting_lets_go_of_every_key() -> None:
    sealing = CryptographySealing()
    caches = (sealing._aead, sealing._opener)  # noqa: SLF001 - nothing else tells
    sealing.seal_field(DEK, CONTEXT, PATH, Category.IDENTITY, 1, CLEAR)
    sealing.unwrap(SEED, b"", sealing.wrap(GOOD, b"", b"bundle"))
    assert [c.cache_info().currsize for c in caches] == [1, 1]
    sealing.forget()
    assert [c.cache_info().currsize for c in caches] == [0, 0]


# Releases

SCOPE = Scope(hub="tn", writer="ngo-a", case_id=CONTEXT.case_id)
KEYS = [DataKey(Category.IDENTITY, 1, DEK), DataKey(Category.HEALTH, 2, key("dek 2"))]
LOGGED: dict[tuple[int, int], bytes] = {
    (k.category, k.epoch): commitment(k.dek, SCOPE, k.category, k.epoch) for k in KEYS
}
SEED = key("shelter opening seed")
ISSUER = key("custodian signing seed")


def issued(keys: list[DataKey], issuer: bytes = ISSUER, **changes: Any) -> KeyRelease:
    """Return what a custodian (or somebody in its place) hands to the shelter."""
    opening_key = SEALING.opening_key(SEED)
    facts = RELEASE["release"] | {"recipient_key_fp": key("fp")} | changes
    release = KeyRelease(**facts)
    (bundle,) = encode_bundles(keys)
    release = replace(release, sealed=SEALING.wrap(opening_key, release.info, bundle))
    return replace(release, signature=Ed25519Signing().sign(issuer, release.signed_bytes))


def accepted(release: KeyRelease, seed: bytes = SEED) -> tuple[DataKey, ...]:
    """Do what every recipient must do before it uses a key."""
    signing = Ed25519Signing()
    if not signing.verify(signing.public_key(ISSUER), release.signed_bytes, release.signature):
        raise NotAuthentic("RELEASE_SIGNATURE", "not issued by the custodian")
    keys = decode_bundle(SEALING.unwrap(seed, release.info, release.sealed))
    check_keys(keys, release.scope, LOGGED)
    return keys


def test_the_recipient_gets_the_writers_keys() -> None:
    assert accepted(issued(KEYS)) == tuple(KEYS)


def test_a_release_of_the_hubs_making_is_refused_by_its_signature() -> None:
    with pytest.raises(NotAuthentic, match="RELEASE_SIGNATURE"):
        accepted(issued(KEYS, issuer=key("hub signing seed")))


def test_a_key_of_the_custodians_choosing_is_refused_by_its_commitment() -> None:
    with pytest.raises(NotAuthentic, match="KEY_SUBSTITUTED"):
        accepted(issued([replace(KEYS[0], dek=key("chosen"))]))


def test_nobody_but_the_recipient_opens_a_release() -> None:
    with pytest.raises(Unreadable) as failure:
        accepted(issued(KEYS), seed=key("police opening seed"))
    assert failure.value.code == "BAD_TAG"


@pytest.mark.parametrize(
    "change",
    [
        {"hub": "fr"},
        {"writer": "ngo-b"},
        {"recipient": "police-c"},
        {"recipient_key_fp": key("another")},
        {"case_id": OTHER_ID},
        {"release_id": OTHER_ID},
        {"not_after_ms": 1},
        {"shard_count": 2},
        {"basis": "consent:another"},
    ],
    ids="+".join,
)
def test_a_bundle_moved_to_another_release_does_not_open(change: dict[str, Any]) -> None:
    release = issued(KEYS)
    with pytest.raises(Unreadable):
        SEALING.unwrap(SEED, replace(release, **change).info, release.sealed)


@given(st.integers(0, 1729), st.integers(0, 7))
def test_no_bit_of_a_sealed_bundle_can_be_flipped(at: int, bit: int) -> None:
    damaged = bytearray.fromhex(RELEASE["sealed"])
    damaged[at] ^= 1 << bit
    with pytest.raises(Unreadable):
        SEALING.unwrap(
            key(RELEASE["recipient_seed_label"]), bytes.fromhex(RELEASE["info"]), bytes(damaged)
        )


@pytest.mark.parametrize("size", [0, 1, 1088, 1120, 1135, 1729])
def test_no_byte_of_a_sealed_bundle_can_be_cut_off(size: int) -> None:
    with pytest.raises(Unreadable):
        SEALING.unwrap(SEED, b"", bytes.fromhex(RELEASE["sealed"])[:size])


GOOD = SEALING.opening_key(SEED)


@pytest.mark.parametrize(
    "opening_key",
    [
        b"",
        GOOD[:-1],
        GOOD + b"\x00",
        b"\xff" * 1184 + GOOD[1184:],
        GOOD[:1184] + bytes(32),
    ],
    ids=["empty", "short", "long", "ML-KEM coefficients too large", "small-order X25519 point"],
)
def test_a_key_that_cannot_protect_is_not_sealed_to(opening_key: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        SEALING.wrap(opening_key, b"info", b"bundle")
    assert refusal.value.code == "OPENING_KEY"


def test_a_seed_is_32_bytes() -> None:
    with pytest.raises(Malformed):
        SEALING.opening_key(bytes(31))


def test_new_keys_are_new() -> None:
    keys = {SEALING.new_key() for _ in range(100)}
    assert {len(k) for k in keys} == {32}
    assert len(keys) == 100


# Boxes


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_a_box_gives_back_what_was_put_in(clear: bytes, aad: bytes) -> None:
    box = Box(key("box key"))
    made = box.seal(clear, aad)
    assert len(made) == len(clear) + 28
    assert box.open(made, aad) == clear


@pytest.mark.parametrize(
    ("box", "aad", "cut"),
    [
        (Box(key("another key")), b"here", 60),
        (Box(key("box key")), b"there", 60),
        (Box(key("box key")), b"here", 59),
        (Box(key("box key")), b"here", 27),
        (Box(key("box key")), b"here", 0),
    ],
    ids=["another key", "another place", "cut", "no tag", "nothing"],
)
def test_a_box_moved_cut_or_under_another_key_does_not_open(box: Box, aad: bytes, cut: int) -> None:
    made = Box(key("box key")).seal(DEK, b"here")
    with pytest.raises(Unreadable) as failure:
        box.open(made[:cut], aad)
    assert failure.value.code == "BAD_TAG"


def test_two_boxes_of_the_same_secret_differ() -> None:
    box = Box(key("box key"))
    assert box.seal(DEK, b"here") != box.seal(DEK, b"here")


def test_a_box_key_is_32_bytes() -> None:
    with pytest.raises(Malformed):
        Box(bytes(16))


# Self-test


def test_this_machine_passes_the_self_test() -> None:
    self_test()


@pytest.mark.parametrize("suite", known_answers.AEAD)
def test_a_wrong_cipher_is_named(suite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = known_answers.AEAD[suite]._replace(clear=b"another text")
    monkeypatch.setitem(known_answers.AEAD, suite, wrong)
    with pytest.raises(Corrupt, match=suite) as failure:
        self_test()
    assert failure.value.code == "CRYPTO_SELF_TEST"


@pytest.mark.parametrize("kdf", known_answers.XWING)
@pytest.mark.parametrize("part", ["seed", "opening_key_fp", "info", "key", "base_nonce", "enc"])
def test_a_wrong_key_encapsulation_is_named(
    kdf: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = known_answers.XWING[kdf]
    wrong = bytes([getattr(answer, part)[0] ^ 1]) + getattr(answer, part)[1:]
    monkeypatch.setitem(known_answers.XWING, kdf, answer._replace(**{part: wrong}))
    with pytest.raises(Corrupt, match=kdf):
        self_test()


def test_nothing_starts_without_a_post_quantum_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    class Without:
        @staticmethod
        def from_seed_bytes(seed: bytes) -> None:
            raise UnsupportedAlgorithm("ML-KEM is not supported by this backend")

    monkeypatch.setattr(mlkem, "MLKEM768PrivateKey", Without)
    with pytest.raises(Corrupt, match="MLKEM768_X25519") as failure:
        self_test()
    assert failure.value.code == "CRYPTO_SELF_TEST"


def test_a_broken_curve_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Another:
        @staticmethod
        def from_private_bytes(data: bytes) -> x25519.X25519PrivateKey:
            return real.from_private_bytes(data[::-1])

    real = x25519.X25519PrivateKey
    monkeypatch.setattr(x25519, "X25519PrivateKey", Another)
    with pytest.raises(Corrupt):
        self_test()
