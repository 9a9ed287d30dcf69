"""The worked example of the trail is held byte for byte, and both verifiers accept it."""

from pathlib import Path

from domain.trail import archive
from tests.trail import audited, example
from tests.trail.example import BESIDE, BUNDLE, FOLDER


def test_every_file_comes_out_as_it_is_kept(tmp_path: Path) -> None:
    kept = example.files(FOLDER)
    members = archive.decode(kept[BUNDLE.name])
    beside = {name: members[name] for name in BESIDE}
    assert example.made(tmp_path, beside) == kept


def test_log_and_bundle_hold() -> None:
    trail = example.example()
    assert audited.verified(FOLDER, trail).findings == []
    assert audited.checked(BUNDLE.read_bytes(), trail).findings == []
    assert audited.in_court(BUNDLE.read_bytes(), trail) == ""
