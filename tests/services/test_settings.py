"""Settings that cannot hold are refused with a reason code, before anything starts."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from domain.errors import Malformed, Unavailable
from services.bootstrap import Parts, Settings
from services.cli import app


def test_a_secret_is_what_is_in_the_file_that_is_named(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_text("an invented one\n", "utf-8")
    given = {"NRM_PASSPHRASE_FILE": str(file), "NRM_PASSPHRASE": "another"}
    assert [Settings.from_env(tmp_path, given).passphrase] == ["an invented one"]


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_secret_file_that_cannot_be_read_is_refused(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "passphrase"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Malformed, match=r"^SETTING_FILE: NRM_PASSPHRASE_FILE: "):
        Settings.from_env(tmp_path, {"NRM_PASSPHRASE_FILE": str(file)})


def test_a_data_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file", "utf-8")
    with pytest.raises(Unavailable, match=r"^DATA_FOLDER: "):
        Parts(Settings(data=tmp_path / "data")).folder("hub")


COMMANDS = {
    "agency list": "agency list",
    "agency add": "agency add gb-new House --role service_provider:monitoring",
    "agency suspend": "agency suspend gb-new reason",
    "agency reinstate": "agency reinstate gb-new",
    "topics plan": "topics plan",
    "topics check": "topics check",
    "topics apply": "topics apply",
    "topics rotate": "topics rotate nrm.gb.relay",
    "topics strimzi": "topics strimzi main",
    "keys": "keys custodian",
    "rebuild": "rebuild",
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_setting_that_cannot_hold_is_one_line_of_a_command(words: str, tmp_path: Path) -> None:
    (tmp_path / "addresses.json").write_text("{}", "utf-8")
    asked = [*words.split(), "--data", str(tmp_path)]
    done = CliRunner().invoke(app, asked, env={"NRM_TRAIL_SECONDS": "often"})
    assert done.exit_code == 2
    assert done.stderr.startswith("refused: TRAIL_SECONDS: ")
    assert len(done.stderr.splitlines()) == 1
