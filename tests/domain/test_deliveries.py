"""Deliveries and the bodies that list them: one encoding, one order, nothing twice."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Malformed
from domain.trail.deliveries import (
    Delivery,
    deliveries_of,
    disclosure_body,
    leaves_of,
    receipt_body,
)
from domain.trail.merkle import leaf
from tests.spec import refusal_of
from tests.vectors import load

VECTOR = load("trail")
BODY = bytes.fromhex(VECTOR["disclosure"]["body"])
ONE, TWO = deliveries_of(BODY)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = texts.filter(bool)
deliveries = st.builds(
    Delivery,
    names,
    names,
    st.integers(0, 255),
    st.integers(5, 2**64 - 1),
    st.integers(0, 4),
    st.integers(0, 0xFFFF),
    st.binary(min_size=32, max_size=32),
    texts,
)


def test_deliveries_have_the_published_bytes() -> None:
    for delivery, vector in zip((ONE, TWO), VECTOR["disclosure"]["deliveries"], strict=True):
        assert delivery == Delivery(**vector["delivery"] | {"event": delivery.event})
        assert delivery.event.hex() == vector["delivery"]["event"]
        assert delivery.encode().hex() == vector["encoded"]
        assert delivery.leaf.hex() == vector["leaf"]
    assert disclosure_body([TWO, ONE]) == BODY


@given(deliveries)
def test_a_delivery_is_read_back_from_its_bytes(delivery: Delivery) -> None:
    assert Delivery.decode(delivery.encode()) == delivery
    assert delivery.leaf == leaf(delivery.encode())


@given(st.lists(deliveries, min_size=1, max_size=6, unique_by=lambda d: d[:4]))
def test_a_disclosure_lists_its_deliveries_in_their_order(listed: list[Delivery]) -> None:
    body = disclosure_body(listed)
    assert deliveries_of(body) == sorted(listed, key=lambda d: d[:4])
    assert leaves_of(receipt_body([d.leaf for d in listed])) == [d.leaf for d in listed]


@given(st.integers(0, len(BODY) - 1), st.integers(1, 255))
def test_another_body_never_lists_the_same(at: int, flip: int) -> None:
    other = BODY[:at] + bytes((BODY[at] ^ flip,)) + BODY[at + 1 :]
    with suppress(Malformed):
        listed = deliveries_of(other)
        assert listed != [ONE, TWO]
        assert disclosure_body(listed) == other


@pytest.mark.parametrize("size", range(len(ONE.encode())))
def test_a_truncated_delivery_is_refused(size: int) -> None:
    assert refusal_of(lambda: Delivery.decode(ONE.encode()[:size]))[0] == "DELIVERY"


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "a disclosure lists 1 to 65535 deliveries"),
        (BODY[:-1], "the body ends within a delivery"),
        (BODY + b"\0", "the body ends within a length"),
        (BODY + BODY, "deliveries stand once each"),
        (b"\0\0\0\x01\x02", "its version is unknown"),
    ],
)
def test_a_body_that_is_none_is_refused_with_what_is_wrong(body: bytes, what: str) -> None:
    code, message = refusal_of(lambda: deliveries_of(body))
    assert code == "DELIVERY"
    assert what in message


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"agency": ""}, "it names no seat"),
        ({"purpose": ""}, "it names no seat"),
        ({"event": bytes(31)}, "a statement's digest is 32 bytes"),
        ({"seq": 0}, "it has a number from 1"),
        ({"seq": 7, "supersedes": 7}, "supersedes an earlier one"),
        ({"basis": "x" * 65_536}, "longer than 65535 bytes"),
    ],
)
def test_a_delivery_that_cannot_be_is_not_written(change: dict[str, Any], what: str) -> None:
    code, message = refusal_of(ONE._replace(**change).encode)
    assert code == "DELIVERY"
    assert what in message


def test_a_delivery_ends_where_its_basis_does() -> None:
    assert refusal_of(lambda: Delivery.decode(ONE.encode() + b"\0"))[0] == "DELIVERY"


def test_a_delivery_in_no_utf_8_is_refused() -> None:
    data = ONE.encode().replace(ONE.agency.encode(), b"\xff" * len(ONE.agency))
    assert refusal_of(lambda: Delivery.decode(data))[1] == "a text in it is not UTF-8"


@pytest.mark.parametrize("body", [b"", bytes(31), bytes(33), bytes(64)])
def test_a_receipt_confirms_each_leaf_once(body: bytes) -> None:
    assert refusal_of(lambda: leaves_of(body))[0] == "DELIVERY"


def test_a_receipt_is_made_of_leaves() -> None:
    assert refusal_of(lambda: receipt_body([bytes(16), bytes(16)]))[0] == "DELIVERY"
