"""The contract of `EventStore`: durable at the end of the block, or nothing of it."""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from threading import Event
from uuid import UUID

import pytest

from adapters.postgres.event_store import PostgresEventStore
from adapters.sqlite.event_store import SqliteEventStore
from domain.errors import Conflict, Refused
from domain.ports import ActorHead, Answer, EventStore, Recorded, Refusal, Start
from domain.trail.statement import digest
from tests.builders import CASE, uid
from tests.contracts.making import OTHER_TYPE, actor, recorded, refusal, statement

OTHER = uid("another case")
Store = SqliteEventStore | PostgresEventStore
DURABLE: dict[str, Callable[[pytest.FixtureRequest], Callable[[], Store]]] = {
    "sqlite file": lambda test: partial(
        SqliteEventStore, str(test.getfixturevalue("tmp_path") / "log.db")
    ),
    "postgres": lambda test: partial(PostgresEventStore, test.getfixturevalue("database")),
}
STORES = DURABLE | {
    "sqlite in memory": lambda _: partial(SqliteEventStore, ""),
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Iterator[EventStore]:
    with closing(STORES[request.param](request)()) as opened:
        yield opened


@pytest.fixture(params=DURABLE)
def reopen(request: pytest.FixtureRequest) -> Callable[[], Store]:
    return DURABLE[request.param](request)


def append(store: EventStore, *rows: Recorded | Refusal) -> list[int]:
    events = [r for r in rows if isinstance(r, Recorded)]
    refusals = [r for r in rows if isinstance(r, Refusal)]
    with store.appending() as tx:
        return list(tx.append(events, refusals))


def start(
    store: EventStore,
    cases: Collection[str] = (),
    actors: Collection[bytes] = (),
    events: Collection[str] = (),
) -> Start:
    with store.appending(cases, actors, events) as tx:
        return tx.start


def contents(store: EventStore) -> tuple[object, ...]:
    """Return all that can be seen of the store."""
    asked = [actor("agency"), actor("another")], [uid(f"event {n}") for n in range(9)]
    return store.head(), store.read_log(0, 9), start(store, [CASE], *asked)


def test_an_empty_store_knows_nothing(store: EventStore) -> None:
    assert contents(store) == (0, [], Start(heads={}, actors={}, answers={}, recorded_ms=0))
    assert store.heads([CASE]) == {}
    assert list(store.read_case(CASE)) == []
    assert store.read_answer(uid("event 1")) is None


def test_what_was_appended_comes_back_as_it_was(store: EventStore) -> None:
    one = recorded("event 1", custody_seq=1)
    two = recorded("event 2", version=2, type=OTHER_TYPE, body=b"")
    assert append(store, one, two) == [1, 2]
    assert store.read_case(CASE) == [replace(one, position=1), replace(two, position=2)]
    assert store.read_positions([2, 7]) == {2: replace(two, position=2)}
    assert store.head() == 2


def test_nothing_of_a_block_that_raises_is_kept(store: EventStore) -> None:
    append(store, recorded("event 1"))
    before = contents(store)
    with pytest.raises(RuntimeError):
        _append_and_fail(store)
    assert contents(store) == before


def _append_and_fail(store: EventStore) -> None:
    with store.appending() as tx:
        tx.append([recorded("event 2", version=2)], [refusal("event 3")])
        raise RuntimeError


def test_a_version_that_is_taken_writes_nothing(store: EventStore) -> None:
    append(store, recorded("event 1"))
    before = contents(store)
    fresh = recorded("event 2", case_id=OTHER, statement=statement("event 2", by="another"))
    with pytest.raises(Conflict, match="VERSION_TAKEN"):
        append(store, fresh, recorded("event 3"), refusal("event 4"))
    assert contents(store) == before
    assert append(store, fresh) == [2]


def test_an_event_id_is_kept_once(store: EventStore) -> None:
    append(store, recorded("event 1"))
    with pytest.raises(Conflict, match="VERSION_TAKEN"):
        append(store, recorded("event 1", version=2))
    assert store.heads([CASE]) == {CASE: 1}


def test_heads_are_of_the_cases_that_exist(store: EventStore) -> None:
    append(store, recorded("event 1"), recorded("event 2", version=2))
    append(store, recorded("event 3", case_id=OTHER))
    wanted = [CASE, OTHER, uid("none")]
    assert store.heads(wanted) == {CASE: 2, OTHER: 1}
    assert start(store, cases=wanted).heads == {CASE: 2, OTHER: 1}


def test_nobody_sees_what_is_written_before_the_block_ends(reopen: Callable[[], Store]) -> None:
    with closing(reopen()) as store:
        with store.appending() as tx:
            tx.append([recorded("event 1")], [refusal("event 2")])
            assert (store.head(), store.heads([CASE])) == (0, {})
        assert (store.head(), store.heads([CASE])) == (1, {CASE: 1})


def test_a_case_is_read_from_a_version_on(store: EventStore) -> None:
    append(store, *(recorded(f"event {n}", version=n) for n in (1, 2, 3)))
    append(store, recorded("event 4", case_id=OTHER))
    assert [r.version for r in store.read_case(CASE, 1)] == [2, 3]
    assert list(store.read_case(CASE, 3)) == []
    with store.appending() as tx:
        assert [r.version for r in tx.read_case(CASE, 2)] == [3]


def test_the_log_is_read_in_order_from_a_position_by_type(store: EventStore) -> None:
    types = ["nrm.v1.CaseOpened", OTHER_TYPE, "nrm.v1.CaseClosed", OTHER_TYPE]
    append(store, *(recorded(f"event {n}", n, type=t) for n, t in enumerate(types, 1)))
    assert [r.position for r in store.read_log(0, 3)] == [1, 2, 3]
    assert [r.position for r in store.read_log(2, 10)] == [3, 4]
    assert [r.position for r in store.read_log(0, 10, [OTHER_TYPE])] == [2, 4]
    assert [r.position for r in store.read_log(2, 1, [OTHER_TYPE])] == [4]
    assert list(store.read_log(0, 10, ["nrm.v1.None"])) == []


def test_positions_grow_over_all_cases(store: EventStore) -> None:
    first = append(store, recorded("event 1"), recorded("event 2", case_id=OTHER))
    second = append(store, recorded("event 3", version=2))
    assert first + second == [1, 2, 3]


def test_the_first_answer_to_an_event_is_kept_for_both_outcomes(store: EventStore) -> None:
    yes, no = recorded("event 1"), refusal("event 2", statement=statement("no", by="another"))
    append(store, yes, no)
    accepted = Answer(
        statement_digest=digest(yes.statement),
        actor=actor("agency"),
        recorded_ms=1,
        position=1,
        code=None,
    )
    refused = Answer(
        statement_digest=digest(no.statement),
        actor=actor("another"),
        recorded_ms=9,
        position=None,
        code="CONSENT_MISSING",
    )
    assert store.read_answer(uid("event 1")) == accepted
    assert store.read_answer(uid("event 2")) == refused
    both = start(store, events=[uid("event 1"), uid("event 2"), uid("event 3")]).answers
    assert both == {uid("event 1"): accepted, uid("event 2"): refused}


def test_a_refusal_moves_its_actor_but_not_the_log(store: EventStore) -> None:
    append(store, recorded("event 1"))
    said = statement("event 2", seq=2)
    append(store, refusal("event 2", statement=said))
    assert (store.head(), store.heads([CASE])) == (1, {CASE: 1})
    assert start(store, actors=[actor("agency"), actor("nobody")]).actors == {
        actor("agency"): ActorHead(2, digest(said))
    }


def test_the_head_of_an_actor_is_its_newest_statement_of_a_batch(store: EventStore) -> None:
    last = recorded("event 3", version=3)
    append(store, recorded("event 2", version=2), last, recorded("event 1", version=1))
    found = start(store, actors=[actor("agency")]).actors
    assert found[actor("agency")].digest == digest(last.statement)


def test_the_newest_time_is_that_of_events_and_refusals(store: EventStore) -> None:
    append(store, recorded("event 1", recorded_ms=50))
    assert start(store).recorded_ms == 50
    append(store, refusal("event 2", recorded_ms=70))
    assert start(store).recorded_ms == 70


def test_an_empty_append_is_nothing(store: EventStore) -> None:
    assert append(store) == []
    assert store.head() == 0


def test_a_batch_of_two_thousand_is_written_at_once(store: EventStore) -> None:
    batch = [recorded(f"large {n}", n, recorded_ms=1) for n in range(1, 2001)]
    assert append(store, *batch) == list(range(1, 2001))
    assert store.heads([CASE]) == {CASE: 2000}


def test_a_batch_of_five_megabytes_is_written_at_once(store: EventStore) -> None:
    append(store, *(recorded(f"large {n}", n, body=bytes(1 << 20)) for n in range(1, 6)))
    assert sum(len(r.body) for r in store.read_log(0, 9)) == 5 << 20


def test_many_readers_read_at_once(store: EventStore) -> None:
    append(store, *(recorded(f"event {n}", n) for n in range(1, 200)))
    with ThreadPoolExecutor(8) as pool:
        lengths = list(pool.map(lambda _: len(store.read_log(0, 500)), range(64)))
    assert lengths == [199] * 64


def test_a_second_writer_waits_and_then_sees_what_the_first_wrote(store: EventStore) -> None:
    _second_waits(store, store)


def test_a_second_process_waits_for_the_lock(reopen: Callable[[], Store]) -> None:
    with closing(reopen()) as one, closing(reopen()) as two:
        _second_waits(one, two)


def _second_waits(one: EventStore, two: EventStore) -> None:
    started, inside = Event(), Event()

    def second() -> int:
        started.set()
        with two.appending([CASE]) as tx:
            inside.set()
            version = tx.start.heads[CASE] + 1
            tx.append([recorded("event 2", version=version)], [])
        return version

    with ThreadPoolExecutor(1) as pool:
        with one.appending() as tx:
            result = pool.submit(second)
            assert started.wait(10)
            assert not inside.wait(0.05)
            tx.append([recorded("event 1")], [])
        assert result.result(10) == 2
    assert [r.version for r in one.read_log(0, 9)] == [1, 2]


def test_a_store_opened_again_has_everything(reopen: Callable[[], Store]) -> None:
    with closing(reopen()) as first:
        append(first, recorded("event 1", custody_seq=1), refusal("event 2"))
        before = contents(first)
    with closing(reopen()) as second:
        assert contents(second) == before
        assert append(second, recorded("event 3", version=2)) == [2]


def test_two_stores_in_memory_share_nothing() -> None:
    with closing(SqliteEventStore("")) as one, closing(SqliteEventStore("")) as two:
        append(one, recorded("event 1"))
        assert two.head() == 0


def test_positions_and_numbers_have_no_gaps_after_what_was_undone(store: EventStore) -> None:
    append(store, recorded("event 1"), refusal("event 2"))
    with pytest.raises(RuntimeError):
        _append_and_fail(store)
    with pytest.raises(Conflict):
        append(store, recorded("event 3", version=2), recorded("event 4"), refusal("event 5"))
    assert append(store, recorded("event 3", version=2), refusal("event 5")) == [2]
    assert [r.position for r in store.read_log(0, 9)] == [1, 2]
    assert [r.number for r in store.read_refusals(0, 9)] == [1, 2]


def test_a_transaction_that_appends_twice_goes_on_counting(store: EventStore) -> None:
    with store.appending() as tx:
        first = tx.append([recorded("event 1")], [refusal("event 2", recorded_ms=5)])
        second = tx.append([recorded("event 3", version=2)], [refusal("event 4", recorded_ms=7)])
        assert [*first, *second] == [1, 2]
    assert start(store).recorded_ms == 7
    assert [r.number for r in store.read_refusals(0, 9)] == [1, 2]


def test_refusals_are_read_in_order_as_they_were(store: EventStore) -> None:
    given = [refusal(f"event {n}", recorded_ms=n, code=f"CODE_{n}") for n in (3, 4, 5)]
    append(store, given[0], recorded("event 1"))
    append(store, given[1], given[2])
    numbered = [replace(r, number=n) for n, r in enumerate(given, 1)]
    assert list(store.read_refusals(0, 9)) == numbered
    assert list(store.read_refusals(1, 1)) == numbered[1:2]
    assert list(store.read_refusals(3, 9)) == []


@pytest.mark.parametrize("called", ["", "no id", "CAFE" * 1000, "{,}", "\N{SNOWMAN}"])
def test_a_refused_action_may_have_called_itself_anything(store: EventStore, called: str) -> None:
    append(store, refusal("event 2", event_id=called))
    answer = store.read_answer(called)
    assert answer is not None
    assert answer.code == "CONSENT_MISSING"
    assert store.read_answer(called + "!") is None
    assert [r.event_id for r in store.read_refusals(0, 9)] == [called]


def test_a_case_id_that_is_none_has_no_head(store: EventStore) -> None:
    append(store, recorded("event 1"))
    assert store.heads(["no id", "", CASE.upper(), "nul \0"]) == {}


def test_a_store_has_an_id_of_its_own_for_life(reopen: Callable[[], Store]) -> None:
    with closing(reopen()) as first:
        made = first.incarnation()
        append(first, recorded("event 1"))
    with closing(reopen()) as second, closing(SqliteEventStore("")) as another:
        assert second.incarnation() == made == str(UUID(made))
        assert another.incarnation() != made


def test_an_empty_store_takes_the_place_of_a_lost_one(reopen: Callable[[], Store]) -> None:
    lost = uid("the lost store")
    with closing(reopen()) as first:
        first.adopt(lost)
        first.adopt(lost)
    with closing(reopen()) as second:
        assert second.incarnation() == lost


@pytest.mark.parametrize(
    "held", [recorded("event 1"), refusal("event 1")], ids=["event", "refusal"]
)
def test_a_store_that_holds_anything_takes_nobodys_place(
    store: EventStore, held: Recorded | Refusal
) -> None:
    append(store, held)
    before = store.incarnation()
    with pytest.raises(Refused, match="STORE_NOT_EMPTY"):
        store.adopt(uid("the lost store"))
    assert store.incarnation() == before
