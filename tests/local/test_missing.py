"""A run without real servers says so loudly, and in CI it fails; a killed run's are cleared."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.local.postgres import Postgres
from services.local.processes import command_of
from tests.servers import clear_if_left

ROOT = Path(__file__).parents[2]
NEEDS_KAFKA = "tests/local/test_brokers.py::test_the_administrator_logs_in_by_scram"


def run_without_java(programs: Path, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in {"CI", "NRM_KAFKA_BOOTSTRAP"}}
    return subprocess.run(  # noqa: S603 - this very test suite
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", NEEDS_KAFKA],
        capture_output=True,
        text=True,
        check=False,
        env={**kept, "PATH": str(programs), **env},
        cwd=ROOT,
    )


def test_a_missing_server_is_skipped_and_named_at_the_end(tmp_path: Path) -> None:
    # when
    done = run_without_java(tmp_path)
    # then
    assert done.returncode == 0
    assert "NO REAL KAFKA: java is not on the PATH" in done.stdout
    assert "NOT TESTED against a real Kafka" in done.stdout


def test_a_missing_server_fails_in_ci(tmp_path: Path) -> None:
    # when
    done = run_without_java(tmp_path, CI="1")
    # then
    assert done.returncode == 1
    assert "CI tests against a real Kafka" in done.stdout


@pytest.mark.usefixtures("postgres")  # where there is none, there is nothing to leave behind
def test_what_a_killed_run_left_is_stopped_and_removed(server_folder: Path) -> None:
    # given
    starter = """
import os, sys
from pathlib import Path
from services.local.postgres import Postgres
folder = Path(sys.argv[1], f"nrm-test-{os.getpid()}-x")
folder.mkdir(mode=0o711)
Postgres(folder / "postgres").start()
print(folder, flush=True)
os._exit(1)
"""
    run = [sys.executable, "-c", starter, str(server_folder)]
    done = subprocess.run(  # noqa: S603 - this very interpreter, on the text above
        run, capture_output=True, text=True, check=False, cwd=ROOT
    )
    left = Path(done.stdout.strip())
    pid = Postgres(left / "postgres").pid()
    assert pid is not None
    # when
    clear_if_left(left)
    # then
    assert not command_of(pid)
    assert not left.exists()


def test_the_folder_of_a_run_that_goes_on_is_left_alone(server_folder: Path) -> None:
    # when
    clear_if_left(server_folder)
    # then
    assert server_folder.exists()
