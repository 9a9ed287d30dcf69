"""The local PostgreSQL: committed rows survive kills, and strangers stay out."""

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from services.local.postgres import GivenPostgres, Postgres
from tests.servers import running


@pytest.fixture
def server(server_folder: Path) -> Iterator[Postgres]:
    with running("PostgreSQL", lambda: Postgres(server_folder / "killed")) as own:
        yield own
    own.delete()


def test_what_was_committed_is_there_after_a_kill(server: Postgres) -> None:
    # given
    address = server.create_database("kept")
    connection = psycopg.connect(address)
    connection.execute("CREATE TABLE event (n int)")
    connection.execute("INSERT INTO event VALUES (1), (2)")
    connection.commit()
    connection.execute("INSERT INTO event VALUES (3)")
    # when
    server.kill()
    connection.close()
    server.start()
    # then
    with psycopg.connect(address) as connection:
        assert connection.execute("SELECT n FROM event ORDER BY n").fetchall() == [(1,), (2,)]


def test_a_commit_waits_for_the_disk(server: Postgres) -> None:
    with psycopg.connect(server.url) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)


def test_the_password_is_asked_for_and_private(server: Postgres) -> None:
    # given
    secret = server.password_file.read_text()
    assert server.password_file.stat().st_mode & 0o777 == 0o600
    # when
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.url.replace(secret, "wrong"))
    # then
    logged = (server.folder / "out.log").read_text()
    assert secret not in logged


def test_a_second_start_finds_the_same_data_at_the_same_address(server: Postgres) -> None:
    # given
    address = server.create_database("kept")
    # when
    server.stop()
    assert server.pid() is None
    server.start()
    # then
    assert server.dsn("kept") == address
    assert server.has_database("kept")


def test_a_database_is_dropped_under_whoever_uses_it(server: Postgres) -> None:
    # given
    address = server.create_database("brief")
    with psycopg.connect(address) as connection:
        # when
        server.drop_database("brief")
        # then
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert not server.has_database("brief")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts it as another user")
def test_data_in_a_folder_that_is_shut_to_the_servers_user_lie_elsewhere(tmp_path: Path) -> None:
    # given
    tmp_path.chmod(0o700)
    # when
    with running("PostgreSQL", lambda: Postgres(tmp_path / "postgres")) as own:
        # then
        assert own.create_database("reached").endswith("/reached")
        assert own.folder == Postgres(tmp_path / "postgres").folder
        assert own.folder.stat().st_mode & 0o777 == 0o700
    own.delete()
    assert not own.folder.exists()


def test_a_given_server_is_used_with_its_user_and_options() -> None:
    given = GivenPostgres("postgresql://u:p@db.example:5433/first?sslmode=verify-full")
    assert given.dsn("other") == "postgresql://u:p@db.example:5433/other?sslmode=verify-full"


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_has_an_empty_database(database: str, turn: int) -> None:
    with psycopg.connect(database) as connection:
        tables = connection.execute("SELECT FROM pg_tables WHERE schemaname = 'public'")
        assert tables.fetchall() == []
        connection.execute(f"CREATE TABLE of_turn_{turn} ()")
