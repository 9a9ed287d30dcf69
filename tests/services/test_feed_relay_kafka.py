"""The feed relay on real brokers: killed, doubled, cut off, and beside topics it cannot write."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from random import Random
from time import perf_counter, sleep
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from adapters.kafka import cluster
from adapters.kafka.client import Broker
from adapters.kafka.declared import Acl
from adapters.kafka.feed_topics import RELAY
from adapters.kafka.names import Names
from adapters.kafka.preflight import connected
from domain.errors import Refused, Unavailable
from domain.feed import LANES
from domain.secret import Secret
from domain.vocabulary import Seat
from services.hub.feed_relay import FeedRelay
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from services.local.processes import until
from tests.adapters.kafka_feeds import POLICE, SHELTER, feed_of, read_all, topics_of
from tests.adapters.kafka_log import broker_of
from tests.servers import make_topics
from tests.services.feed_relays import FilledFeeds, Told, drain, record_of, relay

KILLS = int(os.environ.get("KILLS", "30"))
SEED = int(os.environ.get("KILL_SEED", "1"))
HEALTH = Seat("gb-health", "health_care")
SEATS = (SHELTER, POLICE, HEALTH)
ENTRIES = 4_800
Servers = Brokers | GivenBrokers


class Child:
    """A feed relay that runs apart."""

    def __init__(self, brokers: Servers, hub_id: str, path: Path) -> None:
        words = [brokers.bootstrap, brokers.admin_user, hub_id, str(path)]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "tests.services.feed_relay_child", *words],
            env=os.environ | {"KAFKA_PASSWORD": brokers.admin_password},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def published(self) -> bool:
        """Wait for the next transaction; return whether there was one."""
        assert self._process.stdout is not None
        return bool(self._process.stdout.readline())

    def send(self, signum: signal.Signals) -> None:
        self._process.send_signal(signum)

    def ended(self) -> tuple[int, str]:
        """Wait for its end; return its code and what it complained of."""
        _, complaint = self._process.communicate(timeout=120)
        return self._process.returncode, complaint


def missing_doubled_disordered(
    brokers: Servers, hub_id: str, feeds: FilledFeeds, seats: Sequence[Seat]
) -> tuple[int, int, int]:
    """Compare what a subscriber finds with the feeds, entry by entry and byte by byte."""
    missing = doubled = disordered = 0
    for seat in seats:
        found = feed_of(brokers, hub_id, seat)
        due = [record_of(one) for one in feeds.all_of(seat)]
        missing += sum(record not in found for record in due)
        doubled += len(found) - len(due)
        for lane in range(LANES):
            seqs = [r.item.seq for r in found if r.item.lane == lane]
            disordered += sum(b <= a for a, b in pairwise(seqs))
    return missing, doubled, disordered


def uncommitted(brokers: Servers, hub_id: str, seats: Sequence[Seat]) -> int:
    """Return how many records a reader sees who reads aborted ones too."""
    topics = [Names(hub_id).feed(seat) for seat in seats]
    return sum(len(read_all(broker_of(brokers), t, "read_uncommitted")) for t in topics)


def fill_all(feeds: FilledFeeds, rng: Random, entries: int) -> int:
    """Add about `entries` over seats and lanes, some of them retractions; return how many."""
    places = [(seat, lane) for seat in SEATS for lane in range(LANES)]
    for seat, lane in places:
        feeds.fill(seat, entries // len(places), lane)
        for seq in rng.sample(range(1, entries // len(places)), 3):
            feeds.retract(seat, seq, lane)
    return sum(feeds.heads().values())


@pytest.mark.timeout(900)
def test_killed_again_and_again_it_leaves_nothing_out_and_nothing_twice(
    brokers: Servers, hub_id: str, tmp_path: Path
) -> None:
    rng = Random(f"kill the feed relay {SEED}")  # noqa: S311 - moments, not keys
    make_topics(brokers, Names(hub_id), SEATS)
    path = tmp_path / "feeds.db"
    feeds = FilledFeeds(str(path))
    entries = fill_all(feeds, rng, max(ENTRIES, 180 * KILLS))
    for _ in range(KILLS):
        child = Child(brokers, hub_id, path)
        for _ in range(rng.randrange(1, 10)):
            assert child.published(), child.ended()
        sleep(rng.uniform(0, 0.02))
        child.send(signal.SIGKILL)
        child.ended()
    child = Child(brokers, hub_id, path)
    while child.published():
        pass
    assert child.ended() == (0, "")
    assert missing_doubled_disordered(brokers, hub_id, feeds, SEATS) == (0, 0, 0)
    aborted = uncommitted(brokers, hub_id, SEATS) - entries
    print(f"{KILLS} kills, {entries} entries, {aborted} aborted")  # noqa: T201 - evidence
    assert aborted > 0, "no kill hit a transaction"


def test_one_that_slept_is_fenced_by_the_one_that_took_over(
    brokers: Servers, hub_id: str, tmp_path: Path
) -> None:
    make_topics(brokers, Names(hub_id), SEATS)
    feeds = FilledFeeds(str(tmp_path / "feeds.db"))
    fill_all(feeds, Random(SEED), ENTRIES)  # noqa: S311 - which entries, not keys
    child = Child(brokers, hub_id, tmp_path / "feeds.db")
    for _ in range(3):
        assert child.published()
    child.send(signal.SIGSTOP)
    with closing(relay(feeds, topics_of(brokers, hub_id))) as running:
        drain(running)
        child.send(signal.SIGCONT)
        code, complaint = child.ended()
        assert code != 0
        assert "FENCED" in complaint
        feeds.fill(SHELTER, 5)
        drain(running)
    assert missing_doubled_disordered(brokers, hub_id, feeds, SEATS) == (0, 0, 0)


@contextmanager
def stepping(running: FeedRelay) -> Iterator[None]:
    """Run a relay in a thread of its own, as its process does, until the block ends."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            try:
                if not running.step():
                    sleep(0.002)
            except Unavailable:
                sleep(0.2)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        running.close()


# The client does not close the sockets of connections that are refused.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_brokers_that_were_away_get_everything_when_they_are_back(
    hub_id: str, server_folder: Path, tmp_path: Path, brokers: Servers
) -> None:
    if not isinstance(brokers, Brokers):
        pytest.skip("brokers that somebody else runs are not ours to kill")
    own = Brokers(server_folder / "away", env=os.environ)
    own.start()
    try:
        make_topics(own, Names(hub_id), SEATS)
        feeds = FilledFeeds(str(tmp_path / "feeds.db"))
        told = Told()
        apart = FilledFeeds(str(tmp_path / "feeds.db"))
        with stepping(relay(apart, topics_of(own, hub_id), metrics=told)):
            feeds.fill(SHELTER, 50)
            assert until(lambda: told.arrived.get(SHELTER) == 50, seconds=60)
            own.kill(1)
            feeds.fill(SHELTER, 50)
            feeds.fill(POLICE, 50)
            sleep(1)
            own.up(1)
            assert until(lambda: told.arrived.get(POLICE) == 50, seconds=120)
        assert told.apart == {}
        assert missing_doubled_disordered(own, hub_id, feeds, SEATS[:2]) == (0, 0, 0)
    finally:
        own.stop()


@pytest.fixture
def restricted(brokers: Servers, hub_id: str) -> tuple[Broker, Acl]:
    """A user for the relay who may write to the shelter's topic, and the right he lacks."""
    names = Names(hub_id)
    user, password = f"{names.prefix}.feed-relay", "invented-password"
    who = f"User:{user}"
    rights = [
        Acl(who, "WRITE", "TOPIC", names.feed(SHELTER)),
        Acl(who, "DESCRIBE", "TOPIC", names.feed(POLICE)),
        *(Acl(who, may, "TOPIC", names.position) for may in ("READ", "WRITE")),
        Acl(who, "WRITE", "TRANSACTIONAL_ID", names.transactional(RELAY)),
    ]
    with connected(broker_of(brokers)) as client:
        cluster.set_passwords(client, [(user, password, 4096)])
        cluster.create_acls(client, rights)
        assert until(lambda: set(rights) <= cluster.acls(client), seconds=30)
        assert until(lambda: user in cluster.users(client), seconds=30)
    broker = Broker(
        bootstrap=brokers.bootstrap,
        user=user,
        password=Secret(password.encode()),
        ca=brokers.ca,
    )
    return broker, Acl(who, "WRITE", "TOPIC", names.feed(POLICE))


def test_a_topic_that_is_missing_or_may_not_be_written_parks_its_seat_alone(
    brokers: Servers, hub_id: str, restricted: tuple[Broker, Acl]
) -> None:
    broker, lacking = restricted
    make_topics(brokers, Names(hub_id), [SHELTER, POLICE])
    feeds, told, clock = FilledFeeds(), Told(), Ahead()
    for seat in SEATS:
        feeds.fill(seat, 20)
    with closing(
        relay(feeds, topics_of(brokers, hub_id, broker), metrics=told, clock=clock)
    ) as running:
        drain(running)
        assert told.apart == {POLICE: "KAFKA_NOT_ALLOWED", HEALTH: "TOPIC_MISSING"}
        feeds.fill(SHELTER, 20)
        drain(running)
        assert missing_doubled_disordered(brokers, hub_id, feeds, [SHELTER]) == (0, 0, 0)
        with connected(broker_of(brokers)) as client:
            cluster.create_acls(client, [lacking])
        assert until(lambda: flows(running, clock, told, POLICE), seconds=60)
    assert told.apart == {HEALTH: "TOPIC_MISSING"}
    assert missing_doubled_disordered(brokers, hub_id, feeds, [SHELTER, POLICE]) == (0, 0, 0)


class Ahead:
    """A clock that a test can move on."""

    def __init__(self) -> None:
        self.by = 0

    def __call__(self) -> int:
        return int(perf_counter() * 1000) + self.by


def flows(running: FeedRelay, clock: Ahead, told: Told, seat: Seat) -> bool:
    """Let a parked seat's time come; return whether it is parked no more."""
    clock.by += 60_000
    drain(running)
    return seat not in told.apart


def test_who_may_not_use_the_position_topic_is_told_at_once(
    brokers: Servers, hub_id: str, restricted: tuple[Broker, Acl]
) -> None:
    broker, _ = restricted
    make_topics(brokers, Names(hub_id), [SHELTER])
    other = Names(f"{hub_id}x")
    make_topics(brokers, other, [SHELTER])
    with (
        closing(relay(FilledFeeds(), topics_of(brokers, other.hub, broker))) as running,
        pytest.raises(Refused) as refused,
    ):
        running.step()
    assert refused.value.code in {"TOPIC_MISSING", "KAFKA_NOT_ALLOWED"}


SECONDS, PER_SECOND = 4.0, 100


def arrivals(broker: Broker, topic: str, count: int, found: list[tuple[int, float]]) -> None:
    """Note of each record of a topic its place in the lane and when it came."""
    options: dict[str, Any] = {"isolation_level": "read_committed", "fetch_max_wait_ms": 10}
    part = TopicPartition(topic, 0)
    with closing(KafkaConsumer(**broker.options(), **options)) as consumer:
        consumer.assign([part])
        consumer.seek_to_beginning(part)
        limit = perf_counter() + 120
        while len(found) < count and perf_counter() < limit:
            for records in consumer.poll(50).values():
                now = perf_counter()
                found += [(int(dict(r.headers)["nrm_seq"].split(b".")[1]), now) for r in records]


def delivered(
    brokers: Servers, hub_id: str, broker: Broker, path: Path, others: Sequence[Seat]
) -> list[float]:
    """Return ms from an entry written to it read, for a fast seat beside `others`."""
    feeds, count = FilledFeeds(str(path)), int(SECONDS * PER_SECOND)
    start = feeds.heads().get((SHELTER, 0), 0)
    topic, found, written = Names(hub_id).feed(SHELTER), list[tuple[int, float]](), [perf_counter()]
    reader = threading.Thread(
        target=arrivals, args=(broker_of(brokers), topic, start + count + 1, found)
    )
    with stepping(relay(FilledFeeds(str(path)), topics_of(brokers, hub_id, broker))):
        reader.start()
        for seat in (*others, SHELTER):
            feeds.fill(seat, 1)
        assert until(lambda: len(found) > start, seconds=60), "the first entry never comes"
        began = perf_counter()
        for number in range(count):
            sleep(max(0.0, began + number / PER_SECOND - perf_counter()))
            for seat in others:
                feeds.fill(seat, 1)
            feeds.fill(SHELTER, 1)
            written.append(perf_counter())
        reader.join()
    assert [seq for seq, _ in found] == list(range(1, start + count + 2))
    late = zip(found[start + 1 :], written[1:], strict=True)
    return sorted((came - at) * 1000 for (_, came), at in late)


def test_a_dead_a_slow_and_a_forbidden_subscriber_cost_a_fast_one_nothing(
    brokers: Servers, hub_id: str, restricted: tuple[Broker, Acl], tmp_path: Path
) -> None:
    """The figures are printed, and nothing is asserted of them: machines differ."""
    broker, _ = restricted
    slow, *good = (Seat(f"gb-agency-{n}", "monitoring") for n in range(4))
    names, path = Names(hub_id), tmp_path / "feeds.db"
    make_topics(brokers, names, [SHELTER, POLICE, slow, *good])
    with connected(broker_of(brokers)) as client:
        who = f"User:{broker.user}"
        more = [Acl(who, "WRITE", "TOPIC", names.feed(seat)) for seat in (slow, *good)]
        cluster.create_acls(client, more)
        assert until(lambda: set(more) <= cluster.acls(client), seconds=30)
    beside = {"three good ones": delivered(brokers, hub_id, broker, path, good)}
    with closing(KafkaConsumer(**broker_of(brokers).options())) as sleeper:
        sleeper.assign([TopicPartition(names.feed(slow), 0)])
        sleeper.poll(100)  # and never again
        bad = (slow, POLICE, HEALTH)
        beside["three bad ones"] = delivered(brokers, hub_id, broker, path, bad)
    for what, ms in beside.items():
        p50, p99 = ms[len(ms) // 2], ms[int(len(ms) * 0.99)]
        print(f"beside {what}: p50 {p50:.0f} ms, p99 {p99:.0f} ms")  # noqa: T201 - evidence
    assert missing_doubled_disordered(
        brokers, hub_id, FilledFeeds(str(path)), [SHELTER, slow, *good]
    ) == (0, 0, 0)
