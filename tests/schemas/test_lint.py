"""Each rule of the lint finds the fault that was planted for it, and ours has none."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from schemas import lint, released, rules, upcast
from schemas.catalogue import Sources, package, sources
from schemas.released import Released

HEAD = {"name": "head", "type": "nrm.v1.Head", "nrm.category": "ROUTING", "doc": "Envelope."}


def field(**changes: Any) -> dict[str, Any]:
    return {"name": "x", "type": "string", "nrm.category": "CASEWORK", "doc": "A field."} | changes


def record(*fields: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "type": "record",
        "name": "ThingDone",
        "namespace": "nrm.v1",
        "doc": "A thing was done.",
        "fields": list(fields),
    } | changes


def written(*fields: dict[str, Any], types: dict[str, Any] | None = None) -> Sources:
    return Sources(
        {"nrm.v1.ThingDone": record(HEAD, *fields)}, {**sources().types, **(types or {})}
    )


def items(of: Any) -> dict[str, Any]:
    return {"type": "array", "items": of}


EMPTY = {"type": "record", "name": "Empty", "namespace": "nrm.v1", "doc": "Nothing.", "fields": []}
PART = {
    "type": "record",
    "name": "Part",
    "namespace": "nrm.v1",
    "doc": "A part.",
    "fields": [{"name": "text", "type": "string", "doc": "Text."}],
}
LOOP = PART | {"fields": [{"name": "next", "type": ["null", "nrm.v1.Part"], "doc": "The next."}]}
DETOUR = PART | {"fields": [{"name": "a", "type": items("nrm.v1.Other"), "doc": "Others."}]}
OTHER = PART | {
    "name": "Other",
    "fields": [{"name": "b", "type": "nrm.v1.Part", "doc": "A part."}],
}
CLEAR = {"nrm.category": "ROUTING"}

PLANTED: list[tuple[Callable[[Sources], Iterator[str]], Sources]] = [
    (rules.unresolved, written(field(type="nrm.v1.NoSuchType"))),
    (rules.recursive, written(field(type="nrm.v1.Part"), types={"nrm.v1.Part": LOOP})),
    (
        rules.recursive,
        written(field(type="nrm.v1.Part"), types={"nrm.v1.Part": DETOUR, "nrm.v1.Other": OTHER}),
    ),
    (rules.misnamed, Sources({"nrm.v1.Other": record(HEAD)}, sources().types)),
    (rules.headless, Sources({"nrm.v1.ThingDone": record(field())}, sources().types)),
    (rules.untagged, written({"name": "x", "type": "string", "doc": "A field."})),
    (rules.untagged, written(field(**{"nrm.category": "SECRET"}))),
    (rules.routing_later, written(field(), field(name="y", type="int", **CLEAR))),
    (rules.unargued, written(field(**CLEAR))),
    (rules.unargued, written(field(type=["null", "string"], **CLEAR))),
    (rules.unargued, written(field(type=items("string"), **CLEAR))),
    (rules.unargued, written(field(type="nrm.v1.Part", **CLEAR), types={"nrm.v1.Part": PART})),
    (
        rules.unargued,
        written(field(type=items("nrm.v1.Part"), **CLEAR), types={"nrm.v1.Part": PART}),
    ),
    (rules.unknown_property, written(field(**{"nrm.catgory": "HEALTH"}))),
    (rules.unknown_property, written(field(type={"type": "string", "nrm.x": 1}))),
    (rules.undocumented, written({"name": "x", "type": "string", "nrm.category": "CASEWORK"})),
    (rules.undocumented, written(types={"nrm.v1.Part": {**PART, "doc": ""}})),
    (rules.forbidden_type, written(field(type={"type": "enum", "name": "E", "symbols": ["A"]}))),
    (rules.forbidden_type, written(field(type={"type": "map", "values": "string"}))),
    (rules.forbidden_type, written(field(type="double"))),
    (rules.forbidden_type, written(field(type=["string", "null"]))),
    (rules.forbidden_type, written(field(type=["null", "string", "int"]))),
    (rules.zero_width, written(field(type=items("null")))),
    (rules.zero_width, written(field(type={"type": "map", "values": "null"}))),
    (rules.zero_width, written(field(type=items("nrm.v1.Empty")), types={"nrm.v1.Empty": EMPTY})),
    (rules.zero_width, written(field(type=items({"type": "fixed", "name": "F", "size": 0})))),
    (rules.shelter_address, written(field(name="shelter_address"))),
    (rules.shelter_address, written(field(name="location_of_shelter"))),
    (rules.shelter_address, written(field(name="safe_house_phone"))),
]


@pytest.mark.parametrize(("rule", "planted"), PLANTED)
def test_a_rule_finds_the_fault_that_was_planted(
    rule: Callable[[Sources], Iterator[str]], planted: Sources
) -> None:
    found = list(rule(planted))

    assert found
    assert set(found) <= set(lint.findings(planted))


def test_every_rule_has_a_planted_fault() -> None:
    assert {rule for rule, _ in PLANTED} == {*rules.NAMES, *rules.RULES}


@pytest.mark.parametrize("rule", [*rules.NAMES, *rules.RULES])
def test_a_sound_schema_passes(rule: Callable[[Sources], Iterator[str]]) -> None:
    sound = written(
        field(type={"type": "string", "logicalType": "uuid"}, **CLEAR),
        field(name="why", **CLEAR, **{"nrm.why_clear": "Because."}),
        field(name="shelter_kind", type=items("nrm.v1.Part")),
        types={"nrm.v1.Part": PART},
    )

    assert list(rule(sound)) == []


def test_our_own_schemas_pass_and_are_released(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint.main([]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("arguments", [[], ["--release"]])
def test_a_fault_is_printed_and_nothing_is_released(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (package() / released.LOCK).read_bytes()
    monkeypatch.setattr(lint, "sources", lambda: written(field(type="double")))

    assert lint.main(arguments) == 1

    assert "nrm.v1.ThingDone: double is not used here" in capsys.readouterr().out
    assert (package() / released.LOCK).read_bytes() == before


SOUND = written(field(type=["null", "string"]), field(name="y", type="long"))
LOCKED = released.release(SOUND, ())


def altered(change: Callable[[dict[str, Any]], None]) -> Sources:
    events = copy.deepcopy(dict(SOUND.events))
    change(events["nrm.v1.ThingDone"])
    return Sources(events, SOUND.types)


def _set(place: int, **values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda event: event["fields"][place].update(values)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_set(1, **{"nrm.category": "ROUTING"}), "category lowered from CASEWORK to ROUTING"),
        (_set(1, **{"nrm.category": "HEALTH"}), "category changed from CASEWORK to HEALTH"),
        (_set(2, type="int"), "type changed from long to int"),
        (
            _set(2, type={"type": "long", "logicalType": "timestamp-millis"}),
            "logical type changed from None to timestamp-millis",
        ),
        (_set(1, type="string"), "x|null: was released and is gone"),
        (lambda event: event["fields"].pop(1), "x|null: was released and is gone"),
    ],
)
def test_a_change_to_a_released_field_is_named(
    change: Callable[[dict[str, Any]], None], says: str
) -> None:
    assert any(says in finding for finding in lint.released_field(altered(change), LOCKED))


@pytest.mark.parametrize(
    "change",
    [
        _set(1, **{"nrm.codes": "nrm:risk"}),
        _set(1, default=None),
        lambda event: event["fields"].append(field(name="z")),
    ],
)
def test_any_other_change_to_a_released_file_is_found_by_its_fingerprint(
    change: Callable[[dict[str, Any]], None],
) -> None:
    assert list(lint.released_field(altered(change), LOCKED)) == []
    assert len(list(lint.released_file(altered(change), LOCKED))) == 1


def test_wording_may_be_mended_after_release() -> None:
    assert lint.frozen(altered(_set(1, doc="A better wording.")), LOCKED) == []


def test_a_change_to_a_shared_type_is_a_change_to_every_event() -> None:
    types = copy.deepcopy(dict(SOUND.types))
    types["nrm.v1.Head"]["fields"][2]["type"] = "bytes"

    found = lint.frozen(Sources(SOUND.events, types), LOCKED)

    assert "nrm.v1.ThingDone.head.agency: type changed from string to bytes" in found


def test_a_released_file_that_is_gone_is_found() -> None:
    assert len(list(lint.withdrawn(Sources({}, SOUND.types), LOCKED))) == 1


def test_a_file_that_is_not_released_is_found() -> None:
    assert len(list(lint.not_released(SOUND, ()))) == 1
    assert list(lint.not_released(SOUND, LOCKED)) == []


def versions(one: dict[str, Any], other: dict[str, Any]) -> tuple[Sources, tuple[Released, ...]]:
    """Two released versions of one event with a field more than the head each."""
    both = Sources(
        {"nrm.v1.ThingDone": record(HEAD, one), "nrm.v2.ThingDone": _second(record(HEAD, other))},
        sources().types,
    )
    return both, released.release(both, ())


def _second(schema: dict[str, Any]) -> dict[str, Any]:
    return schema | {"namespace": "nrm.v2"}


@pytest.mark.parametrize(
    "other",
    [
        field(type="long"),
        field(name="y"),
        field(**{"nrm.category": "HEALTH"}),
        field(**{"nrm.codes": "nrm:risk"}),
        field(type={"type": "string", "logicalType": "uuid"}),
        field(**CLEAR, **{"nrm.why_clear": "Because."}),
    ],
)
def test_versions_that_do_not_read_each_other_need_an_upcaster(
    other: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    both, lock = versions(field(), other)

    found = list(lint.unread_version(both, lock))

    assert len(found) == 1
    assert found[0].startswith("nrm.v1.ThingDone and nrm.v2.ThingDone: ")
    assert set(found) <= set(lint.frozen(both, lock))
    monkeypatch.setitem(upcast.STEPS, "nrm.v1.ThingDone", ("nrm.v2.ThingDone", lambda d: d))
    assert list(lint.unread_version(both, lock)) == []


def test_versions_that_read_each_other_need_none() -> None:
    both, lock = versions(field(), field(doc="Another wording."))

    assert list(lint.unread_version(both, lock)) == []


def test_all_versions_are_compared_not_just_neighbours() -> None:
    events = {
        f"nrm.v{n}.ThingDone": record(HEAD, field(**CLEAR, **more), namespace=f"nrm.v{n}")
        for n, more in enumerate(({"default": "a"}, {"default": "a"}, {"default": "b"}), start=1)
    }
    three = Sources(events, sources().types)

    found = list(lint.unread_version(three, released.release(three, ())))

    assert [line.partition(":")[0] for line in found] == [
        "nrm.v1.ThingDone and nrm.v3.ThingDone",
        "nrm.v2.ThingDone and nrm.v3.ThingDone",
    ]


def _entry(name: str, number: int) -> Released:
    return Released(name, number, "", "", {})


@pytest.mark.parametrize(
    "lock",
    [
        (_entry("a", 2),),
        (_entry("a", 1), _entry("b", 1)),
        (_entry("a", 1), _entry("a", 2)),
        (_entry("a", 1), _entry("b", 3)),
        (_entry("a", 1), _entry("b", 1002)),
        (_entry("a", 1001), _entry("b", 1003)),
    ],
)
def test_a_list_that_did_more_than_grow_is_found(lock: tuple[Released, ...]) -> None:
    assert len(list(lint.lock_order(SOUND, lock))) == 1
