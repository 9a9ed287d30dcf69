"""Server processes that outlive whoever started them, found again by their pid files.

A pid file names a process only together with a word of its command line: a pid that now
belongs to somebody else is never signalled.
"""

import fcntl
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from domain.errors import Unavailable

# Below the range that Linux takes for outgoing connections: there a client that dials a dead
# server may be given that server's own port, and the server could not come back.
_PORTS = range(20_000, 32_768)


@dataclass(slots=True, kw_only=True)
class Process:
    """One server: `pid_file` begins with its pid, `mark` stands in its command line."""

    pid_file: Path
    mark: str
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def spawn(
        self,
        command: Sequence[str],
        log: Path,
        *,
        user: str | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> int:
        """Start `command` in a session of its own, output appended to `log`; return its pid."""
        with log.open("ab") as out:
            self._child = subprocess.Popen(  # noqa: S603 - built from our own settings
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=cwd,
                env=env,
                start_new_session=True,
                user=user,
                group=user,
                extra_groups=[] if user else None,
            )
        return self._child.pid

    def pid(self) -> int | None:
        """Return the pid of the living server, whoever started it; None if there is none."""
        if self._child is not None:
            if self._child.poll() is None:
                return self._child.pid
            self._child = None
        try:
            pid = int(self.pid_file.read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        return pid if self.mark.encode() in command_of(pid) else None

    def send(self, number: signal.Signals) -> None:
        """Signal the server if it lives."""
        pid = self.pid()
        if pid is not None:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return

    def end(self, *numbers: signal.Signals, seconds: float) -> None:
        """Send each signal in turn and wait up to `seconds` after each until it is gone."""
        for number in numbers:
            self.send(signal.SIGCONT)  # a paused server would not hear the others
            self.send(number)
            if until(lambda: self.pid() is None, seconds=seconds):
                return
        raise Unavailable("LOCAL_SERVER_STAYS", f"end the process of {self.pid_file} by hand")


def command_of(pid: int) -> bytes:
    """Return the command line of a process; empty for one that ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


class FolderLock:
    """The right to run servers in a folder; the system frees it when its holder dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: int | None = None

    def take(self) -> None:
        """Make the folder if need be and take its lock; `Unavailable` if another has it."""
        if self._held is not None:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            os.close(held)
            message = f"another process runs the servers of {self._folder}: end it, or take another"
            raise Unavailable("LOCAL_IN_USE", message) from e
        self._held = held

    def release(self) -> None:
        """Give the lock back, if it is held."""
        if self._held is not None:
            os.close(self._held)
            self._held = None


def until(holds: Callable[[], bool], *, seconds: float, every: float = 0.05) -> bool:
    """Return whether `holds` became true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def free_ports(count: int) -> list[int]:
    """Return `count` different ports of loopback on which nobody listens."""
    found: list[int] = []
    for port in secrets.SystemRandom().sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            return found
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    raise Unavailable("LOCAL_PORTS", "no free port on loopback between 20000 and 32767")


def listens(port: int) -> bool:
    """Return whether anybody takes connections on `port` of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
