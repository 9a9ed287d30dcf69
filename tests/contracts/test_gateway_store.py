"""The contract of `GatewayStore`: an agency loses nothing it signed, and nothing it was sent."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.sqlite.gateway_store import SqliteGatewayStore
from domain.action import Action
from domain.errors import Conflict
from domain.gateway import GatewayStore, Kept, KeptKey, Outgoing, Parked, Result
from domain.messages import SignedRelease
from domain.trail.statement import digest
from tests.agencies import sha
from tests.builders import CASE, uid
from tests.contracts.making import TYPE, followed, statement

OTHER = uid("another case")
DURABLE: dict[str, Callable[[Path], SqliteGatewayStore]] = {
    "sqlite file": lambda folder: SqliteGatewayStore(str(folder / "gateway.db")),
}
STORES = DURABLE | {
    "sqlite in memory": lambda _: SqliteGatewayStore(""),
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GatewayStore]:
    with closing(STORES[request.param](tmp_path)) as opened:
        yield opened


@pytest.fixture(params=DURABLE)
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], SqliteGatewayStore]:
    return lambda: DURABLE[request.param](tmp_path)


def outgoing(seq: int, command: str = "", **changes: Any) -> Outgoing:
    """Return the action number `seq`; the command it carries out is named after it."""
    label = f"event {seq}"
    action = Action(
        event_id=uid(label),
        type=TYPE,
        record=label.encode(),
        statement=statement(label, seq=seq),
        signature=2 * sha(label),
    )
    made = Outgoing(
        number=0,
        command_id=uid(command or f"command {seq}"),
        case_id=CASE,
        actor_seq=seq,
        action=action,
    )
    return replace(made, **changes)


def result(of: Outgoing, status: str = "accepted", **changes: Any) -> Result:
    made = Result(
        command_id=of.command_id,
        event_id=of.action.event_id,
        case_id=of.case_id,
        type="CaseOpened",
        status=status,
        recorded_ms=40,
    )
    return replace(made, **changes)


def kept(label: str, **changes: Any) -> Kept:
    made = Kept(
        case_id=CASE,
        event_id=uid(label),
        type=TYPE,
        writer="charity",
        record=label.encode(),
        statement=statement(label),
        signature=2 * sha(label),
        recorded_ms=10,
        categories=2,
        basis="act-1",
        own=False,
    )
    return replace(made, **changes)


def key(epoch: int, boxed: bytes = b"boxed", **changes: Any) -> KeptKey:
    made = KeptKey(case_id=CASE, writer="charity", category=1, epoch=epoch, boxed=boxed)
    return replace(made, **changes)


def deposit(label: str) -> SignedRelease:
    return SignedRelease(release=label.encode(), signature=2 * sha(label))


def arrive(store: GatewayStore, *events: Kept) -> None:
    store.arrive(events, [], ("feed", "cursor"))


def test_an_empty_store_knows_nothing(store: GatewayStore) -> None:
    assert (store.place("feed"), store.result(uid("none")), store.actor_head()) == ("", None, None)
    assert list(store.queued(10)) == []
    assert list(store.deposits(10)) == []
    assert list(store.keys(CASE)) == []
    assert list(store.case(CASE)) == []
    assert list(store.cases(10)) == []
    assert list(store.registry()) == []
    assert set(store.counts().values()) == {0}


def test_actions_wait_in_the_order_of_signing(store: GatewayStore) -> None:
    store.enqueue([outgoing(0), outgoing(1)], [], [])
    store.enqueue([outgoing(2, retried=True)], [], [])
    waiting = store.queued(10)
    assert [o.actor_seq for o in waiting] == [0, 1, 2]
    assert waiting[2] == outgoing(2, retried=True, number=waiting[2].number)
    assert [o.actor_seq for o in store.queued(2)] == [0, 1]


def test_actions_keys_and_deposits_are_kept_together(store: GatewayStore) -> None:
    store.enqueue([outgoing(0)], [key(1)], [deposit("one")])
    assert (list(store.keys(CASE)), [d for _, d in store.deposits(9)]) == (
        [key(1)],
        [deposit("one")],
    )


@pytest.mark.parametrize(
    "taken",
    [outgoing(0, "again"), replace(outgoing(1), action=outgoing(0).action)],
    ids=["number", "event id"],
)
def test_a_number_or_event_used_twice_leaves_nothing_of_the_batch(
    store: GatewayStore, taken: Outgoing
) -> None:
    store.enqueue([outgoing(0)], [], [])
    with pytest.raises(Conflict):
        store.enqueue([outgoing(5), taken], [key(1)], [deposit("one")])
    assert [o.actor_seq for o in store.queued(10)] == [0]
    assert (list(store.keys(CASE)), list(store.deposits(10))) == ([], [])
    assert store.actor_head() == (0, digest(outgoing(0).action.statement))


def test_the_actors_head_is_the_newest_signed_whatever_became_of_it(store: GatewayStore) -> None:
    store.enqueue([outgoing(0), outgoing(1)], [], [])
    settle_all(store, "refused")
    assert store.actor_head() == (1, digest(outgoing(1).action.statement))


def settle_all(
    store: GatewayStore, status: str, *own: Kept, lost: tuple[KeptKey, ...] = ()
) -> None:
    store.settle([(o, result(o, status)) for o in store.queued(99)], own, lost)


def test_a_settled_action_waits_no_more_and_has_its_result(store: GatewayStore) -> None:
    store.enqueue([outgoing(0), outgoing(1)], [], [])
    assert store.result(uid("command 0")) == result(outgoing(0), "queued", recorded_ms=None)
    first = store.queued(1)[0]
    answer = result(first, "refused", code="CONSENT_MISSING", message="ask first")
    store.settle([(first, answer)], [], [])
    assert store.result(uid("command 0")) == answer
    assert [o.actor_seq for o in store.queued(10)] == [1]


def test_a_command_sealed_again_has_the_result_of_its_last_sealing(store: GatewayStore) -> None:
    store.enqueue([outgoing(0, "command")], [], [])
    settle_all(store, "refused")
    store.enqueue([outgoing(1, "command", retried=True)], [], [])
    again = store.result(uid("command"))
    assert again is not None
    assert (again.status, again.event_id) == ("queued", uid("event 1"))


def test_settling_keeps_own_events_and_drops_keys_never_opened(store: GatewayStore) -> None:
    store.enqueue([outgoing(0)], [key(1), key(2)], [])
    own = kept("event 0", own=True)
    settle_all(store, "accepted", own, lost=(key(2),))
    assert [replace(k, number=0) for k in store.case(CASE)] == [own]
    assert list(store.keys(CASE)) == [key(1)]


def test_confirmed_deposits_are_forgotten(store: GatewayStore) -> None:
    store.enqueue([], [], [deposit("one"), deposit("two"), deposit("three")])
    numbers = [number for number, _ in store.deposits(2)]
    assert len(numbers) == 2
    store.deposited(numbers)
    assert [d for _, d in store.deposits(9)] == [deposit("three")]


def test_arrived_events_and_the_place_are_kept_together(store: GatewayStore) -> None:
    store.arrive([kept("one")], [Parked(code="BAD_SIGNATURE", lane=1, seq=2)], ("feed", "c-1"))
    assert (store.place("feed"), store.place("facts")) == ("c-1", "")
    assert (store.counts()["kept"], store.counts()["parked"]) == (1, 1)


def test_a_newer_entry_replaces_the_older_and_arrives_anew(store: GatewayStore) -> None:
    arrive(store, kept("one"), kept("two"))
    store.opened([(uid("one"), "", 3)])
    seen = max(k.number for k in store.case(CASE))
    arrive(store, kept("one", record=b"withheld", categories=0, basis=""))
    newer = store.since(seen, 10)
    assert [(k.event_id, k.record, k.categories, k.opened) for k in newer] == [
        (uid("one"), b"withheld", 0, 0)
    ]
    assert len(store.case(CASE)) == 2


def test_a_case_is_shown_in_the_order_of_recording(store: GatewayStore) -> None:
    arrive(store, kept("late", recorded_ms=30), kept("early", recorded_ms=20))
    arrive(store, kept("other", case_id=OTHER))
    assert [k.event_id for k in store.case(CASE)] == [uid("early"), uid("late")]


def test_cases_come_newest_first_and_page_by_page(store: GatewayStore) -> None:
    cases = [uid(f"case {n}") for n in range(3)]
    for case_id in cases:
        arrive(store, kept(f"in {case_id}", case_id=case_id))
    arrive(store, kept("again", case_id=cases[0]))
    first = store.cases(2)
    assert [case_id for _, case_id in first] == [cases[0], cases[2]]
    rest = store.cases(2, before=first[-1][0])
    assert [case_id for _, case_id in rest] == [cases[1]]


def test_events_are_read_in_the_order_of_arrival(store: GatewayStore) -> None:
    arrive(store, kept("one", recorded_ms=90), kept("two"), kept("three"))
    first = store.since(0, 2)
    assert [k.event_id for k in first] == [uid("one"), uid("two")]
    assert [k.event_id for k in store.since(first[-1].number, 9)] == [uid("three")]


def test_keys_named_are_held_exactly_and_others_are_left_alone(store: GatewayStore) -> None:
    others = [key(1, writer="clinic"), key(1, case_id=OTHER)]
    store.enqueue([], [key(1), key(2), *others], [])
    change = (CASE, "charity", [key(3, b"new")])
    store.replace_keys([change], ("releases", "7"))
    assert set(store.keys(CASE)) == {key(3, b"new"), others[0]}
    assert list(store.keys(OTHER)) == [others[1]]
    assert store.place("releases") == "7"
    store.replace_keys([(CASE, "charity", [])], ("releases", "8"))
    assert list(store.keys(CASE)) == [others[0]]


def test_registry_facts_come_back_in_order_and_once(store: GatewayStore) -> None:
    store.facts([followed("two", 2), followed("one", 1)])
    store.facts([followed("another tale", 1)])
    assert [(f.seq, f.event) for f in store.registry()] == [
        (item.seq, item.event) for item in (followed("one", 1), followed("two", 2))
    ]


def test_counts_say_where_things_stand(store: GatewayStore) -> None:
    store.enqueue([outgoing(0), outgoing(1), outgoing(2)], [], [deposit("one")])
    settled = store.queued(2)
    store.settle(
        [(settled[0], result(settled[0])), (settled[1], result(settled[1], "refused"))], [], []
    )
    arrive(store, kept("one"), kept("own", own=True))
    store.opened([(uid("one"), "", 3), (uid("own"), "", 5)])
    assert store.counts() == {
        "queued": 1,
        "refused": 1,
        "kept": 2,
        "parked": 0,
        "opened": 3,
        "deposits": 1,
    }


def test_a_store_opened_again_has_everything(reopen: Callable[[], SqliteGatewayStore]) -> None:
    with closing(reopen()) as first:
        first.enqueue([outgoing(0)], [key(1)], [deposit("one")])
        first.arrive([kept("one")], [], ("feed", "c-1"))
    with closing(reopen()) as second:
        assert second.queued(10) == [outgoing(0, number=second.queued(10)[0].number)]
        assert list(second.keys(CASE)) == [key(1)]
        assert second.place("feed") == "c-1"
        assert len(second.case(CASE)) == 1
