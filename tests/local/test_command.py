"""`python -m services.local`: twice in a row on one folder, also after a kill -9."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from kafka.admin import NewTopic

from domain.errors import Unavailable
from services.local.__main__ import columns
from services.local.access import given
from services.local.brokers import Brokers
from services.local.java import jars, java
from services.local.postgres import Postgres, programs
from services.local.processes import until
from tests.local.test_brokers import administrator
from tests.servers import missing

OWN = {k: v for k, v in os.environ.items() if k not in {"NRM_KAFKA_BOOTSTRAP", "NRM_DATABASE_URL"}}
ROOT = Path(__file__).parents[2]


@contextmanager
def command(*words: str) -> Iterator[subprocess.Popen[str]]:
    """The command, running; killed at the end if it still does."""
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "services.local", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=OWN,
        cwd=ROOT,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def exports(process: subprocess.Popen[str], last: str) -> dict[str, str]:
    """What a shell makes of the lines printed up to that of `last`."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(f"export {last}="):
            break
    names = [shlex.split(line)[1].partition("=")[0] for line in lines]
    script = "".join(lines) + "".join(f'printf "%s\\n" "${n}"\n' for n in names)
    shell = subprocess.run(  # noqa: S603 - what our own command printed
        ["/bin/bash", "-c", script], capture_output=True, text=True, check=True
    )
    return dict(zip(names, shell.stdout.splitlines(), strict=True))


def test_a_name_never_runs_into_what_is_said_of_it() -> None:
    assert columns({"hub": "here", "a-long-name": "there"}) == [
        "hub          here",
        "a-long-name  there",
    ]


@pytest.fixture
def kafka_folder(server_folder: Path) -> Iterator[Path]:
    try:
        java()
        jars(OWN)
    except Unavailable as e:
        missing("Kafka", e.message)
    yield server_folder / "command"
    Brokers(server_folder / "command").stop()


@pytest.fixture
def postgres_folder(server_folder: Path) -> Iterator[Path]:
    try:
        programs()
        server = Postgres(server_folder / "command-postgres")
    except Unavailable as e:
        missing("PostgreSQL", e.message)
    yield server.folder
    server.delete()


def test_kafka_comes_back_after_its_command_was_killed(kafka_folder: Path) -> None:
    words = ("kafka", "--data", str(kafka_folder))
    seen = Brokers(kafka_folder)
    # given
    with command(*words) as first:
        reached = exports(first, "NRM_KAFKA_PASSWORD")
        brokers = given(reached)
        assert brokers
        with administrator(brokers.client_options()) as admin:
            admin.create_topics([NewTopic("kept", 1, 1)])
        # when
        first.kill()
        first.wait()
    orphans = seen.pids()
    # then
    assert orphans
    with command(*words) as second:
        assert exports(second, "NRM_KAFKA_PASSWORD") == reached
        assert seen.pids().keys() == orphans.keys()
        assert seen.pids() != orphans
        with administrator(brokers.client_options()) as admin:
            assert "kept" in admin.list_topics()
        # when
        second.send_signal(signal.SIGTERM)
        # then
        assert second.wait(timeout=90) == 0
    assert seen.pids() == {}


@pytest.mark.parametrize(
    ("variables", "options"),
    [
        ((), ["--nodes", "1"]),
        (("NODES=3",), ["--nodes", "3"]),
        (("TLS=1",), ["--nodes", "1", "--tls"]),
        (("NODES=3", "TLS=0"), ["--nodes", "3"]),
    ],
)
def test_make_kafka_asks_for_the_brokers_that_its_variables_say(
    variables: tuple[str, ...], options: list[str]
) -> None:
    said = subprocess.run(  # noqa: S603 - prints what it would do
        ["make", "-n", "--no-print-directory", "kafka", *variables],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    asked = shlex.split(said.stdout.splitlines()[-1])
    assert asked[asked.index("services.local") :] == ["services.local", "kafka", *options]


def test_postgres_comes_back_after_its_command_was_killed(postgres_folder: Path) -> None:
    words = ("postgres", "--data", str(postgres_folder))
    seen = Postgres(postgres_folder)
    # given
    with command(*words) as first:
        reached = exports(first, "NRM_DATABASE_URL")
        with psycopg.connect(reached["NRM_DATABASE_URL"]) as connection:
            connection.execute("CREATE TABLE kept ()")
        # when
        first.kill()
        first.wait()
    assert seen.pid() is not None
    # then
    with command(*words) as second:
        assert exports(second, "NRM_DATABASE_URL") == reached
        with psycopg.connect(reached["NRM_DATABASE_URL"]) as connection:
            connection.execute("SELECT FROM kept")
        # when
        with command(*words) as third:
            refused = third.communicate(timeout=60)[1]
            assert (third.returncode, refused.partition(":")[0]) == (1, "LOCAL_IN_USE")
        second.send_signal(signal.SIGINT)
        # then
        assert second.wait(timeout=90) == 0
    assert until(lambda: seen.pid() is None, seconds=10)


def test_a_password_is_printed_only_when_asked_for(postgres_folder: Path) -> None:
    password_file = Postgres(postgres_folder).password_file
    for show in ([], ["--show"]):
        with command("postgres", "--data", str(postgres_folder), *show) as running:
            assert running.stdout
            printed = running.stdout.readline()
            running.send_signal(signal.SIGTERM)
            assert running.wait(timeout=90) == 0
        assert (password_file.read_text() in printed) == bool(show)


def test_servers_that_are_given_are_used_and_none_is_started(tmp_path: Path) -> None:
    for what, name in {"kafka": "NRM_KAFKA_BOOTSTRAP", "postgres": "NRM_DATABASE_URL"}.items():
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "services.local", what, "--data", str(tmp_path / what)],
            capture_output=True,
            text=True,
            check=True,
            env={**OWN, name: "elsewhere"},
            cwd=ROOT,
        )
        assert name in done.stdout
        assert not (tmp_path / what).exists()
