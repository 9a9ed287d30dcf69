"""The custodian releases on consent, takes back on withdrawal, and trusts no hub."""

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest
import pytest_asyncio

from domain.errors import NotAuthentic, Refused
from domain.gateway import Command
from domain.messages import FollowedItem, FollowedPage, SignedRelease, Submission
from domain.sealing import KeyRelease
from domain.vocabulary import Seat
from services.bootstrap import CUSTODIAN, Parts, build_custodian
from services.directory import fingerprint
from services.hub.projector import Step
from tests.services.running import (
    HEALTH,
    POLICE,
    SHELTER,
    World,
    consent,
    referral,
    running,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with running(tmp_path_factory.mktemp("mechanism")) as world:
        yield world


async def referred(world: World) -> tuple[str, str]:
    """Return (case, consent id) of a case in which the shelter may open the identity."""
    case, act = await world.opened(POLICE), consent(SHELTER, "IDENTITY")
    await world.done(POLICE, case, "ConsentGiven", **act)
    await world.done(POLICE, case, "ReferralSent", **referral(SHELTER))
    await world.quiet()
    return case, act["consent_id"]


def released(world: World, agency: str, case: str) -> list[KeyRelease]:
    """Return the releases that the custodian would hand out now."""
    page = world.mechanism.custodian.custodian.releases(agency, 0)
    while more := world.mechanism.custodian.custodian.releases(agency, page.seq).items:
        page = replace(page, items=(*page.items, *more), seq=more[-1].seq)
    return [
        KeyRelease.decode(r.release, r.signature)
        for item in page.items
        if item.case_id == case
        for r in item.releases
    ]


async def test_a_release_names_what_it_rests_on_and_its_end(world: World) -> None:
    case, act = await referred(world)
    (release,) = released(world, SHELTER, case)
    assert (release.writer, release.recipient, release.issuer) == (POLICE, SHELTER, CUSTODIAN)
    assert release.basis == act
    assert release.not_after_ms < 1 << 62
    assert released(world, HEALTH, case) == []


async def test_a_withdrawal_removes_the_release_before_the_hub_says_so(world: World) -> None:
    case, act = await referred(world)
    process = world.mechanism.offices[POLICE].process
    checked = process.sealer.checked(
        Command(
            command_id=str(uuid4()),
            type="ConsentWithdrawn",
            case_id=case,
            fields={"consent_id": act, "given_by": "self", "words": None},
        )
    )
    writing = process.gateway.outbox._writing(case)  # noqa: SLF001 - to sign without sending
    made = process.sealer.make("", checked, writing.own, writing.after)
    action = made.outgoing[-1].action
    custodian = world.mechanism.custodian.custodian
    assert released(world, SHELTER, case)
    assert custodian.withdraw(action) == {SHELTER}
    assert released(world, SHELTER, case) == []
    world.mechanism.custodian.signals.notify([SHELTER])  # else its gateway waits in its long poll
    # The gateway sends it to the hub as well, and nothing changes any more.
    actions = tuple(o.action for o in made.outgoing)
    answers = await process.links[0].submit(Submission(actions=actions))
    assert all(o.accepted for o in answers.outcomes)
    await world.quiet()
    assert released(world, SHELTER, case) == []


async def test_nothing_is_released_for_a_case_with_a_gap_in_its_numbers(world: World) -> None:
    case, _ = await referred(world)
    followers = world.mechanism.hub.hub.followers
    items: list[FollowedItem] = []
    position = 0
    while (page := followers.custody(position)).position > position:
        items += page.items
        position = page.position
    numbered = [i for i in items if i.case_id == case]
    without = [i for i in items if i is not numbered[len(numbered) // 2]]
    fresh = build_custodian(
        Parts(replace(world.parts.settings, data=world.parts.settings.data / "blind")),
        *("http://127.0.0.1:1",) * 3,
    ).custodian
    known = world.mechanism.custodian.custodian._registry  # noqa: SLF001 - of the same registrars
    fresh._registry.directory = known.directory  # noqa: SLF001
    fresh.follow(FollowedPage(items=tuple(without), position=position))
    assert case in fresh.gaps
    others = {i.case_id for i in items} - {case}
    assert not others & fresh.gaps


async def test_nobody_deposits_keys_of_another_agency(world: World) -> None:
    case, _ = await referred(world)
    (release,) = released(world, SHELTER, case)
    custodian = world.mechanism.custodian.custodian
    signed = SignedRelease(release=release.encode(), signature=release.signature)
    with pytest.raises(Refused, match="NOT_FOR_ME"):
        custodian.deposit([signed], POLICE)
    mine = replace(
        release,
        recipient=CUSTODIAN,
        recipient_key_fp=fingerprint(custodian.opening_key),
    )
    with pytest.raises(Refused, match="NOT_YOUR_KEYS"):
        custodian.deposit([SignedRelease(release=mine.encode(), signature=b"")], HEALTH)
    forged = replace(mine, issuer=POLICE)
    with pytest.raises(NotAuthentic, match="BAD_SIGNATURE"):
        custodian.deposit([SignedRelease(release=forged.encode(), signature=bytes(64))], POLICE)


async def test_a_stale_projection_shows_less_and_never_more(world: World) -> None:
    case, act = await referred(world)
    seat = Seat(SHELTER, "protection_support")
    feeds, projector = world.mechanism.hub.hub.feeds, world.mechanism.hub.projector

    def shown() -> set[str]:
        cursor, categories = "", set[str]()
        while (page := feeds.page(seat, cursor)).items:
            language = world.parts.language
            for item in page.items:
                record = language.record(item.event.type, item.event.record)
                if language.event(record).head.case_id == case:
                    categories.update(item.categories)
            cursor = page.cursor
        return categories

    assert shown() == {"IDENTITY"}
    step = projector.step
    projector.step = lambda limit=0: Step((), frozenset())  # type: ignore[method-assign]
    try:
        await world.done(
            POLICE, case, "ConsentWithdrawn", consent_id=act, given_by="self", words=None
        )
        lag = world.mechanism.hub.hub.metrics.get_sample_value("nrm_projection_lag_events")
        assert lag == world.mechanism.hub.hub.lag() > 0
        assert shown() == set()
    finally:
        projector.step = step  # type: ignore[method-assign]
        world.mechanism.hub.hub.signals.notify(["log"])
    await world.quiet()
