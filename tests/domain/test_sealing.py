"""The byte formats of sealing against their vectors, and what they refuse."""

import copy
import json
import pickle
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Malformed, NotAuthentic
from domain.sealing import (
    BUNDLE_SIZE,
    SLOTS,
    Context,
    DataKey,
    KeyRelease,
    Scope,
    Suite,
    bucket,
    check_keys,
    commitment,
    decode_bundle,
    encode_bundles,
    header,
    pad,
    parse_header,
    unpad,
)
from domain.secret import Secret
from domain.vocabulary import SEALED, Category
from tests.vectors import key, load

CASE = str(UUID(bytes=key("case")[:16]))
SCOPE = Scope(hub="tn", writer="ngo-a", case_id=CASE)
RELEASE = load("release")
categories = st.sampled_from(SEALED)
epochs = st.integers(1, 2**32 - 1)


def from_json(document: dict[str, Any]) -> Context:
    return Context(**document | {"seal_fp": bytes.fromhex(document["seal_fp"])})


def sized(category: Category, padded: int) -> bytes:
    """A field of `padded` bytes that has the right header and nothing else."""
    return header(category, 1) + bytes(12) + bytes(padded) + bytes(16)


def data_keys(count: int) -> list[DataKey]:
    return [
        DataKey(SEALED[n % len(SEALED)], 1 + n // len(SEALED), key(f"dek {n}"))
        for n in range(count)
    ]


def release(**changes: Any) -> KeyRelease:
    facts = RELEASE["release"] | {
        "recipient_key_fp": bytes.fromhex(RELEASE["release"]["recipient_key_fp"]),
        "sealed": bytes.fromhex(RELEASE["sealed"]),
        "signature": bytes.fromhex(RELEASE["signature"]),
    }
    return KeyRelease(**facts | changes)


@pytest.mark.parametrize("vector", load("aad")["vectors"])
def test_associated_data_has_the_published_bytes(vector: dict[str, Any]) -> None:
    aad = from_json(vector["context"]).aad(bytes.fromhex(vector["header"]), vector["path"])
    assert aad.hex() == vector["aad"]


def test_names_cannot_run_into_each_other() -> None:
    one = from_json(load("aad")["vectors"][0]["context"])
    other = replace(one, hub=one.hub + one.writer[:1], writer=one.writer[1:])
    assert one.aad(b"", "path") != other.aad(b"", "path")


@pytest.mark.parametrize(
    "change",
    [
        {"seal_fp": bytes(16)},
        {"case_id": "no uuid"},
        {"event_id": ""},
        {"version": -1},
        {"version": 2**32},
        {"hub": "x" * 65536},
        {"writer": "\ud800"},
    ],
)
def test_a_context_that_has_no_bytes_is_refused(change: dict[str, Any]) -> None:
    good = from_json(load("aad")["vectors"][0]["context"])
    with pytest.raises(Malformed):
        replace(good, **change)


@given(categories, epochs, st.sampled_from(Suite))
def test_a_header_says_what_it_was_made_of(category: Category, epoch: int, suite: Suite) -> None:
    sealed = header(category, epoch, suite) + bytes(12 + bucket(1, category) + 16)
    assert parse_header(sealed) == (suite, category, epoch)


@pytest.mark.parametrize(
    ("category", "epoch"),
    [(Category.ROUTING, 1), (Category.HEALTH, 0), (Category.HEALTH, 2**32)],
)
def test_routing_epoch_zero_and_huge_epochs_are_never_sealed(
    category: Category, epoch: int
) -> None:
    with pytest.raises(Malformed) as refusal:
        header(category, epoch)
    assert refusal.value.code == "BAD_HEADER"


@given(st.binary(max_size=200).filter(lambda data: not data.startswith(b"\xe1")))
def test_foreign_bytes_are_no_sealed_field(data: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        parse_header(data)
    assert refusal.value.code == "BAD_HEADER"


@given(st.binary(min_size=8, max_size=8))
def test_eight_foreign_bytes_are_read_as_written_or_refused(head: bytes) -> None:
    sealed = b"\xe1" + head[1:3] + b"\x00" + head[4:] + bytes(12 + 4096 + 16)
    try:
        found = parse_header(sealed)
    except Malformed:
        assert not (head[1] in {1, 2} and 1 <= head[2] <= 9 and any(head[4:]))
    else:
        assert sealed.startswith(header(found.category, found.epoch, found.suite))


@pytest.mark.parametrize(("category", "size", "padded"), load("padding")["vectors"])
def test_padding_reaches_the_published_size(category: int, size: int, padded: int) -> None:
    assert len(pad(bytes(size), Category(category))) == padded


@given(st.binary(max_size=5000), categories)
def test_padding_comes_off_again(clear: bytes, category: Category) -> None:
    assert unpad(pad(clear, category)) == clear


@given(categories, st.integers(0, 9000), st.integers(0, 9000))
def test_a_padded_size_tells_nothing_below_its_bucket(
    category: Category, size: int, other: int
) -> None:
    same_bucket = bucket(size + 1, category) == bucket(other + 1, category)
    assert same_bucket == (len(pad(bytes(size), category)) == len(pad(bytes(other), category)))


def test_every_short_name_has_the_same_size() -> None:
    assert {len(pad(bytes(n), Category.IDENTITY)) for n in range(64)} == {64}


def test_a_field_that_was_not_padded_is_refused() -> None:
    assert parse_header(sized(Category.IDENTITY, 64)).category is Category.IDENTITY
    for padded in (1, 63, 65, 96, 4097):
        with pytest.raises(Malformed, match="padded size"):
            parse_header(sized(Category.IDENTITY, padded))


def test_a_refused_header_does_not_repeat_what_somebody_forgot_to_seal() -> None:
    with pytest.raises(Malformed) as refusal:
        parse_header(b"Example Person of Example Town".ljust(100))
    assert "Example" not in str(refusal.value)


@pytest.mark.parametrize("padded", [b"", bytes(64), b"abc" + bytes(61), b"\x80abc"])
def test_padding_without_its_mark_is_refused(padded: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        unpad(padded)
    assert refusal.value.code == "BAD_PADDING"


@pytest.mark.parametrize("vector", load("commitment")["vectors"])
def test_commitments_have_the_published_bytes(vector: dict[str, Any]) -> None:
    scope = Scope(hub=vector["hub"], writer=vector["writer"], case_id=vector["case_id"])
    made = commitment(
        key(vector["dek_label"]), scope, Category(vector["category"]), vector["epoch"]
    )
    assert made.hex() == vector["commitment"]


def test_a_commitment_binds_the_key_and_every_part_of_its_scope() -> None:
    variants = [
        (key("dek"), SCOPE, Category.HEALTH, 1),
        (key("other dek"), SCOPE, Category.HEALTH, 1),
        (key("dek"), replace(SCOPE, hub="fr"), Category.HEALTH, 1),
        (key("dek"), replace(SCOPE, writer="ngo-b"), Category.HEALTH, 1),
        (key("dek"), replace(SCOPE, case_id=str(UUID(int=1))), Category.HEALTH, 1),
        (key("dek"), SCOPE, Category.LEGAL, 1),
        (key("dek"), SCOPE, Category.HEALTH, 2),
    ]
    assert len({commitment(*v) for v in variants}) == len(variants)


def test_only_keys_of_32_bytes_are_committed_to() -> None:
    with pytest.raises(Malformed):
        commitment(bytes(31), SCOPE, Category.HEALTH, 1)


def logged(keys: list[DataKey]) -> dict[tuple[int, int], bytes]:
    return {(k.category, k.epoch): commitment(k.dek, SCOPE, k.category, k.epoch) for k in keys}


def test_keys_that_the_log_knows_pass() -> None:
    keys = data_keys(3)
    check_keys(keys, SCOPE, logged(keys))


def test_a_key_of_the_hubs_choosing_is_refused() -> None:
    keys = data_keys(3)
    forged = [keys[0], replace(keys[1], dek=key("chosen by the hub")), keys[2]]
    with pytest.raises(NotAuthentic) as refusal:
        check_keys(forged, SCOPE, logged(keys))
    assert refusal.value.code == "KEY_SUBSTITUTED"


def test_a_key_of_an_epoch_that_the_log_does_not_know_is_refused() -> None:
    keys = data_keys(2)
    with pytest.raises(NotAuthentic):
        check_keys(keys, SCOPE, logged(keys[:1]))


def test_a_key_of_another_case_is_refused() -> None:
    keys = data_keys(1)
    with pytest.raises(NotAuthentic):
        check_keys(keys, replace(SCOPE, case_id=str(UUID(int=1))), logged(keys))


def test_a_bundle_has_the_published_bytes() -> None:
    vector = load("bundle")
    keys = [DataKey(Category(c), e, key(f"dek {c} {e}")) for c, e in vector["keys"]]
    assert [b.hex() for b in encode_bundles(keys)] == [vector["bundle"]]
    assert decode_bundle(bytes.fromhex(vector["bundle"])) == tuple(keys)


@given(st.integers(0, 50))
def test_keys_travel_in_as_many_bundles_as_they_need(count: int) -> None:
    keys = data_keys(count)
    bundles = encode_bundles(keys)
    assert len(bundles) == -(-count // SLOTS)
    assert {len(b) for b in bundles} <= {BUNDLE_SIZE}
    assert [k for b in bundles for k in decode_bundle(b)] == keys


SLOT = 37


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b"",
        lambda b: b[:-1],
        lambda b: b + b"\x00",
        lambda b: b"\x02" + b[1:],
        lambda b: b[:1] + b"\x08" + b[2:],
        lambda b: b[:2] + b"\x00" + b[3:],
        lambda b: b[:2] + b"\x0a" + b[3:],
        lambda b: b[:3] + bytes(4) + b[7:],
        lambda b: b[:-1] + b"\x01",
        lambda b: b[:2] + bytes(SLOT) + b[2:-SLOT],
        lambda b: b[:2] + b[2 : 2 + SLOT] * 2 + b[2 + 2 * SLOT :],
    ],
    ids=[
        "empty",
        "short",
        "long",
        "version",
        "slots",
        "category 0",
        "category 10",
        "epoch 0",
        "unused slot not zero",
        "gap before the first key",
        "the same key twice",
    ],
)
def test_a_bundle_has_one_form(damage: Any) -> None:
    (bundle,) = encode_bundles(data_keys(3))
    with pytest.raises(Malformed) as refusal:
        decode_bundle(damage(bundle))
    assert refusal.value.code == "BAD_BUNDLE"


def test_a_data_key_does_not_show_its_bytes() -> None:
    (one,) = data_keys(1)
    assert repr(one.dek) not in repr(one)
    assert "dek=" not in repr(one)


def test_a_release_has_the_published_bytes() -> None:
    assert release().info.hex() == RELEASE["info"]
    assert release().encode().hex() == RELEASE["encoded"]
    assert release().signed_bytes.hex() == RELEASE["signed_bytes"]


def test_a_release_is_read_back_from_its_bytes() -> None:
    made = release()
    assert KeyRelease.decode(made.encode(), made.signature) == made


CHANGES: dict[str, Any] = {
    "release_id": str(UUID(int=1)),
    "hub": "fr",
    "case_id": str(UUID(int=2)),
    "writer": "ngo-b",
    "recipient": "police-c",
    "recipient_key_fp": key("another key"),
    "basis": "consent:another",
    "not_after_ms": 1,
    "shard_count": 2,
    "issuer": "hub",
    "issued_at_ms": 2,
    "sealed": b"other",
}


@pytest.mark.parametrize("field", CHANGES)
def test_the_signature_covers_every_field_of_a_release(field: str) -> None:
    assert release(**{field: CHANGES[field]}).signed_bytes != release().signed_bytes


@pytest.mark.parametrize("field", sorted(CHANGES.keys() - {"issuer", "issued_at_ms", "sealed"}))
def test_the_info_binds_the_bundle_to_the_release(field: str) -> None:
    assert release(**{field: CHANGES[field]}).info != release().info


def test_both_shards_of_a_release_differ() -> None:
    assert release(shard_count=2).info != release(shard_count=2, shard_index=1).info


@pytest.mark.parametrize(
    "change",
    [
        {"shard_index": 1},
        {"shard_count": 0},
        {"shard_index": -1},
        {"shard_count": 256},
        {"not_after_ms": -1},
        {"not_after_ms": 2**64},
        {"recipient_key_fp": bytes(16)},
        {"release_id": "1"},
        {"hub": "x" * 65536},
        {"basis": "\ud800"},
    ],
)
def test_a_release_that_has_no_bytes_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        _ = release(**change).info


@given(st.binary(max_size=300))
def test_foreign_bytes_are_no_release(data: bytes) -> None:
    with pytest.raises(Malformed):
        KeyRelease.decode(data, b"")


@given(st.integers(0), st.integers(1, 255))
def test_a_damaged_release_is_refused_or_another_one(at: int, change: int) -> None:
    data = bytearray(release().encode())
    data[at % len(data)] ^= change
    try:
        read = KeyRelease.decode(bytes(data), release().signature)
    except Malformed:
        return
    assert read.signed_bytes != release().signed_bytes
    assert read.encode() == data


@pytest.mark.parametrize("show", [repr, str, format, "{:>40}".format, "%s".__mod__])
def test_a_secret_is_never_shown(show: Any) -> None:
    assert "hush" not in show(Secret(b"hush"))


@pytest.mark.parametrize("copier", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps])
def test_a_secret_cannot_be_copied_out(copier: Any) -> None:
    with pytest.raises(TypeError):
        copier(Secret(b"hush"))


def test_a_secret_is_revealed_to_who_asks() -> None:
    assert Secret(b"hush").reveal() == b"hush"
