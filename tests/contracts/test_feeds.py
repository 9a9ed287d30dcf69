"""The contract of `Feeds`: entries and position together, or neither."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.feeds import SqliteFeeds
from domain.errors import Conflict
from domain.feed import LANES, Cursor, Entry
from domain.ports import Feeds
from domain.vocabulary import Seat
from tests.builders import CASE, uid

SHELTER, POLICE = Seat("shelter", "protection_support"), Seat("police", "investigation")
OTHER = uid("another case")
DURABLE: dict[str, Callable[[Path], SqliteFeeds]] = {
    "sqlite file": lambda folder: SqliteFeeds(str(folder / "feeds.db")),
}
FEEDS = DURABLE | {
    "sqlite in memory": lambda _: SqliteFeeds(""),
}


@pytest.fixture(params=FEEDS)
def feeds(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Feeds]:
    with closing(FEEDS[request.param](tmp_path)) as opened:
        yield opened


@pytest.fixture(params=DURABLE)
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], SqliteFeeds]:
    return lambda: DURABLE[request.param](tmp_path)


def entry(seq: int, seat: Seat = SHELTER, lane: int = 0, **changes: Any) -> Entry:
    made = Entry(
        seat=seat, lane=lane, seq=seq, position=seq, case_id=CASE, mask=2, basis="act-1 GB.LAW"
    )
    return replace(made, **changes)


def all_of(feeds: Feeds, seat: Seat) -> list[Entry]:
    return list(feeds.read(seat, Cursor(), 1000))


def test_empty_feeds_know_nothing(feeds: Feeds) -> None:
    assert (feeds.position(), dict(feeds.heads())) == (0, {})
    assert list(feeds.of_case(CASE)) == []
    assert all_of(feeds, SHELTER) == []


def test_what_was_written_comes_back_as_it_was(feeds: Feeds) -> None:
    again = entry(2, mask=0, supersedes=1)
    feeds.write([entry(1), again], 7)
    assert feeds.position() == 7
    assert all_of(feeds, SHELTER) == [entry(1), again]


def test_a_position_moves_without_entries(feeds: Feeds) -> None:
    feeds.write([], 3)
    assert feeds.position() == 3


def test_a_taken_number_leaves_nothing_of_the_write(feeds: Feeds) -> None:
    feeds.write([entry(1)], 1)
    with pytest.raises(Conflict):
        feeds.write([entry(1, POLICE), entry(2), entry(1)], 2)
    assert feeds.position() == 1
    assert dict(feeds.heads()) == {(SHELTER, 0): 1}
    assert all_of(feeds, POLICE) == []
    feeds.write([entry(1, POLICE), entry(2)], 2)
    assert dict(feeds.heads()) == {(SHELTER, 0): 2, (POLICE, 0): 1}
    assert all_of(feeds, POLICE) == [entry(1, POLICE)]


def test_heads_are_the_newest_number_of_each_seat_and_lane(feeds: Feeds) -> None:
    feeds.write([entry(1), entry(2), entry(1, lane=3), entry(1, POLICE, lane=3)], 1)
    assert dict(feeds.heads()) == {(SHELTER, 0): 2, (SHELTER, 3): 1, (POLICE, 3): 1}


def test_seats_of_one_agency_are_apart(feeds: Feeds) -> None:
    support = Seat("police", "protection_support")
    feeds.write([entry(1, POLICE), entry(1, support, mask=8)], 1)
    assert all_of(feeds, support) == [entry(1, support, mask=8)]


def test_a_case_has_its_entries_in_order_within_each_seat(feeds: Feeds) -> None:
    feeds.write([entry(1, POLICE), entry(1), entry(2, case_id=OTHER)], 1)
    feeds.write([entry(3), entry(2, POLICE)], 2)
    for seat, seqs in ((SHELTER, [1, 3]), (POLICE, [1, 2])):
        assert [e.seq for e in feeds.of_case(CASE) if e.seat == seat] == seqs
    assert len(feeds.of_case(CASE)) == 4


def test_a_reader_goes_on_after_its_cursor(feeds: Feeds) -> None:
    feeds.write([entry(n) for n in range(1, 6)] + [entry(1, lane=2)], 1)
    rest = feeds.read(SHELTER, Cursor().past(0, 3), 1000)
    assert [(e.lane, e.seq) for e in rest] == [(0, 4), (0, 5), (2, 1)]


def test_a_busy_lane_does_not_hold_up_the_others(feeds: Feeds) -> None:
    feeds.write([entry(n) for n in range(1, 500)] + [entry(1, lane=LANES - 1)], 1)
    page = feeds.read(SHELTER, Cursor(), 2 * LANES)
    assert {e.lane for e in page} == {0, LANES - 1}


@pytest.mark.parametrize("limit", [1, 3, LANES, 20, 1000])
def test_a_page_is_no_longer_than_asked(feeds: Feeds, limit: int) -> None:
    feeds.write([entry(n, lane=lane) for lane in range(LANES) for n in range(1, 20)], 1)
    assert 1 <= len(feeds.read(SHELTER, Cursor(), limit)) <= limit


@settings(max_examples=25)
@given(st.lists(st.integers(0, LANES - 1), max_size=60), st.integers(1, 20))
def test_a_reader_gets_every_entry_once_and_in_order(lanes: list[int], limit: int) -> None:
    with closing(SqliteFeeds("")) as feeds:
        entries = [entry(lanes[:n].count(lane) + 1, lane=lane) for n, lane in enumerate(lanes)]
        feeds.write(entries, 1)
        cursor, got = Cursor(), list[Entry]()
        while page := feeds.read(SHELTER, cursor, limit):
            for one in page:
                cursor = cursor.past(one.lane, one.seq)
            got += page
    assert len(got) == len(entries)
    for lane in range(LANES):
        seqs = [e.seq for e in got if e.lane == lane]
        assert seqs == list(range(1, len(seqs) + 1))


def test_feeds_opened_again_have_everything(reopen: Callable[[], SqliteFeeds]) -> None:
    with closing(reopen()) as first:
        first.write([entry(1), entry(1, POLICE)], 5)
    with closing(reopen()) as second:
        assert second.position() == 5
        assert all_of(second, POLICE) == [entry(1, POLICE)]


def test_a_reader_sees_seats_that_another_process_began(
    reopen: Callable[[], SqliteFeeds],
) -> None:
    with closing(reopen()) as reader, closing(reopen()) as writer:
        writer.write([entry(1)], 1)
        assert all_of(reader, SHELTER) == [entry(1)]
        writer.write([entry(1, POLICE)], 2)
        assert dict(reader.heads()) == {(SHELTER, 0): 1, (POLICE, 0): 1}
        assert len(reader.of_case(CASE)) == 2


def test_of_two_projectors_one_is_told_that_the_other_was_first(
    reopen: Callable[[], SqliteFeeds],
) -> None:
    with closing(reopen()) as one, closing(reopen()) as two:
        one.write([entry(1)], 1)
        with pytest.raises(Conflict):
            two.write([entry(1)], 1)
        two.write([entry(2)], 2)
        assert all_of(one, SHELTER) == [entry(1), entry(2)]
