"""The process under test: `nrm-hub run` as a child that is killed and started again."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom
from typing import Any

from services.demo.cast import CAST
from tests.services.kill_step import WRITES

ROOT = Path(__file__).parents[2]
PORTS = 3 + len(CAST)
"""Hub, custodian and coordinator, then a gateway for each agency, in this order."""
LIMIT = 180.0
"""Seconds after which a condition counts as never met; far above what any machine needs."""
_COMMAND = (sys.executable, "-m", "tests.services.kill_step")


class Child:
    """One mechanism in a process of its own, over one folder and always the same ports."""

    def __init__(self, data: Path, port: int) -> None:
        self.data = data
        self.port = port
        self._output = data.parent / "child.txt"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def hub(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def gateways(self) -> dict[str, str]:
        """Agency id -> address of its gateway."""
        return {m.id: f"http://127.0.0.1:{self.port + 3 + i}" for i, m in enumerate(CAST)}

    def start(self, writes: int = 1) -> None:
        """Start it; once armed, it kills itself after so many writes."""
        arguments = ("run", "--data", str(self.data), "--port", str(self.port), "--cases", "0")
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                (*_COMMAND, *arguments),
                cwd=ROOT,
                env={**os.environ, WRITES: str(writes)},
                stdout=output,
                stderr=output,
            )

    def kill(self) -> None:
        """End the process as a power cut would, with SIGKILL."""
        process = self._running()
        process.kill()
        assert process.wait() == -signal.SIGKILL, "the process had ended by itself"

    async def kill_itself(self) -> None:
        """Let the process end as by `kill`, right after one of its next writes."""
        process = self._running()
        process.send_signal(signal.SIGUSR1)
        code = await asyncio.to_thread(process.wait, LIMIT)
        assert code == -signal.SIGKILL, "the process ended otherwise"

    async def stop(self) -> int:
        """Ask the process to end and return its exit code."""
        process = self._running()
        process.terminate()
        return await asyncio.to_thread(process.wait, LIMIT)

    def end(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "start the child first"
        return self._process

    def check_alive(self) -> None:
        code = self._running().poll()
        assert code is None, f"the child ended with {code}: {self._output.read_text()[-2_000:]}"

    async def until(self, holds: Callable[[], Any], what: str, pause: float = 0.02) -> None:
        """Wait until `holds`; the child must stay alive meanwhile."""
        deadline = asyncio.get_running_loop().time() + LIMIT
        while not holds():
            self.check_alive()
            assert asyncio.get_running_loop().time() < deadline, f"waited in vain: {what}"
            await asyncio.sleep(pause)

    async def serving(self) -> None:
        """Wait until the hub and every gateway answer that they run."""
        for address in (self.hub, *self.gateways.values()):
            while (await asyncio.to_thread(answer, f"{address}/health")) is None:
                self.check_alive()
                await asyncio.sleep(0.02)


def answer(address: str) -> Any:
    """Return the JSON found at `address`; None while nobody answers."""
    try:
        with urllib.request.urlopen(address, timeout=10) as response:  # noqa: S310 - loopback
            return json.load(response)
    except (OSError, ValueError):
        return None


def free_ports(count: int = PORTS) -> int:
    """Return the first of `count` free ports, below those that the system hands out itself.

    A port of those could be taken by one of our own connections while the child is down.
    """
    while True:
        first = SystemRandom().randrange(12_000, 32_000)
        if all(_free(first + i) for i in range(count)):
            return first


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
