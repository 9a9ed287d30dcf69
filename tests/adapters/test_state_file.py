"""What a replay keeps in a file: whole or not at all, and for its owner alone."""

from pathlib import Path

import pytest

from adapters.state_file import PathStateFile
from domain.errors import Malformed, Unavailable


def test_what_was_written_last_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    file = PathStateFile(path)
    assert file.read() is None
    for data in (b"first", b"second"):
        file.write(data)
        assert PathStateFile(path).read() == data
    assert path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["replay"]


def test_what_cannot_be_read_or_written_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match=r"^STATE: "):
        PathStateFile(tmp_path).read()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable):
        PathStateFile(tmp_path / "file" / "replay").write(b"data")


def test_a_write_that_was_cut_short_changes_nothing(tmp_path: Path) -> None:
    file = PathStateFile(tmp_path / "replay")
    file.write(b"whole")
    (tmp_path / "replay.new").write_bytes(b"ha")
    assert file.read() == b"whole"
    file.write(b"next")
    assert file.read() == b"next"
