"""The parts in processes apart over PostgreSQL and Kafka: killed one by one, nothing is missing."""

import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from adapters.kafka.log import KafkaLogReader
from adapters.kafka.names import principal_of
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.feeds import PostgresFeeds
from schemas.language import AvroLanguage
from services.demo.cast import CAST, POLICE
from services.demo.drive import Played
from services.local.cluster import DATABASE, Cluster
from services.local.processes import until
from services.local.roster import TRAIL, WORKERS
from tests.servers import running
from tests.services import cluster_checks as check
from tests.services import trail_checks as trail

CASES = 6
LIMIT = 240.0
KILLED = ("hub-1", "hub-2", "custodian", "clocks", *WORKERS, *TRAIL, POLICE)
RESTORER = "nrm.gb.restorer"


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Run one in a folder that PostgreSQL's user can reach too."""
    with tempfile.TemporaryDirectory(prefix="nrm-test-cluster-") as folder:
        Path(folder).chmod(0o711)
        with running("Kafka or PostgreSQL", lambda: Cluster(Path(folder), nodes=1)) as own:
            yield own


def played_through(own: Cluster, killed: str, seed: int) -> Played:
    """Make invented cases, kill a process meanwhile, and start it again."""
    with ThreadPoolExecutor(1) as pool:
        playing = pool.submit(lambda: asyncio.run(own.fill(CASES, seed)))
        time.sleep(0.3)
        own.process(killed).end(signal.SIGKILL, seconds=LIMIT)
        own.revive()
        return playing.result(LIMIT)


def comes_true(own: Cluster, holds: Callable[[], bool]) -> bool:
    """Wait for it, and start again what ends by itself meanwhile, as a supervisor does."""

    def looked() -> bool:
        own.revive()
        return holds()

    return until(looked, seconds=LIMIT, every=0.5)


def last_words(own: Cluster) -> str:
    """Return the last lines of every process, for whoever reads why a test failed."""
    logs = sorted((own.folder / "logs").glob("*.log"))
    return "\n".join(f"{p.name}: {p.read_text('utf-8')[-1_500:]}" for p in logs)


def log_is_published(own: Cluster, store: PostgresEventStore) -> bool:
    broker = check.broker_as(own.brokers.bootstrap, own.data / "kafka", RESTORER)
    published = KafkaLogReader(broker, check.NAMES, AvroLanguage()).published()
    events, refusals = check.log_of(store)
    return published is not None and (published.position, published.refusals) == (
        len(events),
        len(refusals),
    )


def topics_have(own: Cluster, feeds: PostgresFeeds) -> bool:
    """Return whether each seat finds every entry of its feed in its topic, each once."""
    for seat, entries in check.entries_of(feeds).items():
        broker = check.broker_as(own.brokers.bootstrap, own.data / "kafka", principal_of(seat))
        found = [(r.item.lane, r.item.seq) for r in check.topic_of(broker, seat)]
        if sorted(found) != [(e.lane, e.seq) for e in entries]:
            return False
    return True


def trail_is_whole(own: Cluster, store: PostgresEventStore, feeds: PostgresFeeds) -> bool:
    """Return whether the published trail has everything recorded and disclosed, each once."""
    tree = trail.published(own.data / "notary" / "trail")
    return trail.has_all(tree, *check.log_of(store)) and trail.has_fed(
        tree, check.entries_of(feeds)
    )


def keys_went_out(own: Cluster) -> bool:
    """Return whether the custodian has released keys and none waits for the trail any more."""
    page = check.metrics_of(own.services["custodian"].address)
    proven = page["nrm_custodian_proof_wait_seconds_count"]
    return page["nrm_custodian_waiting_releases"] == 0 < proven


def agencies_are_sure(own: Cluster) -> bool:
    """Return whether every agency's gateway has proven what it did and got, without an alarm."""
    pages = [check.metrics_of(own.services[member.id].address) for member in CAST]
    open_ends = ("receipts_waiting", "entries_unproven", "confirmations_waiting", "trail_alarms")
    return all(page["nrm_gateway_checkpoint_age_seconds"] > 0 for page in pages) and not any(
        page[f"nrm_gateway_{name}"] for page in pages for name in open_ends
    )


def command(own: Cluster, *words: str, database: str, user: str) -> str:
    """Return what a command of the hub printed, as an operator runs it; it must succeed."""
    lines = (own.data / "kafka" / f"{user}.env").read_text("utf-8").split()
    environment = {
        "NRM_DATA": str(own.data),
        "NRM_DATABASE_URL": database,
        "NRM_KAFKA_BOOTSTRAP": own.brokers.bootstrap,
        **dict(line.split("=", 1) for line in lines),
    }
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "services.cli", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(1_200)
def test_killed_one_by_one_the_parts_lose_nothing_and_kafka_gives_all_of_it_back() -> None:
    with cluster() as own:
        live = own.postgres.dsn(DATABASE)
        with closing(PostgresEventStore(live)) as store, closing(PostgresFeeds(live)) as feeds:
            for seed, name in enumerate(KILLED):
                played = played_through(own, name, seed)
                assert (played.first_unexpected, played.cases) == ([], CASES)
            assert comes_true(own, lambda: log_is_published(own, store)), last_words(own)
            assert comes_true(own, lambda: check.projected(feeds, check.log_of(store)[0])), (
                last_words(own)
            )
            assert comes_true(own, lambda: topics_have(own, feeds)), last_words(own)
            assert comes_true(own, lambda: trail_is_whole(own, store, feeds)), last_words(own)
            assert comes_true(own, lambda: keys_went_out(own)), last_words(own)
            assert comes_true(own, lambda: agencies_are_sure(own)), last_words(own)
            log, entries = check.log_of(store), check.entries_of(feeds)
            assert entries

            command(own, "rebuild", database=live, user=RESTORER)
            assert check.entries_of(feeds) == entries

        lost = own.postgres.create_database("restored")
        said = command(own, "rebuild", "--from-kafka", database=lost, user=RESTORER)
        assert f"events={len(log[0])}" in said
        with closing(PostgresEventStore(lost)) as store, closing(PostgresFeeds(lost)) as feeds:
            assert check.log_of(store) == log
            assert check.entries_of(feeds) == entries
