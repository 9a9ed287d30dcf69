"""Starts, kills and stops the relay's own process in the tests."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from tests.services.relay_child import FAIL

ROOT = Path(__file__).parents[2]
LIMIT = 120.0
"""Seconds after which a condition counts as never met; far above what any machine needs."""


class RelayProcess:
    """One relay; `fails` says where it is to be killed or stopped."""

    def __init__(
        self, brokers: Brokers | GivenBrokers, store: str, hub_id: str, fails: str = ""
    ) -> None:
        environment = {
            **os.environ,
            "NRM_KAFKA_BOOTSTRAP": brokers.bootstrap,
            "NRM_KAFKA_USER": brokers.admin_user,
            "NRM_KAFKA_PASSWORD": brokers.admin_password,
            "NRM_KAFKA_CA": brokers.ca,
            FAIL: fails,
        }
        self._process = subprocess.Popen(  # noqa: S603 - our own command line
            (sys.executable, "-m", "tests.services.relay_child", store, hub_id),
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def says(self) -> str:
        """Return what it says next, `waits` or `leads`; empty if it has ended."""
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], LIMIT)
        assert readable, "the relay said nothing"
        return self._process.stdout.readline().strip()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def stopped(self) -> None:
        """Wait until it has stopped itself by SIGSTOP."""
        _, status = os.waitpid(self._process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), "the relay ended instead"

    def wait(self, seconds: float = LIMIT) -> int | None:
        """Return the exit code, None when it still runs after `seconds`."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def said(self) -> str:
        """Return what it wrote about its errors; it has ended."""
        assert self._process.stderr is not None
        return self._process.stderr.read()

    def end(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


@contextmanager
def relaying(
    brokers: Brokers | GivenBrokers, store: str, hub_id: str, fails: str = ""
) -> Iterator[RelayProcess]:
    """Run a relay for the time of the block."""
    process = RelayProcess(brokers, store, hub_id, fails)
    try:
        yield process
    finally:
        process.end()
