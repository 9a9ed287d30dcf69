"""Node programs of the tests, with packages that `npm ci` puts beside them once."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.servers import missing

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
STAMP = MODULES / ".locked"
"""Names the lock file that the packages were installed from; written last."""
INSTALL_SECONDS = 300


def installed() -> None:
    """Install the locked packages if they are not there; without Node, skip, or fail in CI."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        missing("Node client", "node and npm are not on the PATH: apt-get install nodejs npm")
    locked = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == locked:
        return
    # No package of ours needs a script of its own to be installed.
    options = ["--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(  # noqa: S603 - our own arguments
        [npm, "ci", *options],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_SECONDS,
    )
    if done.returncode:
        missing("Node client", f"npm ci in tests/clients failed: {done.stderr[-500:]}")
    STAMP.write_text(locked)


def run(
    program: str, *, env: Mapping[str, str] | None = None, given: str = "", seconds: float = 120
) -> list[Any]:
    """Return the JSON documents, one a line, that a program of this folder prints."""
    node = shutil.which("node") or "node"
    done = subprocess.run(  # noqa: S603 - our own programs
        [node, str(HERE / program)],
        env={**os.environ, **(env or {})},
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]
