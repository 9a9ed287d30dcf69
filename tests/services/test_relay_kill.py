"""The relay is killed at every moment there is: nothing is missing, doubled or out of order."""

import os
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from time import monotonic

import pytest

from adapters.kafka.log import KafkaLogReader
from adapters.kafka.names import Names
from domain.errors import Unavailable
from services.hub.relay import Relay
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from services.local.processes import until
from tests.adapters.kafka_log import LANGUAGE, broker_of, found, positions, topic_of
from tests.servers import make_topics
from tests.services.relay_process import LIMIT, relaying
from tests.services.relay_store import Alone, expected, grow, opened, read_log, read_refusals

KILLS = int(os.environ.get("KILLS", "30"))
SEED = int(os.environ.get("KILL_SEED", "1"))
MOMENTS = ("kill sent", "", "kill opened", "", "kill committed")
BOUND = 60.0
"""Seconds that a step may take when Kafka does not answer: it is about 20."""
BEGINNING, GROWTH = 2_000, 300
"""Events at the start, and after each kill: about as many as a relay publishes until then."""


class Town:
    """A store and its log on Kafka."""

    def __init__(self, brokers: Brokers | GivenBrokers, hub_id: str, store: str) -> None:
        self.brokers = brokers
        self.hub_id = hub_id
        self.address = store
        self.store = opened(store)
        make_topics(brokers, Names(hub_id))
        grow(self.store, BEGINNING)

    def killed(self, rng: Random, where: str) -> bool:
        """Run a relay until it is killed; return whether it was, before it was done.

        Without a place `where` it kills itself, that is at any moment.
        """
        fails = f"{where} {rng.randrange(1, 20)}" if where else ""
        with relaying(self.brokers, self.address, self.hub_id, fails) as relay:
            while relay.says() == "waits":
                pass
            if not where and relay.wait(rng.uniform(0.0, 0.6)) is None:
                relay.signal(signal.SIGKILL)
            killed = relay.wait() == -signal.SIGKILL
        grow(self.store, GROWTH if killed else BEGINNING, refusals=10)
        return killed

    def finish(self) -> None:
        """Let a relay publish what is left."""
        with relaying(self.brokers, self.address, self.hub_id) as relay:
            assert relay.wait() == 0, relay.said()

    def aborted(self) -> int:
        """Return how many records of the log stand there and never were."""
        log = Names(self.hub_id).log
        seen = found(self.brokers, log, "read_uncommitted")
        return sum(map(len, seen)) - sum(map(len, found(self.brokers, log)))

    def check(self) -> None:
        """Each partition holds what it must, in order; and all of it is what the store holds."""
        names, events = Names(self.hub_id), read_log(self.store)
        assert [positions(lane) for lane in found(self.brokers, names.log)] == expected(events)
        reader = KafkaLogReader(broker_of(self.brokers), names, LANGUAGE)
        published = reader.published()
        assert published is not None
        assert list(reader.events(published)) == events
        assert list(reader.refusals(published)) == read_refusals(self.store)


def kill_often(town: Town, half_way: Callable[[], None] = lambda: None) -> None:
    rng = Random(f"kill the relay {SEED}")  # noqa: S311 - moments, not keys
    kills = 0
    while kills < KILLS:
        kills += town.killed(rng, MOMENTS[kills % len(MOMENTS)])
        if kills == KILLS // 2:
            half_way()
    town.finish()
    aborted = town.aborted()
    print(f"{kills} kills, {town.store.head()} events, {aborted} aborted records")  # noqa: T201 - evidence
    town.check()
    town.store.close()
    assert aborted > 0, "no kill hit an open transaction"


@pytest.mark.timeout(900)
def test_killed_at_any_moment_it_publishes_everything_once_and_in_order(
    brokers: Brokers | GivenBrokers, hub_id: str, tmp_path: Path
) -> None:
    kill_often(Town(brokers, hub_id, str(tmp_path / "events.db")))


@pytest.mark.timeout(900)
def test_killed_over_postgresql_with_a_broker_of_three_dying_it_does_the_same(
    three_brokers: Brokers, hub_id: str, database: str
) -> None:
    try:
        kill_often(Town(three_brokers, hub_id, database), lambda: three_brokers.kill(2))
    finally:
        three_brokers.up(2)


@pytest.mark.timeout(600)
def test_brokers_that_were_away_get_everything_in_order_when_they_are_back(
    three_brokers: Brokers, hub_id: str, tmp_path: Path
) -> None:
    """Two of three are away: what is left takes no record, and says so within bounded time."""
    town = Town(three_brokers, hub_id, str(tmp_path / "events.db"))
    with closing(Relay(town.store, topic_of(three_brokers, hub_id), Alone())) as relay:
        assert relay.step()
        try:
            three_brokers.kill(1)
            three_brokers.kill(3)
            grow(town.store, BEGINNING)
            for _ in range(3):
                started = monotonic()
                with pytest.raises(Unavailable):
                    _until_nothing_is_left(relay)
                assert monotonic() - started < BOUND
        finally:
            three_brokers.up(1)
            three_brokers.up(3)
        assert until(lambda: _published(relay), seconds=LIMIT)
    town.check()
    town.store.close()


def _until_nothing_is_left(relay: Relay) -> None:
    while relay.step():
        pass


def _published(relay: Relay) -> bool:
    """Work as the worker does; return whether everything is published."""
    try:
        return not relay.step()
    except Unavailable:
        return False
