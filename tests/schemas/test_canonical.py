"""Taken as canonical is just what an Avro library writes of what it has read."""

from io import BytesIO
from typing import Any

import pytest
from fastavro import schemaless_reader, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import Malformed
from schemas import wire
from schemas.layout import FieldLayout, layout
from tests.schemas.builders import LANGUAGE, TYPES, example

FIELDS = [
    (f, field.value)
    for type in TYPES
    for f, field in zip(layout(type).fields, LANGUAGE.clear(type, example(type)), strict=True)
]
BYTES = st.sampled_from([b"\x00", b"\x01", b"\x02", b"\x7f", b"\x80", b"\xff"])


def by_the_library(field: FieldLayout, data: bytes) -> bool:
    """Say whether the library reads `data` to its end and writes the same bytes again."""
    source, again = BytesIO(data), BytesIO()
    try:
        value: Any = schemaless_reader(source, field.coder, None)
        schemaless_writer(again, field.coder, value)
    except Exception:  # noqa: BLE001 - whatever the library does with damaged bytes
        return False
    return again.getvalue() == data


def by_us(field: FieldLayout, data: bytes) -> bool:
    try:
        return wire.split(data, field.coder, [field.end])[2] == len(data)
    except Malformed:
        return False


@pytest.mark.parametrize(("field", "data"), FIELDS)
def test_what_the_library_wrote_is_canonical(field: FieldLayout, data: bytes) -> None:
    assert by_us(field, data)
    assert by_the_library(field, data)


@settings(max_examples=4000)
@given(st.sampled_from(FIELDS), st.data())
def test_damaged_bytes_are_canonical_if_the_library_writes_them_again(
    known: tuple[FieldLayout, bytes], draws: st.DataObject
) -> None:
    field, data = known[0], bytearray(known[1])
    for _ in range(draws.draw(st.integers(1, 3))):
        place = draws.draw(st.integers(0, max(len(data) - 1, 0)))
        match draws.draw(st.sampled_from(["flip", "idle", "insert", "remove"])):
            case "flip" if data:
                data[place] ^= 1 << draws.draw(st.integers(0, 7))
            case "idle" if data:
                data[place] |= 0x80
                data[place + 1 : place + 1] = b"\x00"
            case "insert":
                data[place:place] = b"".join(draws.draw(st.lists(BYTES, max_size=10)))
            case _:
                del data[place : place + 1]

    assert by_us(field, bytes(data)) == by_the_library(field, bytes(data))


@pytest.mark.parametrize(
    "data", [b"\x80" * 9 + b"\x02", b"\xff" * 10 + b"\x01", b"\xff" * 70 + b"\x01"]
)
def test_a_number_over_64_bits_is_refused(data: bytes) -> None:
    due = next(f for f in layout("nrm.v1.ReferralSent").fields if f.path == "answer_due_at")

    with pytest.raises(Malformed, match="NOT_CANONICAL"):
        wire.split(data, due.coder, [due.end])
