"""The feeds of a real mechanism in their topics: byte for byte what the hub shows over HTTP."""

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from adapters.http_links import HttpHubLink
from adapters.kafka.feed_topics import RELAY, KafkaFeedTopics
from adapters.kafka.names import Names
from adapters.kafka.publisher import Publisher
from domain.errors import Refused
from domain.messages import FeedItem
from domain.vocabulary import ALL_SEALED, Seat
from services.bootstrap import COORDINATOR, gateway_link, now_ms
from services.demo.cast import CAST
from services.hub.casebook import CaseBook
from services.hub.feed_relay import FeedRelay
from services.hub.feeds import Composer, StoreWorld
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from tests.adapters.kafka_feeds import feed_of, read_all
from tests.adapters.kafka_log import broker_of
from tests.servers import make_topics
from tests.services.feed_relays import Told, drain, relay
from tests.services.running import (
    HEALTH,
    POLICE,
    SHELTER,
    World,
    consent,
    referral,
    running,
)

SEATS = [Seat(member.id, purpose) for member in CAST for purpose in sorted(member.purposes)]
SHELTERED = Seat(SHELTER, "protection_support")
NURSED = Seat(HEALTH, "protection_support")
Servers = Brokers | GivenBrokers


@pytest_asyncio.fixture
async def world(tmp_path: Path, brokers: Servers, hub_id: str) -> AsyncIterator[World]:
    make_topics(brokers, Names(hub_id), SEATS)
    async with running(tmp_path / "data") as world:
        yield world


def relay_of(world: World, brokers: Servers, hub_id: str, told: Told) -> FeedRelay:
    """Return a relay as it runs apart: with a registry and folds of its own."""
    parts, hub, names = world.parts, world.mechanism.hub, Names(hub_id)
    compose = Composer(
        store=hub.store,
        language=parts.language,
        book=CaseBook(parts.language),
        world=StoreWorld(hub.store, parts.language, parts.world),
        clock=now_ms,
    )
    publisher = Publisher(broker_of(brokers), names, RELAY)
    topics = KafkaFeedTopics(publisher, names, parts.language, now_ms)
    return relay(hub.feeds, topics, compose=compose, metrics=told)


async def referred(world: World, to: str, *categories: str) -> tuple[str, str]:
    """Return case and consent of a case that police referred to an agency, which took it."""
    case = await world.opened(POLICE)
    act, sent = consent(to, *categories), referral(to)
    await world.done(POLICE, case, "ConsentGiven", **act)
    await world.done(POLICE, case, "ReferralSent", **sent)
    await world.quiet()
    await world.done(to, case, "ReferralReceived", referral_id=sent["referral_id"])
    return case, act["consent_id"]


async def withdrawn(world: World, case: str, consent_id: str) -> None:
    act = {"consent_id": consent_id, "given_by": "self", "words": "no more"}
    await world.done(POLICE, case, "ConsentWithdrawn", **act)


async def over_http(world: World, seat: Seat) -> list[FeedItem]:
    """Return the feed of a seat as its agency gets it from the hub just now."""
    part = f"gateways/{seat.agency}"
    link = HttpHubLink(
        world.mechanism.hub_address,
        seat.agency,
        world.parts.public_key(part),
        world.parts.secret(part, "signing"),
    )
    items, cursor = list[FeedItem](), ""
    try:
        while (page := await link.feed(seat.purpose, cursor, 0)).items:
            items, cursor = [*items, *page.items], page.cursor
    finally:
        await link.close()
    return items


def by_place(items: list[FeedItem]) -> list[FeedItem]:
    return sorted(items, key=lambda item: (item.lane, item.seq))


def standing(items: list[FeedItem]) -> list[FeedItem]:
    """Return what no later entry supersedes, which is all that compaction leaves."""
    gone = {(item.lane, item.supersedes) for item in items}
    return [item for item in by_place(items) if (item.lane, item.seq) not in gone]


def in_topic(brokers: Servers, hub_id: str, seat: Seat) -> list[FeedItem]:
    return [record.item for record in feed_of(brokers, hub_id, seat)]


async def test_what_stands_in_a_topic_is_what_the_hub_shows_over_http(
    world: World, brokers: Servers, hub_id: str
) -> None:
    gone, left = await referred(world, SHELTER, "IDENTITY", "CASEWORK"), list[str]()
    for agency, categories in ((SHELTER, ["IDENTITY"]), (HEALTH, ["IDENTITY", "HEALTH"])):
        left.append((await referred(world, agency, *categories))[0])
    await withdrawn(world, *gone)
    await world.quiet()
    with closing(relay_of(world, brokers, hub_id, Told())) as running_relay:
        drain(running_relay)
    shown = dict[Seat, list[FeedItem]]()
    for seat in SEATS:
        shown[seat] = by_place(await over_http(world, seat))
        assert by_place(in_topic(brokers, hub_id, seat)) == shown[seat]
    assert any(item.categories for item in shown[SHELTERED])
    assert any(item.supersedes for item in shown[SHELTERED])
    assert any(item.categories for item in shown[NURSED])
    for seat in SEATS:
        values = {r.value[5:] for r in read_all(broker_of(brokers), Names(hub_id).feed(seat))}
        assert values == {item.event.record for item in shown[seat]}


async def test_what_was_withdrawn_before_it_was_published_never_reaches_the_topic(
    world: World, brokers: Servers, hub_id: str
) -> None:
    case, consent_id = await referred(world, SHELTER, "IDENTITY", "CASEWORK")
    await world.quiet()
    wide = [item for item in await over_http(world, SHELTERED) if item.categories]
    assert wide
    await withdrawn(world, case, consent_id)  # durable; whether projected does not matter
    with closing(relay_of(world, brokers, hub_id, Told())) as running_relay:
        drain(running_relay)
        await world.quiet()
        drain(running_relay)
    assert all(item.categories == () for item in in_topic(brokers, hub_id, SHELTERED))
    records = read_all(broker_of(brokers), Names(hub_id).feed(SHELTERED), "read_uncommitted")
    sealed = [
        f.value
        for item in wide
        for f in world.parts.language.record(item.event.type, item.event.record).fields
        if f.category.bit & ALL_SEALED and not f.withheld
    ]
    assert sealed
    assert not [s for s in sealed if any(s in r.value for r in records)]


async def test_a_suspended_agency_gets_nothing_new_until_it_is_reinstated(
    world: World, brokers: Servers, hub_id: str
) -> None:
    told = Told()
    ahead = 0

    def clock() -> int:
        return now_ms() + ahead

    operator = gateway_link(world.parts, COORDINATOR, world.mechanism.operator_address)
    with closing(relay_of(world, brokers, hub_id, told)) as running_relay:
        running_relay._clock = clock  # noqa: SLF001 - the relay's own, not the composer's
        case, consent_id = await referred(world, SHELTER, "IDENTITY")
        await world.quiet()
        drain(running_relay)
        before = in_topic(brokers, hub_id, SHELTERED)
        await referred(world, SHELTER, "IDENTITY")
        await world.quiet()
        await operator.record("AgencySuspended", {"agency": SHELTER, "reason": "other"})
        drain(running_relay)
        assert told.apart == {SHELTERED: "AGENCY_NOT_ACTIVE"}
        assert in_topic(brokers, hub_id, SHELTERED) == before
        with pytest.raises(Refused, match="AGENCY_NOT_ACTIVE"):
            await over_http(world, SHELTERED)
        await operator.record("AgencyReinstated", {"agency": SHELTER})
        await withdrawn(world, case, consent_id)
        await world.quiet()
        ahead = 120_000
        drain(running_relay)
    await operator.close()
    assert told.apart == {}
    items, shown = in_topic(brokers, hub_id, SHELTERED), await over_http(world, SHELTERED)
    assert len(items) == len(shown) > len(before)
    assert standing(items) == standing(shown)
    assert {item.categories for item in standing(items)} >= {(), ("IDENTITY",)}
