"""`nrm-hub witness` says in one line what it cannot work with, and ends with 2."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from domain.trail.notes import VerifierKey
from services.bootstrap import Parts, Settings
from services.bootstrap.witness import log_keys
from services.cli import app
from tests.services.test_witness_process import trust_of
from tests.witnessed import Log, witness_signer

LOG, OTHER = Log(), Log("other.example/trail")
FILES: Mapping[str, bytes] = {
    "good": f"{LOG.vkey.text}\n".encode(),
    "two": f"{LOG.vkey.text}\n{OTHER.vkey.text}\n".encode(),
    "empty": b"\n",
    "cut": LOG.vkey.text[:-1].encode(),
    "binary": b"\xff\xfe",
}


def ran(folder: Path, *options: str, listen: str = "127.0.0.1:0") -> tuple[int, str]:
    """Return exit code and standard error."""
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    common = ["--data", str(folder / "data"), "--listen", listen]
    done = CliRunner().invoke(app, ["witness", *options, *common])
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.stderr


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["w", "--log", "{here}/absent"], "VKEY"),
        (["w", "--log", "{here}/cut"], "VKEY"),
        (["w", "--log", "{here}/binary"], "VKEY"),
        (["w", "--log", "{here}/empty"], "WITNESS_LOGS"),
        (["../w", "--log", "{here}/good"], "WITNESS_BODY"),
        (["a+b", "--log", "{here}/good"], "VKEY"),
        (["w"], "TRUST_MISSING"),
        (["w", "--log", "{here}/good", "--replay", "{here}"], "TRUST_MISSING"),
    ],
)
def test_what_it_cannot_work_with_is_one_line(
    options: Sequence[str], code: str, tmp_path: Path
) -> None:
    given = [o.format(here=tmp_path) for o in options]
    exit_code, said = ran(tmp_path, *given)
    assert exit_code == 2
    assert said.startswith(f"refused: {code}: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--log", "{here}/two", "--replay", "{here}"], "WITNESS_LOGS"),
        (["--replay", "{here}/absent"], "SOURCE"),
        (["--replay", "http://127.0.0.1:9/trail"], "WITNESS_AGENCY"),
        (["--replay", "http://127.0.0.1:9/trail", "--agency", "gb-nobody"], "WITNESS_AGENCY"),
    ],
)
def test_a_replay_is_of_one_trail_that_there_is(
    options: Sequence[str], code: str, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "trust.json").write_text(trust_of(LOG).dumps())
    exit_code, said = ran(tmp_path, "w", *(o.format(here=tmp_path) for o in options))
    assert exit_code == 2
    assert said.startswith(f"refused: {code}: ")


def test_a_file_of_logs_has_a_key_a_line(tmp_path: Path) -> None:
    (tmp_path / "two").write_bytes(FILES["two"])
    assert log_keys([tmp_path / "two"]) == [LOG.vkey, OTHER.vkey]


def test_the_keys_of_a_witness_are_made_once_and_printed_for_policies(tmp_path: Path) -> None:
    command = ["witness-keys", "ngo", "--ml-dsa", "--data", str(tmp_path)]
    first, again = (CliRunner().invoke(app, command).stdout for _ in range(2))
    assert first == again
    keys = [VerifierKey.parse(line) for line in first.splitlines()]
    assert [(k.name, k.algorithm) for k in keys] == [("ngo.nrm.gb/witness", a) for a in (4, 6)]
    assert not (Parts(Settings(data=tmp_path)).folder("witnesses/ngo") / "witness.db").exists()
    assert witness_signer().key not in keys
