"""A log that Tessera keeps, Go code that shares none with ours, is witnessed by our witness.

tests/trail/posix-oneshot pins its example program, which adds files as entries to a log in a
folder and publishes a checkpoint only once its witnesses have cosigned.
"""

import subprocess
from pathlib import Path

import pytest

from adapters.notes import note_signer
from adapters.trail_source import FolderSource
from domain.secret import Secret
from domain.trail.merkle import leaf, root
from domain.trail.notes import Algorithm, VerifierKey, to_base64
from domain.trail.quorum import Policy, open_checkpoint
from services.bootstrap import Parts, Settings
from services.bootstrap.witness import witness_signers
from services.trail.source import Source
from tests.services.witness_child import BODY, WitnessChild
from tests.trail.go import build
from tests.vectors import key
from tests.witnessed import VERIFIER, origin_hash

ONESHOT = "github.com/transparency-dev/tessera/cmd/examples/posix-oneshot"
ORIGIN = "neighbour.example/log"
PUBLISH_SECONDS = 60


@pytest.fixture(scope="session")
def oneshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ONESHOT, tmp_path_factory.mktemp("oneshot"))


def secret_key(log: VerifierKey) -> str:
    """Return the log's key as Go's `note` package reads it: with the seed, not the public half."""
    seed = to_base64(bytes([log.algorithm]) + key("tessera log"))
    return f"PRIVATE+KEY+{ORIGIN}+{log.id.hex()}+{seed}"


def add(oneshot: Path, folder: Path, entries: dict[str, bytes]) -> subprocess.CompletedProcess[str]:
    """Add entries to the log in `folder` as files, in the order of their names."""
    files = folder / "new"
    files.mkdir(exist_ok=True)
    for file in files.iterdir():
        file.unlink()
    for name, data in entries.items():
        (files / name).write_bytes(data)
    options = {
        "storage_dir": folder / "log",
        "entries": files / "*",
        "private_key": folder / "log.key",
        "witness_policy_file": folder / "policy",
    }
    return subprocess.run(  # noqa: S603 - our own arguments
        [str(oneshot), *(f"--{name}={value}" for name, value in options.items())],
        capture_output=True,
        text=True,
        check=False,
        timeout=PUBLISH_SECONDS,
    )


def test_tessera_publishes_what_our_witness_has_cosigned(oneshot: Path, tmp_path: Path) -> None:
    log = note_signer(ORIGIN, Algorithm.ED25519, Secret(key("tessera log"))).key
    (tmp_path / "log.key").write_text(secret_key(log))
    with WitnessChild(tmp_path, log) as child:
        (signer,) = witness_signers(Parts(Settings(data=child.data)), BODY, ml_dsa=False)
        text = f"log {log.text}\nwitness {BODY} {signer.key.text} {child.address}\nquorum {BODY}\n"
        (tmp_path / "policy").write_text(text)
        policy = Policy.parse(text.encode())
        child.start()
        entries: list[bytes] = []
        for size in (1, 3, 300):
            new = {f"{n:05}": b"entry %d" % n for n in range(len(entries), size)}
            entries += new.values()
            done = add(oneshot, tmp_path, new)
            assert done.returncode == 0, done.stderr
            note = (tmp_path / "log" / "checkpoint").read_bytes()
            witnessed = open_checkpoint(note, policy, VERIFIER)
            assert set(witnessed.cosigned_s) == {BODY}
            assert witnessed.checkpoint.size == size
            assert witnessed.checkpoint.root == root([leaf(e) for e in entries])
            source = Source(FolderSource(tmp_path / "log"))
            assert [e for _, es in source.bundles(size) for e in es] == entries
            shown = child.fetch(f"/{origin_hash(ORIGIN)}/checkpoint")[1]
            assert open_checkpoint(shown, policy, VERIFIER).checkpoint == witnessed.checkpoint
