"""The Merkle tree hash against the public vectors and its own definition."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.trail.merkle import EMPTY_ROOT, node, root
from tests.vectors import load

VECTORS = load("rfc6962_roots")


def leaf(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1 word for word: split at the largest power of two below n."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node(by_definition(leaves[:split]), by_definition(leaves[split:]))


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_public_ones(size: int) -> None:
    leaves = [leaf(bytes.fromhex(data)) for data in VECTORS["leaves"][:size]]
    assert root(leaves).hex() == VECTORS["roots"][size]


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert root([]) == EMPTY_ROOT


@given(st.integers(1, 300))
def test_a_root_follows_the_definition(size: int) -> None:
    leaves = [leaf(n.to_bytes(2, "big")) for n in range(size)]
    assert root(leaves) == by_definition(leaves)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=2, max_size=20), st.data())
def test_a_root_changes_with_any_leaf_and_its_place(
    leaves: list[bytes], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(leaves) - 1))
    changed = [*leaves[:at], leaf(leaves[at]), *leaves[at + 1 :]]
    assert root(changed) != root(leaves)
    if leaves[0] != leaves[-1]:
        assert root([leaves[-1], *leaves[1:-1], leaves[0]]) != root(leaves)


def test_a_leaf_more_or_less_changes_the_root() -> None:
    leaves = [leaf(bytes([n])) for n in range(9)]
    assert len({root(leaves[:size]) for size in range(10)}) == 10
