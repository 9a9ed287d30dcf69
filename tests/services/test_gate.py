"""Given consent and a key, when the trail has shown its disclosure the key goes out, not before."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
import pytest_asyncio

from domain.agency import Registry
from domain.custody import DisclosureLink
from domain.errors import Unavailable
from domain.notary import Streamed, StreamProof
from domain.trail.heads import Head, MapProof
from domain.vocabulary import Category, Seat
from services.bootstrap import CUSTODIAN
from services.custodian.disclosures import Shown
from tests.agencies import sha
from tests.services.running import HEALTH, POLICE, SHELTER, World, consent, referral, running
from tests.services.test_custodian import released

pytestmark = pytest.mark.asyncio(loop_scope="module")
SEAT = Seat(SHELTER, "protection_support")
LIMIT = 60.0


class Between:
    """Somebody between the custodian and the notary."""

    def __init__(self, link: DisclosureLink) -> None:
        self.link = link
        self.away = False
        self.asked: list[str] = []
        self.after: dict[str, list[int]] = defaultdict(list)
        """Case -> from which numbers on its stream was asked for."""
        self.instead: Callable[[str], str] = str
        self.says: Callable[[StreamProof], StreamProof] = lambda page: page
        self.facts: Callable[[StreamProof], StreamProof] = lambda page: page

    async def file(self, path: str) -> bytes | None:
        if self.away:
            raise Unavailable("PEER_AWAY", "cut off by the test")
        return await self.link.file(path)

    async def registry(self, after: int) -> StreamProof:
        return self.facts(await self.link.registry(after))

    async def disclosures(self, case_id: str, after: int) -> StreamProof:
        self.asked.append(case_id)
        self.after[case_id].append(after)
        return self.says(await self.link.disclosures(self.instead(case_id), after))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with running(tmp_path_factory.mktemp("gate")) as world:
        yield world


@pytest_asyncio.fixture(loop_scope="module")
async def between(world: World) -> AsyncIterator[Between]:
    gate = world.mechanism.custodian.gate
    link = gate._link  # noqa: SLF001 - the test stands between
    gate._link = between = Between(link)  # noqa: SLF001
    yield between
    gate._link = link  # noqa: SLF001


def metric(world: World, name: str) -> float:
    found = world.mechanism.custodian.vitals.registry.get_sample_value(name)
    assert found is not None
    return found


async def true(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT):
        while not holds():  # noqa: ASYNC110 - the parts are apart and share no event
            await asyncio.sleep(0.02)


def shown(seat: Seat, event: bytes, mask: int, *, witnessed: bool = True) -> Shown:
    return Shown(size=1, witnessed=witnessed, masks={(seat, event): mask})


async def consented(world: World, *categories: str) -> tuple[str, str]:
    """Return (case, consent) of a case that the shelter may read, as far as hub and feed go."""
    case, act = await world.opened(POLICE), consent(SHELTER, *(categories or ("IDENTITY",)))
    await world.done(POLICE, case, "ConsentGiven", **act)
    await world.done(POLICE, case, "ReferralSent", **referral(SHELTER))
    custodian, store = world.mechanism.custodian.custodian, world.mechanism.hub.store
    await true(lambda: custodian.position == store.head() and world.mechanism.hub.hub.lag() == 0)
    await true(lambda: case in custodian.waiting or released(world, SHELTER, case))
    return case, act["consent_id"]


def key_event(world: World, case: str) -> bytes:
    """Return the digest of the event that opened the police's key of the identity."""
    openers = world.mechanism.custodian.custodian._cases.openers(case)  # noqa: SLF001
    (found,) = (e for e, keys in openers.items() if (POLICE, Category.IDENTITY, 1) in keys)
    return found


async def test_while_the_trail_is_away_nothing_new_is_released_and_the_rest_goes_on(
    world: World, between: Between
) -> None:
    before, _ = await consented(world)
    await true(lambda: released(world, SHELTER, before))
    between.away = True
    case, _ = await consented(world)
    assert released(world, SHELTER, case) == []
    assert metric(world, "nrm_custodian_waiting_releases") == 1
    assert metric(world, "nrm_custodian_waiting_oldest_seconds") > 0
    await true(lambda: world.mechanism.offices[SHELTER].process.gateway.counts()["queued"] == 0)
    assert await world.events(SHELTER, case), "the feed's entry does not wait"
    assert released(world, SHELTER, before), "what was released stays"
    between.away = False
    await true(lambda: released(world, SHELTER, case))
    await world.quiet()
    assert metric(world, "nrm_custodian_waiting_releases") == 0
    assert metric(world, "nrm_custodian_proof_wait_seconds_count") > 0


async def test_a_withdrawal_is_at_once_and_a_new_consent_needs_a_new_proof(
    world: World, between: Between
) -> None:
    case, act = await consented(world)
    await true(lambda: released(world, SHELTER, case))
    between.away = True
    await world.done(POLICE, case, "ConsentWithdrawn", consent_id=act, given_by="self", words=None)
    await true(lambda: not released(world, SHELTER, case))
    await world.done(POLICE, case, "ConsentGiven", **consent(SHELTER, "IDENTITY"))
    await true(lambda: case in world.mechanism.custodian.custodian.waiting)
    assert released(world, SHELTER, case) == []
    between.away = False
    await true(lambda: released(world, SHELTER, case))


async def test_the_proof_of_another_case_opens_nothing_and_is_told(
    world: World, between: Between
) -> None:
    other, _ = await consented(world)
    await true(lambda: released(world, SHELTER, other))
    bad = metric(world, "nrm_custodian_bad_proofs_total")
    between.instead = lambda _: other
    case, _ = await consented(world)
    await true(lambda: metric(world, "nrm_custodian_bad_proofs_total") > bad)
    assert released(world, SHELTER, case) == []
    between.instead = str
    await true(lambda: released(world, SHELTER, case))


def saying(length: int, *entries: Streamed) -> Callable[[StreamProof], StreamProof]:
    """Return what makes of a page one of a stream of `length`, with `entries` in it."""

    def changed(page: StreamProof) -> StreamProof:
        head = MapProof.decode(page.head.map)._replace(head=Head(length, sha("head"), 0))
        return StreamProof(head=replace(page.head, map=head.encode()), entries=entries)

    return changed


async def test_a_notary_that_claims_an_endless_stream_is_not_listened_to(
    world: World, between: Between
) -> None:
    bad = metric(world, "nrm_custodian_bad_proofs_total")
    between.says = saying(1 << 40, Streamed(index=0, entry=b"", body=b""))
    case, _ = await consented(world)
    await true(lambda: metric(world, "nrm_custodian_bad_proofs_total") > bad)
    assert set(between.after[case]) == {0}
    assert released(world, SHELTER, case) == []
    between.says = lambda page: page
    await true(lambda: released(world, SHELTER, case))


async def test_what_was_proven_of_a_case_is_not_read_again(world: World, between: Between) -> None:
    case, act = await consented(world)
    await true(lambda: released(world, SHELTER, case))
    before = len(between.after[case])
    await world.done(POLICE, case, "ConsentWithdrawn", consent_id=act, given_by="self", words=None)
    await world.done(POLICE, case, "ConsentGiven", **consent(SHELTER, "IDENTITY"))
    await true(lambda: len(between.after[case]) > before and released(world, SHELTER, case))
    assert min(between.after[case][before:]) > 0


@pytest.mark.parametrize(
    ("seat", "mask"),
    [
        (Seat(HEALTH, "protection_support"), Category.IDENTITY.bit),
        (Seat(SHELTER, "health_care"), Category.IDENTITY.bit),
        (SEAT, Category.IDENTITY.bit << 1),
        (SEAT, 0),
    ],
    ids=["another agency", "another seat", "another category", "taken back"],
)
async def test_what_was_shown_to_somebody_else_or_of_something_else_opens_nothing(
    world: World, between: Between, seat: Seat, mask: int
) -> None:
    between.away = True
    case, _ = await consented(world)
    custodian = world.mechanism.custodian.custodian
    custodian.prove({case: shown(seat, key_event(world, case), mask)})
    assert case in custodian.waiting
    custodian.prove({case: shown(SEAT, sha("another event"), Category.IDENTITY.bit)})
    assert case in custodian.waiting
    assert released(world, SHELTER, case) == []
    right = shown(SEAT, key_event(world, case), Category.IDENTITY.bit)
    assert custodian.prove({case: right}) == {SHELTER}
    assert released(world, SHELTER, case)


async def test_a_delivery_that_was_taken_back_takes_the_release_back(
    world: World, between: Between
) -> None:
    case, _ = await consented(world)
    await true(lambda: released(world, SHELTER, case))
    between.away = True
    custodian, event = world.mechanism.custodian.custodian, key_event(world, case)
    assert custodian.prove({case: shown(SEAT, event, 0)}) == {SHELTER}
    assert released(world, SHELTER, case) == []


async def test_what_the_log_alone_has_proven_is_flagged_until_a_quorum_has_seen_it(
    world: World, between: Between
) -> None:
    """Given nothing else that waits, when a checkpoint covers it, it is looked at again."""
    between.away, gate = True, world.mechanism.custodian.gate
    case, _ = await consented(world)
    custodian, event = world.mechanism.custodian.custodian, key_event(world, case)
    await true(lambda: world.mechanism.trail.notary.publisher.size > gate._size)  # noqa: SLF001
    size = world.mechanism.trail.notary.publisher.size
    alone = shown(SEAT, event, Category.IDENTITY.bit, witnessed=False)._replace(size=size)
    custodian.prove({case: alone})
    (release,) = released(world, SHELTER, case)
    assert release.issuer == CUSTODIAN
    assert metric(world, "nrm_custodian_degraded_cases") == 1
    between.away = False
    await true(lambda: not custodian.unwitnessed)
    assert released(world, SHELTER, case) == [release]
    assert metric(world, "nrm_custodian_degraded_cases") == 0


async def test_only_cases_with_something_to_release_are_asked_about(
    world: World, between: Between
) -> None:
    case = await world.opened(POLICE)
    await world.quiet()
    opened, _ = await consented(world)
    await true(lambda: released(world, SHELTER, opened))
    assert case not in between.asked
    assert between.asked.count(opened) < 10
    asked = len(between.asked)
    await world.opened(POLICE)
    await world.quiet()
    assert len(between.asked) == asked


async def test_what_was_seen_of_the_log_is_kept(world: World) -> None:
    case, _ = await consented(world)
    await true(lambda: released(world, SHELTER, case))
    custody = world.mechanism.custodian.custodian._custody  # noqa: SLF001
    seen = custody.seen(world.parts.trust.log)
    assert seen is not None
    assert seen.quorum_ms is not None
    assert {p.size <= seen.size for p in custody.proven(case)} == {True}


async def test_while_the_trail_does_not_show_the_registry_nothing_is_released(
    world: World, between: Between, caplog: pytest.LogCaptureFixture
) -> None:
    bad = metric(world, "nrm_custodian_bad_proofs_total")
    known = world.mechanism.custodian.custodian._registry._digests  # noqa: SLF001
    true_one, known[0] = known[0], sha("a fact that the hub sends to the custodian alone")
    case, _ = await consented(world)
    await true(lambda: metric(world, "nrm_custodian_bad_proofs_total") > bad)
    assert "REGISTRY_DIFFERS" in caplog.text
    assert (released(world, SHELTER, case), case in between.asked) == ([], False)
    known[0] = true_one
    await true(lambda: released(world, SHELTER, case))


async def test_a_key_whose_recipient_the_trail_does_not_show_waits(
    world: World, between: Between
) -> None:
    """Given a proof of the disclosure, when the opening key is not proven, the release waits."""
    custodian = world.mechanism.custodian.custodian
    known, between.away = custodian._registry, True  # noqa: SLF001
    whole, known._shown = known._shown, Registry()  # noqa: SLF001
    case, _ = await consented(world)
    custodian.prove({case: shown(SEAT, key_event(world, case), Category.IDENTITY.bit)})
    assert (released(world, SHELTER, case), case in custodian.waiting) == ([], True)
    known._shown, between.away = whole, False  # noqa: SLF001
    await true(lambda: released(world, SHELTER, case))
