"""Two hubs at once over one database: one order, one answer to each action, tokens for both."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from tests.bench.cases import WrittenCase
from tests.failures import checks
from tests.failures.apart import WORKERS, Apart, Part, apart
from tests.failures.writing import Client, Load, outcomes, register, writing

TWICE = 4
"""Cases of which every action is sent to both hubs at once."""


@pytest.fixture
def one(
    brokers: Brokers | GivenBrokers, database: str, hub_id: str, tmp_path: Path
) -> Iterator[Apart]:
    with apart(tmp_path, hub_id, database, brokers, pairs=3) as made:
        yield made


def test_two_hubs_that_begin_at_once_on_nothing_leave_one_log_without_gaps_or_doubles(
    one: Apart,
) -> None:
    hubs = one.started("hub", "hub")
    register(one, hubs[0])
    one.topics()
    one.started(*WORKERS)
    _a_token_of_one_holds_at_the_other(one, hubs)
    with writing(one, hubs, pairs=2) as load:
        _sent_to_both_at_once(one, hubs, load)
        load.more(200)
        load.stop()
        assert load.refusals() == []
        for hub in hubs:
            load.repeat(hub)
        checks.log_is_what_was_answered(one, load)
    checks.kafka_has_the_log(one)
    assert checks.feeds_are_what_the_log_gives(one)
    checks.topics_have_the_feeds(one)


def _a_token_of_one_holds_at_the_other(one: Apart, hubs: list[Part]) -> None:
    client = Client(one, one.town.openers[0])
    for giver, other in (hubs, reversed(hubs)):
        token = client.asks_for_token(giver).json()["access_token"]
        assert client.get(other, "/v1/registry", token).status_code == 200
    client.close()


def _sent_to_both_at_once(one: Apart, hubs: list[Part], load: Load) -> None:
    """Send every action of some cases to both hubs at the same moment: both answer the same."""
    agencies = (one.town.openers[-1], one.town.providers[-1])
    clients = {(agency, hub): Client(one, agency) for agency in agencies for hub in hubs}
    with ThreadPoolExecutor(2) as pool:
        for _ in range(TWICE):
            for step in WrittenCase(one.town, *agencies).steps():
                agency, actions = step[0][0], tuple(action for _, action in step)
                sent = [pool.submit(clients[agency, h].send, h, actions) for h in hubs]
                first, second = (outcomes(future.result()) for future in sent)
                assert first == second
                load.writers[0].answered.append((agency, actions, first))
    for client in clients.values():
        client.close()
