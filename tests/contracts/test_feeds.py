"""The contract of `Feeds`: entries and progress together, or neither; one generation is live."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.postgres.feeds import PostgresFeeds
from adapters.sqlite.feeds import SqliteFeeds
from domain.errors import Conflict, Refused
from domain.feed import LANES, Cursor, Entry, Progress, Skip
from domain.ports import Feeds
from domain.vocabulary import Seat
from tests.builders import CASE, uid

SHELTER, POLICE = Seat("shelter", "protection_support"), Seat("police", "investigation")
OTHER = uid("another case")


class Opened(Feeds, Protocol):
    """Feeds as an adapter opens them."""

    def close(self) -> None:
        """Let go of file or connection."""
        ...


Opens = Callable[[pytest.FixtureRequest], Opened]
DURABLE: dict[str, Opens] = {
    "sqlite file": lambda r: SqliteFeeds(str(r.getfixturevalue("tmp_path") / "feeds.db")),
    "postgres": lambda r: PostgresFeeds(r.getfixturevalue("database")),
}
FEEDS = DURABLE | {
    "sqlite in memory": lambda _: SqliteFeeds(""),
}


@pytest.fixture(params=FEEDS)
def feeds(request: pytest.FixtureRequest) -> Iterator[Feeds]:
    with closing(FEEDS[request.param](request)) as opened:
        yield opened


@pytest.fixture(params=DURABLE)
def reopen(request: pytest.FixtureRequest) -> Callable[[], Opened]:
    return lambda: DURABLE[request.param](request)


def entry(seq: int, seat: Seat = SHELTER, lane: int = 0, **changes: Any) -> Entry:
    made = Entry(
        seat=seat, lane=lane, seq=seq, position=seq, case_id=CASE, mask=2, basis="act-1 GB.LAW"
    )
    return replace(made, **changes)


def all_of(feeds: Feeds, seat: Seat) -> list[Entry]:
    return list(feeds.read(seat, Cursor(), 1000))


def put(feeds: Feeds, entries: Sequence[Entry], position: int, lane: int = 0) -> None:
    """Write `entries` and move `lane` to `position`, from wherever it stands."""
    before = feeds.progress()[lane]
    feeds.write(entries, {lane: (before, Progress(position, before.offset))})


def places(feeds: Feeds) -> list[int]:
    return [progress.position for progress in feeds.progress()]


def test_empty_feeds_know_nothing(feeds: Feeds) -> None:
    assert (list(feeds.progress()), dict(feeds.heads())) == ([Progress()] * LANES, {})
    assert list(feeds.of_case(CASE)) == []
    assert all_of(feeds, SHELTER) == []


def test_what_was_written_comes_back_as_it_was(feeds: Feeds) -> None:
    again = entry(2, mask=0, supersedes=1)
    put(feeds, [entry(1), again], 7)
    assert feeds.progress()[0] == Progress(7)
    assert all_of(feeds, SHELTER) == [entry(1), again]


def test_lanes_move_without_entries_and_apart(feeds: Feeds) -> None:
    feeds.write([], {1: (Progress(), Progress(3, 40)), 7: (Progress(), Progress(5))})
    feeds.write([], {1: (Progress(3, 40), Progress(3, 41))})
    assert feeds.progress()[1] == Progress(3, 41)
    assert places(feeds) == [0, 3, 0, 0, 0, 0, 0, 5]


@pytest.mark.parametrize("wrong", [Progress(), Progress(3, 41), Progress(2, 40), Progress(4, 40)])
def test_a_lane_moves_from_where_it_stands_alone(feeds: Feeds, wrong: Progress) -> None:
    feeds.write([], {1: (Progress(), Progress(3, 40))})
    with pytest.raises(Conflict):
        feeds.write([entry(1, lane=1)], {1: (wrong, Progress(9)), 2: (Progress(), Progress(9))})
    assert places(feeds) == [0, 3, 0, 0, 0, 0, 0, 0]
    assert (all_of(feeds, SHELTER), dict(feeds.heads())) == ([], {})


def test_a_taken_number_leaves_nothing_of_the_write(feeds: Feeds) -> None:
    put(feeds, [entry(1)], 1)
    with pytest.raises(Conflict):
        put(feeds, [entry(1, POLICE), entry(2), entry(1)], 2)
    assert feeds.progress()[0] == Progress(1)
    assert dict(feeds.heads()) == {(SHELTER, 0): 1}
    assert all_of(feeds, POLICE) == []
    put(feeds, [entry(1, POLICE), entry(2)], 2)
    assert dict(feeds.heads()) == {(SHELTER, 0): 2, (POLICE, 0): 1}
    assert all_of(feeds, POLICE) == [entry(1, POLICE)]


def test_heads_are_the_newest_number_of_each_seat_and_lane(feeds: Feeds) -> None:
    put(feeds, [entry(1), entry(2), entry(1, lane=3), entry(1, POLICE, lane=3)], 1)
    assert dict(feeds.heads()) == {(SHELTER, 0): 2, (SHELTER, 3): 1, (POLICE, 3): 1}


def test_seats_of_one_agency_are_apart(feeds: Feeds) -> None:
    support = Seat("police", "protection_support")
    put(feeds, [entry(1, POLICE), entry(1, support, mask=8)], 1)
    assert all_of(feeds, support) == [entry(1, support, mask=8)]


def test_a_case_has_its_entries_in_order_within_each_seat(feeds: Feeds) -> None:
    put(feeds, [entry(1, POLICE), entry(1), entry(2, case_id=OTHER)], 1)
    put(feeds, [entry(3), entry(2, POLICE)], 2)
    for seat, seqs in ((SHELTER, [1, 3]), (POLICE, [1, 2])):
        assert [e.seq for e in feeds.of_case(CASE) if e.seat == seat] == seqs
    assert len(feeds.of_case(CASE)) == 4


def test_a_reader_goes_on_after_its_cursor(feeds: Feeds) -> None:
    put(feeds, [entry(n) for n in range(1, 6)] + [entry(1, lane=2)], 1)
    rest = feeds.read(SHELTER, Cursor().past(0, 3), 1000)
    assert [(e.lane, e.seq) for e in rest] == [(0, 4), (0, 5), (2, 1)]


def test_a_busy_lane_does_not_hold_up_the_others(feeds: Feeds) -> None:
    put(feeds, [entry(n) for n in range(1, 500)] + [entry(1, lane=LANES - 1)], 1)
    page = feeds.read(SHELTER, Cursor(), 2 * LANES)
    assert {e.lane for e in page} == {0, LANES - 1}


@pytest.mark.parametrize("limit", [1, 3, LANES, 20, 1000])
def test_a_page_is_no_longer_than_asked(feeds: Feeds, limit: int) -> None:
    put(feeds, [entry(n, lane=lane) for lane in range(LANES) for n in range(1, 20)], 1)
    assert 1 <= len(feeds.read(SHELTER, Cursor(), limit)) <= limit


@settings(max_examples=25)
@given(st.lists(st.integers(0, LANES - 1), max_size=60), st.integers(1, 20))
def test_a_reader_gets_every_entry_once_and_in_order(lanes: list[int], limit: int) -> None:
    with closing(SqliteFeeds("")) as feeds:
        entries = [entry(lanes[:n].count(lane) + 1, lane=lane) for n, lane in enumerate(lanes)]
        put(feeds, entries, 1)
        cursor, got = Cursor(), list[Entry]()
        while page := feeds.read(SHELTER, cursor, limit):
            for one in page:
                cursor = cursor.past(one.lane, one.seq)
            got += page
    assert len(got) == len(entries)
    for lane in range(LANES):
        seqs = [e.seq for e in got if e.lane == lane]
        assert seqs == list(range(1, len(seqs) + 1))


def test_feeds_opened_again_have_everything(reopen: Callable[[], Opened]) -> None:
    with closing(reopen()) as first:
        put(first, [entry(1), entry(1, POLICE)], 5)
    with closing(reopen()) as second:
        assert second.progress()[0] == Progress(5)
        assert all_of(second, POLICE) == [entry(1, POLICE)]


def test_a_reader_sees_seats_that_another_process_began(
    reopen: Callable[[], Opened],
) -> None:
    with closing(reopen()) as reader, closing(reopen()) as writer:
        put(writer, [entry(1)], 1)
        assert all_of(reader, SHELTER) == [entry(1)]
        put(writer, [entry(1, POLICE)], 2)
        assert dict(reader.heads()) == {(SHELTER, 0): 1, (POLICE, 0): 1}
        assert len(reader.of_case(CASE)) == 2


def test_of_two_projectors_one_is_told_that_the_other_was_first(
    reopen: Callable[[], Opened],
) -> None:
    with closing(reopen()) as one, closing(reopen()) as two:
        start = two.progress()[0]
        put(one, [entry(1)], 1)
        with pytest.raises(Conflict):
            two.write([entry(1)], {0: (start, Progress(1))})
        put(two, [entry(2)], 2)
        assert all_of(one, SHELTER) == [entry(1), entry(2)]


def test_projectors_of_other_lanes_are_no_hindrance(reopen: Callable[[], Opened]) -> None:
    with closing(reopen()) as one, closing(reopen()) as two:
        for n in range(1, 4):
            for feeds, lane in ((one, 2), (two, 5)):
                step = (Progress(n - 1), Progress(n))
                feeds.write([entry(n, lane=lane)], {lane: step})
        assert places(one) == [0, 0, 3, 0, 0, 3, 0, 0]
        assert dict(two.heads()) == {(SHELTER, 2): 3, (SHELTER, 5): 3}
        assert all_of(one, SHELTER) == [entry(n, lane=lane) for lane in (2, 5) for n in (1, 2, 3)]


SKIPPED = Skip(
    lane=2, offset=40, digest=bytes(32), by="operator-a", reason="foreign producer", skipped_ms=7
)


def test_what_was_skipped_is_kept_and_the_lane_goes_on_behind_it(feeds: Feeds) -> None:
    feeds.write([], {2: (Progress(), Progress(3, 40))})
    feeds.skip(SKIPPED, (Progress(3, 40), Progress(3, 41)))
    again = replace(SKIPPED, offset=41)
    feeds.skip(again, (Progress(3, 41), Progress(3, 42)))
    assert list(feeds.skips()) == [SKIPPED, again]
    assert feeds.progress()[2] == Progress(3, 42)


def test_nothing_is_skipped_where_the_lane_does_not_stand(feeds: Feeds) -> None:
    with pytest.raises(Conflict):
        feeds.skip(SKIPPED, (Progress(3, 40), Progress(3, 41)))
    assert (list(feeds.skips()), places(feeds)) == ([], [0] * LANES)


def copied(feeds: Feeds, position: int, entries: Sequence[Entry]) -> Feeds:
    """Return a generation beside `feeds` with `entries`, lane 0 at `position`."""
    made = feeds.beside()
    put(made, entries, position)
    return made


def test_a_generation_beside_the_live_one_is_not_seen(feeds: Feeds) -> None:
    put(feeds, [entry(1)], 1)
    beside = copied(feeds, 5, [entry(1, mask=8), entry(1, POLICE)])
    assert all_of(feeds, SHELTER) == [entry(1)]
    assert all_of(feeds, POLICE) == []
    assert dict(feeds.heads()) == {(SHELTER, 0): 1}
    assert list(feeds.of_case(CASE)) == [entry(1)]
    assert feeds.progress()[0] == Progress(1)
    assert all_of(beside, SHELTER) == [entry(1, mask=8)]
    assert dict(beside.heads()) == {(SHELTER, 0): 1, (POLICE, 0): 1}
    assert len(beside.of_case(CASE)) == 2
    assert beside.progress()[0] == Progress(5)


def test_the_live_one_goes_on_while_another_is_made(feeds: Feeds) -> None:
    put(feeds, [entry(1)], 1)
    beside = copied(feeds, 1, [entry(1)])
    put(feeds, [entry(2)], 2)
    put(beside, [entry(2), entry(3)], 3)
    assert all_of(feeds, SHELTER) == [entry(1), entry(2)]


def test_after_a_switch_readers_go_on_and_what_comes_is_written_to_the_new_one(
    feeds: Feeds,
) -> None:
    put(feeds, [entry(1)], 1)
    beside = copied(feeds, 3, [entry(1), entry(2)])
    beside.switch()
    assert all_of(feeds, SHELTER) == [entry(1), entry(2)]
    assert list(feeds.read(SHELTER, Cursor().past(0, 1), 10)) == [entry(2)]
    assert feeds.progress()[0] == Progress(3)
    put(feeds, [entry(3)], 4)
    assert all_of(beside, SHELTER) == [entry(1), entry(2), entry(3)]


def test_who_wrote_to_the_old_generation_is_told_and_goes_on_from_the_new(feeds: Feeds) -> None:
    put(feeds, [entry(1)], 1)
    beside = copied(feeds, 1, [entry(1)])
    beside.switch()
    with pytest.raises(Conflict):
        feeds.write([entry(2)], {0: (Progress(1), Progress(2))})
    assert all_of(feeds, SHELTER) == [entry(1)]
    put(feeds, [entry(2)], 2)
    assert all_of(feeds, SHELTER) == [entry(1), entry(2)]


def test_a_generation_that_is_behind_does_not_go_live(feeds: Feeds) -> None:
    put(feeds, [entry(1)], 2)
    beside = copied(feeds, 1, [entry(1)])
    with pytest.raises(Conflict) as refused:
        beside.switch()
    assert refused.value.code == "FEEDS_BEHIND"
    put(feeds, [entry(2)], 3)
    put(beside, [entry(2)], 3)
    beside.switch()
    assert all_of(feeds, SHELTER) == [entry(1), entry(2)]


def test_a_lane_that_was_never_begun_beside_is_behind(feeds: Feeds) -> None:
    put(feeds, [], 2, lane=6)
    with pytest.raises(Conflict):
        copied(feeds, 9, []).switch()


@pytest.mark.parametrize(
    "other",
    [
        [],
        [entry(1, mask=8)],
        [entry(1, basis="act-2")],
        [entry(1, position=3)],
        [entry(1, case_id=OTHER)],
        [entry(1, supersedes=7)],
        [entry(1, POLICE)],
        [entry(1, lane=1)],
        [entry(2)],
    ],
)
def test_a_generation_in_which_an_entry_is_another_does_not_go_live(
    feeds: Feeds, other: list[Entry]
) -> None:
    put(feeds, [entry(1)], 1)
    beside = copied(feeds, 2, other)
    with pytest.raises(Refused) as refused:
        beside.switch()
    assert refused.value.code == "FEEDS_DIFFER"
    assert all_of(feeds, SHELTER) == [entry(1)]
    put(feeds, [entry(2)], 2)


def test_of_two_generations_beside_the_newer_one_stays(feeds: Feeds) -> None:
    put(feeds, [entry(1)], 1)
    first = copied(feeds, 1, [entry(1)])
    second = feeds.beside()
    assert all_of(second, SHELTER) == []
    assert second.progress()[0] == Progress()
    with pytest.raises(Conflict):
        first.write([entry(2)], {0: (Progress(1), Progress(2))})
    with pytest.raises(Conflict):
        first.switch()
    put(second, [entry(1)], 1)
    second.switch()
    assert all_of(feeds, SHELTER) == [entry(1)]


def test_switches_follow_each_other(feeds: Feeds) -> None:
    for n in range(1, 4):
        put(feeds, [entry(n)], n)
        copied(feeds, n, [entry(k) for k in range(1, n + 1)]).switch()
    assert all_of(feeds, SHELTER) == [entry(1), entry(2), entry(3)]


def test_what_was_skipped_outlives_a_switch(feeds: Feeds) -> None:
    feeds.write([], {2: (Progress(), Progress(3, 40))})
    feeds.skip(SKIPPED, (Progress(3, 40), Progress(3, 41)))
    beside = feeds.beside()
    beside.write([], {2: (Progress(), Progress(3))})
    beside.switch()
    assert list(feeds.skips()) == [SKIPPED]


def test_other_processes_see_a_switch(reopen: Callable[[], Opened]) -> None:
    with closing(reopen()) as reader, closing(reopen()) as rebuilder:
        put(reader, [entry(1)], 1)
        beside = copied(rebuilder, 2, [entry(1), entry(1, POLICE)])
        assert all_of(reader, POLICE) == []
        beside.switch()
        assert all_of(reader, POLICE) == [entry(1, POLICE)]


def test_a_file_of_another_layout_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE feed (seat INTEGER)")
    with pytest.raises(Refused, match="remove the file") as refused:
        SqliteFeeds(str(path))
    assert refused.value.code == "FEEDS_LAYOUT"
