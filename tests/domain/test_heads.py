"""The map of heads against the definition, its worked values, and who would lie with a proof."""

from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Malformed, NotAuthentic
from domain.trail.heads import (
    EMPTY_MAP,
    Head,
    HeadMap,
    MapProof,
    actor_key,
    check_absence,
    check_presence,
    feed_key,
    stream_key,
)
from domain.trail.sparse import bit, leaf, node
from tests.spec import refusal_of
from tests.vectors import load

WORKED = load("heads")

keys = st.binary(min_size=32, max_size=32)
near = st.builds(lambda n, tail: bytes(30) + bytes((n, tail)), st.integers(0, 3), st.integers(0, 3))
"""Keys that part only at their last bits."""
u64 = st.integers(0, 2**64 - 1)
heads = st.builds(Head, u64, keys, u64)
maps = st.dictionaries(keys | near, heads, max_size=40)


def by_definition(values: Mapping[bytes, bytes], depth: int = 0) -> bytes:
    """Reference audit 5.1 word for word."""
    if not values:
        return bytes(32)
    if len(values) == 1:
        return leaf(*next(iter(values.items())))
    zeros, ones = ({k: v for k, v in values.items() if bit(k, depth) == side} for side in (0, 1))
    return node(by_definition(zeros, depth + 1), by_definition(ones, depth + 1))


def filled(heads_of: Mapping[bytes, Head]) -> HeadMap:
    heads = HeadMap()
    for key, head in heads_of.items():
        heads.set(key, head)
    return heads


def head(n: int) -> Head:
    return Head(n, sha256(bytes((n,))).digest(), n)


def worked() -> HeadMap:
    of = {"stream": stream_key, "actor": actor_key}
    return filled(
        {
            of[h["of"]](bytes.fromhex(h["id"])): Head(
                h["count"], bytes.fromhex(h["head"]), h["index"]
            )
            for h in WORKED["heads"]
        }
    )


def test_the_map_has_the_worked_values() -> None:
    heads, key = worked(), stream_key(bytes.fromhex(WORKED["stream"]))
    proof = heads.prove(key)
    assert len(heads) == 6
    assert heads.root().hex() == WORKED["root"]
    assert key.hex() == WORKED["key"]
    assert proof.head is not None
    assert proof.head.value.hex() == WORKED["value"]
    assert [s.hex() for s in reversed(proof.siblings)] == WORKED["siblings_root_first"]
    assert proof.encode() == WORKED["proof"]
    assert heads.prove(stream_key(bytes(32))).encode() == WORKED["absent"]


def test_a_feed_has_the_published_key() -> None:
    feed = WORKED["feed"]
    assert feed_key(feed["agency"], feed["purpose"], feed["lane"]).hex() == feed["key"]


@given(maps, st.lists(st.booleans(), min_size=40, max_size=40))
def test_a_root_follows_the_definition_whenever_it_is_asked(
    heads_of: dict[bytes, Head], asked: list[bool]
) -> None:
    heads, so_far = HeadMap(), {}
    for (key, last), ask in zip(heads_of.items(), asked, strict=False):
        heads.set(key, last)
        so_far[key] = last.value
        if ask:
            assert heads.root() == by_definition(so_far)
    assert heads.root() == by_definition(so_far)
    assert len(heads) == len(so_far)


@given(maps, st.randoms())
def test_equal_heads_have_equal_roots_whatever_the_way(
    heads_of: dict[bytes, Head], random: Random
) -> None:
    mixed = list(heads_of)
    random.shuffle(mixed)
    other = filled({key: head(0) for key in mixed})
    other.root()
    for key, last in heads_of.items():
        other.set(key, last)
    assert other.root() == filled(heads_of).root()
    assert all(other.get(key) == heads_of[key] for key in heads_of)


@given(maps, keys | near)
def test_a_proof_says_what_the_map_has_and_nothing_else(
    heads_of: dict[bytes, Head], asked: bytes
) -> None:
    heads = filled(heads_of)
    root = heads.root()
    for key in {*heads_of, asked}:
        proof = heads.prove(key)
        proof.check(root)
        assert proof.head == heads_of.get(key)
        assert MapProof.decode(proof.encode()) == proof
        denied = lambda: check_absence(root, key, None, proof.siblings)  # noqa: B023, E731
        claimed = lambda: check_presence(root, key, head(1).value, proof.siblings)  # noqa: B023, E731
        if key in heads_of:
            assert refusal_of(denied)[0] == "BAD_MAP_PROOF"
        if heads_of.get(key) != head(1):
            assert refusal_of(claimed)[0] == "BAD_MAP_PROOF"
    assert (root == EMPTY_MAP) == (not heads_of)


@given(st.dictionaries(keys, heads, min_size=1, max_size=20), st.data())
def test_what_a_changed_proof_proves_is_true(
    heads_of: dict[bytes, Head], data: st.DataObject
) -> None:
    heads = filled(heads_of)
    proof = heads.prove(data.draw(st.sampled_from(sorted(heads_of)) | keys))
    text = bytearray(proof.encode().encode())
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] ^= data.draw(st.integers(1, 127))
    with suppress(Malformed, NotAuthentic):
        changed = MapProof.decode(text.decode())
        changed.check(heads.root())
        assert (changed.head, changed.key == proof.key) == (heads_of.get(changed.key), False)


def test_a_key_that_is_there_is_not_proven_absent_by_its_neighbour() -> None:
    here, there = b"\x00" * 32, b"\x80" + bytes(31)
    heads = filled({here: head(1), there: head(2)})
    siblings = heads.prove(here).siblings
    other = (there, head(2).value)
    for claim in (other, (here, head(1).value)):
        denied = lambda c=claim: check_absence(heads.root(), here, c, siblings)  # noqa: E731
        assert refusal_of(denied)[0] == "BAD_MAP_PROOF"


@pytest.mark.parametrize("siblings", [[bytes(32)] * 257, [bytes(31)], [bytes(33)]])
def test_siblings_that_cannot_be_are_refused(siblings: list[bytes]) -> None:
    present = lambda: check_presence(bytes(32), bytes(32), bytes(32), siblings)  # noqa: E731
    absent = lambda: check_absence(bytes(32), bytes(32), None, siblings)  # noqa: E731
    assert {refusal_of(present)[0], refusal_of(absent)[0]} == {"BAD_MAP_PROOF"}


PROOF = WORKED["proof"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        PROOF[:-1],
        PROOF + "\n",
        PROOF.replace("@v1", "@v2"),
        PROOF.replace("\n", "\r\n"),
        PROOF.replace("count 4", "count 04"),
        PROOF.replace("count 4", f"count {2**64}"),
        PROOF.replace("index 5", f"index {2**64}"),
        PROOF.replace("key b", "key B"),
        PROOF.replace("count 4\n", ""),
        PROOF.replace("=\n", "\n"),
        PROOF + PROOF.splitlines(keepends=True)[-1] * 253,
        PROOF[:-3] + chr(ord(PROOF[-3]) + 1) + "=\n",
        WORKED["absent"].replace("absent other", "absent another"),
    ],
)
def test_text_that_is_no_proof_is_refused(text: str) -> None:
    assert refusal_of(lambda: MapProof.decode(text))[0] == "MAP_PROOF"
