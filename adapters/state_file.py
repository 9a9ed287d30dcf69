"""What a replay keeps, in a file of its own."""

from pathlib import Path

from adapters.trail_files import FolderTrailFiles
from domain.errors import Malformed


class PathStateFile:
    """See the port `StateFile`."""

    def __init__(self, path: Path) -> None:
        """Keep it at `path`, which need not exist."""
        self._path = path

    def read(self) -> bytes | None:
        """Return what was kept."""
        try:
            if not self._path.exists():
                return None
            if not self._path.is_file():  # of a device there might be no end
                raise Malformed("STATE", f"{self._path} is no file")
            return self._path.read_bytes()
        except OSError as e:
            raise Malformed("STATE", f"{self._path} cannot be read: {e.strerror}") from e

    def write(self, data: bytes) -> None:
        """Keep `data`; durable when it returns."""
        FolderTrailFiles(self._path.parent).write({self._path.name: data})
