"""Go programs of the tests, pinned as tools of a Go module in a folder here and built once."""

import shutil
import subprocess
from pathlib import Path

from tests.servers import missing

BUILD_SECONDS = 280


def build(package: str, into: Path) -> Path:
    """Build a tool of the module in the folder of its name; without Go, skip, or fail in CI."""
    name = package.rpartition("/")[2]
    go = shutil.which("go")
    if go is None:
        missing(name, "go is not on the PATH: install Go 1.24 or newer")
    program = into / name
    done = subprocess.run(  # noqa: S603 - our own arguments
        [go, "build", "-buildvcs=false", "-mod=readonly", "-o", str(program), package],
        cwd=Path(__file__).parent / name,
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_SECONDS,
    )
    if done.returncode:
        missing(name, f"Go 1.24 or newer does not build it: {done.stderr[-500:]}")
    return program
