"""What the coordinator's commands on Kafka show and write."""

import json
import stat
from pathlib import Path

import pytest

from adapters.kafka.declared import Topic
from adapters.kafka.differences import Blocked, NewTopic, Plan
from domain.agency import Registry
from domain.errors import Unavailable
from domain.secret import Secret
from domain.standing import Agency, Designation, Key, Period
from domain.vocabulary import Seat
from services.demo.cast import CAST
from services.topics import as_json, into_files, seats_of, seats_of_members, shown

TOPIC = Topic(name="nrm.xx.log", partitions=8, replication=1, config={})
BLOCKED = Blocked(code="TOPIC_FOREIGN", message="nrm.xx.notes is not declared: delete it by hand")
PLAN = Plan(changes=(NewTopic(TOPIC),), blocked=(BLOCKED,), notes=("a former seat",))


def agency(name: str, purposes: frozenset[str], *suspended: Period) -> Agency:
    always = Period(starts=1)
    return Agency(
        id=name,
        name="Invented House",
        country="XX",
        designations=(Designation(role="service_provider", purposes=purposes, period=always),),
        keys=(Key(agency=name, signing_key=b"", opening_key=b"", period=always),),
        suspensions=suspended,
    )


def test_seats_are_those_of_active_agencies() -> None:
    agencies = (
        agency("xx-a", frozenset({"monitoring", "legal_aid"})),
        agency("xx-b", frozenset({"monitoring"}), Period(starts=5)),
        agency("xx-c", frozenset()),
    )
    registry = Registry(agencies={a.id: a for a in agencies})
    mine = (Seat("xx-a", "legal_aid"), Seat("xx-a", "monitoring"))
    assert seats_of(registry, 2) == (*mine, Seat("xx-b", "monitoring"))
    assert seats_of(registry, 9) == mine


def test_each_purpose_of_a_member_is_a_seat() -> None:
    assert len(seats_of_members(CAST)) == sum(len(m.purposes) for m in CAST)


def test_a_plan_is_a_line_for_each_difference() -> None:
    assert shown(PLAN).splitlines() == [
        "+ topic nrm.xx.log partitions=8",
        "! TOPIC_FOREIGN: nrm.xx.notes is not declared: delete it by hand",
        "# a former seat",
        "1 to do, 1 not to be done by itself.",
    ]
    assert shown(Plan(changes=PLAN.changes), done=True).endswith("1 done and read back.")
    assert shown(Plan(notes=("odd",))) == "# odd\nThe cluster is as declared."


def test_a_plan_is_one_line_of_json() -> None:
    assert "\n" not in as_json(PLAN)
    assert json.loads(as_json(PLAN)) == {
        "agrees": False,
        "changes": ["+ topic nrm.xx.log partitions=8"],
        "blocked": [{"code": BLOCKED.code, "message": BLOCKED.message}],
        "notes": ["a former seat"],
    }


def test_a_password_goes_to_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    hand_out = into_files(folder)
    hand_out("nrm.xx.relay", Secret(b"invented-1"))
    hand_out("nrm.xx.relay", Secret(b"invented-2"))
    (path,) = folder.iterdir()
    assert path.name == "nrm.xx.relay.env"
    assert path.read_text() == "NRM_KAFKA_USER=nrm.xx.relay\nNRM_KAFKA_PASSWORD=invented-2\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_password_that_cannot_be_kept_is_told_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("in the way")
    with pytest.raises(Unavailable, match="credentials") as unavailable:
        into_files(tmp_path / "credentials")("nrm.xx.relay", Secret(b"invented"))
    assert unavailable.value.code == "PASSWORD_FILE"
    assert "invented" not in str(unavailable.value)
