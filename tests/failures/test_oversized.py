"""Records as large as they may be, and larger: whatever a hub accepts can be published and read."""

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from domain.action import Action
from domain.gateway import Command
from domain.messages import FeedItem, FeedPage
from domain.sealing.fields import BODY_AT, TAG_SIZE
from domain.trail import statement
from domain.trail.statement import Statement
from domain.vocabulary import Seat
from schemas.wire import MAX_BODY, write_sealed
from services.gateway.outbox import BATCH, BATCH_BYTES
from services.hub.feeds import PAGE_BYTES
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from tests.adapters.kafka_feeds import feed_of
from tests.bench.town import Town
from tests.failures import checks
from tests.failures.apart import WORKERS, Apart, Part, apart
from tests.failures.persons import Person
from tests.failures.writing import Client, outcomes, register
from tests.services.running import POLICE, World, running

SUPPORT = "protection_support"
PAGE = 4096
"""What a long sealed field is padded to multiples of."""
_LENGTH = 4
"""Union branch and length of a long sealed field, in bytes."""


@pytest.fixture
def one(
    brokers: Brokers | GivenBrokers, database: str, hub_id: str, tmp_path: Path
) -> Iterator[Apart]:
    with apart(tmp_path, hub_id, database, brokers, pairs=1) as made:
        yield made


def test_the_largest_record_that_a_hub_takes_reaches_every_topic_and_a_larger_one_is_refused(
    one: Apart,
) -> None:
    (hub,) = one.started("hub")
    register(one, hub)
    one.topics()
    workers = one.started(*WORKERS)
    opener, provider = one.town.openers[0], one.town.providers[0]
    person = Person(one.town, opener, provider)
    for sent in (*person.steps(), person.consents_again("IDENTITY", "FAMILY")):
        _send(one, hub, sent[0][0], [action for _, action in sent])
    keys, largest = (action for _, action in person.identified())
    largest = enlarged(one.town, opener, largest)
    assert MAX_BODY - PAGE < len(largest.record) <= MAX_BODY
    _send(one, hub, opener, [keys, largest])
    checks.kafka_has_the_log(one)
    checks.feeds_are_what_the_log_gives(one)
    checks.topics_have_the_feeds(one)
    assert largest.record in {item.event.record for item in _in_topic(one, provider)}
    assert largest.record in {item.event.record for item in _over_http(one, hub, provider)}

    too_large = enlarged(one.town, opener, _next(largest), beyond=1)
    assert MAX_BODY < len(too_large.record) <= MAX_BODY + PAGE
    client = Client(one, opener)
    (outcome,) = outcomes(client.send(hub, [too_large]))
    client.close()
    assert (outcome.accepted, outcome.code) == (False, "TOO_LARGE")
    checks.kafka_has_the_log(one)
    assert all(worker.lives for worker in workers)


def enlarged(town: Town, agency: str, action: Action, beyond: int = 0) -> Action:
    """Return `action` with the largest record that there can be, and `beyond` pages more.

    Nobody can open its last field, which is that long; a hub cannot know, and has to carry it.
    """
    last = town.parts.language.record(action.type, action.record).fields[-1].value
    head = action.record[: -len(write_sealed(last, withheld=False))]
    pages = (MAX_BODY - len(head) - BODY_AT - TAG_SIZE - _LENGTH) // PAGE + beyond
    long = last[:BODY_AT] + bytes(pages * PAGE + TAG_SIZE)
    return signed(town, agency, action, head + write_sealed(long, withheld=False))


def signed(town: Town, agency: str, action: Action, body: bytes) -> Action:
    """Return `action` about `body`, as its agency signs it."""
    said = Statement.decode(action.statement)._replace(payload=sha256(body).digest())
    if len(body) <= MAX_BODY:
        said = said._replace(fields=town.parts.language.record(action.type, body).fields_root)
    signature = town.parts.signing.sign(
        town.seed(agency).reveal(), statement.signed_bytes(said.encode())
    )
    return replace(action, record=body, statement=said.encode(), signature=signature)


def _next(action: Action) -> Action:
    """Return the same once more, as the agency's next action."""
    said = Statement.decode(action.statement)
    after = said._replace(
        actor_seq=said.actor_seq + 1,
        actor_prev=statement.digest(action.statement),
        after=statement.digest(action.statement),
    )
    return replace(action, event_id=str(uuid4()), statement=after.encode())


def _send(one: Apart, hub: Part, agency: str, actions: list[Action]) -> None:
    client = Client(one, agency)
    found = outcomes(client.send(hub, actions))
    client.close()
    assert all(o.accepted for o in found), found


def _in_topic(one: Apart, agency: str) -> list[FeedItem]:
    assert one.brokers is not None
    return [r.item for r in feed_of(one.brokers, one.hub_id, Seat(agency, SUPPORT))]


def _over_http(one: Apart, hub: Part, agency: str) -> list[FeedItem]:
    client, items, cursor = Client(one, agency), list[FeedItem](), ""
    while True:
        answer = client.get(hub, f"/v1/feeds/{SUPPORT}?cursor={cursor}")
        page = msgspec.json.decode(answer.content, type=FeedPage)
        assert sum(len(i.event.record) for i in page.items) <= PAGE_BYTES or len(page.items) == 1
        items, cursor = [*items, *page.items], page.cursor
        if not page.items:
            client.close()
            return items


@pytest.fixture
async def world(tmp_path: Path) -> Any:
    async with running(tmp_path) as made:
        yield made


async def test_many_large_commands_leave_a_gateway_in_requests_that_a_hub_takes(
    world: World,
) -> None:
    case = await world.opened(POLICE)
    summary = "y" * (BATCH_BYTES // BATCH * 2)
    commands = [
        Command(
            command_id=str(uuid4()),
            type="SignalReceived",
            case_id=case,
            fields={
                "immediate_danger": False,
                "channel": "phone",
                "reporter_kind": "neighbour",
                "summary": summary,
            },
        )
        for _ in range(BATCH)
    ]
    results = await world.link(POLICE).submit(commands)
    while any(r.status == "queued" for r in results):
        results = await world.link(POLICE).submit(commands)
    assert {r.status for r in results} == {"accepted"}
