"""Lanes and cursors of feeds: what a reader hands back is taken only as it was given."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Malformed
from domain.events import REGISTRY_STREAM
from domain.feed import LANES, Cursor, lane_of, lanes_of

SEQS = st.lists(st.integers(0, (1 << 63) - 1), min_size=LANES, max_size=LANES).map(tuple)


def encoded(plain: bytes) -> str:
    return base64.urlsafe_b64encode(plain).decode().rstrip("=")


@given(st.uuids())
def test_a_case_has_one_lane(case_id: object) -> None:
    lane = lane_of(str(case_id))
    assert 0 <= lane < LANES
    assert list(lanes_of(str(case_id))) == [lane]


def test_a_fact_of_the_registry_is_in_every_lane() -> None:
    assert list(lanes_of(REGISTRY_STREAM)) == list(range(LANES))


def test_every_lane_is_used() -> None:
    cases = [f"{n:08x}-0000-4000-8000-000000000000" for n in range(LANES)]
    assert {lane_of(case_id) for case_id in cases} == set(range(LANES))


@given(SEQS)
def test_a_cursor_comes_back_as_it_was(seqs: tuple[int, ...]) -> None:
    assert Cursor.decode(Cursor(seqs).encode()) == Cursor(seqs)


def test_no_cursor_is_the_beginning() -> None:
    assert Cursor.decode("") == Cursor((0,) * LANES)


@given(st.text(max_size=60))
def test_any_text_is_a_cursor_or_malformed(text: str) -> None:
    try:
        seqs = Cursor.decode(text).seqs
    except Malformed:
        return
    assert len(seqs) == LANES
    assert min(seqs) >= 0


@pytest.mark.parametrize(
    "plain",
    [
        b"1.2.3",
        b"0.0.0.0.0.0.0.0.0",
        b"0.0.0.0.0.0.0.-1",
        b"0.0.0.0.0.0.0." + str(1 << 63).encode(),
        b"0.0.0.0.0.0.0.one",
        b"0.0.0.0.0.0.0." + b"9" * 5000,
        b"\xff",
    ],
)
def test_a_cursor_that_the_feed_never_gave_is_malformed(plain: bytes) -> None:
    with pytest.raises(Malformed, match="use the cursor as the feed gave it"):
        Cursor.decode(encoded(plain))


@given(SEQS, st.integers(0, LANES - 1), st.integers(0, 1 << 40))
def test_taking_an_entry_moves_its_lane_alone(seqs: tuple[int, ...], lane: int, seq: int) -> None:
    moved = Cursor(seqs).past(lane, seq)
    assert moved.seqs == (*seqs[:lane], seq, *seqs[lane + 1 :])
