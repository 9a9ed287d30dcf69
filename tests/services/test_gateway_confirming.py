"""A gateway confirms what its feeds brought it, each entry once, in a chain without gaps."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.errors import Unavailable
from domain.notary import SignedStatement
from domain.trail.deliveries import leaves_of
from domain.trail.entry import Entry, read
from domain.trail.statement import Kind, digest
from services.gateway.deliveries import delivery_of
from services.notary.tree import Tree
from tests.services.gateway_trail import PURPOSE, Watched, disclosed
from tests.services.notary_world import NotaryWorld

SHELTER = "gb-shelter"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[NotaryWorld]:
    made = NotaryWorld(tmp_path)
    yield made
    made.close()


@pytest.fixture
def shelter(world: NotaryWorld) -> Watched:
    return Watched(world, SHELTER)


def receipts_of(world: NotaryWorld) -> list[Entry]:
    """Return the RECEIPTs in the trail, in its order."""
    tree = Tree(world.files, world.store.newest().tree.size)
    found = [read(tree.entry(i)) for i in range(tree.size)]
    return [e for e in found if isinstance(e, Entry) and e.said.kind == Kind.RECEIPT]


async def test_a_receipt_of_each_case_stands_in_the_trail_and_a_replay_takes_it(
    world: NotaryWorld, shelter: Watched
) -> None:
    one = disclosed(world, SHELTER, 3)
    two = disclosed(world, SHELTER, 2, case="another case")
    shelter.took(*one, *two)
    world.published()
    assert await shelter.watching.step()
    world.published()

    assert len(receipts_of(world)) == 2
    confirmed = {leaf for signed in shelter.link.confirmed for leaf in leaves_of(signed.body)}
    assert confirmed == {delivery_of(SHELTER, PURPOSE, item).leaf for item, _ in [*one, *two]}
    seen = {e.said.seen_size for e in receipts_of(world)}
    assert seen == {shelter.checkpoints.seen()[0]}
    assert not list(world.replayed().findings)


async def test_what_is_confirmed_is_not_confirmed_again(
    world: NotaryWorld, shelter: Watched
) -> None:
    shelter.took(*disclosed(world, SHELTER, 2))
    world.published()
    for _ in range(3):
        await shelter.watching.step()
        world.published()
    shelter.took(*disclosed(world, SHELTER, 1))
    world.published()
    for _ in range(3):
        await shelter.watching.step()
    assert [len(leaves_of(s.body)) for s in shelter.link.confirmed] == [2, 1]


async def test_what_did_not_hold_or_is_not_proven_is_not_confirmed(
    world: NotaryWorld, shelter: Watched
) -> None:
    (item, case), (parked, _) = disclosed(world, SHELTER, 2)
    shelter.took((item, case), (parked, ""))
    world.published()
    shelter.took(*disclosed(world, SHELTER, 1))  # not published
    await shelter.watching.step()
    (signed,) = shelter.link.confirmed
    assert leaves_of(signed.body) == [delivery_of(SHELTER, PURPOSE, item).leaf]


async def test_a_receipt_is_kept_until_the_notary_has_it(
    world: NotaryWorld, shelter: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a trail that goes away between the proof and the sending."""
    shelter.took(*disclosed(world, SHELTER, 2))
    world.published()

    async def gone(_: SignedStatement) -> None:
        raise Unavailable("PEER_AWAY", "the trail did not answer; retry later")

    with monkeypatch.context() as patch:
        patch.setattr(shelter.link, "confirm", gone)
        await shelter.watching.step()
    assert shelter.trail.counts()["confirmations_waiting"] == 1
    assert shelter.watching.codes["sending"] == "PEER_AWAY"
    await shelter.watching.step()
    assert shelter.trail.counts()["confirmations_waiting"] == 0
    world.published()
    assert len(receipts_of(world)) == 1


async def test_an_answer_that_was_lost_does_not_make_a_second_receipt(
    world: NotaryWorld, shelter: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelter.took(*disclosed(world, SHELTER, 2))
    world.published()
    whole = shelter.link.confirm

    async def unheard(signed: SignedStatement) -> None:
        await whole(signed)
        raise Unavailable("PEER_AWAY", "the answer was lost")

    with monkeypatch.context() as patch:
        patch.setattr(shelter.link, "confirm", unheard)
        await shelter.watching.step()
    await shelter.watching.step()
    world.published()
    assert len(receipts_of(world)) == 1
    assert not list(world.replayed().findings)


async def test_another_tool_in_the_chain_makes_the_gateway_sign_behind_it(
    world: NotaryWorld, shelter: Watched
) -> None:
    """Given a gateway whose store was lost: its chain stands in the trail already."""
    shelter.took(*disclosed(world, SHELTER, 2))
    world.published()
    await shelter.watching.step()
    world.published()

    anew = Watched(world, SHELTER)
    served = disclosed(world, SHELTER, 1, case="another case")
    anew.took(*served)
    world.published()
    for _ in range(3):
        await anew.watching.step()
        world.published()
    assert [e.said.actor_seq for e in receipts_of(world)] == [0, 1]
    assert anew.trail.counts()["confirmations_waiting"] == 0
    assert not list(world.replayed().findings)


async def test_only_the_pinned_notary_s_disclosure_is_answered(
    world: NotaryWorld, shelter: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a hub that shows another entry of the log as the DISCLOSURE."""
    shelter.took(*disclosed(world, SHELTER, 1))
    world.published()
    tree = Tree(world.files, world.store.newest().tree.size)
    action = Entry.decode(tree.entry(0))
    assert action.said.kind == Kind.ACTION
    shown = world.proofs.receipt(action.said.stream, digest(action.statement))

    async def other(_stream: bytes, _leaf: bytes) -> object:
        return shown

    monkeypatch.setattr(shelter.link, "disclosed", other)
    await shelter.watching.step()
    assert shelter.watching.codes["confirming"] == "DISCLOSURE"
    assert shelter.trail.counts()["confirmations_waiting"] == 0
