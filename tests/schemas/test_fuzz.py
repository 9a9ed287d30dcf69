"""Whatever comes in: a record, fields, or `Malformed`."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import Malformed
from tests.schemas.builders import LANGUAGE, TYPES, documents, example, sealed_record

VALID = {type: LANGUAGE.body(sealed_record(type, example(type))) for type in TYPES}
types = st.sampled_from(TYPES)


def taken_or_refused(type: str, body: bytes) -> None:
    """What is taken is canonical, and everything else that reads it reads it too."""
    try:
        record = LANGUAGE.record(type, body)
    except Malformed:
        return
    assert LANGUAGE.body(record) == body
    assert LANGUAGE.event(record).head.event_id.encode() in body


@settings(max_examples=2000)
@given(types, st.binary(max_size=300))
def test_any_bytes_are_a_record_or_malformed(type: str, body: bytes) -> None:
    taken_or_refused(type, body)


@settings(max_examples=2000)
@given(types, st.data())
def test_a_damaged_body_is_malformed_or_says_just_what_its_bytes_say(
    type: str, data: st.DataObject
) -> None:
    body = bytearray(VALID[type])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, max(len(body) - 1, 0)))
        match data.draw(st.sampled_from(["flip", "cut", "insert", "remove"])):
            case "flip" if body:
                body[place] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del body[place:]
            case "insert":
                body[place:place] = data.draw(st.binary(min_size=1, max_size=9))
            case _:
                del body[place : place + 1]
    taken_or_refused(type, bytes(body))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=500)
@given(types, st.dictionaries(st.text(max_size=5), json_values, max_size=4))
def test_a_document_that_is_no_event_is_malformed(type: str, document: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        LANGUAGE.clear(type, document)


@settings(max_examples=2000)
@given(types, st.data(), json_values)
def test_a_document_with_anything_in_one_field_is_fields_or_malformed(
    type: str, data: st.DataObject, value: Any
) -> None:
    document = example(type)
    parent = data.draw(st.sampled_from([document, document["head"]]))
    parent[data.draw(st.sampled_from(sorted(parent)))] = value
    try:
        fields = LANGUAGE.clear(type, document)
    except Malformed:
        return
    assert LANGUAGE.opened(type, {f.path: f.value for f in fields})


@settings(max_examples=2000)
@given(types, st.data())
def test_any_plain_bytes_open_to_a_document_or_malformed(type: str, data: st.DataObject) -> None:
    fields = LANGUAGE.clear(type, example(type))
    field = data.draw(st.sampled_from(fields))
    value = bytearray(field.value)
    if data.draw(st.booleans()):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    else:
        value = bytearray(data.draw(st.binary(max_size=60)))
    try:
        LANGUAGE.opened(type, {field.path: bytes(value)})
    except Malformed:
        return


@pytest.mark.parametrize("type", TYPES)
def test_every_valid_document_of_every_event_comes_back(type: str) -> None:
    newest = LANGUAGE.newest(type.rpartition(".")[2])

    @settings(max_examples=25)
    @given(documents(type))
    def round_trip(document: dict[str, Any]) -> None:
        fields = LANGUAGE.clear(type, document)
        shown = LANGUAGE.opened(type, {f.path: f.value for f in fields})
        record = sealed_record(type, document)

        assert LANGUAGE.record(type, LANGUAGE.body(record)) == record
        assert LANGUAGE.event(record).head.case_id == document["head"]["case_id"]
        if type == newest:
            assert shown == document
        else:
            assert LANGUAGE.clear(newest, shown)

    round_trip()
