"""The trail's folder on a disk: files written whole, made durable, and then named."""

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from domain.errors import Unavailable

CHECKPOINT = "checkpoint"
_WRITERS = 8


class FolderTrailFiles:
    """See the port `TrailFiles`."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which is made at the first write."""
        self._folder = folder
        self._made: set[Path] = set()

    def read(self, path: str) -> bytes | None:
        """Return the file at `path`, or None."""
        if any(part.startswith(".") for part in path.split("/")):
            return None
        with _io():
            try:
                return (self._folder / path).read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write and sync every file, name them, then sync their folders: one sync a folder."""
        with _io():
            targets = {self._folder / path: data for path, data in files.items()}
            folders = {target.parent for target in targets}
            for folder in folders:
                self._make(folder)
            # Side by side, for a file system makes many files durable in one go.
            with ThreadPoolExecutor(_WRITERS) as pool:
                list(pool.map(write_one, map(_new, targets), targets.values()))
                for target in targets:
                    name_one(target)
                list(pool.map(_sync, folders))

    def publish(self, checkpoint: bytes) -> None:
        """Put `checkpoint` in place of the published one."""
        self.write({CHECKPOINT: checkpoint})

    def remove(self, folders: Iterable[str]) -> None:
        """Remove folders of partial tiles."""
        with _io():
            for path in folders:
                folder = self._folder / path
                if folder.is_dir():
                    for file in folder.iterdir():
                        file.unlink()
                    folder.rmdir()
                    self._made.discard(folder)

    def _make(self, folder: Path) -> None:
        if folder in self._made:
            return
        if not folder.is_dir():
            self._make(folder.parent)
            folder.mkdir(mode=0o700, exist_ok=True)
            _sync(folder.parent)
        self._made.add(folder)


def write_one(file: Path, data: bytes) -> None:
    """Write a file that is durable when this returns."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(handle)


def name_one(file: Path) -> None:
    """Put what was written for `file` in its place."""
    _new(file).replace(file)


def _new(file: Path) -> Path:
    return file.with_name(f"{file.name}.new")


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _io() -> Iterator[None]:
    try:
        yield
    except OSError as e:
        raise Unavailable("TRAIL_FILES", f"the trail's disk answered {e.strerror}") from e
