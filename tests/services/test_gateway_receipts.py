"""A gateway keeps the proof of each of its actions, and says when there is none or a false one."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Unavailable
from domain.notary import Receipt
from domain.ports import Recorded, Refusal
from domain.trail.entry import Entry
from domain.trail.proof import Proof
from tests.services import notary_witnesses
from tests.services.gateway_trail import Watched, later_checkpoints
from tests.services.notary_world import T0, NotaryWorld

POLICE = "gb-police"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[NotaryWorld]:
    made = NotaryWorld(tmp_path)
    yield made
    made.close()


@pytest.fixture
def police(world: NotaryWorld) -> Watched:
    return Watched(world, POLICE)


async def test_each_action_gets_its_receipt_once_it_stands_in_the_trail(
    world: NotaryWorld, police: Watched
) -> None:
    """Given actions accepted and refused, when they are published, then each is proven."""
    done: list[Recorded | Refusal] = [
        world.acting.event(),
        world.acting.refusal(),
        world.acting.event(),
    ]
    world.acting.record(*done)
    police.acted(*done)
    world.published()
    await police.checkpoints.poll()
    assert not await police.receipts.collect()

    receipts = [receipt for _, receipt in police.trail.receipts(0, 9)]
    assert [Entry.decode(r.entry).statement for r in receipts] == [d.statement for d in done]
    assert police.trail.counts()["receipts_waiting"] == 0
    assert police.alarms() == []


async def test_more_than_a_round_takes_are_collected_in_further_rounds(
    world: NotaryWorld, police: Watched
) -> None:
    done = [world.acting.event() for _ in range(45)]
    world.acting.record(*done)
    police.acted(*done)
    world.published()
    await police.checkpoints.poll()
    assert [await police.receipts.collect() for _ in range(3)] == [True, True, False]
    assert police.trail.counts()["receipts"] == 45


async def test_what_is_not_published_yet_is_waited_for(world: NotaryWorld, police: Watched) -> None:
    first, later = world.acting.event(), world.acting.event()
    world.acting.record(first)
    world.published()
    police.acted(first, later)
    await police.checkpoints.poll()
    await police.receipts.collect()
    assert police.trail.counts()["receipts_waiting"] == 1
    world.acting.record(later)
    world.published()
    await police.checkpoints.poll()
    await police.receipts.collect()
    assert (police.trail.counts()["receipts_waiting"], police.alarms()) == (0, [])


async def test_what_checkpoints_go_on_without_is_an_alarm_and_holds_up_no_other(
    world: NotaryWorld, police: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an answered action that the hub then left out of the log."""
    lost, kept = world.acting.event("gb-shelter", actor_seq=7), world.acting.event()
    world.acting.record(kept)
    police.acted(lost, kept)
    world.published()
    await police.checkpoints.poll()
    await police.receipts.collect()
    assert police.alarms() == []

    for _ in later_checkpoints(world, monkeypatch):
        await police.checkpoints.poll()
        await police.receipts.collect()
    await police.receipts.collect()
    assert police.alarms() == [("RECEIPT_MISSING", "action 7 of this agency")]
    assert police.trail.counts()["receipts"] == 1
    evidence = police.trail.alarms(evidence=True)[0].evidence
    assert evidence["statement"] == lost.statement


async def test_a_notary_that_was_away_for_long_accuses_nobody(
    world: NotaryWorld, police: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an action recorded hours ago, when the first checkpoint since is still without it."""
    first, waits = world.acting.event(), world.acting.event()
    world.acting.record(first)
    world.published()
    police.acted(first, waits)
    await police.checkpoints.poll()
    await police.receipts.collect()
    monkeypatch.setattr(notary_witnesses, "AT_S", notary_witnesses.AT_S + 36_000)
    world.now += 36_000_000
    world.publishing.step()
    await police.checkpoints.poll()
    await police.receipts.collect()
    assert police.alarms() == []


def _entry(**changes: Any) -> Callable[[Receipt], Receipt]:
    def change(receipt: Receipt) -> Receipt:
        entry = Entry.decode(receipt.entry)._replace(**changes)
        return replace(receipt, entry=entry.encode())

    return change


def _index(receipt: Receipt) -> Receipt:
    proof = Proof.decode(receipt.proof.encode())
    return replace(receipt, proof=replace(proof, index=proof.index + 1).encode().decode())


FALSE = {
    "refused after all": _entry(code="CONSENT_MISSING"),
    "recorded earlier": _entry(recorded_ms=T0 - 1),
    "other signature": _entry(signature=bytes(64)),
    "other place": _index,
    "no entry": lambda receipt: replace(receipt, entry=b"x"),
    "no proof": lambda receipt: replace(receipt, proof="x"),
}


@pytest.mark.parametrize("change", FALSE.values(), ids=FALSE)
async def test_a_receipt_that_is_false_is_an_alarm_with_what_was_shown(
    world: NotaryWorld, police: Watched, change: Callable[[Receipt], Receipt]
) -> None:
    done = world.acting.event()
    world.acting.record(done)
    police.acted(done)
    world.published()
    await police.checkpoints.poll()
    police.link.receipts_changed = change
    for _ in range(2):
        await police.receipts.collect()
    assert police.alarms() == [("RECEIPT_FALSE", "action 0 of this agency")]
    assert police.trail.counts()["receipts"] == 0
    evidence = police.trail.alarms(evidence=True)[0].evidence
    assert (evidence["statement"], evidence["answered"]) == (
        done.statement,
        f"{T0} accepted\n".encode(),
    )
    assert {"entry", "entry.tlog-proof"} < evidence.keys()


async def test_an_entry_that_says_something_else_than_was_answered_is_an_alarm(
    world: NotaryWorld, police: Watched
) -> None:
    """Given a hub that records another reason than it answered, and an earlier time."""
    refused, backdated = world.acting.refusal(), world.acting.event()
    world.acting.record(refused, backdated)
    police.acted(replace(refused, code="OTHER"), replace(backdated, recorded_ms=T0 + 5))
    world.published()
    await police.checkpoints.poll()
    await police.receipts.collect()
    assert [code for code, _ in police.alarms()] == ["RECEIPT_FALSE", "RECEIPT_FALSE"]


async def test_while_the_trail_is_away_nothing_is_lost(world: NotaryWorld, police: Watched) -> None:
    done = world.acting.event()
    world.acting.record(done)
    police.acted(done)
    world.published()
    police.link.away = True
    with pytest.raises(Unavailable):
        await police.receipts.collect()
    assert police.trail.counts()["receipts_waiting"] == 1
    police.link.away = False
    await police.checkpoints.poll()
    await police.receipts.collect()
    assert police.trail.counts()["receipts_waiting"] == 0
