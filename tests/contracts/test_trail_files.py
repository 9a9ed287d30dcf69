"""The contract of `TrailFiles`: files are whole or not there."""

from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.trail_files import FolderTrailFiles
from domain.errors import Unavailable
from domain.notary import TrailFiles

Opens = Callable[[], TrailFiles]


@pytest.fixture(params=["folder"])
def opens(tmp_path: Path) -> Opens:
    """Return what opens the one folder, as a process that starts anew does."""
    return lambda: FolderTrailFiles(tmp_path / "trail")


@pytest.fixture
def files(opens: Opens) -> TrailFiles:
    return opens()


def test_an_empty_folder_has_no_files(files: TrailFiles) -> None:
    assert files.read("checkpoint") is None
    assert files.read("tile/0/000") is None


def test_what_was_written_is_there_after_a_new_start(opens: Opens) -> None:
    written = {"tile/0/x001/234": b"one", "body/000.p/3": b"", "log.vkey": b"key"}
    opens().write(written)
    assert {path: opens().read(path) for path in written} == written


def test_a_newer_file_takes_the_place_of_the_older(files: TrailFiles) -> None:
    files.write({"tile/0/000": b"a longer one"})
    files.write({"tile/0/000": b"new"})
    assert files.read("tile/0/000") == b"new"


def test_a_checkpoint_replaces_the_published_one(files: TrailFiles) -> None:
    files.publish(b"first")
    files.publish(b"second")
    assert files.read("checkpoint") == b"second"


def test_partial_tiles_go_and_the_full_one_stays(files: TrailFiles) -> None:
    files.write({"tile/0/000.p/1": b"1", "tile/0/000.p/2": b"2", "tile/0/000": b"full"})
    files.remove(["tile/0/000.p", "tile/0/001.p"])
    assert files.read("tile/0/000.p/1") is None
    assert files.read("tile/0/000") == b"full"
    files.write({"tile/0/000.p/1": b"again"})
    assert files.read("tile/0/000.p/1") == b"again"


def test_a_folder_is_no_file_and_no_path_leads_out(files: TrailFiles, tmp_path: Path) -> None:
    files.write({"tile/0/000": b"tile"})
    (tmp_path / "notary.db").write_bytes(b"outside")
    for path in ("tile", "tile/0", "tile/0/000/1", "../notary.db", "tile/../../notary.db", ""):
        assert files.read(path) is None, path


def test_a_disk_that_fails_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "trail").write_bytes(b"a file where the folder should be")
    with pytest.raises(Unavailable, match="TRAIL_FILES"):
        FolderTrailFiles(tmp_path / "trail").write({"tile/0/000": b"tile"})
