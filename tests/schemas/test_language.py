"""Bodies to records and back, and what a hostile body meets."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from domain import events
from domain.errors import Malformed
from domain.record import Record
from domain.vocabulary import Category
from tests.schemas.builders import (
    LANGUAGE,
    TYPES,
    UUID,
    example,
    sealed,
    sealed_record,
)

SENT = "nrm.v1.ReferralSent"
GIVEN = "nrm.v1.ConsentGiven"


def body_of(type: str) -> bytes:
    return LANGUAGE.body(sealed_record(type, example(type)))


def with_field(type: str, path: str, value: bytes) -> bytes:
    """A body in which one field has other bytes, whatever they are."""
    record = sealed_record(type, example(type))
    return b"".join(
        value
        if f.path == path
        else f.value
        if f.category is Category.ROUTING
        else b"\x00" + _long(len(f.value)) + f.value
        for f in record.fields
    )


def _long(number: int) -> bytes:
    out = BytesIO()
    schemaless_writer(out, "long", number)
    return out.getvalue()


def _text(text: str) -> bytes:
    return _long(len(text.encode())) + text.encode()


@pytest.mark.parametrize("type", TYPES)
def test_a_record_and_its_body_are_the_same_thing(type: str) -> None:
    record = sealed_record(type, example(type))

    assert LANGUAGE.record(type, LANGUAGE.body(record)) == record


@pytest.mark.parametrize("type", TYPES)
def test_a_record_with_withheld_fields_is_a_body_too_and_keeps_its_root(type: str) -> None:
    record = sealed_record(type, example(type))
    withheld = record.withhold(Category.CASEWORK.bit)

    read = LANGUAGE.record(type, LANGUAGE.body(withheld))

    assert read == withheld
    assert read.fields_root == record.fields_root


@pytest.mark.parametrize("type", TYPES)
def test_any_avro_library_reads_our_bodies_with_the_sealed_view(type: str) -> None:
    record = sealed_record(type, example(type)).withhold(Category.CASEWORK.bit)
    source = BytesIO(LANGUAGE.body(record))

    read: Any = schemaless_reader(source, parse_schema(LANGUAGE.sealed_schema(type)), None)

    assert source.read() == b""
    assert read["head"]["agency"] == "invented"
    assert {p: read[p] for p, c in LANGUAGE.shape(type).fields if c is not Category.ROUTING} == {
        f.path: f.value for f in record.fields if f.category is not Category.ROUTING
    }


def test_the_sealed_view_says_what_a_field_was_and_how_it_is_protected() -> None:
    fields = {
        f["name"]: f for f in LANGUAGE.sealed_schema("nrm.v1.DutyNotificationSubmitted")["fields"]
    }
    sealed_type, withheld = fields["statistics"]["type"]

    assert sealed_type["logicalType"] == "nrm-sealed"
    assert sealed_type["nrm.category"] == "STATISTICS"
    assert sealed_type["nrm.clear_type"]["name"] == "Statistics"
    assert withheld == "nrm.v1.Withheld"
    assert fields["reason_no_consent"]["type"][1]["size"] == 32
    assert fields["competent_authority"]["type"] == "string"


def test_the_rules_see_the_routing_fields_as_plain_values() -> None:
    document = example(GIVEN) | {
        "recipient": {"country": "RO"},
        "purposes": ["health_care", "legal_aid"],
    }

    event = LANGUAGE.event(sealed_record(GIVEN, document))

    assert isinstance(event, events.ConsentGiven)
    assert event.head == events.Head(
        event_id=UUID,
        case_id=UUID,
        agency="invented",
        occurred_at=1_714_730_400_000,
        policy="invented",
        legal_basis="invented",
    )
    assert event.recipient == events.Recipient(agency=None, kind=None, country="RO")
    assert event.purposes == ("health_care", "legal_aid")
    assert event.history_from == 1_714_730_400_000
    assert event.evidence == bytes(range(32))


def test_lists_of_parts_become_tuples_of_classes() -> None:
    opened = LANGUAGE.event(
        sealed_record("nrm.v1.KeyEpochOpened", example("nrm.v1.KeyEpochOpened"))
    )
    registered = LANGUAGE.event(
        sealed_record("nrm.v1.AgencyRegistered", example("nrm.v1.AgencyRegistered"))
    )

    assert isinstance(opened, events.KeyEpochOpened)
    assert opened.keys == (events.KeyCommitment(category=1, epoch=1, commitment=bytes(range(32))),)
    assert isinstance(registered, events.AgencyRegistered)
    assert registered.approvals == (events.Approval(registrar="invented", signature=b"invented"),)


@pytest.mark.parametrize("type", TYPES)
def test_every_event_can_be_hashed_and_compared(type: str) -> None:
    record = sealed_record(type, example(type))

    assert len({LANGUAGE.event(record), LANGUAGE.event(record)}) == 1


def test_both_versions_of_an_event_are_one_fact_to_the_rules() -> None:
    old, new = (f"nrm.v{v}.SafeContactSet" for v in (1, 2))

    assert LANGUAGE.event(sealed_record(old, example(old))) == LANGUAGE.event(
        sealed_record(new, example(new))
    )


def test_withheld_fields_do_not_change_what_the_rules_see() -> None:
    record = sealed_record(SENT, example(SENT))

    assert LANGUAGE.event(record.withhold(0)) == LANGUAGE.event(record)


HOSTILE = {
    "a varint longer than it needs to be": (SENT, "to", b"\x82\x00a", "NOT_CANONICAL"),
    "a negative length": (SENT, "to", b"\x01", "NOT_"),
    "a length beyond the end": (SENT, "to", _long(1 << 62), "NOT_AVRO"),
    "text that is not UTF-8": (SENT, "to", b"\x04\xff\xfe", "NOT_AVRO"),
    "a control character": (SENT, "to", _text("a\nb"), "CONTROL_CHARACTER"),
    "text that is shown backwards": (SENT, "to", _text("a\u202eb"), "CONTROL_CHARACTER"),
    "text over 4 KiB": (SENT, "to", _text("a" * 4097), "TEXT_TOO_LONG"),
    "characters over 4 KiB": (SENT, "to", _text("\u00e9" * 2049), "TEXT_TOO_LONG"),
    "a UUID in capitals": (SENT, "referral_id", _text(UUID.upper()), "NOT_A_UUID"),
    "a UUID without hyphens": (SENT, "referral_id", _text(UUID.replace("-", "")), "NOT_A_UUID"),
    "an instant no calendar has": (SENT, "answer_due_at", _long(1 << 60), "TIME_RANGE"),
    "a boolean of 2": ("nrm.v1.SignalReceived", "immediate_danger", b"\x02", "NOT_CANONICAL"),
    "a union branch below the first": (GIVEN, "referral_id", b"\x01" + _text(UUID), "NOT_"),
    "a union branch that does not exist": (GIVEN, "referral_id", b"\x06", "NOT_AVRO"),
    "a list in two blocks": (GIVEN, "purposes", b"\x02\x02a\x02\x02b\x00", "NOT_CANONICAL"),
    "a list with a size before it": (GIVEN, "purposes", b"\x01\x04\x02a\x00", "NOT_CANONICAL"),
    "a list of 257": (GIVEN, "purposes", _long(257) + b"\x00" * 257 + b"\x00", "TOO_MANY_ITEMS"),
    "a list of billions": (GIVEN, "purposes", _long(1 << 40) + b"\x00" * 99, "NOT_AVRO"),
    "an int of 40 bits": (
        "nrm.v1.KeyEpochOpened",
        "keys",
        b"\x02" + _long(1 << 40) + b"\x02" + bytes(32) + b"\x00",
        "INTEGER_RANGE",
    ),
    "a sealed value of 35 bytes": (SENT, "reason", b"\x00\x46" + sealed("x", 35), "BAD_SEALED"),
    "a sealed value of another kind": (SENT, "reason", b"\x00\x48" + bytes(36), "BAD_SEALED"),
    "a sealed length in too many bytes": (
        SENT,
        "reason",
        b"\x00\xc8\x80\x00" + sealed("x", 36),
        "BAD_SEALED",
    ),
    "a negative sealed length": (SENT, "reason", b"\x00\x01", "BAD_SEALED"),
    "a sealed length beyond the end": (SENT, "reason", b"\x00\xfe\x7f" + sealed("x"), "BAD_SEALED"),
    "half a digest": (SENT, "reason", b"\x02" + bytes(16), "BAD_SEALED"),
    "a third branch": (SENT, "reason", b"\x04" + bytes(32), "BAD_SEALED"),
    "a branch in two bytes": (SENT, "reason", b"\x82\x00" + bytes(32), "BAD_SEALED"),
    "nothing at all": (SENT, "reason", b"", "BAD_SEALED"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_body_is_refused_for(name: str) -> None:
    type, path, value, code = HOSTILE[name]

    with pytest.raises(Malformed) as refusal:
        LANGUAGE.record(type, with_field(type, path, value))

    assert refusal.value.code.startswith(code)


def test_bytes_behind_the_event_are_refused() -> None:
    with pytest.raises(Malformed, match="TRAILING_BYTES"):
        LANGUAGE.record(SENT, body_of(SENT) + b"\x00")


def test_a_body_over_a_mebibyte_is_refused_unread() -> None:
    with pytest.raises(Malformed, match="TOO_LARGE"):
        LANGUAGE.record(SENT, bytes((1 << 20) + 1))


def test_the_largest_sealed_value_that_fits_is_taken() -> None:
    record = sealed_record(SENT, example(SENT))
    room = (1 << 20) - len(LANGUAGE.body(record)) + len(record.fields[-1].value) - 2

    full = _with_last(record, sealed("x", room))

    assert len(LANGUAGE.body(full)) == 1 << 20
    assert LANGUAGE.record(SENT, LANGUAGE.body(full)) == full
    with pytest.raises(Malformed, match="TOO_LARGE"):
        LANGUAGE.body(_with_last(record, sealed("x", room + 1)))


def _with_last(record: Record, value: bytes) -> Record:
    return replace(record, fields=(*record.fields[:-1], record.fields[-1]._replace(value=value)))


def test_a_record_of_other_fields_has_no_body_and_no_event() -> None:
    record = sealed_record(SENT, example(SENT))
    for fields in (record.fields[:-1], record.fields[::-1]):
        for use in (LANGUAGE.body, LANGUAGE.event):
            with pytest.raises(Malformed, match="WRONG_FIELDS"):
                use(replace(record, fields=fields))


def test_a_record_with_a_clear_value_in_a_sealed_field_has_no_body() -> None:
    record = Record(SENT, LANGUAGE.clear(SENT, example(SENT)))

    with pytest.raises(Malformed, match="BAD_SEALED"):
        LANGUAGE.body(record)
