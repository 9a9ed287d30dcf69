"""Projectors that read the log from a real broker: the same feeds as from the store, always."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from hashlib import sha256
from pathlib import Path
from random import Random
from time import monotonic, sleep
from typing import Any

import pytest

from adapters.kafka.client import Broker
from adapters.kafka.digests import record_digest
from adapters.kafka.names import Names
from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.feeds import SqliteFeeds
from domain.errors import Refused
from domain.feed import LANES, Entry
from domain.ports import EventStore, Recorded
from services.hub.projecting import Skipping
from services.hub.projector import Projector
from services.hub.rebuilding import Rebuilding
from tests.adapters.kafka_log import broker_of
from tests.agencies import world
from tests.servers import make_topics
from tests.services.case_logs import LANGUAGE, append, by_lane, dump, whole_log
from tests.services.kafka_projectors import (
    LIMIT_S,
    drained,
    inject,
    opened,
    projection,
    publish,
    published,
    until,
)

ROOT = Path(__file__).parents[2]
LOG = whole_log(7, cases=12)
KILLS = 30


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteEventStore]:
    with closing(SqliteEventStore(str(tmp_path / "events.db"))) as opened:
        append(opened, LOG)
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "feeds.db")


@pytest.fixture
def feeds(path: str) -> Iterator[SqliteFeeds]:
    with closing(SqliteFeeds(path)) as opened:
        yield opened


def from_store(store: EventStore) -> list[Entry]:
    """Return the feeds as they are projected straight from `store`."""
    with closing(SqliteFeeds("")) as feeds:
        projector = Projector(store, feeds, LANGUAGE, world())
        while projector.step().recorded_ms:
            pass
        return dump(feeds)


def test_kafka_and_the_store_give_the_same_feeds(
    brokers: Any, hub_id: str, store: SqliteEventStore, feeds: SqliteFeeds
) -> None:
    broker = published(brokers, hub_id, LOG)
    with projection(broker, hub_id, store, feeds, limit=37) as one:
        until(lambda: drained(feeds, LOG), one)
    assert dump(feeds) == from_store(store)


def test_a_projector_may_change_its_source_and_back(
    brokers: Any, hub_id: str, store: SqliteEventStore, feeds: SqliteFeeds
) -> None:
    broker = published(brokers, hub_id, LOG)
    with projection(broker, hub_id, store, feeds, limit=20) as one:
        until(lambda: sum(p.offset for p in feeds.progress()) > len(LOG), one)
    straight = Projector(store, feeds, LANGUAGE, world())
    straight.step(len(LOG) // 4)
    with projection(broker, hub_id, store, feeds) as one:
        until(lambda: drained(feeds, LOG), one)
    assert dump(feeds) == from_store(store)


def test_members_that_come_and_go_change_nothing(
    brokers: Any, hub_id: str, store: SqliteEventStore, feeds: SqliteFeeds
) -> None:
    """Each time a member joins or leaves, lanes change hands in the middle of the work."""
    make_topics(brokers, Names(hub_id))
    portions = iter(_portions(8))
    with projection(broker_of(brokers), hub_id, store, feeds, limit=9) as one:
        for portion in portions:
            publish(brokers, hub_id, portion)
            with projection(broker_of(brokers), hub_id, store, feeds, limit=7) as other:
                until(lambda o=other: len(o.projector.lanes) == LANES // 2, one, other)  # type: ignore[misc] # bound at once
            until(lambda: len(one.projector.lanes) == LANES, one)
        until(lambda: drained(feeds, LOG), one)
    assert dump(feeds) == from_store(store)


def _portions(count: int) -> list[list[Recorded]]:
    size = -(-len(LOG) // count)
    return [LOG[at : at + size] for at in range(0, len(LOG), size)]


def test_an_owner_that_lost_its_lanes_without_knowing_does_no_harm(
    brokers: Any, hub_id: str, store: SqliteEventStore, feeds: SqliteFeeds
) -> None:
    """Two groups' members own every lane at once, which is what a member that hung believes."""
    broker = published(brokers, hub_id, LOG)
    with ExitStack() as stack:
        one = stack.enter_context(projection(broker, hub_id, store, feeds, limit=11))
        straight = Projector(store, feeds, LANGUAGE, world())
        until(lambda: len(one.projector.lanes) == LANES, one)
        for _ in range(5):
            if not straight.astray:
                straight.resume()
            straight.step(13)
            one.step()
        until(lambda: drained(feeds, LOG), one)
    assert dump(feeds) == from_store(store)


def test_a_rebuild_from_the_store_takes_over_under_a_live_member(
    brokers: Any, hub_id: str, store: SqliteEventStore, feeds: SqliteFeeds, path: str
) -> None:
    broker = published(brokers, hub_id, LOG[: len(LOG) // 2])
    with (
        projection(broker, hub_id, store, feeds) as one,
        closing(SqliteFeeds(path)) as others,
    ):
        until(lambda: drained(feeds, LOG[: len(LOG) // 2]), one)
        assert Rebuilding(store, others, LANGUAGE, world()).run() == len(LOG)
        publish(brokers, hub_id, LOG[len(LOG) // 2 :])
        offsets = [len(lane) for lane in by_lane(LOG)]
        until(
            lambda: all(p.offset >= n for p, n in zip(feeds.progress(), offsets, strict=True)), one
        )
    assert dump(feeds) == from_store(store)


def test_a_poisoned_record_stalls_its_lane_until_somebody_skips_it(
    brokers: Any, hub_id: str, store: SqliteEventStore, feeds: SqliteFeeds, path: str
) -> None:
    half = len(LOG) // 2
    broker = published(brokers, hub_id, LOG[:half])
    inject(brokers, hub_id, 3, {"key": b"nobody", "value": b"junk"})
    publish(brokers, hub_id, LOG[half:])
    expected = from_store(store)
    whole = [len(lane) for lane in by_lane(LOG)]
    with (
        projection(broker, hub_id, store, feeds) as one,
        closing(SqliteFeeds(path)) as others,
    ):
        until(lambda: one.projector.stalled and _others_are_done(feeds), one)
        stall = one.projector.stalled[3]
        assert (stall.code, stall.offset) == ("RECORD_FRAMING", feeds.progress()[3].offset)
        assert [e for e in dump(feeds) if e.lane != 3] == [e for e in expected if e.lane != 3]
        assert feeds.progress()[3].offset < whole[3]
        skipping = Skipping(
            others, lambda n, at: record_digest(broker, Names(hub_id), n, at), lambda: 7
        )
        with pytest.raises(Refused, match="SKIP_ELSEWHERE"):
            skipping.skip(3, stall.offset + 1, by="operator-a", reason="foreign producer")
        with pytest.raises(Refused, match="SKIP_UNSIGNED"):
            skipping.skip(3, stall.offset, by=" ", reason="foreign producer")
        made = skipping.skip(3, stall.offset, by="operator-a", reason="foreign producer")
        assert made.digest == sha256(b"junk").digest()
        until(lambda: drained(feeds, LOG), one)
        assert not one.projector.stalled
    assert list(feeds.skips()) == [made]
    assert dump(feeds) == expected


def _others_are_done(feeds: SqliteFeeds) -> bool:
    at = feeds.progress()
    return all(at[n].position >= lane[-1].position for n, lane in enumerate(by_lane(LOG)) if n != 3)


class Children:
    """Projector processes that are killed and started again."""

    def __init__(self, broker: Broker, given: Mapping[str, str | int], output: Path) -> None:
        self._given = given
        self._output = output
        self._env = {
            **os.environ,
            "NRM_KAFKA_BOOTSTRAP": broker.bootstrap,
            "NRM_KAFKA_USER": broker.user,
            "NRM_KAFKA_PASSWORD": broker.password.reveal().decode(),
            "NRM_KAFKA_CA": broker.ca,
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, instance: str, kill: str = "") -> None:
        """Start a member; it kills itself where and when `kill` says."""
        given = json.dumps({**self._given, "instance": instance})
        with self._output.open("ab") as output:
            self._running[instance] = subprocess.Popen(
                (sys.executable, "-m", "tests.services.projector_child"),
                cwd=ROOT,
                env={**self._env, "PROJECTOR": given, "KILL": kill},
                stdout=output,
                stderr=output,
            )

    def died(self, instance: str) -> bool:
        """Return whether it has killed itself; it must not end otherwise."""
        code = self._running[instance].poll()
        assert code in {None, -signal.SIGKILL}, self._output.read_text()[-2_000:]
        return code is not None

    def end(self) -> None:
        """Kill whoever still runs."""
        for process in self._running.values():
            process.kill()
            process.wait()


@pytest.mark.parametrize("where", ["sqlite", "postgres"])
def test_processes_that_are_killed_again_and_again_change_nothing(
    brokers: Any, hub_id: str, store: SqliteEventStore, request: pytest.FixtureRequest, where: str
) -> None:
    """Before a write, inside it, right after it, and at any moment; two processes at once."""
    tmp_path = request.getfixturevalue("tmp_path")
    own = where == "postgres"
    address = request.getfixturevalue("database") if own else str(tmp_path / "feeds.db")
    rng = Random(30)  # noqa: S311 - a test's choices
    make_topics(brokers, Names(hub_id))
    given = {"store": str(tmp_path / "events.db"), "feeds": address, "hub": hub_id, "limit": 6}
    children = Children(broker_of(brokers), given, tmp_path / "child.txt")
    points = ["before", "after", ""] if own else ["before", "inside", "after", ""]
    hits = Counter[str]()
    portions = iter(_portions(4 * KILLS))
    out: list[Recorded] = []
    with ExitStack() as stack:
        feeds = stack.enter_context(closing(opened(address)))
        stack.callback(children.end)

        def grow() -> None:
            portion = next(portions, [])
            publish(brokers, hub_id, portion)
            out.extend(portion)

        while hits.total() < KILLS or any(hits[point] < 3 for point in points):
            grow()
            dying = {n: rng.choice(points) for n in "ab"}
            for n, point in dying.items():
                children.start(n, f"{point}:{rng.randint(1, 3)}" if point else "")
            sleep(rng.uniform(0, 2))  # a moment, whatever it finds them at
            for n, point in dying.items():
                while point and not children.died(n):
                    if drained(feeds, out):
                        grow()
                        assert len(out) < len(LOG), "no failpoint was reached"
                    sleep(0.02)
                hits[point] += 1
            children.end()
        publish(brokers, hub_id, LOG[len(out) :])
        for n in "ab":
            children.start(n)
        deadline = monotonic() + LIMIT_S
        while not drained(feeds, LOG):
            assert monotonic() < deadline, "waited in vain"
            sleep(0.1)
        assert dump(feeds) == from_store(store)
