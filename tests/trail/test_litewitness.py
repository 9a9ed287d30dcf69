"""litewitness, a Go program that shares no code with ours, witnesses a log of ours.

tests/trail/litewitness pins it as a tool of a Go module; its newer versions need Go 1.27. The
tool that adds a log to it is not whole in the Go module proxy, so its table is written here.
"""

import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from adapters.http_witness import HttpWitness
from domain.errors import Refused
from domain.notary import Stands
from domain.trail.merkle import EMPTY_ROOT
from domain.trail.notes import Algorithm, Note, VerifierKey, to_base64
from domain.trail.quorum import Policy, open_checkpoint
from services.local.processes import free_ports, until
from tests.servers import missing
from tests.trail.go import build
from tests.vectors import key
from tests.witnessed import VERIFIER, Log

LITEWITNESS = "filippo.io/torchwood/cmd/litewitness"
NAME = "neighbour.example/witness"
LOG = Log()
START_SECONDS = 60.0


@pytest.fixture(scope="session")
def litewitness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build litewitness once; it needs an ssh-agent too."""
    if shutil.which("ssh-agent") is None:
        missing("litewitness", "ssh-agent is not on the PATH: install openssh-client")
    return build(LITEWITNESS, tmp_path_factory.mktemp("litewitness"))


@dataclass(frozen=True)
class Running:
    """litewitness as it serves."""

    address: str
    vkey: str
    database: Path

    def know(self, log: Log) -> None:
        """Add a log as its own tool does."""
        with closing(sqlite3.connect(self.database)) as db:
            db.execute("INSERT INTO log VALUES (?, 0, ?)", (log.origin, to_base64(EMPTY_ROOT)))
            db.execute("INSERT INTO key VALUES (?, ?)", (log.origin, log.vkey.text))
            db.commit()


@contextmanager
def child(*command: str, said: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for the time of the block; what it says goes to a file."""
    with said.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603 - our own
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def running(litewitness: Path, tmp_path: Path) -> Iterator[Running]:
    """Serve litewitness over an empty table, with its key in an agent."""
    agent, said, database = tmp_path / "agent", tmp_path / "said.txt", tmp_path / "witness.db"
    private = Ed25519PrivateKey.from_private_bytes(key("litewitness"))
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    (port,) = free_ports(1)
    with child("ssh-agent", "-D", "-a", str(agent), said=tmp_path / "agent.txt"):
        assert until(agent.exists, seconds=START_SECONDS)
        subprocess.run(
            ["ssh-add", "-"],  # noqa: S607 - as it is on the PATH
            input=pem,
            env={"SSH_AUTH_SOCK": str(agent)},
            check=True,
            capture_output=True,
        )
        options = {
            "-name": NAME,
            "-db": database,
            "-ssh-agent": agent,
            "-listen": f"127.0.0.1:{port}",
            "-key": sha256(private.public_key().public_bytes_raw()).hexdigest(),
        }
        command = [str(litewitness), *(f"{o}={v}" for o, v in options.items())]
        with child(*command, said=said) as process:
            assert until(
                lambda: b"listening" in said.read_bytes() or process.poll() is not None,
                seconds=START_SECONDS,
            )
            assert process.poll() is None, said.read_text()
            (vkey,) = re.findall(r"vkey=(\S+)", said.read_text())
            yield Running(f"http://127.0.0.1:{port}", vkey, database)


def test_it_witnesses_our_log_and_our_policy_counts_it(running: Running) -> None:
    running.know(LOG)
    by = VerifierKey.parse(running.vkey)
    assert by.algorithm is Algorithm.ED25519_COSIGNATURE
    policy = Policy.parse(
        f"log {LOG.vkey.text}\nwitness neighbour {by.text}\nquorum neighbour\n".encode()
    )
    with closing(HttpWitness(running.address, by, VERIFIER)) as witness:
        old = 0
        for size in (1, 2, 3, 8, 9, 9, 300):
            found = witness.add_checkpoint(old, LOG.proof(old, size), LOG.note(size))
            assert not isinstance(found, Stands)
            note = Note.decode(LOG.note(size))
            whole = note._replace(signatures=(*note.signatures, *found)).encode()
            witnessed = open_checkpoint(whole, policy, VERIFIER)
            assert witnessed.checkpoint == LOG.checkpoint(size)
            assert list(witnessed.cosigned_s) == ["neighbour"]
            old = size


def test_what_it_does_not_accept_is_told_apart(running: Running) -> None:
    with closing(
        HttpWitness(running.address, VerifierKey.parse(running.vkey), VERIFIER)
    ) as witness:
        with pytest.raises(Refused, match="answers 403"):
            witness.add_checkpoint(0, (), LOG.note(5))
        running.know(LOG)
        witness.add_checkpoint(0, (), LOG.note(5))
        assert witness.add_checkpoint(3, LOG.proof(3, 9), LOG.note(9)) == Stands(5)
        fork = LOG.fork(2)
        for size in (5, 9):
            with pytest.raises(Refused, match="answers 422"):
                witness.add_checkpoint(5, fork.proof(5, size), fork.note(size))
