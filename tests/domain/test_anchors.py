"""The list of anchors is read to the letter; an anchor is of a tree that begins the later one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Malformed, NotAuthentic
from domain.trail.anchors import Anchor, Anchored, covering, decode_index, encode_index
from domain.trail.checkpoint import Checkpoint
from domain.trail.merkle import leaf, root

LEAVES = [leaf(bytes([n])) for n in range(70)]
LATER = Checkpoint("hub.example/trail", len(LEAVES), root(LEAVES))


def nodes(level: int, index: int) -> bytes:
    return root(LEAVES[index << level : (index + 1) << level])


def anchor(size: int, **changes: object) -> Anchor:
    made = Checkpoint(LATER.origin, size, root(LEAVES[:size]))._replace(**changes)  # type: ignore[arg-type]
    note = f"{made.text}\n\N{EM DASH} a AAAAAAA=\n".encode()
    return Anchor.under(size, note, b"answer", LATER, nodes)


@given(st.dictionaries(st.integers(1, 2**63 - 1), st.integers(1, 2**63 - 1), max_size=20))
def test_the_list_comes_back_as_it_was(sizes: dict[int, int]) -> None:
    listed = tuple(Anchored(size, sizes[size]) for size in sorted(sizes))
    assert decode_index(encode_index(listed)) == listed


def test_without_a_file_nothing_is_listed() -> None:
    assert decode_index(None) == decode_index(b"") == ()


@pytest.mark.parametrize(
    "data",
    [
        *(b"1 2", b"1\n", b"01 2\n", b"1 2\n\n", b"1 2 3\n", b"-1 2\n", b"\xff 1\n", b"1\t2\n"),
        *(b"2 1\n1 2\n", b"1 1\n1 2\n", b"9999999999999999999 1\n", b"0 1\n"),
    ],
)
def test_what_is_no_list_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed, match=r"^ANCHORS: "):
        decode_index(data)


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 70])
def test_a_stamped_checkpoint_begins_the_later_log(size: int) -> None:
    made = anchor(size)
    made.check(LATER)
    assert Anchor.of(size, made.checkpoint, made.answer, made.proof_text) == made


@pytest.mark.parametrize(
    "wrong",
    [
        anchor(64, root=root(LEAVES[1:65])),
        anchor(64, origin="another.example/trail"),
        anchor(64)._replace(size=65),
        anchor(64)._replace(proof=anchor(63).proof),
        anchor(64)._replace(proof=()),
        anchor(64)._replace(checkpoint=b"no note"),
        anchor(70, root=root(LEAVES[:69])),
    ],
)
def test_another_tree_is_no_anchor(wrong: Anchor) -> None:
    with pytest.raises(NotAuthentic, match=r"^ANCHOR: "):
        wrong.check(LATER)


@pytest.mark.parametrize("text", [b"AAAA", b"?\n", b"\xff\n", b" AAAA\n"])
def test_what_is_no_proof_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed, match=r"^ANCHOR: "):
        Anchor.of(1, b"", b"", text)


def test_an_entry_is_covered_by_the_first_anchor_after_it() -> None:
    listed = [Anchored(size, 1) for size in (10, 20, 30, 40)]
    assert covering(listed, [0, 9], 30) == [10]
    assert covering(listed, [10, 25], 30) == [20, 30]
    assert covering(listed, [30, 35], 30) == []
    assert covering([], [1], 30) == []
