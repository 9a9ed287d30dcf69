"""The stores on PostgreSQL where things go wrong: cut off, killed, full, stopped, all at once."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from secrets import token_urlsafe
from threading import Barrier, Event, Thread
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

from adapters.postgres import connection
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.feeds import PostgresFeeds
from domain.errors import Conflict, Malformed, Refused, Unavailable
from domain.feed import Cursor, Entry, Progress
from domain.ports import Appending, EventStore, Feeds, Recorded
from domain.vocabulary import Seat
from services.local.postgres import Postgres
from tests.adapters.wire import wired
from tests.builders import CASE, uid
from tests.contracts.making import recorded, refusal
from tests.servers import running

SEAT = Seat("shelter", "protection_support")
_COMMIT = b"COMMIT\0"
"""As it stands in a message to the server; BEGIN says COMMITTED."""
WRITER = "tests.adapters.postgres_writer"


@pytest.fixture
def store(database: str) -> Iterator[PostgresEventStore]:
    with closing(PostgresEventStore(database)) as opened:
        yield opened


@pytest.fixture
def own_server(server_folder: Path) -> Iterator[Postgres]:
    """A server that a test may kill."""
    with running("PostgreSQL", lambda: Postgres(server_folder / "killed")) as server:
        yield server


def append(store: EventStore, *rows: Recorded) -> list[int]:
    with store.appending() as tx:
        return list(tx.append(rows, []))


def run(database: str, sql: str) -> None:
    with psycopg.connect(database, autocommit=True) as db:
        db.execute(sql)


def read_all(store: EventStore, page: int = 100) -> list[Recorded]:
    found: list[Recorded] = []
    while more := store.read_log(found[-1].position if found else 0, page):
        found += more
    return found


def test_the_librarys_own_recorder_reads_our_log(database: str, store: PostgresEventStore) -> None:
    append(store, recorded("event 1", custody_seq=1), recorded("event 2", version=2, body=b""))
    url = urlsplit(database)
    with PostgresDatastore(
        url.path[1:], url.hostname or "", url.port or 0, url.username or "", url.password or ""
    ) as datastore:
        stock = PostgresApplicationRecorder(datastore)
        found = stock.select_notifications(1, 10)
        head = stock.max_notification_id()
    assert head == 2
    assert [
        (n.id, str(n.originator_id), n.originator_version, n.topic, n.state) for n in found
    ] == [(r.position, r.case_id, r.version, r.type, r.body) for r in store.read_log(0, 9)]


def test_writers_in_two_processes_leave_one_log_without_gaps(
    database: str, store: PostgresEventStore
) -> None:
    command = [sys.executable, "-m", WRITER, database, "60"]
    start = partial(subprocess.Popen, command, stdout=subprocess.PIPE, text=True)
    writers = [start() for _ in range(2)]
    followed: list[Recorded] = []
    while any(w.poll() is None for w in writers):
        followed += store.read_log(followed[-1].position if followed else 0, 50)
    said = [line for w in writers for line in w.communicate()[0].split()]
    log = read_all(store)
    assert [w.returncode for w in writers] == [0, 0]
    assert [r.position for r in log] == list(range(1, len(log) + 1))
    assert sorted(r.event_id for r in log) == sorted(said)
    assert followed == log[: len(followed)], "who followed has missed nothing"
    versions = [r.version for r in log if r.case_id == CASE]
    assert versions == list(range(1, 121)), "both wrote to this case, each after the other"
    assert [r.recorded_ms for r in log] == sorted(r.recorded_ms for r in log)


def test_a_server_killed_under_load_has_all_that_was_acknowledged(own_server: Postgres) -> None:
    database = own_server.create_database(f"nrm_t{uuid4().hex}")
    acknowledged: list[str] = []
    enough = Event()
    with closing(PostgresEventStore(database)) as store:
        writer = Thread(target=_write_until, args=(store, acknowledged, enough), daemon=True)
        writer.start()
        try:
            for _ in range(3):
                seen = len(acknowledged)
                while len(acknowledged) < seen + 30:
                    time.sleep(0.01)
                own_server.kill()
                own_server.start()
        finally:
            enough.set()
            writer.join(120)
        log = read_all(store)
    assert [r.position for r in log] == list(range(1, len(log) + 1))
    assert [r.event_id for r in log] == acknowledged, "each once, the repeated ones too"


def _write_until(store: EventStore, acknowledged: list[str], enough: Event) -> None:
    """Append one event after the other; after a failure ask for the answer, as a gateway does."""
    in_doubt = False
    while in_doubt or not enough.is_set():
        label = f"event {len(acknowledged)}"
        try:
            if store.read_answer(uid(label)) is None:
                append(store, recorded(label, len(acknowledged) + 1))
        except Unavailable:
            in_doubt = True
            time.sleep(0.05)
        else:
            in_doubt = False
            acknowledged.append(uid(label))


def test_a_commit_whose_answer_was_lost_is_found_again(
    database: str, store: PostgresEventStore
) -> None:
    with wired(database) as (wire, url), closing(PostgresEventStore(url)) as cut_off:
        wire.cut_on(_COMMIT)
        with pytest.raises(Unavailable, match="STORE_UNAVAILABLE"):
            append(cut_off, recorded("event 1"))
        answer = cut_off.read_answer(uid("event 1"))
        assert answer is not None
        assert answer.position == 1
        assert append(cut_off, recorded("event 2", version=2)) == [2]
    assert [r.event_id for r in store.read_log(0, 9)] == [uid("event 1"), uid("event 2")]


def test_what_was_cut_off_before_the_commit_is_not_there(
    database: str, store: PostgresEventStore
) -> None:
    with wired(database) as (wire, url), closing(PostgresEventStore(url)) as cut_off:
        wire.cut_before(_COMMIT)
        with pytest.raises(Unavailable, match="STORE_UNAVAILABLE"):
            append(cut_off, recorded("event 1"))
        assert append(cut_off, recorded("event 2")) == [1]
    assert [r.event_id for r in store.read_log(0, 9)] == [uid("event 2")]


def test_a_server_that_says_nothing_is_given_up(
    database: str, store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with wired(database) as (wire, url), closing(PostgresEventStore(url)) as held_up:
        monkeypatch.setattr(connection.Connection, "answer_seconds", 0.5)
        append(held_up, recorded("event 1"))
        wire.hold()
        started = time.monotonic()
        with pytest.raises(Unavailable, match="STORE_UNAVAILABLE"):
            held_up.head()
        with pytest.raises(Unavailable, match="STORE_UNAVAILABLE"):
            append(held_up, recorded("event 2", version=2))
        assert time.monotonic() - started < 30
    assert store.head() == 1


def test_a_lock_that_does_not_come_is_given_up(database: str, store: PostgresEventStore) -> None:
    impatient = database + "?options=-c%20statement_timeout%3D300"
    with closing(PostgresEventStore(impatient)) as second, store.appending() as tx:
        with pytest.raises(Unavailable, match="more than"), second.appending():
            pass
        tx.append([recorded("event 1")], [])
    assert store.head() == 1


def test_who_is_stopped_while_it_holds_the_lock_loses_it(database: str) -> None:
    frozen = database + "?options=-c%20idle_in_transaction_session_timeout%3D300"
    with closing(PostgresEventStore(frozen)) as one, closing(PostgresEventStore(database)) as two:
        with pytest.raises(Unavailable, match="STORE_UNAVAILABLE"), one.appending() as tx:
            _overtaken(two, tx)
        assert [r.event_id for r in two.read_log(0, 9)] == [uid("event 2")]
        assert append(one, recorded("event 1", version=2)) == [2]


def _overtaken(other: EventStore, tx: Appending) -> None:
    """Wait while another appends, in spite of the lock that we have; then append."""
    assert append(other, recorded("event 2")) == [1]
    tx.append([recorded("event 1", version=2)], [])


def test_a_server_that_is_away_is_not_asked_again_and_again() -> None:
    with wired("postgresql://nobody@127.0.0.1:1/none") as (wire, url):
        connections = connection.Connections(url)
        for _ in range(20):
            with pytest.raises(Unavailable, match="STORE_UNAVAILABLE"), connections.lend():
                pass
        assert wire.made <= 2, "20 calls within a second"


def test_a_store_goes_on_when_its_connections_were_ended(
    database: str, store: PostgresEventStore
) -> None:
    append(store, recorded("event 1"))
    gone = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
    run(database, f"{gone} WHERE datname = current_database() AND pid <> pg_backend_pid()")
    assert append(store, recorded("event 2", version=2)) == [2], "and nobody is told"


def test_a_thousand_events_of_two_kilobytes_do_not_hang(store: PostgresEventStore) -> None:
    batch = [recorded(f"large {n}", n, body=bytes([n % 256]) * 2048) for n in range(1, 1001)]
    assert append(store, *batch) == list(range(1, 1001))
    assert [len(r.body) for r in store.read_log(0, 1000)] == [2048] * 1000


@pytest.mark.parametrize("opens", [PostgresEventStore, PostgresFeeds])
def test_processes_that_start_at_once_on_nothing_all_start(
    database: str, opens: Callable[[str], PostgresEventStore | PostgresFeeds]
) -> None:
    at_once = Barrier(6)

    def start(_: int) -> None:
        at_once.wait(60)
        opens(database).close()

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(start, range(6))) == [None] * 6


@pytest.mark.parametrize("opens", [PostgresEventStore, PostgresFeeds])
def test_tables_of_a_newer_program_are_refused(
    database: str, opens: Callable[[str], PostgresEventStore | PostgresFeeds]
) -> None:
    opens(database).close()
    run(database, "UPDATE versions SET version = 99")
    with pytest.raises(Refused, match=r"STORE_NEWER.*99"):
        opens(database)


def test_a_program_without_the_right_to_make_tables_uses_what_is_there(database: str) -> None:
    PostgresEventStore(database).close()
    url, role = urlsplit(database), f"nrm_t{uuid4().hex}"
    password = token_urlsafe(12)
    run(
        database,
        f"CREATE ROLE {role} LOGIN PASSWORD '{password}';"
        f" GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}",
    )
    try:
        less = url._replace(netloc=f"{role}:{password}@{url.hostname}:{url.port}").geturl()
        with closing(PostgresEventStore(less)) as store:
            assert append(store, recorded("event 1")) == [1]
    finally:
        run(database, f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.parametrize("table", ["stored_events", "entries", "refusals", "actors"])
def test_a_vacuum_holds_up_nobody(database: str, store: PostgresEventStore, table: str) -> None:
    with psycopg.connect(database) as vacuum:
        vacuum.execute(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE")  # as VACUUM does
        assert append(store, recorded("event 1")) == [1]


def test_a_full_disk_is_said_and_passes(database: str, store: PostgresEventStore) -> None:
    run(
        database,
        "CREATE FUNCTION disk() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full'; END$$;"
        " CREATE TRIGGER disk BEFORE INSERT ON entries EXECUTE FUNCTION disk()",
    )
    with pytest.raises(Unavailable, match="disk is full"):
        append(store, recorded("event 1"))
    run(database, "DROP TRIGGER disk ON entries")
    assert append(store, recorded("event 1")) == [1]


def test_a_database_that_does_not_wait_for_its_disk_is_told_to(database: str) -> None:
    run(database, f"ALTER DATABASE {urlsplit(database).path[1:]} SET synchronous_commit = off")
    with closing(connection.connect(database)) as db:
        assert db.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_a_refused_action_may_have_called_itself_nul(store: PostgresEventStore) -> None:
    with store.appending() as tx:
        tx.append([], [refusal("event 2", event_id="nul \0 in it")])
    assert store.read_answer("nul \0 in it") is not None
    assert [r.event_id for r in store.read_refusals(0, 9)] == ["nul \0 in it"]


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("postgresql://nrm:{}@127.0.0.1:1/none", "STORE_UNAVAILABLE"),
        ("host=127.0.0.1 port=1 password={} user=nrm", "STORE_UNAVAILABLE"),
        ("{}", "DATABASE_ADDRESS"),
    ],
)
def test_a_wrong_address_is_said_without_its_password(address: str, code: str) -> None:
    password = token_urlsafe(12)
    with pytest.raises((Unavailable, Malformed)) as refused:
        PostgresEventStore(address.format(password))
    assert refused.value.code == code
    assert password not in str(refused.value)


def test_a_switch_under_load_loses_nothing_and_no_reader_sees_it(database: str) -> None:
    total = 600
    with (
        closing(PostgresFeeds(database)) as feeds,
        closing(PostgresFeeds(database)) as rebuilt,
        closing(PostgresFeeds(database)) as reader,
    ):
        projector = Thread(target=_project, args=(feeds, total))
        watcher = ThreadPoolExecutor(1).submit(_watch, reader, total)
        projector.start()
        for _ in range(5):
            _rebuild(rebuilt, total)
        projector.join()
        seen = watcher.result(120)
        assert [e.seq for e in feeds.read(SEAT, Cursor(), 10_000)] == list(range(1, total + 1))
        assert feeds.progress()[0] == Progress(total)
    assert seen == sorted(seen), "what a reader has seen never goes away"


def _entries(first: int, last: int) -> list[Entry]:
    return [
        Entry(seat=SEAT, lane=0, seq=n, position=n, case_id=CASE, mask=2, basis="act-1")
        for n in range(first, last + 1)
    ]


def _project(feeds: Feeds, total: int) -> None:
    at = feeds.progress()[0]
    while at.position < total:
        after = Progress(at.position + 1)
        try:
            feeds.write(_entries(after.position, after.position), {0: (at, after)})
        except Conflict:
            at = feeds.progress()[0]
        else:
            at = after


def _rebuild(feeds: Feeds, total: int) -> None:
    """Rebuild beside the live feeds, a little further than these are, and switch."""
    beside, at = feeds.beside(), Progress()
    while True:
        reached = Progress(min(feeds.progress()[0].position + 20, total))
        beside.write(_entries(at.position + 1, reached.position), {0: (at, reached)})
        try:
            beside.switch()
        except Conflict:
            at = reached
        else:
            return


def _watch(feeds: Feeds, total: int) -> list[int]:
    seen = [0]
    while seen[-1] < total:
        seen.append(len(feeds.read(SEAT, Cursor(), 10_000)))
    return seen
