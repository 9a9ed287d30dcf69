"""`nrm-hub witness` as a child that is killed and started again, and a log that asks it."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Self

from domain.trail.notes import Note, VerifierKey
from domain.witness import AddCheckpoint
from services.local.processes import free_ports, until
from tests.services.kill_child import LIMIT, ROOT
from tests.services.kill_step import WRITES

BODY = "rapporteur"


class WitnessChild:
    """One witness over one folder, always at the same port."""

    def __init__(self, folder: Path, log: VerifierKey, *options: str) -> None:
        self.data = folder / "data"
        self._output = folder / "witness.txt"
        self._vkey = folder / "log.vkey"
        self._vkey.write_text(f"{log.text}\n")
        self._options = options
        (self._port,) = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def output(self) -> str:
        return self._output.read_text()

    def start(self) -> None:
        """Start it and wait until it answers; armed, it kills itself after its next commit."""
        place = ("--listen", f"127.0.0.1:{self._port}", "--data", str(self.data))
        command = (sys.executable, "-m", "tests.services.kill_step", "witness", BODY)
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                (*command, *place, "--log", str(self._vkey), *self._options),
                cwd=ROOT,
                env={**os.environ, WRITES: "1"},
                stdout=output,
                stderr=output,
            )
        assert until(self._answers, seconds=LIMIT), self.output

    def arm(self) -> None:
        """Let it end as by a power cut right after its next commit, before it answers."""
        self._running().send_signal(signal.SIGUSR1)

    def killed(self) -> None:
        """Wait until it has killed itself."""
        assert self._running().wait(LIMIT) == -signal.SIGKILL, self.output

    def kill(self) -> None:
        """End it as by a power cut now."""
        self._running().kill()
        self.killed()

    def stop(self) -> int:
        """Ask it to end and return its exit code."""
        self._running().terminate()
        return self._running().wait(LIMIT)

    def ask(self, asked: AddCheckpoint) -> tuple[int, bytes]:
        """Return status and body of its answer; (0, b"") if it went away without one."""
        return self.fetch("/add-checkpoint", asked.encode())

    def fetch(self, path: str, data: bytes | None = None) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(self.address + path, data, LIMIT) as answer:  # noqa: S310
                return answer.status, answer.read()
        except urllib.error.HTTPError as e:
            with e:
                return e.code, e.read()
        except (OSError, HTTPException):
            return 0, b""

    def _answers(self) -> bool:
        assert self._running().poll() is None, self.output
        return self.fetch("/health")[0] == 200

    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "start the child first"
        return self._process


def is_cosigned(body: bytes) -> bool:
    """Say whether an answer is signature lines."""
    return bool(Note.decode(b"text\n\n" + body).signatures)
