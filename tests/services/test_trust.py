"""What every part pins is read as it was written, or not at all."""

import json
from pathlib import Path

import pytest

from domain.errors import Malformed
from services.bootstrap import COORDINATOR, Parts, Settings
from services.trust import Trust
from tests.agencies import sha

TRUST = Trust(
    hub="nrm:xa",
    registrars={"registrar-a": sha("a"), "registrar-b": sha("b")},
    operator=sha("operator"),
    custodian=sha("custodian"),
    custodian_opening=sha("opening") * 38,
)


def test_the_keys_come_back_as_they_were() -> None:
    assert Trust.loads(TRUST.dumps()) == TRUST


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        json.dumps({**json.loads(TRUST.dumps()), "operator": "no hex"}),
        json.dumps({**json.loads(TRUST.dumps()), "another": "00"}),
        json.dumps({k: v for k, v in json.loads(TRUST.dumps()).items() if k != "custodian"}),
    ],
)
def test_what_is_not_just_the_keys_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="TRUST"):
        Trust.loads(text)


def test_a_part_believes_the_file_and_makes_no_keys_of_others(tmp_path: Path) -> None:
    (tmp_path / "trust.json").write_text(TRUST.dumps(), "utf-8")
    parts = Parts(Settings(data=tmp_path))
    assert parts.trust == TRUST
    assert parts.operator().signing_key == TRUST.operator
    assert parts.registrars() == TRUST.registrars
    assert [p.name for p in tmp_path.iterdir()] == ["trust.json"]


def test_where_every_part_runs_the_keys_that_lie_there_are_pinned(tmp_path: Path) -> None:
    parts = Parts(Settings(data=tmp_path))
    assert parts.trust.operator == parts.public_key(f"gateways/{COORDINATOR}")
    assert Parts(Settings(data=tmp_path)).trust == parts.trust
