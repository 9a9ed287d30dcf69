"""Servers are found again by pid file, and nobody else's process is ever signalled."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from domain.errors import Unavailable
from services.local.processes import FolderLock, Process, free_ports, listens, until

SLEEP = "import time; time.sleep(600)"


def test_a_server_is_found_and_ended_by_a_process_that_did_not_start_it(tmp_path: Path) -> None:
    # given
    starter = f"""
from pathlib import Path
from services.local.processes import Process
p = Process(pid_file=Path({str(tmp_path / "pid")!r}), mark="the-mark")
command = [{sys.executable!r}, "-c", {SLEEP!r}, "the-mark"]
p.pid_file.write_text(str(p.spawn(command, Path({str(tmp_path / "log")!r}))))
"""
    run = [sys.executable, "-W", "ignore", "-c", starter]
    subprocess.run(run, check=True)  # noqa: S603 - this very interpreter, on the text above
    found = Process(pid_file=tmp_path / "pid", mark="the-mark")
    assert found.pid() is not None
    # when
    found.end(signal.SIGTERM, seconds=30)
    # then
    assert found.pid() is None


def test_a_pid_that_now_belongs_to_somebody_else_is_left_alone(tmp_path: Path) -> None:
    # given
    other = subprocess.Popen([sys.executable, "-c", SLEEP])  # noqa: S603 - it only sleeps
    (tmp_path / "pid").write_text(str(other.pid))
    stale = Process(pid_file=tmp_path / "pid", mark=str(tmp_path / "server.properties"))
    # when
    stale.end(signal.SIGKILL, seconds=30)
    # then
    assert stale.pid() is None
    assert other.poll() is None
    other.kill()
    other.wait()


def test_what_ignores_a_polite_signal_is_killed(tmp_path: Path) -> None:
    # given
    deaf = f"from signal import *; signal(SIGTERM, SIG_IGN); print(1, flush=True); {SLEEP}"
    process = Process(pid_file=tmp_path / "pid", mark="never read: it is our own child")
    process.spawn([sys.executable, "-c", deaf], tmp_path / "log")
    assert until(lambda: (tmp_path / "log").read_bytes() != b"", seconds=30)
    # when
    process.end(signal.SIGTERM, signal.SIGKILL, seconds=1)
    # then
    assert process.pid() is None


def test_a_folder_has_one_holder_at_a_time(tmp_path: Path) -> None:
    # given
    first, second = FolderLock(tmp_path / "f"), FolderLock(tmp_path / "f")
    first.take()
    # when
    with pytest.raises(Unavailable, match="LOCAL_IN_USE"):
        second.take()
    first.release()
    # then
    second.take()
    second.release()


def test_ports_are_free_different_and_below_those_of_outgoing_connections() -> None:
    # given
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    # when
    ports = free_ports(12)
    # then
    assert len(set(ports)) == 12
    assert not any(listens(p) for p in ports)
    assert max(ports) < lowest or lowest < 32_768
