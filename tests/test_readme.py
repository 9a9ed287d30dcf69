"""The README's walk-through is run as it stands there."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.kill_child import free_ports

ROOT = Path(__file__).parents[1]
NRM_HUB = Path(sys.executable).parent / "nrm-hub"


installed = pytest.mark.skipif(
    not NRM_HUB.exists() and "CI" not in os.environ,
    reason="nrm-hub is not installed: run `make test`",
)


def block() -> str:
    """Return the commands of the section that refers one person by hand."""
    section = (ROOT / "README.md").read_text("utf-8").split("## One referral, by hand")[1]
    found = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """Run a mechanism over the folder `data` that the commands use by default."""
    command = [str(NRM_HUB), "run", "--cases", "0", "--port", str(free_ports())]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout
        for line in process.stdout:
            if line.startswith("Stop with"):
                break
        assert process.poll() is None, "the mechanism did not start"
        yield tmp_path
        process.terminate()


@installed
def test_the_walk_through_does_what_it_says(running: Path) -> None:
    environment = {**os.environ, "PATH": f"{NRM_HUB.parent}:{os.environ['PATH']}"}
    done = subprocess.run(  # noqa: S603
        ["/bin/bash", "-ec", block()],
        cwd=running,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = [line for line in done.stdout.splitlines() if re.match(r"(yes|no): ", line)]
    assert first.startswith("no: D00")
    assert second.startswith("yes: P01")
    before, after = done.stdout.split("accepted ConsentWithdrawn")
    assert 'given_names: ["Zorvina"]' in before
    assert "Zorvina" not in after
    assert "not shared: given_names" in after


@installed
@pytest.mark.parametrize(
    "words",
    ["", "run", "demo", "act", "case", "case why", "feed follow", "agency add"],
)
def test_every_command_explains_itself(words: str) -> None:
    command = [str(NRM_HUB), *words.split(), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    assert done.returncode == 0
    assert "Usage" in done.stdout


@installed
def test_the_demo_ends_with_one_object_and_every_check_holding(tmp_path: Path) -> None:
    command = [NRM_HUB, "demo", "--cases", "40", "--json", "--data", tmp_path / "demo"]
    started = time.monotonic()
    done = subprocess.run(  # noqa: S603
        list(map(str, command)), capture_output=True, text=True, timeout=240, check=False
    )
    summary = json.loads(done.stdout.splitlines()[-1])
    written = list((tmp_path / "demo").rglob("*"))
    assert not [p for p in written if p.stat().st_mode & 0o077]
    assert done.returncode == 0, done.stderr
    assert (summary["cases"], summary["overdisclosed"], summary["leaks"]) == (40, 0, 0)
    assert summary["actions"] >= 6 * 40
    assert 0 < summary["fields_opened"] <= summary["fields_sealed"]
    assert summary["seconds"] <= time.monotonic() - started
