"""The contract of `Lease`: one holder at a time, for as long as it lives."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import psycopg
import pytest

from adapters.postgres.lease import PostgresLease
from domain.errors import Unavailable

Opens = Callable[[], PostgresLease]
HOLD = """
import sys, time
from adapters.postgres.lease import PostgresLease
lease = PostgresLease(sys.argv[1], "relay")
print(lease.acquire(30), flush=True)
time.sleep(600)
"""


@pytest.fixture
def opens(database: str) -> Iterator[Opens]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(PostgresLease(database, "relay")))


def test_one_holds_it_and_the_other_waits(opens: Opens) -> None:
    first, second = opens(), opens()
    assert first.acquire(0)
    assert first.acquire(0), "who holds it has it"
    first.check()
    assert not second.acquire(0.2)


def test_what_is_given_back_is_free(opens: Opens) -> None:
    first, second = opens(), opens()
    first.acquire(0)
    first.close()
    assert second.acquire(0)


def test_leases_of_other_names_are_apart(opens: Opens, database: str) -> None:
    assert opens().acquire(0)
    with closing(PostgresLease(database, "feed relay")) as other:
        assert other.acquire(0)


def test_who_never_had_it_has_lost_it(opens: Opens) -> None:
    with pytest.raises(Unavailable, match="LEASE_LOST"):
        opens().check()


def test_a_lost_connection_is_a_lost_lease(opens: Opens, database: str) -> None:
    lease = opens()
    lease.acquire(0)
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(Unavailable, match="LEASE_LOST"):
        lease.check()
    assert lease.acquire(30), "and can be had again"


def test_the_lease_of_a_process_that_was_killed_is_free(opens: Opens, database: str) -> None:
    command = [sys.executable, "-c", HOLD, database]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:  # noqa: S603 - our own
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        waiting = opens()
        assert not waiting.acquire(0)
        os.kill(holder.pid, signal.SIGKILL)
        assert waiting.acquire(60)
