"""The trail's folder on a disk: files written whole, made durable, and then named."""

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

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
            with ExitStack() as written, ThreadPoolExecutor(_WRITERS) as pool:
                opened = [
                    written.enter_context(write_one(_new(target), data))
                    for target, data in targets.items()
                ]
                # Side by side, for a file system makes many files durable in one go.
                list(pool.map(os.fsync, [file.fileno() for file in opened]))
                for target in targets:
                    name_one(target)
                list(pool.map(_sync, folders))

    def publish(self, checkpoint: bytes) -> None:
        """Put `checkpoint` in place of the published one."""
        with _io():
            target = self._folder / CHECKPOINT
            self._make(self._folder)
            with write_one(_new(target), checkpoint) as file:
                os.fsync(file.fileno())
            name_one(target)
            _sync(self._folder)

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


def write_one(file: Path, data: bytes) -> BinaryIO:
    """Write a file and return it open; it is not durable yet."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    stream = os.fdopen(handle, "wb")
    stream.write(data)
    stream.flush()
    return stream


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
