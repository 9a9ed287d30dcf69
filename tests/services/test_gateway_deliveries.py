"""A gateway proves that its feeds are whole, and names what was withheld, added or altered."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import Malformed, NotAuthentic, Refused
from domain.feed import lane_of
from domain.gateway_trail import Lane
from domain.messages import FeedItem, FeedPage
from domain.notary import HeadProof
from domain.trail.deliveries import leaves_of
from domain.trail.merkle import Range
from domain.vocabulary import ALL_SEALED, Category, names_of
from services.gateway.deciding import decide
from services.gateway.deliveries import EVERY_MS, check_granted, delivery_of
from tests.adapters.kafka_feeds import event_record
from tests.builders import uid
from tests.services.gateway_trail import PURPOSE, Watched, disclosed, later_checkpoints
from tests.services.notary_world import NotaryWorld

SHELTER = "gb-shelter"
LANE = Lane(PURPOSE, lane_of(uid("case")))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[NotaryWorld]:
    made = NotaryWorld(tmp_path)
    yield made
    made.close()


@pytest.fixture
def shelter(world: NotaryWorld) -> Watched:
    made = Watched(world, SHELTER)
    made.deliveries.purposes.add(PURPOSE)
    return made


async def compare(shelter: Watched) -> None:
    """Look at the published checkpoint, and at every lane."""
    await shelter.checkpoints.poll()
    shelter.world.now += EVERY_MS
    await shelter.deliveries.check()


def named(code: str, seq: int) -> list[tuple[str, str]]:
    return [(code, f"seat {SHELTER}/{LANE}, number {seq}")]


async def test_what_arrived_is_proven_whole_under_a_checkpoint(
    world: NotaryWorld, shelter: Watched
) -> None:
    served = disclosed(world, SHELTER, 5)
    shelter.took(*served[:3])
    shelter.took(*served[3:])
    world.published()
    await compare(shelter)
    leaves = [delivery_of(SHELTER, PURPOSE, item).leaf for item, _ in served]
    assert shelter.trail.proven(LANE) == Range().extend(leaves)
    assert shelter.alarms() == []


async def test_a_feed_that_is_ahead_of_the_trail_or_behind_it_is_proven_later(
    world: NotaryWorld, shelter: Watched
) -> None:
    first = disclosed(world, SHELTER, 2)
    world.published()
    second = disclosed(world, SHELTER, 2)
    shelter.took(*first, *second)
    await compare(shelter)
    assert shelter.trail.proven(LANE).size == 2

    third = disclosed(world, SHELTER, 2)
    world.published()
    shelter.hub.items = (third[0][0],)  # the page after the cursor has it
    await compare(shelter)
    shelter.took(*third)
    await compare(shelter)
    assert (shelter.trail.proven(LANE).size, shelter.alarms()) == (6, [])


@pytest.mark.parametrize("missing", [0, 2, 4], ids=["first", "middle", "newest"])
async def test_an_entry_that_the_hub_withheld_is_named(
    world: NotaryWorld, shelter: Watched, missing: int
) -> None:
    served = disclosed(world, SHELTER, 5)
    shelter.took(*(s for i, s in enumerate(served) if i != missing))
    world.published()
    for _ in range(2):
        await compare(shelter)
    assert shelter.alarms() == named("FEED_WITHHELD", missing + 1)


async def test_a_whole_feed_that_the_hub_withheld_is_named(
    world: NotaryWorld, shelter: Watched
) -> None:
    disclosed(world, SHELTER, 3)
    world.published()
    await compare(shelter)
    assert shelter.alarms() == named("FEED_WITHHELD", 1)


async def test_a_feed_that_a_decision_sets_back_while_the_hub_is_asked_accuses_nobody(
    world: NotaryWorld, shelter: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, feed = disclosed(world, SHELTER, 3), shelter.hub.feed
    shelter.took(*served[:2])
    shelter.store.arrive([], [], (f"feed {PURPOSE}", "where it was read to"))
    world.published()
    await compare(shelter)

    async def decided(purpose: str, cursor: str, wait: float) -> FeedPage:
        page = await feed(purpose, cursor, wait)
        decide(shelter.trail, 1, "the coordinator: they say that it is mended")
        return page

    monkeypatch.setattr(shelter.hub, "feed", decided)
    await compare(shelter)
    assert shelter.alarms() == named("FEED_WITHHELD", 3)


async def test_a_seat_that_is_closed_accuses_nobody(world: NotaryWorld, shelter: Watched) -> None:
    disclosed(world, SHELTER)
    world.published()
    shelter.hub.refuses = Refused("PURPOSE_NOT_MANDATED", "the agency has no seat")
    await compare(shelter)
    assert shelter.alarms() == []


async def test_an_entry_that_no_disclosure_lists_is_named_once_checkpoints_go_on_without_it(
    world: NotaryWorld, shelter: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a hub that serves an entry which it never put into the feed that the trail has."""
    (last,) = disclosed(world, SHELTER)
    added = replace(last[0], seq=2), last[1]
    shelter.took(last, added)
    world.published()
    await compare(shelter)
    assert shelter.alarms() == []

    for _ in later_checkpoints(world, monkeypatch):
        await compare(shelter)
    assert shelter.alarms() == named("FEED_UNRECORDED", 2)
    assert shelter.trail.proven(LANE).size == 1


ALTERED: dict[str, Callable[[FeedItem], FeedItem]] = {
    "wider than granted": lambda i: replace(i, granted=("IDENTITY", "CONTACT", "HEALTH")),
    "narrower": lambda i: replace(i, granted=()),
    "other basis": lambda i: replace(i, basis="c-2"),
    "supersedes": lambda i: replace(i, supersedes=1),
    "other event": lambda i: replace(i, event=replace(i.event, statement=bytes(286))),
}


@pytest.mark.parametrize("alter", ALTERED.values(), ids=ALTERED)
@pytest.mark.parametrize("place", [1, 3])
async def test_an_entry_that_was_recorded_otherwise_is_named(
    world: NotaryWorld, shelter: Watched, alter: Callable[[FeedItem], FeedItem], place: int
) -> None:
    served = disclosed(world, SHELTER, 5)
    served[place] = alter(served[place][0]), served[place][1]
    shelter.took(*served)
    world.published()
    for _ in range(2):
        await compare(shelter)
    assert shelter.alarms() == named("FEED_DIFFERS", place + 1)
    assert shelter.trail.proven(LANE).size == 0


async def differing(world: NotaryWorld, shelter: Watched) -> list[tuple[FeedItem, str]]:
    """Have the third of five entries arrive otherwise than it was recorded; return all five."""
    served = disclosed(world, SHELTER, 5)
    item, case = served[2]
    shelter.took(*served[:2], (replace(item, basis="c-9"), case), *served[3:])
    world.published()
    await compare(shelter)
    assert shelter.alarms() == named("FEED_DIFFERS", 3)
    return served


async def test_once_a_person_has_decided_a_feed_that_was_mended_is_proven_whole(
    world: NotaryWorld, shelter: Watched
) -> None:
    served = await differing(world, shelter)
    decide(shelter.trail, 1, "the coordinator: the hub is mended")
    shelter.hub.items = tuple(item for item, _ in served)
    await compare(shelter)
    assert len(shelter.alarms()) == 1, "it is still to come"

    shelter.took(*served)
    await compare(shelter)
    counts = shelter.trail.counts()
    assert (shelter.trail.proven(LANE).size, counts["feed_entries_unproven"]) == (5, 0)
    assert (len(shelter.alarms()), counts["trail_alarms"]) == (1, 0)
    aside = shelter.trail.alarms(evidence=True)[0].evidence["unproven.leaves"]
    was = delivery_of(SHELTER, PURPOSE, replace(served[2][0], basis="c-9")).leaf
    assert f"3 {was.hex()}" in aside.decode().splitlines()


async def test_a_decision_makes_no_feed_whole_and_what_still_differs_is_an_alarm_again(
    world: NotaryWorld, shelter: Watched
) -> None:
    served = await differing(world, shelter)
    for number in (1, 2):
        decide(shelter.trail, number, "the coordinator: they say that it is mended")
        served[2] = replace(served[2][0], basis="c-9"), served[2][1]
        shelter.took(*served)
        for _ in range(2):
            await compare(shelter)
    place = named("FEED_DIFFERS", 3)[0][1]
    again = [("FEED_DIFFERS", f"{place}; again after alarm {number}") for number in (1, 2)]
    assert shelter.alarms() == [*named("FEED_DIFFERS", 3), *again]
    assert (shelter.trail.proven(LANE).size, shelter.trail.counts()["trail_alarms"]) == (0, 1)


async def test_a_lane_can_go_on_from_what_the_trail_has_and_what_comes_after_is_proven(
    world: NotaryWorld, shelter: Watched
) -> None:
    """Given a trail that has an entry otherwise for ever, when a person decides to go on."""
    served = await differing(world, shelter)
    decide(shelter.trail, 1, "the coordinator: the log is wrong there", "trail")
    await compare(shelter)
    assert shelter.trail.counts()["trail_alarms"] == 0
    assert shelter.trail.proven(LANE).size == 5

    shelter.took(*disclosed(world, SHELTER, 2))
    world.published()
    await compare(shelter)
    assert shelter.trail.counts()["feed_entries_unproven"] == 0
    await shelter.confirming.confirm()
    leaves = [leaf for c in shelter.trail.confirmations(9) for leaf in leaves_of(c.signed.body)]
    assert len(leaves) == 6, "what the trail has otherwise is never confirmed"
    assert delivery_of(SHELTER, PURPOSE, replace(served[2][0], basis="c-9")).leaf not in leaves


async def test_an_entry_that_was_withheld_for_ever_does_not_hold_up_the_next(
    world: NotaryWorld, shelter: Watched
) -> None:
    served = disclosed(world, SHELTER, 3)
    shelter.took(served[0], served[2])
    world.published()
    await compare(shelter)
    assert shelter.alarms() == named("FEED_WITHHELD", 2)
    decide(shelter.trail, 1, "the coordinator: it is lost", "trail")
    await compare(shelter)
    assert (shelter.trail.proven(LANE).size, shelter.trail.counts()["trail_alarms"]) == (3, 0)


Nodes = tuple[bytes, ...]
FORGED: dict[str, Callable[[Nodes], Nodes]] = {
    "fewer": lambda nodes: nodes[:-1],
    "more": lambda nodes: (*nodes, bytes(32)),
    "other": lambda nodes: (bytes(32), *nodes[1:]),
    "none": lambda _: (),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_a_lane_does_not_go_on_from_a_range_that_the_map_does_not_have(
    world: NotaryWorld,
    shelter: Watched,
    monkeypatch: pytest.MonkeyPatch,
    forge: Callable[[Nodes], Nodes],
) -> None:
    await differing(world, shelter)
    decide(shelter.trail, 1, "the coordinator: go on", "trail")
    whole = shelter.link.head

    async def other(key: bytes) -> HeadProof:
        found = await whole(key)
        return replace(found, nodes=forge(found.nodes))

    monkeypatch.setattr(shelter.link, "head", other)
    with pytest.raises(NotAuthentic, match="BAD_RANGE"):
        await compare(shelter)
    assert (list(shelter.trail.adopting()), shelter.trail.proven(LANE).size) == ([LANE], 0)


async def test_another_entry_under_a_number_that_was_taken_is_named(
    world: NotaryWorld, shelter: Watched
) -> None:
    (served,) = disclosed(world, SHELTER)
    shelter.took(served)
    shelter.took(served)
    assert shelter.alarms() == []
    shelter.took((replace(served[0], basis="c-9"), served[1]))
    assert shelter.alarms() == named("FEED_REWRITTEN", 1)


async def test_a_feed_that_lost_what_was_proven_is_named(
    tmp_path: Path, world: NotaryWorld, shelter: Watched
) -> None:
    """Given a feed proven whole, when a later checkpoint has less of it."""
    shelter.took(*disclosed(world, SHELTER, 3))
    world.published()
    await compare(shelter)
    shelter.trail.extend(LANE, shelter.trail.proven(LANE).append(bytes(32)))
    await compare(shelter)
    assert shelter.alarms() == named("FEED_SHRUNK", 4)


@pytest.mark.parametrize("changes", [{"lane": 8}, {"lane": -1}, {"seq": 0}, {"supersedes": -1}])
async def test_an_entry_without_a_place_is_left_out(
    world: NotaryWorld, shelter: Watched, changes: dict[str, Any]
) -> None:
    ((item, case),) = disclosed(world, SHELTER)
    with pytest.raises(Malformed):
        delivery_of(SHELTER, PURPOSE, replace(item, **changes))
    shelter.took((replace(item, **changes), case))
    assert shelter.trail.newest_of(LANE) == 0


@pytest.mark.parametrize("granted", [0, Category.IDENTITY.bit, ALL_SEALED])
async def test_an_entry_may_show_less_than_it_granted_and_never_more(
    world: NotaryWorld, granted: int
) -> None:
    """What counts is what lies open in the record, whatever the hub calls it."""
    ((served, _),) = disclosed(world, SHELTER)
    item = replace(served, granted=names_of(granted), categories=())
    record = event_record(uid("event"))
    check_granted(record.withhold(granted), item)
    check_granted(record.withhold(0), item)
    if granted != ALL_SEALED:
        with pytest.raises(NotAuthentic) as caught:
            check_granted(record, item)
        assert caught.value.code == "SHOWN_MORE"
        with pytest.raises(NotAuthentic):
            check_granted(record.withhold(0), replace(item, categories=names_of(ALL_SEALED)))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.booleans(), st.booleans()), max_size=6), st.data())
async def test_whenever_pages_and_checkpoints_come_an_honest_feed_is_proven_and_no_other(
    rounds: list[tuple[int, bool, bool]], data: st.DataObject
) -> None:
    """Each round discloses, and maybe publishes, and maybe lets the gateway take what waits."""
    with tempfile.TemporaryDirectory() as folder:
        world = NotaryWorld(Path(folder))
        shelter = Watched(world, SHELTER)
        shelter.deliveries.purposes.add(PURPOSE)
        served: list[tuple[FeedItem, str]] = []
        taken = 0
        for count, publishes, takes in rounds:
            served += disclosed(world, SHELTER, count)
            if publishes:
                world.published()
            shelter.hub.items = tuple(item for item, _ in served[taken:])
            if takes:
                shelter.took(*served[taken:])
                taken, shelter.hub.items = len(served), ()
            if world.files.read("checkpoint"):
                await compare(shelter)
        assert shelter.alarms() == []
        if served:
            changed = data.draw(st.integers(taken, len(served)), label="changed")
            rest = [
                (replace(item, basis="c-2") if n == changed else item, case)
                for n, (item, case) in enumerate(served)
            ]
            shelter.took(*rest[taken:])
            shelter.hub.items = ()
            world.published()
            await compare(shelter)
            honest = changed == len(served)
            assert shelter.alarms() == ([] if honest else named("FEED_DIFFERS", changed + 1))
            if honest:
                leaves = [delivery_of(SHELTER, PURPOSE, item).leaf for item, _ in served]
                assert shelter.trail.proven(LANE) == Range().extend(leaves)
        shelter.store.close()
        world.close()
