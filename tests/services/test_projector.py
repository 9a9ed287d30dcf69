"""The projector: one feed whatever the batches, the restarts and the number of projectors."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.feeds import SqliteFeeds
from domain.errors import Conflict, Corrupt, Refused, Unavailable
from domain.events import REGISTRY_STREAM, AgencyReinstated
from domain.feed import LANES, Entry, Progress, lane_of, lanes_of
from domain.lanes import Batch
from domain.ports import EventStore, Feeds, Recorded
from services.hub import lane as lane_module
from services.hub import rebuilding as rebuilding_module
from services.hub.projecting import StoreProjection
from services.hub.projector import Projector, Step
from services.hub.rebuilding import Rebuilding
from tests import builders
from tests.agencies import world
from tests.services.case_logs import LANGUAGE, append, by_lane, dump, row, store_of, whole_log

SEEDS = st.integers(0, 11)


def projector(store: EventStore, feeds: Feeds, lanes: Sequence[int] = range(LANES)) -> Projector:
    return Projector(store, feeds, LANGUAGE, world(), lanes)


def run(one: Projector, limit: int = 500) -> None:
    while one.step(limit).recorded_ms:
        pass


@cache
def expected(seed: int) -> list[Entry]:
    """Return the feeds of a log, projected in one step by a projector that holds every case."""
    store, events = store_of(seed)
    with closing(SqliteFeeds("")) as feeds:
        assert len(projector(store, feeds).step(events).recorded_ms) == events
        return dump(feeds)


def test_the_logs_of_these_tests_show_take_back_and_show_again() -> None:
    entries = [entry for seed in range(12) for entry in expected(seed)]
    retracted = {(e.seat, e.position) for e in entries if e.supersedes and not e.mask}
    assert len({e.seat for e in entries}) >= LANES
    assert len(retracted) > LANES
    assert any(e.mask and (e.seat, e.position) in retracted for e in entries)


@settings(max_examples=60)
@given(SEEDS, st.integers(0, 1 << 32), st.integers(1, 60), st.sampled_from([0, 250]))
def test_batches_restarts_and_forgotten_cases_change_nothing(
    seed: int, chance: int, most: int, held: int
) -> None:
    rng = Random(chance)  # noqa: S311 - a test's choices
    store, _ = store_of(seed)
    with (
        closing(SqliteFeeds("")) as feeds,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(lane_module, "HELD_CASES", held)
        one = projector(store, feeds)
        while one.step(rng.randint(1, most)).recorded_ms:
            if rng.random() < 0.2:
                one = projector(store, feeds)
        assert dump(feeds) == expected(seed)


@settings(max_examples=40)
@given(SEEDS, st.lists(st.integers(0, 2), min_size=LANES, max_size=LANES), st.integers(0, 1 << 32))
def test_the_number_of_projectors_changes_nothing(seed: int, owner: list[int], chance: int) -> None:
    rng = Random(chance)  # noqa: S311 - a test's choices
    store, _ = store_of(seed)
    with closing(SqliteFeeds("")) as feeds:
        several = [
            projector(store, feeds, [n for n in range(LANES) if owner[n] == k]) for k in range(3)
        ]
        for _ in range(20):
            rng.choice(several).step(rng.randint(1, 40))
        for one in several:
            run(one)
        assert dump(feeds) == expected(seed)


@settings(max_examples=40)
@given(SEEDS, st.integers(0, 1 << 32))
def test_lanes_given_duplicates_and_odd_batches_give_the_same_feeds(seed: int, chance: int) -> None:
    rng = Random(chance)  # noqa: S311 - a test's choices
    store, events = store_of(seed)
    log = store.read_log(0, events)
    own = by_lane(log)
    with closing(SqliteFeeds("")) as feeds:
        one = projector(store, feeds)
        at = [0] * LANES
        while any(at[n] < len(own[n]) for n in range(LANES)):
            lanes = rng.sample(range(LANES), rng.randint(1, LANES))
            one.take([_batch(n, own[n], at, rng) for n in lanes])
        assert dump(feeds) == expected(seed)
        assert [p.offset for p in feeds.progress()] == [len(lane) for lane in own]


def _batch(n: int, events: Sequence[Recorded], at: list[int], rng: Random) -> Batch:
    """Return some of a lane's events, beginning with some that were taken before."""
    start, end = rng.randint(0, at[n]), min(len(events), at[n] + rng.randint(0, 30))
    at[n] = end
    return Batch(
        lane=n,
        events=events[start:end],
        offsets=range(start, end),
        reached=Progress(offset=end),
    )


@settings(max_examples=30)
@given(SEEDS, st.integers(0, 1 << 32))
def test_owners_who_take_lanes_from_each_other_do_no_harm(seed: int, chance: int) -> None:
    """Every projector believes that every lane is its own."""
    rng = Random(chance)  # noqa: S311 - a test's choices
    store, _ = store_of(seed)
    refused = 0
    with closing(SqliteFeeds("")) as feeds:
        several = [projector(store, feeds) for _ in range(3)]
        while feeds.progress()[0].position < store.head():
            try:
                rng.choice(several).step(rng.randint(1, 30))
            except Conflict:
                refused += 1
        assert dump(feeds) == expected(seed)
    assert refused


class _Failing:
    """Feeds whose writes fail now and then: before they are done, or after, unanswered."""

    def __init__(self, feeds: SqliteFeeds, rng: Random) -> None:
        self._feeds = feeds
        self._rng = rng

    def __getattr__(self, name: str) -> Any:
        return getattr(self._feeds, name)

    def write(self, *written: Any) -> None:
        fate = self._rng.random()
        if fate < 0.2:
            raise Unavailable("AWAY", "the database is away")
        self._feeds.write(*written)
        if fate < 0.4:
            raise Unavailable("AWAY", "the answer was lost")


@settings(max_examples=40)
@given(SEEDS, st.integers(0, 1 << 32))
def test_a_write_that_failed_or_whose_answer_was_lost_changes_nothing(
    seed: int, chance: int
) -> None:
    rng = Random(chance)  # noqa: S311 - a test's choices
    store, _ = store_of(seed)
    with closing(SqliteFeeds("")) as feeds:
        one = projector(store, _Failing(feeds, rng))
        done = False
        while not done:
            try:
                done = not one.step(rng.randint(1, 60)).recorded_ms
            except Unavailable:
                assert one.astray
            except Conflict:
                pytest.fail("nobody else writes here")
        assert dump(feeds) == expected(seed)


def test_a_projection_goes_on_from_what_another_owner_left() -> None:
    store, _ = store_of(0)
    with closing(SqliteFeeds("")) as feeds:
        told: list[Step] = []
        one = StoreProjection(projector(store, feeds), told.append, limit=30)
        assert one.step()
        projector(store, feeds).step(10)
        assert one.step()  # it was told that it is late, and nothing else
        assert len(told) == 1
        while one.step():
            pass
        assert dump(feeds) == expected(0)


def test_an_event_that_cannot_be_next_stalls_its_lane_and_no_other() -> None:
    store, count = store_of(3)
    log = store.read_log(0, count)
    bad = next(e for e in log[60:] if e.case_id != REGISTRY_STREAM and e.version > 1)
    sick = lane_of(bad.case_id)
    with closing(SqliteFeeds("")) as feeds:
        one = projector(store, feeds)
        one.take(_all(log, {bad.position: replace(bad, version=bad.version + 1)}))
        assert one.stalled.keys() == {sick}
        stall = one.stalled[sick]
        assert (stall.code, stall.offset) == ("VERSION_GAP", bad.position)
        assert feeds.progress()[sick].position < bad.position
        entries = dump(feeds)
        assert [e for e in entries if e.lane != sick] == [e for e in expected(3) if e.lane != sick]
        before = [e for e in expected(3) if e.lane == sick]
        assert [e for e in entries if e.lane == sick] == [e for e in before if e in entries]


def _all(log: Sequence[Recorded], changed: dict[int, Recorded]) -> list[Batch]:
    """Return everything that each lane is to take, offsets being positions."""
    batches = []
    for n, own in enumerate(by_lane(log)):
        events = [changed.get(e.position, e) for e in own]
        places = [e.position for e in own]
        reached = Progress(offset=places[-1] + 1)
        batches.append(Batch(lane=n, events=events, offsets=places, reached=reached))
    return batches


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"body": b"\x00"}, "RECORD_UNREADABLE"),
        ({"event_id": "another"}, "RECORD_MISLABELLED"),
        ({"position": 1 << 40}, "POSITION_UNKNOWN"),
        ({"case_id": REGISTRY_STREAM}, "VERSION_GAP"),
        ({"type": "nrm.v1.AgencyRegistered"}, "RECORD_UNREADABLE"),
    ],
)
def test_what_is_wrong_with_an_event_is_said(changes: dict[str, Any], code: str) -> None:
    store, count = store_of(3)
    log = store.read_log(0, count)
    bad = next(e for e in log[60:] if e.case_id != REGISTRY_STREAM)
    with closing(SqliteFeeds("")) as feeds:
        one = projector(store, feeds)
        one.take(_all(log, {bad.position: replace(bad, **changes)}))
        assert [stall.code for stall in one.stalled.values()] == [code]


@pytest.mark.parametrize("fact", [False, True])
def test_an_event_about_what_never_was_stalls_the_lanes_it_is_in(fact: bool) -> None:  # noqa: FBT001 - a parameter
    store, count = store_of(3)
    log = store.read_log(0, count)
    bad = next(e for e in log[60:] if (e.case_id == REGISTRY_STREAM) == fact)
    head = builders.head("charity")
    head = replace(head, case_id=bad.case_id, event_id=bad.event_id)
    made = (
        AgencyReinstated(head=head, agency="charity", approvals=())
        if fact
        else replace(builders.referral_accepted(), head=head, referral_id=builders.uid("none"))
    )
    changed = row(made, bad.position, bad.version, bad.recorded_ms)
    with closing(SqliteFeeds("")) as feeds:
        one = projector(store, feeds)
        one.take(_all(log, {bad.position: changed}))
        lanes = lanes_of(bad.case_id)
        assert {n: stall.code for n, stall in one.stalled.items()} == dict.fromkeys(
            lanes, "EVENT_IMPOSSIBLE"
        )


class _Away:
    """A store that is away when it is asked for the registry."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.away = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def read_case(self, *asked: Any) -> Any:
        if self.away:
            raise Unavailable("AWAY", "the store is away")
        return self._store.read_case(*asked)


def test_a_projector_whose_store_is_away_when_it_begins_anew_forgets_no_lane() -> None:
    store, _ = store_of(2)
    away = _Away(store)
    with closing(SqliteFeeds("")) as feeds:
        one, other = projector(away, feeds), projector(store, feeds)
        other.step(50)
        with pytest.raises(Conflict):
            one.step(60)
        away.away = True
        with pytest.raises(Unavailable):
            one.step()
        away.away = False
        run(one)
        assert dump(feeds) == expected(2)


def test_a_store_that_cannot_be_read_ends_the_projector_behind_what_is_whole() -> None:
    log = whole_log(5)
    at = next(i for i, e in enumerate(log) if i > 80 and e.case_id != REGISTRY_STREAM)
    log[at] = replace(log[at], body=b"\x00")
    with closing(SqliteEventStore("")) as store, closing(SqliteFeeds("")) as feeds:
        append(store, log)
        one = projector(store, feeds)
        for _ in range(2):
            with pytest.raises(Corrupt, match="RECORD_UNREADABLE"):
                run(one, 30)
            assert one.position < log[at].position
            one = projector(store, feeds)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "feeds.db")


def rebuilding(store: EventStore, feeds: Feeds) -> Rebuilding:
    return Rebuilding(store, feeds, LANGUAGE, world())


def test_a_rebuild_takes_the_place_of_what_it_equals_and_a_live_projector_goes_on(
    path: str,
) -> None:
    store, events = store_of(2)
    told: list[tuple[int, int]] = []
    with closing(SqliteFeeds(path)) as feeds, closing(SqliteFeeds(path)) as others:
        live = StoreProjection(projector(store, feeds), limit=7)
        for _ in range(10):
            live.step()
        before = feeds.progress()
        assert rebuilding(store, others).run(lambda *at: told.append(at)) == events
        assert told[-1] == (events, events)
        assert feeds.progress() != before
        while live.step():
            pass
        assert dump(feeds) == expected(2)


def test_a_live_projector_and_a_reader_do_not_stop_while_feeds_are_rebuilt(path: str) -> None:
    """The log grows and is projected live in every pause of the rebuild."""
    log = whole_log(4)
    with (
        closing(SqliteEventStore("")) as store,
        closing(SqliteFeeds(path)) as feeds,
        closing(SqliteFeeds(path)) as others,
    ):
        append(store, log[:150])
        live = StoreProjection(projector(store, feeds))
        live.step()
        seen = dump(feeds)
        waiting = iter(log[150:])

        def meanwhile(*_: int) -> None:
            nonlocal seen
            append(store, list(islice(waiting, 9)))
            live.step()
            now = dump(feeds)
            assert set(seen) <= set(now)
            seen = now

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rebuilding_module, "STEP", 40)
            rebuilding(store, others).run(meanwhile)
        append(store, list(waiting))
        while live.step():
            pass
        assert dump(feeds) == _of(log)


def _of(log: Sequence[Recorded]) -> list[Entry]:
    with closing(SqliteEventStore("")) as store, closing(SqliteFeeds("")) as feeds:
        append(store, log)
        run(projector(store, feeds))
        return dump(feeds)


def test_feeds_that_the_log_does_not_give_are_not_replaced(path: str) -> None:
    store, _ = store_of(2)
    with closing(SqliteFeeds(path)) as feeds:
        run(projector(store, feeds))
        last = expected(2)[-1]
        at = feeds.progress()[last.lane]
        extra = replace(last, seq=last.seq + 1)
        feeds.write([extra], {last.lane: (at, replace(at, offset=1))})
        with pytest.raises(Refused, match="FEEDS_DIFFER"):
            rebuilding(store, feeds).run()
        assert extra in dump(feeds)


def test_lanes_that_were_read_from_kafka_go_on_there_after_a_rebuild(path: str) -> None:
    store, events = store_of(2)
    with closing(SqliteFeeds(path)) as feeds:
        projector(store, feeds).take(_all(store.read_log(0, events), {}))
        offsets = [progress.offset for progress in feeds.progress()]
        rebuilding(store, feeds).run()
        assert [progress.offset for progress in feeds.progress()] == offsets
        assert {progress.position for progress in feeds.progress()} == {events}
