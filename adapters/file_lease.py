"""The right to be the only one in a folder: a lock that the system frees when its holder ends."""

import fcntl
import os
from pathlib import Path

from adapters.leasing import tried
from domain.errors import Unavailable

_TRY_SECONDS = 0.05
"""How often somebody else's lease is tried."""


class FileLease:
    """See the port `Lease`. It lies with what it protects, so it holds on every machine."""

    def __init__(self, path: Path) -> None:
        """Compete for the file at `path`, which is made if it is not there."""
        self._path = path
        self._handle: int | None = None

    def acquire(self, seconds: float) -> bool:
        """Return whether the lease is held, waiting up to `seconds` for who has it now."""
        if self._handle is not None:
            self.check()
            return True
        return tried(self._try, seconds, _TRY_SECONDS)

    def _try(self) -> bool:
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as e:
            raise Unavailable("LEASE_FILE", f"the lease's disk answered {e.strerror}") from e
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._handle = handle
        return True

    def check(self) -> None:
        """Raise `Unavailable` LEASE_LOST when the locked file is no longer the one at its path."""
        if self._handle is None or not self._in_place(self._handle):
            self.close()
            raise Unavailable("LEASE_LOST", "the lease is not held; acquire it")

    def _in_place(self, handle: int) -> bool:
        try:
            return os.path.samestat(os.fstat(handle), self._path.stat())
        except OSError:
            return False

    def close(self) -> None:
        """Give the lease back."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)
