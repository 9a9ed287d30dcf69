"""A disk that is soon full: a file system in memory, of a few megabytes, under a server's data."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import MISSING, missing

_BALLAST = "ballast"
_LEFT = 64 << 10


class SmallDisk:
    """What is mounted at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def free(self) -> int:
        """Return the bytes that are left."""
        return shutil.disk_usage(self.path).free

    def fill(self) -> None:
        """Leave next to nothing free."""
        with (self.path / _BALLAST).open("wb") as out:
            while (more := self.free - _LEFT) > 0:
                out.write(bytes(min(more, 1 << 20)))
                out.flush()

    def make_room(self) -> None:
        """Free what `fill` took."""
        (self.path / _BALLAST).unlink(missing_ok=True)


@contextmanager
def small_disk(at: Path, megabytes: int, owner: str | None = None) -> Iterator[SmallDisk]:
    """Mount one over the folder `at`, with what was in it, for the time of the block.

    Mounting is root's right: others skip the test loudly.
    """
    kept = at.with_name(f"{at.name}.kept")
    at.rename(kept)
    at.mkdir(mode=0o700)
    try:
        _mount(at, megabytes)
        try:
            shutil.copytree(kept, at, dirs_exist_ok=True)
            if owner:
                _give(at, owner)
            yield SmallDisk(at)
        finally:
            subprocess.run(["umount", "--lazy", at], check=True)  # noqa: S603, S607 - what we mounted
    finally:
        at.rmdir()
        kept.rename(at)


def _mount(at: Path, megabytes: int) -> None:
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", str(at)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode == 0:
        return
    what, why = "small disk", f"cannot mount one: {done.stderr.strip()}"
    if os.geteuid() == 0:
        missing(what, why)
    MISSING[what] = why
    pytest.skip(f"NO {what.upper()}: {why}")


def _give(folder: Path, owner: str) -> None:
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, owner, owner)
