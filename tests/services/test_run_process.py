"""`nrm-hub run` ends when it is told to: while it starts, while it makes cases, when it failed."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services.kill_child import LIMIT, ROOT

PLANTED = """
import sys
from domain.errors import Refused
from services.cli import app
from services.runtime import Mechanism

async def refused(*_):
    raise Refused("PLANTED", "planted")

Mechanism._register = refused
app(sys.argv[1:])
"""
CLI = ("-m", "services.cli")


@contextmanager
def running(folder: Path, *program: str) -> Iterator["subprocess.Popen[str]"]:
    """Run it over `folder`, with more cases to make than anybody waits for."""
    words = ("run", "--data", str(folder), "--port", "0", "--cases", "100000")
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, *program, *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_it_ends_while_it_makes_cases(tmp_path: Path) -> None:
    with running(tmp_path, *CLI) as process:
        assert process.stdout is not None
        assert "Making 100000 invented cases" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 0
        assert process.stdout.read() == "Stopping.\n"


def test_it_ends_although_nobody_reads_what_it_prints_any_more(tmp_path: Path) -> None:
    with running(tmp_path, *CLI) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        process.send_signal(signal.SIGTERM)
        process.wait(LIMIT)


def test_it_ends_by_itself_when_it_cannot_start(tmp_path: Path) -> None:
    with running(tmp_path, "-c", PLANTED) as process:
        said, _ = process.communicate(timeout=LIMIT)
        assert (process.returncode, said) == (2, "refused: PLANTED: planted\n")
