"""The contract of `Lease`: one holder at a time, for as long as it lives."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from adapters.file_lease import FileLease
from adapters.postgres.lease import PostgresLease
from domain.errors import Unavailable
from domain.ports import Lease

HOLD = """
import sys, time
from pathlib import Path
from adapters.file_lease import FileLease
from adapters.postgres.lease import PostgresLease
kind, where = sys.argv[1:]
lease = FileLease(Path(where)) if kind == "file" else PostgresLease(where, "relay")
print(lease.acquire(30), flush=True)
time.sleep(600)
"""


@dataclass
class Leases:
    """Leases of one kind in one place."""

    kind: str
    where: str
    stack: ExitStack

    def __call__(self, name: str = "relay") -> Lease:
        if self.kind == "file":
            return self.stack.enter_context(closing(FileLease(Path(self.where).with_name(name))))
        return self.stack.enter_context(closing(PostgresLease(self.where, name)))


@pytest.fixture(params=["file", "postgres"])
def opens(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Leases]:
    is_file = request.param == "file"
    where = str(tmp_path / "relay") if is_file else request.getfixturevalue("database")
    with ExitStack() as stack:
        yield Leases(request.param, where, stack)


def test_one_holds_it_and_the_other_waits(opens: Leases) -> None:
    first, second = opens(), opens()
    assert first.acquire(0)
    assert first.acquire(0), "who holds it has it"
    first.check()
    assert not second.acquire(0.2)


def test_what_is_given_back_is_free(opens: Leases) -> None:
    first, second = opens(), opens()
    first.acquire(0)
    first.close()
    assert second.acquire(0)


def test_leases_of_other_names_are_apart(opens: Leases) -> None:
    assert opens().acquire(0)
    assert opens("feed relay").acquire(0)


def test_who_never_had_it_has_lost_it(opens: Leases) -> None:
    with pytest.raises(Unavailable, match="LEASE_LOST"):
        opens().check()


def test_a_lost_connection_is_a_lost_lease(database: str) -> None:
    lease = PostgresLease(database, "relay")
    lease.acquire(0)
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(Unavailable, match="LEASE_LOST"):
        lease.check()
    assert lease.acquire(30), "and can be had again"
    lease.close()


def test_a_file_that_was_taken_away_is_a_lost_lease(tmp_path: Path) -> None:
    lease = FileLease(tmp_path / "relay")
    lease.acquire(0)
    (tmp_path / "relay").unlink()
    with pytest.raises(Unavailable, match="LEASE_LOST"):
        lease.check()
    assert lease.acquire(0), "and can be had again"
    lease.close()


def test_the_lease_of_a_process_that_was_killed_is_free(opens: Leases) -> None:
    command = [sys.executable, "-c", HOLD, opens.kind, opens.where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:  # noqa: S603 - our own
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        waiting = opens()
        assert not waiting.acquire(0)
        os.kill(holder.pid, signal.SIGKILL)
        assert waiting.acquire(60)
