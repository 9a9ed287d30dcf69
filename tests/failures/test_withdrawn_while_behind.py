"""Consent withdrawn while projector and feed relay are behind: nothing of it is shown any more."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import msgspec
import pytest

from domain.messages import FeedItem, FeedPage
from domain.vocabulary import Seat
from services.bootstrap import Parts, Settings
from services.hub.feed_relay import FRESH_MS
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from services.local.processes import until
from tests.adapters.kafka_feeds import decoded, read_all
from tests.adapters.kafka_log import broker_of
from tests.bench.cases import Sent, by_sender
from tests.bench.ledger import running
from tests.failures import checks
from tests.failures.apart import LIMIT, Apart, Part, apart
from tests.failures.persons import Person, shown_against_their_will
from tests.failures.stepped import SUPPORT, Gate, Hub
from tests.failures.writing import Client, outcomes, register
from tests.services.feed_memory import MemoryFeedTopics, MemoryTopics
from tests.services.feed_relays import drain

SEEDS, STEPS, PERSONS = 10, 200, 3


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    made = Parts(Settings(data=tmp_path_factory.mktemp("parts")))
    made.own_keys()
    return made


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_whatever_lags_nothing_is_published_or_served_that_was_withdrawn_before(
    parts: Parts, seed: int
) -> None:
    memory = MemoryTopics(())
    with closing(Hub(parts, MemoryFeedTopics(memory), memory)) as hub:
        async with running(hub.accepting):
            await hub.begin()
            await _interleaved(hub, Random(seed))  # noqa: S311 - an order of things, no key


async def _interleaved(hub: Hub, rng: Random) -> None:
    persons = [hub.person() for _ in range(PERSONS)]
    telling = {person: person.told() for person in persons}
    shown = 0
    for _ in range(STEPS):
        match rng.choice(("happens", "happens", "projected", "published", "read")):
            case "happens":
                person = rng.choice(persons)
                await hub.record(person, next(telling[person]))
            case "projected":
                hub.projector.step(rng.randrange(1, 12))
            case "published":
                hub.publish()
                items = hub.published()
                assert shown_against_their_will(items, persons) == []
                shown += sum(bool(item.categories) for item in items)
            case _:
                assert shown_against_their_will(hub.read(rng.randrange(1, 12)), persons) == []
    assert shown, "some of it was shown"
    hub.project_all()
    drain(hub.relay)
    standing = {record.event_id: record.item for record in hub.memory.entries(hub.seat)}
    assert shown_against_their_will(standing.values(), persons) == [], "all is retracted"


async def test_what_waited_for_a_slow_transaction_is_looked_at_again(parts: Parts) -> None:
    memory = MemoryTopics(())
    gate = Gate(memory)
    with closing(Hub(parts, gate, memory)) as hub:
        async with running(hub.accepting):
            await hub.begin()
            first, second = hub.person(), hub.person()
            await _referred(hub, first)
            assert hub.relay.step()
            assert gate.asked.wait(LIMIT)
            await _referred(hub, second)
            waiting = asyncio.create_task(asyncio.to_thread(hub.relay.step))
            await _composed(hub)
            await hub.record(second, second.withdraws())
            hub.clock.now += FRESH_MS + 1
            gate.open.set()
            assert await waiting
        drain(hub.relay)
        items = hub.published()
        assert any(item.categories for item in items), "of the first"
        assert shown_against_their_will(items, [second]) == []


async def _referred(hub: Hub, person: Person) -> None:
    for sent in person.steps():
        await hub.record(person, sent)
    hub.project_all()


async def _composed(hub: Hub) -> None:
    """Wait until the relay has composed what comes next, and waits for what is under way."""
    for _ in range(int(LIMIT / 0.05)):
        await asyncio.sleep(0.05)
        if hub.relay._flight is None:  # noqa: SLF001 - nothing else tells
            return
    raise AssertionError("the relay does not come that far")


@pytest.fixture
def one(
    brokers: Brokers | GivenBrokers, database: str, hub_id: str, tmp_path: Path
) -> Iterator[Apart]:
    with apart(tmp_path, hub_id, database, brokers, pairs=1) as made:
        yield made


def test_processes_that_were_dead_during_a_withdrawal_bring_nothing_of_it_to_kafka(
    one: Apart,
) -> None:
    hub, projector = one.started("hub"), one.part("projector", "--source", "store")
    register(one, hub[0])
    one.topics()
    projector.start()
    person = Person(one.town, one.town.openers[0], one.town.providers[0])
    for sent in person.steps():
        _record(one, hub[0], person, sent)
    checks.feeds_are_what_the_log_gives(one)
    assert shown_against_their_will(_over_http(one, hub[0]), [person]) == []
    projector.kill()
    _record(one, hub[0], person, person.withdraws())
    assert shown_against_their_will(_over_http(one, hub[0]), [person]) == []
    (feed_relay,) = one.started("feed-relay")
    checks.topics_have_the_feeds(one)
    projector.start()
    checks.feeds_are_what_the_log_gives(one)
    checks.topics_have_the_feeds(one)
    assert feed_relay.lives
    assert until(lambda: not feed_relay.waits_for(), seconds=LIMIT)
    assert one.brokers is not None
    seat = Seat(one.town.providers[0], SUPPORT)
    records = read_all(broker_of(one.brokers), one.names.feed(seat), "read_uncommitted")
    items = [r.item for r in decoded(records, one.hub_id, seat)]
    assert items
    assert shown_against_their_will(items, [person]) == []


def _record(one: Apart, hub: Part, person: Person, sent: list[Sent]) -> None:
    for agency, actions in by_sender(sent):
        client = Client(one, agency)
        found = outcomes(client.send(hub, actions))
        client.close()
        assert all(o.accepted for o in found), found
    person.recorded(sent)


def _over_http(one: Apart, hub: Part) -> tuple[FeedItem, ...]:
    client = Client(one, one.town.providers[0])
    answer = client.get(hub, f"/v1/feeds/{SUPPORT}")
    client.close()
    assert answer.status_code == 200, answer.text
    items = msgspec.json.decode(answer.content, type=FeedPage).items
    assert items
    return items
