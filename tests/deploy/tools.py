"""The programs that read what is in deploy/; without one its tests are skipped, in CI they fail."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
IMAGE = "nrm-hub:{version}".format(
    **tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
)
"""The one image of every process."""


def program(name: str) -> str:
    """Return the path of a program, of this environment or of the machine."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        message = f"NOT TESTED with {name}: it is not installed"
        if os.environ.get("CI"):
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    return found


def run(name: str, *arguments: str, given: str | None = None) -> str:
    """Return what the program prints; it must succeed."""
    done = subprocess.run(  # noqa: S603 - a linter over our own files
        [program(name), *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def promtool(*arguments: str, given: str | None = None) -> str:
    """Run promtool."""
    return run("promtool", *arguments, given=given)
