"""The published schemas, their fingerprints and the list of what was released."""

import copy
import dataclasses
import json
from typing import Any, get_args

import pytest
from fastavro import parse_schema

from domain import events
from domain.errors import Corrupt, Malformed
from domain.vocabulary import Category
from schemas import lint, released
from schemas.catalogue import Sources, avro_fp, inline, seal_fp, sources
from tests.schemas.builders import LANGUAGE, TYPES


@pytest.mark.parametrize("type", TYPES)
def test_the_fingerprints_of_every_event_are_those_in_the_lock(type: str) -> None:
    entry = next(e for e in released.lock() if e.name == type)

    assert LANGUAGE.shape(type).seal_fp.hex() == entry.seal_fp
    assert LANGUAGE.shape(type).number == entry.number
    assert avro_fp(sources().full(type)) == entry.avro_fp


def test_a_known_fingerprint_never_moves() -> None:
    assert LANGUAGE.shape("nrm.v1.ReferralSent").seal_fp.hex() == (
        "e5251dd625444cf1ea0de8e015649d31d0c3457ee21cd8b9bae1d2a0a42af40a"
    )


def test_event_numbers_start_at_one_and_are_given_once() -> None:
    events = [e for e in released.lock() if e.number < released.TRANSPORT]

    assert [e.number for e in events] == list(range(1, len(TYPES) + 1))
    assert {e.name for e in events} == set(TYPES)


def test_records_of_transport_have_numbers_of_their_own_and_are_no_events() -> None:
    refused = next(p for p in LANGUAGE.published() if p.number == 1001)

    assert refused.subject == "nrm.v1.ActionRefused"
    assert json.loads(refused.schema) == sources().full(refused.subject)
    assert refused.subject not in TYPES


def test_every_released_schema_is_published_once_as_it_is_on_the_wire() -> None:
    shown = LANGUAGE.published()

    assert [(p.subject, p.number, p.version) for p in shown] == [
        (e.name, e.number, 1) for e in released.lock()
    ]
    for p in shown[: len(TYPES)]:
        assert json.loads(p.schema) == LANGUAGE.sealed_schema(p.subject)


def _rewritten(node: Any) -> Any:
    """The schema as Java writes it: a namespace only where it is another one."""
    if isinstance(node, dict):
        return {
            key: value if key == "nrm.clear_type" else _rewritten(value)
            for key, value in reversed(node.items())
            if key != "doc" and (key, value) != ("namespace", "nrm.v1")
        }
    return [_rewritten(item) for item in node] if isinstance(node, list) else node


@pytest.mark.parametrize("type", [t for t in TYPES if t.startswith("nrm.v1.")])
def test_a_schema_is_known_again_however_it_is_written(type: str) -> None:
    shown = next(p for p in LANGUAGE.published() if p.subject == type)
    written = {**_rewritten(json.loads(shown.schema)), "namespace": "nrm.v1"}

    assert LANGUAGE.same(type, json.dumps(written, indent=2)) == shown
    assert LANGUAGE.same("nrm.v1.ActionRefused", shown.schema) is None
    assert LANGUAGE.same(type, json.dumps(written | {"fields": written["fields"][1:]})) is None


@pytest.mark.parametrize("type", TYPES)
def test_the_classes_of_the_rules_are_the_routing_fields_of_the_schemas(type: str) -> None:
    cls = getattr(events, type.rpartition(".")[2])
    routing = [path for path, c in LANGUAGE.shape(type).fields if c is Category.ROUTING]

    assert [f.name for f in dataclasses.fields(cls)] == routing


@pytest.mark.parametrize("name", ["Head", "Recipient", "KeyCommitment", "Approval"])
def test_the_parts_of_events_are_the_shared_types(name: str) -> None:
    written = sources().types[f"nrm.v1.{name}"]["fields"]

    assert [f.name for f in dataclasses.fields(getattr(events, name))] == [
        f["name"] for f in written
    ]


def test_every_event_of_the_rules_has_a_schema() -> None:
    assert {c.__name__ for c in get_args(events.Event)} == {t.rpartition(".")[2] for t in TYPES}


@pytest.mark.parametrize("type", TYPES)
def test_a_full_schema_needs_nothing_else(type: str) -> None:
    parsed: Any = parse_schema(copy.deepcopy(sources().full(type)))

    assert parsed["name"] == type


def test_a_named_type_is_written_out_once() -> None:
    digest = {"type": "fixed", "name": "D", "namespace": "n", "size": 32}

    assert inline(["n.D", {"type": "array", "items": "n.D"}], {"n.D": digest}) == [
        digest,
        {"type": "array", "items": "n.D"},
    ]


def _event(**changes: Any) -> dict[str, Any]:
    field = {"name": "sex", "type": "string", "nrm.category": "STATISTICS", "doc": "One."} | changes
    return {"type": "record", "name": "E", "namespace": "nrm.v1", "fields": [field]}


@pytest.mark.parametrize(
    "changes",
    [
        {"nrm.category": "CASEWORK"},
        {"nrm.codes": "nrm:risk"},
        {"type": {"type": "string", "logicalType": "uuid"}},
        {"default": "x"},
    ],
)
def test_the_seal_fingerprint_covers_what_avros_own_ignores(changes: dict[str, Any]) -> None:
    assert avro_fp(_event()) == avro_fp(_event(**changes))
    assert seal_fp(_event()) != seal_fp(_event(**changes))


def test_the_seal_fingerprint_covers_the_default_of_an_enum() -> None:
    enum = {"type": "enum", "name": "S", "symbols": ["A", "B"], "default": "A"}
    changed = {**enum, "default": "B"}

    assert avro_fp(_event(type=enum)) == avro_fp(_event(type=changed))
    assert seal_fp(_event(type=enum)) != seal_fp(_event(type=changed))


def test_the_seal_fingerprint_ignores_wording_and_the_order_of_keys() -> None:
    field = dict(reversed(_event(doc="Another wording.")["fields"][0].items()))

    assert seal_fp({**_event(), "fields": [field]}) == seal_fp(_event())


def test_a_release_appends_and_changes_nothing_before() -> None:
    old = released.lock()[:2]
    new = Sources({n: sources().events[n] for n in TYPES[:4]}, sources().types)

    grown = released.release(new, old)

    assert grown[:2] == old
    assert [(e.name, e.number) for e in grown[2:]] == [(TYPES[2], 3), (TYPES[3], 4)]
    assert released.loads(released.dumps(grown)) == grown


def test_transport_is_numbered_apart_whatever_is_released_after_it() -> None:
    first = Sources({TYPES[0]: sources().events[TYPES[0]]}, sources().types, sources().transport)
    second = Sources({n: sources().events[n] for n in TYPES[:2]}, first.types, first.transport)

    grown = released.release(second, released.release(first, ()))

    assert [e.number for e in grown] == [1, 1001, 2]
    assert list(lint.lock_order(second, grown)) == []


def test_a_schema_that_is_not_the_released_one_is_not_used() -> None:
    changed = copy.deepcopy(sources().full("nrm.v1.CaseClosed"))
    changed["fields"][1]["nrm.category"] = "ROUTING"

    with pytest.raises(Corrupt, match="SCHEMA_NOT_RELEASED"):
        released.entry_of("nrm.v1.CaseClosed", changed)


def test_the_newest_version_is_found_by_the_short_name() -> None:
    assert LANGUAGE.newest("SafeContactSet") == "nrm.v2.SafeContactSet"
    assert LANGUAGE.newest("ReferralSent") == "nrm.v1.ReferralSent"
    assert LANGUAGE.shape("nrm.v2.SafeContactSet").version == 2


@pytest.mark.parametrize("name", ["os:system", "nrm.v9.ReferralSent", "ReferralSent", ""])
def test_a_type_that_is_not_published_is_refused(name: str) -> None:
    for ask in (LANGUAGE.shape, lambda n: LANGUAGE.record(n, b""), lambda n: LANGUAGE.clear(n, {})):
        with pytest.raises(Malformed, match="UNKNOWN_EVENT"):
            ask(name)
    with pytest.raises(Malformed, match="UNKNOWN_EVENT"):
        LANGUAGE.newest("NoSuchThingDone")
