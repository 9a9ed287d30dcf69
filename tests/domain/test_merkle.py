"""Merkle trees and their proofs against the public vectors and their own definition."""

from base64 import b64decode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Malformed, NotAuthentic
from domain.trail.merkle import (
    EMPTY_ROOT,
    Range,
    check_consistency,
    check_inclusion,
    consistency_proof,
    inclusion_proof,
    leaf,
    node,
    root,
)
from tests.vectors import load

VECTORS = load("rfc6962_roots")
PROOFS = load("rfc6962_proofs")
LEAVES = [leaf(n.to_bytes(2, "big")) for n in range(600)]
SIZES = st.integers(1, len(LEAVES))


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


def nodes(level: int, index: int) -> bytes:
    return by_definition(LEAVES[index << level : (index + 1) << level])


def root_of(case: dict[str, Any], name: str) -> bytes:
    """Return a root of the vector; their hash where it has words in its place."""
    found = b64decode(case[name] or "")
    return leaf(found) if found.startswith(b"don't care") else found


def proof_of(case: dict[str, Any]) -> list[bytes]:
    return [b64decode(found) for found in case["proof"] or []]


def with_a_bit_flipped(hashes: list[bytes], at: int) -> list[bytes]:
    """Return the hashes with bit `at` of them all the other way."""
    whole = bytearray(b"".join(hashes))
    whole[at // 8] ^= 1 << at % 8
    return [bytes(whole[i : i + 32]) for i in range(0, len(whole), 32)]


@pytest.mark.parametrize("case", PROOFS["inclusion"], ids=lambda case: case["case"])
def test_inclusion_proofs_are_judged_as_published(case: dict[str, Any]) -> None:
    leaf_hash, root_hash = b64decode(case["leafHash"] or ""), b64decode(case["root"] or "")

    def judge() -> None:
        check_inclusion(leaf_hash, case["leafIdx"], case["treeSize"], proof_of(case), root_hash)

    if not case["wantErr"]:
        return judge()
    with pytest.raises(NotAuthentic, match="BAD_INCLUSION"):
        judge()
    return None


@pytest.mark.parametrize("case", PROOFS["consistency"], ids=lambda case: case["case"])
def test_consistency_proofs_are_judged_as_published(case: dict[str, Any]) -> None:
    roots = root_of(case, "root1"), root_of(case, "root2")

    def judge() -> None:
        check_consistency(case["size1"], case["size2"], *roots, proof_of(case))

    if not case["wantErr"]:
        return judge()
    with pytest.raises(NotAuthentic, match="BAD_CONSISTENCY"):
        judge()
    return None


@given(st.lists(st.integers(0, 100), max_size=6))
def test_a_range_has_the_root_of_its_leaves_however_they_came(parts: list[int]) -> None:
    grown, size = Range(), 0
    for part in parts:
        grown, size = grown.extend(LEAVES[size : size + part]), size + part
        assert grown.root == root(LEAVES[:size])
    at_once = Range().extend(LEAVES[:size])
    assert grown == at_once
    assert grown.append(LEAVES[-1]) == at_once.extend(LEAVES[-1:])
    assert len(grown.nodes) == size.bit_count()


@given(SIZES, st.data())
def test_a_leaf_is_proven_where_it_stands_and_nowhere_else(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof, root_hash = inclusion_proof(index, size, nodes), root(LEAVES[:size])
    check_inclusion(LEAVES[index], index, size, proof, root_hash)
    elsewhere = data.draw(st.integers(0, size).filter(lambda n: n != index))
    with pytest.raises(NotAuthentic, match="BAD_INCLUSION"):
        check_inclusion(LEAVES[index], elsewhere, size, proof, root_hash)


@given(SIZES, st.data())
def test_no_bit_of_an_inclusion_proof_can_change(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    hashes = [LEAVES[index], root(LEAVES[:size]), *inclusion_proof(index, size, nodes)]
    at = data.draw(st.integers(0, len(hashes) * 256 - 1))
    leaf_hash, root_hash, *proof = with_a_bit_flipped(hashes, at)
    with pytest.raises(NotAuthentic, match="BAD_INCLUSION"):
        check_inclusion(leaf_hash, index, size, proof, root_hash)


@given(SIZES, SIZES)
def test_a_tree_proves_that_it_grew_from_each_smaller_one(one: int, other: int) -> None:
    size1, size2 = sorted((one, other))
    roots = root(LEAVES[:size1]), root(LEAVES[:size2])
    check_consistency(size1, size2, *roots, consistency_proof(size1, size2, nodes))


@given(SIZES, SIZES, st.data())
def test_no_bit_of_a_consistency_proof_can_change(
    one: int, other: int, data: st.DataObject
) -> None:
    size1, size2 = sorted((one, other))
    proof = consistency_proof(size1, size2, nodes)
    hashes = [root(LEAVES[:size1]), root(LEAVES[:size2]), *proof]
    at = data.draw(st.integers(0, len(hashes) * 256 - 1))
    root1, root2, *changed = with_a_bit_flipped(hashes, at)
    with pytest.raises(NotAuthentic, match="BAD_CONSISTENCY"):
        check_consistency(size1, size2, root1, root2, changed)


@given(SIZES, SIZES, st.data())
def test_a_proof_is_neither_longer_nor_shorter_nor_of_other_sizes(
    one: int, other: int, data: st.DataObject
) -> None:
    size1, size2 = sorted((one, other))
    roots = root(LEAVES[:size1]), root(LEAVES[:size2])
    consistent = consistency_proof(size1, size2, nodes)
    included = inclusion_proof(size1 - 1, size2, nodes)

    def refused(change: Any) -> None:
        with pytest.raises(NotAuthentic, match="BAD_CONSISTENCY"):
            check_consistency(size1, size2, *roots, change(consistent))
        with pytest.raises(NotAuthentic, match="BAD_INCLUSION"):
            check_inclusion(LEAVES[size1 - 1], size1 - 1, size2, change(included), roots[1])

    refused(lambda proof: [*proof, roots[0]])
    if consistent and included:
        at = data.draw(st.integers(0, min(len(consistent), len(included)) - 1))
        refused(lambda proof: proof[:at] + proof[at + 1 :])
        refused(lambda proof: [*proof[:at], proof[at][:-1], *proof[at + 1 :]])
        refused(lambda proof: [*proof[:at], proof[at] + b"\x00", *proof[at + 1 :]])


@pytest.mark.parametrize("size", [0, 1, 6])
def test_the_empty_tree_proves_nothing_about_a_later_one(size: int) -> None:
    with pytest.raises(NotAuthentic, match="BAD_CONSISTENCY"):
        check_consistency(0, size, EMPTY_ROOT, root(LEAVES[:size]), [])


def test_equal_roots_that_are_no_hashes_prove_nothing() -> None:
    with pytest.raises(NotAuthentic, match="32 bytes"):
        check_consistency(7, 7, b"", b"", [])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (7, 7), (-1, 7)])
def test_an_entry_that_is_not_there_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(Malformed, match="PROOF_RANGE"):
        inclusion_proof(index, size, nodes)


@pytest.mark.parametrize(("size1", "size2"), [(0, 7), (7, 6), (-1, 7)])
def test_a_tree_that_cannot_begin_another_has_no_proof(size1: int, size2: int) -> None:
    with pytest.raises(Malformed, match="PROOF_RANGE"):
        consistency_proof(size1, size2, nodes)
