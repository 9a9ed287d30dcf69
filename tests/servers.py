"""Fixtures with real servers: Kafka brokers and PostgreSQL, started once for a run.

What is missing on this machine is skipped loudly, or fails where CI is set. Addresses in
NRM_KAFKA_BOOTSTRAP and NRM_DATABASE_URL are used instead. Every test takes a `hub_id` and a
`database` of its own, so that the servers are shared and the data are not.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar
from uuid import uuid4

import pytest
from kafka.admin import KafkaAdminClient, NewTopic

from adapters.kafka.names import Names
from domain.errors import Unavailable
from domain.feed import LANES
from domain.vocabulary import Seat
from services.local import access
from services.local import postgres as postgresql
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from services.local.postgres import GivenPostgres, Postgres
from services.local.processes import command_of, until

MISSING: dict[str, str] = {}
"""Which real servers a run asked for and did not find, and why."""

_PREFIX = "nrm-test-"
_Server = TypeVar("_Server", bound="_Startable")


class _Startable(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


@pytest.fixture(scope="session")
def brokers(server_folder: Path) -> Iterator[Brokers | GivenBrokers]:
    """One Kafka broker with SCRAM and ACLs, without TLS, for everybody: do not break it."""
    given = access.given(os.environ)
    if given:
        yield given
        return
    with running("Kafka", lambda: Brokers(server_folder / "one")) as own:
        yield own


@pytest.fixture(scope="session")
def three_brokers(server_folder: Path) -> Iterator[Brokers]:
    """Three brokers of our own: a test may kill one, and brings it back before it ends."""
    with running("Kafka", lambda: Brokers(server_folder / "three", 3)) as own:
        yield own


@pytest.fixture(scope="session")
def postgres(server_folder: Path) -> Iterator[Postgres | GivenPostgres]:
    """A PostgreSQL server for everybody: do not break it."""
    given = postgresql.given(os.environ)
    if given:
        yield given
        return
    with running("PostgreSQL", lambda: Postgres(server_folder / "postgres")) as own:
        yield own


@pytest.fixture
def database(postgres: Postgres | GivenPostgres) -> Iterator[str]:
    """Address of an empty database, which is gone after the test."""
    name = f"nrm_t{uuid4().hex}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture
def hub_id() -> str:
    """Id of a hub that no other test has, so that no topic is shared."""
    return f"nrm:t{uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """Folder for the servers of this run, which their own users can reach.

    A run that was killed could not stop its servers: the next one does.
    """
    top = Path(tempfile.gettempdir())
    for left in top.glob(f"{_PREFIX}[0-9]*-*"):
        clear_if_left(left)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def make_topics(
    brokers: Brokers | GivenBrokers,
    names: Names,
    seats: Sequence[Seat] = (),
    *,
    feed_configs: Mapping[str, str] | None = None,
    **configs: str,
) -> None:
    """Create a hub's topics; `configs` are for all of them, `feed_configs` for the feeds alone.

    Names of settings are Kafka's with underscores: segment_ms="2000".
    """
    common = {name.replace("_", "."): value for name, value in configs.items()}
    of_feeds = {n.replace("_", "."): v for n, v in (feed_configs or {}).items()}
    kept = {"cleanup.policy": "delete", "retention.ms": "-1"}
    topics = {
        names.log: (LANES, kept),
        names.refusals: (1, kept),
        names.position: (1, {"cleanup.policy": "compact"}),
    }
    feed = {"cleanup.policy": "compact,delete", "retention.ms": "-1"} | of_feeds
    topics |= {names.feed(seat): (1, feed) for seat in seats}
    copies = 3 if brokers.bootstrap.count(",") == 2 else 1
    safe = {"min.insync.replicas": str(min(2, copies))}
    admin = KafkaAdminClient(**brokers.client_options())
    try:
        new = [
            NewTopic(name, lanes, copies, topic_configs=safe | common | own)
            for name, (lanes, own) in topics.items()
        ]
        admin.create_topics(new)
        if not until(lambda: set(topics) <= set(admin.list_topics()), seconds=30):
            raise Unavailable("TOPICS", "the new topics are not to be seen")
    finally:
        admin.close()


def missing_lines() -> list[str]:
    """Return a line for each real server that this run did without."""
    return [f"NOT TESTED against a real {what}: {why}" for what, why in sorted(MISSING.items())]


@contextmanager
def running(what: str, make: Callable[[], _Server]) -> Iterator[_Server]:
    """Start a server for the time of the block; without its programs, skip, or fail in CI."""
    try:
        server = make()
        server.start()
    except Unavailable as e:
        if e.code not in {"LOCAL_PROGRAM_MISSING", "LOCAL_FETCH"}:
            raise
        missing(what, e.message)
    try:
        yield server
    finally:
        server.stop()


def missing(what: str, why: str) -> NoReturn:
    """Skip the test for want of a real server and say so at the end; fail where CI is set."""
    MISSING[what] = why
    if os.environ.get("CI"):
        pytest.fail(f"CI tests against a real {what}: {why}", pytrace=False)
    pytest.skip(f"NO REAL {what.upper()}: {why}")


def clear_if_left(folder: Path) -> None:
    """Stop the servers of a run that is no more, and remove its folder."""
    owner = int(folder.name.removeprefix(_PREFIX).split("-")[0])
    if folder.stat().st_uid != os.getuid() or command_of(owner):
        return
    for of_server in folder.iterdir():
        if (of_server / "data").exists():
            Postgres(of_server).stop()
        else:
            Brokers(of_server, 3).stop()  # of one as well: a node that is not there is skipped
    shutil.rmtree(folder, ignore_errors=True)
