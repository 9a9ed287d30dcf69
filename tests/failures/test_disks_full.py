"""Disks run full, of a broker and of the database: nothing is lost, and all goes on after it."""

from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psycopg

from services.local.brokers import Brokers
from services.local.postgres import GivenPostgres, Postgres
from services.local.processes import until
from tests.failures import checks
from tests.failures.apart import LIMIT, Apart, apart
from tests.failures.small_disk import SmallDisk, small_disk
from tests.failures.writing import Load, register, writing
from tests.servers import running

BROKER_MB, TABLESPACE_MB, SERVER_MB = 48, 32, 128


def test_a_brokers_full_disk_holds_up_the_relay_and_nobody_else_and_nothing_is_lost(
    server_folder: Path, database: str, hub_id: str, tmp_path: Path
) -> None:
    with running("Kafka", lambda: Brokers(server_folder / "full")) as brokers:
        brokers.stop()
        with small_disk(server_folder / "full/node1/data", BROKER_MB) as disk:
            brokers.start()
            try:
                with apart(tmp_path, hub_id, database, brokers) as one:
                    _filled_and_freed(one, brokers, disk)
            finally:
                brokers.stop()


def _filled_and_freed(one: Apart, brokers: Brokers, disk: SmallDisk) -> None:
    (hub,) = one.started("hub")
    register(one, hub)
    one.topics()
    relay, projector = one.started("relay", "projector")
    with writing(one, [hub]) as load:
        load.more()
        disk.fill()
        load.until(lambda: not brokers.pids())  # Kafka ends rather than write half a record
        load.until(lambda: relay.waits_for().get("work") == "KAFKA_UNAVAILABLE")
        assert "KAFKA_UNAVAILABLE" in relay.said()
        load.more(100)
        assert hub.waits_for() == {}
        disk.make_room()
        brokers.up(1)
        load.more()
        load.stop()
        assert load.refusals() == []
        assert relay.lives
        assert projector.lives
        checks.log_is_what_was_answered(one, load)
    checks.kafka_has_the_log(one)
    assert checks.feeds_are_what_the_log_gives(one)
    assert until(lambda: not relay.waits_for(), seconds=LIMIT), relay.said()


def test_a_databases_full_disk_refuses_every_command_whole_and_the_hub_is_not_ready(
    own_postgres: Postgres, hub_id: str, tmp_path: Path
) -> None:
    place = own_postgres.folder / "tablespace"
    place.mkdir(mode=0o700)
    with small_disk(place, TABLESPACE_MB, owner=own_postgres.folder.owner()) as disk:
        name = f"nrm_t{uuid4().hex}"
        _run(own_postgres, f"CREATE TABLESPACE {name} LOCATION '{place}'")
        try:
            _run(own_postgres, f"CREATE DATABASE {name} TABLESPACE {name}")
            with apart(tmp_path, hub_id, own_postgres.dsn(name)) as one:
                _refused_until_there_is_room(one, disk)
        finally:
            own_postgres.drop_database(name)
            _run(own_postgres, f"DROP TABLESPACE {name}")
    place.rmdir()


def _refused_until_there_is_room(one: Apart, disk: SmallDisk) -> None:
    hub, projector = one.part("hub"), one.part("projector", "--source", "store")
    hub.start()
    register(one, hub)
    projector.start()
    with writing(one, [hub]) as load:
        load.more()
        disk.fill()
        load.until(lambda: _is_refused_for_want_of_room(load))
        load.until(lambda: hub.waits_for().get("accepting") == "STORE_UNAVAILABLE")
        assert hub.get("/health").status_code == 200
        disk.make_room()
        load.more()
        load.until(lambda: hub.waits_for() == {})
        load.stop()
        assert hub.lives
        assert projector.lives
        load.repeat(hub)
        checks.log_is_what_was_answered(one, load)
    assert checks.feeds_are_what_the_log_gives(one)
    assert until(lambda: not projector.waits_for(), seconds=LIMIT), projector.said()


def test_a_database_that_ended_for_want_of_room_has_all_that_was_acknowledged(
    server_folder: Path, hub_id: str, tmp_path: Path
) -> None:
    with running("PostgreSQL", lambda: Postgres(server_folder / "tight")) as server:
        server.stop()
        with small_disk(server.folder / "data", SERVER_MB, owner=server.folder.owner()) as disk:
            server.start()
            try:
                dsn = server.create_database(f"nrm_t{uuid4().hex}")
                with apart(tmp_path, hub_id, dsn) as one:
                    _ended_and_started(one, server, disk)
            finally:
                disk.make_room()
                server.stop()


def _ended_and_started(one: Apart, server: Postgres, disk: SmallDisk) -> None:
    (hub,) = one.started("hub")
    register(one, hub)
    with writing(one, [hub]) as load:
        load.more()
        disk.fill()
        load.until(lambda: _ends(server))
        load.until(lambda: hub.waits_for().get("store") == "STORE_UNAVAILABLE")
        disk.make_room()
        server.start()
        load.more()
        load.stop()
        assert hub.lives
        load.repeat(hub)
        checks.log_is_what_was_answered(one, load)


def _ends(server: Postgres) -> bool:
    """Ask for another file of the write-ahead log; return whether the server has ended of it."""
    with suppress(psycopg.Error):
        _run(server, "SELECT pg_switch_wal()")
    return server.pid() is None


def _is_refused_for_want_of_room(load: Load) -> bool:
    for refusal in load.refusals():
        assert refusal.answer.status_code == 503
        said = refusal.answer.json()
        assert said["code"] == "STORE_UNAVAILABLE"
        if "disk is full: make room" in said["detail"]:
            return True
    return False


def _run(server: GivenPostgres, sql: str) -> None:
    with psycopg.connect(server.url, autocommit=True) as db:
        db.execute(sql.encode())
