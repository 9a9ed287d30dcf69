"""The contract of `GatewayTrail`: what proves something is kept, once, and found again."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.sqlite.gateway_store import SqliteGatewayStore
from adapters.sqlite.gateway_trail import SqliteGatewayTrail
from adapters.sqlite.own_acts import SqliteOwnActs
from domain.errors import Refused
from domain.gateway_trail import Alarm, Arrived, Confirmation, GatewayTrail, Lane, Seen
from domain.notary import Receipt, SignedStatement
from domain.trail.merkle import Range, leaf
from domain.trail.statement import digest
from tests.agencies import sha
from tests.builders import CASE, uid
from tests.contracts.making import statement
from tests.contracts.test_gateway_store import outgoing, result

SEEN = Seen(9, sha("root"), b"note")
LANE, OTHER = Lane("protection_support", 3), Lane("monitoring", 3)
ALARM = Alarm(code="SPLIT_VIEW", about="two", raised_ms=5, evidence={"b": b"2", "a": b"1"})


class Kept:
    """The store of a gateway, and what it keeps of the trail in the same file."""

    def __init__(self, path: str) -> None:
        self.store = SqliteGatewayStore(path)
        self.trail: GatewayTrail = SqliteGatewayTrail(self.store.file)

    def close(self) -> None:
        self.store.close()


@pytest.fixture
def opens(tmp_path: Path) -> Iterator[Callable[[], Kept]]:
    """Return what opens the one file, as a process that starts anew does."""
    with ExitStack() as stack:
        path = str(tmp_path / "gateway.db")
        yield lambda: stack.enter_context(closing(Kept(path)))


@pytest.fixture
def kept(opens: Callable[[], Kept]) -> Kept:
    return opens()


@pytest.fixture
def trail(kept: Kept) -> GatewayTrail:
    return kept.trail


def test_a_store_older_than_the_trail_reads_its_feeds_anew_and_asks_for_every_receipt(
    opens: Callable[[], Kept], tmp_path: Path
) -> None:
    with closing(SqliteGatewayStore(str(tmp_path / "gateway.db"))) as older:
        older.enqueue([outgoing(0), outgoing(1)], [], [])
        first = older.queued(1)[0]
        older.settle([(first, result(first))], [], [])
        older.file.durable.execute("DELETE FROM unproven")
        older.arrive([], [], ("feed protection_support", "cursor"))
    kept = opens()
    assert kept.store.place("feed protection_support") == ""
    assert [o.statement for o in kept.trail.unproven(0, 9)] == [first.action.statement]
    kept.store.arrive([], [], ("feed protection_support", "cursor"))
    assert opens().store.place("feed protection_support") == "cursor"


def arrived(seq: int, lane: Lane = LANE, case: str = CASE) -> Arrived:
    return Arrived(lane, seq, case, leaf(f"{lane} {seq}".encode()), 100 + seq)


def confirmation(seq: int) -> Confirmation:
    signed = SignedStatement(
        statement=statement(f"receipt {seq}", seq=seq), signature=2 * sha("s"), body=sha("leaf")
    )
    return Confirmation(seq=seq, signed=signed)


def test_an_empty_store_knows_nothing(trail: GatewayTrail) -> None:
    assert (trail.seen(), trail.reader_head(), trail.oldest_unproven_ms()) == (None, None, None)
    found = trail.alarms(), trail.unproven(0, 9), trail.receipts(0, 9), trail.open_lanes()
    assert [list(some) for some in found] == [[], [], [], []]
    assert (trail.newest_of(LANE), trail.proven(LANE)) == (0, Range())
    assert (list(trail.unconfirmed(9)), list(trail.confirmations(9))) == ([], [])
    assert set(trail.counts().values()) == {0}


def test_the_newest_checkpoint_replaces_the_older(
    trail: GatewayTrail, opens: Callable[[], Kept]
) -> None:
    trail.see(SEEN._replace(size=4))
    trail.see(SEEN)
    assert opens().trail.seen() == SEEN


def test_an_alarm_is_kept_once_with_what_proves_it(
    trail: GatewayTrail, opens: Callable[[], Kept]
) -> None:
    assert trail.alarm(ALARM)
    assert not trail.alarm(ALARM)
    again = opens().trail
    assert [(a.number, a.code, a.about, a.raised_ms) for a in again.alarms()] == [
        (1, "SPLIT_VIEW", "two", 5)
    ]
    assert dict(again.alarms(evidence=True)[0].evidence) == dict(ALARM.evidence)
    assert trail.counts()["trail_alarms"] == 1


def test_an_alarm_is_decided_once_and_names_who_did(trail: GatewayTrail) -> None:
    trail.see(SEEN)
    trail.alarm(ALARM)
    trail.decide(1, "somebody: because", seen=SEEN._replace(size=2))
    assert (trail.alarms()[0].decided, trail.counts()["trail_alarms"]) == ("somebody: because", 0)
    assert trail.seen() == SEEN._replace(size=2)
    for number in (1, 2):
        with pytest.raises(Refused) as caught:
            trail.decide(number, "somebody else: because")
        assert caught.value.code == "NO_SUCH_ALARM"


def test_what_is_decided_about_a_lane_sets_aside_what_is_not_proven_of_it(
    kept: Kept, opens: Callable[[], Kept]
) -> None:
    trail, store, purpose = kept.trail, kept.store, f"feed {LANE.purpose}"
    store.arrive([], [], (purpose, "cursor"))
    store.arrive([], [], (f"feed {OTHER.purpose}", "cursor"))
    trail.arrived([arrived(1), arrived(2), arrived(4), arrived(1, OTHER)])
    trail.extend(LANE, Range().append(arrived(1).leaf))
    trail.alarm(ALARM)
    trail.decide(1, "somebody: because", anew=LANE)

    again = opens()
    assert list(again.trail.entries(LANE, 0, 9)) == [arrived(1)]
    assert (again.trail.newest_of(LANE), again.trail.proven(LANE).size) == (1, 1)
    assert list(again.trail.open_lanes()) == [OTHER]
    assert [again.store.place(f"feed {lane.purpose}") for lane in (LANE, OTHER)] == ["", "cursor"]
    leaves = f"2 {arrived(2).leaf.hex()}\n4 {arrived(4).leaf.hex()}\n".encode()
    assert again.trail.alarms(evidence=True)[0].evidence["unproven.leaves"] == leaves


def test_a_lane_goes_on_from_what_the_trail_has_once_that_is_known(trail: GatewayTrail) -> None:
    trail.arrived([arrived(seq) for seq in (1, 2, 3, 4)])
    trail.extend(LANE, Range().append(arrived(1).leaf))
    trail.alarm(ALARM)
    trail.decide(1, "somebody: because", adopt=LANE)
    assert list(trail.adopting()) == [LANE]
    assert trail.proven(LANE).size == 1
    assert trail.alarms(evidence=True)[0].evidence["unproven.leaves"].count(b"\n") == 3

    theirs = Range().extend([arrived(1).leaf, sha("other"), arrived(3).leaf])
    trail.adopt(LANE, theirs, [2])
    assert (list(trail.adopting()), trail.proven(LANE)) == ([], theirs)
    assert [e.seq for e in trail.unconfirmed(9)] == [1, 3]
    assert list(trail.open_lanes()) == [LANE]


def test_a_lane_of_which_nothing_arrived_goes_on_too(trail: GatewayTrail) -> None:
    trail.alarm(ALARM)
    trail.decide(1, "somebody: because", adopt=OTHER)
    trail.adopt(OTHER, Range().append(sha("withheld")), [])
    assert (trail.proven(OTHER).size, trail.newest_of(OTHER)) == (1, 1)


def test_under_another_log_every_lane_is_to_be_proven_anew(trail: GatewayTrail) -> None:
    trail.arrived([arrived(1)])
    trail.extend(LANE, Range().append(arrived(1).leaf))
    trail.alarm(ALARM)
    trail.decide(1, "somebody: because", seen=SEEN)
    assert (list(trail.open_lanes()), trail.proven(LANE)) == ([LANE], Range())
    assert list(trail.entries(LANE, 0, 9)) == [arrived(1)]


def test_under_another_log_every_action_is_to_be_proven_anew(kept: Kept) -> None:
    """Given an action that stands in the log that is given up, its proof says nothing now."""
    kept.store.enqueue([outgoing(0)], [], [])
    (first,) = kept.store.queued(1)
    kept.store.settle([(first, result(first))], [], [])
    receipt = Receipt(entry=b"entry", proof="proof")
    kept.trail.prove(first.number, receipt)
    kept.trail.alarm(ALARM)
    kept.trail.decide(1, "somebody: because", seen=SEEN)
    assert [o.number for o in kept.trail.unproven(0, 9)] == [first.number]
    assert list(kept.trail.receipts(0, 9)) == [(first.number, receipt)], "it stays as evidence"
    act = SqliteOwnActs(kept.store.file).act(first.action.event_id)
    assert act is not None
    assert act.receipt is None


def test_under_another_log_what_a_receipt_did_not_confirm_yet_is_to_be_confirmed_anew(
    trail: GatewayTrail,
) -> None:
    """Its notary might refuse that RECEIPT for good, and no later one could be sent."""
    trail.arrived([arrived(1), arrived(2)])
    whole = Range().extend([arrived(1).leaf, arrived(2).leaf])
    trail.extend(LANE, whole)
    for seq in (1, 2):
        one = confirmation(seq - 1)
        signed = replace(one.signed, body=arrived(seq).leaf)
        trail.confirm(replace(one, signed=signed), [arrived(seq)])
        trail.acknowledged(one.seq)
    trail.stands(0)
    trail.alarm(ALARM)
    trail.decide(1, "somebody: because", seen=SEEN)
    assert (list(trail.sent(9)), list(trail.confirmations(9))) == ([], [])
    trail.extend(LANE, whole)
    assert list(trail.unconfirmed(9)) == [arrived(2)]


def test_an_alarm_within_a_block_is_part_of_it(kept: Kept) -> None:
    def alarmed(then: int) -> None:
        with kept.store.together(durable=False):
            kept.trail.alarm(ALARM)
            assert 1 / then

    with pytest.raises(ZeroDivisionError):
        alarmed(0)
    assert list(kept.trail.alarms()) == []
    alarmed(1)
    assert len(kept.trail.alarms()) == 1


def test_an_action_waits_for_its_receipt_from_its_answer_on(kept: Kept) -> None:
    kept.store.enqueue([outgoing(0), outgoing(1), outgoing(2)], [], [])
    first, second, _ = kept.store.queued(3)
    assert list(kept.trail.unproven(0, 9)) == []
    refused = result(second, "refused", code="CONSENT_MISSING", recorded_ms=50)
    kept.store.settle([(first, result(first)), (second, refused)], [], [])

    waiting = kept.trail.unproven(0, 9)
    assert [(o.statement, o.code, o.recorded_ms) for o in waiting] == [
        (first.action.statement, "", 40),
        (second.action.statement, "CONSENT_MISSING", 50),
    ]
    assert [o.statement for o in kept.trail.unproven(first.number, 9)] == [second.action.statement]
    assert kept.trail.oldest_unproven_ms() == 40

    receipt = Receipt(entry=b"entry", proof="proof")
    kept.trail.prove(first.number, receipt)
    assert list(kept.trail.receipts(0, 9)) == [(first.number, receipt)]
    assert [o.number for o in kept.trail.unproven(0, 9)] == [second.number]
    counts = kept.trail.counts()
    assert (counts["receipts"], counts["receipts_waiting"]) == (1, 1)


def test_entries_are_kept_in_the_order_of_their_lane_and_stay_as_they_are(
    trail: GatewayTrail,
) -> None:
    trail.arrived([arrived(2), arrived(1), arrived(1, OTHER)])
    trail.arrived([arrived(1)._replace(leaf=sha("other")), arrived(4)])
    assert [e.seq for e in trail.entries(LANE, 0, 9)] == [1, 2, 4]
    assert list(trail.entries(LANE, 0, 1)) == [arrived(1)]
    assert [trail.newest_of(lane) for lane in (LANE, OTHER)] == [4, 1]


def test_a_lane_is_open_until_all_of_it_is_proven(trail: GatewayTrail) -> None:
    trail.arrived([arrived(1), arrived(2)])
    assert list(trail.open_lanes()) == [LANE]
    whole = Range().extend([arrived(1).leaf, arrived(2).leaf])
    trail.extend(LANE, Range().append(arrived(1).leaf))
    assert trail.counts()["feed_entries_unproven"] == 1
    trail.extend(LANE, whole)
    assert (list(trail.open_lanes()), trail.proven(LANE)) == ([], whole)
    trail.arrived([arrived(3)])
    assert trail.proven(LANE) == whole


def test_what_is_proven_and_held_is_confirmed_once(trail: GatewayTrail) -> None:
    other = arrived(3, case=uid("another case"))
    trail.arrived([arrived(1), arrived(2, case=""), other, arrived(4)])
    trail.extend(LANE, Range().extend([sha("1"), sha("2"), sha("3")]))
    assert {e.seq for e in trail.unconfirmed(9)} == {1, 3}
    trail.confirm(confirmation(0), [arrived(1)])
    assert list(trail.unconfirmed(9)) == [other]


def test_receipts_wait_in_order_until_they_are_taken_and_then_until_they_stand(
    trail: GatewayTrail, opens: Callable[[], Kept]
) -> None:
    for seq in range(4):
        trail.confirm(confirmation(seq), [])
    for seq in range(3):
        trail.acknowledged(seq)
    trail.stands(0)
    again = opens().trail
    assert list(again.confirmations(9)) == [confirmation(3)]
    assert list(again.sent(9)) == [confirmation(1), confirmation(2)]
    assert list(again.sent(1)) == [confirmation(1)]
    assert again.counts()["confirmations_waiting"] == 3
    assert again.reader_head() == (3, digest(confirmation(3).signed.statement))


def test_receipts_that_were_lost_are_sent_again_in_order(trail: GatewayTrail) -> None:
    for seq in range(3):
        trail.confirm(confirmation(seq), [])
        trail.acknowledged(seq)
    trail.stands(0)
    trail.unsent()
    assert [c.seq for c in trail.confirmations(9)] == [1, 2]
    assert list(trail.sent(9)) == []


def test_receipts_signed_anew_take_the_place_of_everything_before(trail: GatewayTrail) -> None:
    for seq in range(3):
        trail.confirm(confirmation(seq), [])
        trail.acknowledged(seq)
    trail.stands(0)
    trail.resign([confirmation(0), confirmation(1)])
    assert [c.seq for c in trail.confirmations(9)] == [0, 1]
    assert list(trail.sent(9)) == []
    assert trail.reader_head() == (1, digest(confirmation(1).signed.statement))
