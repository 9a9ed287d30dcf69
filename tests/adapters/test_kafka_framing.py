"""Records of the log, to Kafka's form and back; foreign bytes are `Malformed` and nothing else."""

import json
from dataclasses import replace
from io import BytesIO
from typing import Any, cast
from uuid import UUID

import pytest
from fastavro import schemaless_reader
from hypothesis import given
from hypothesis import strategies as st

from adapters.kafka.framing import LOG_HEADERS, MOST, LogFraming, frame, unframe
from adapters.kafka.names import Names
from adapters.kafka.refusals import NUMBER, TYPE, RefusalFraming
from domain.errors import Malformed
from domain.ports import Recorded, Refusal
from domain.trail import statement
from schemas.catalogue import package
from schemas.language import AvroLanguage
from tests.contracts.making import recorded, refusal

LANGUAGE = AvroLanguage()
LOG = LogFraming(LANGUAGE, Names("nrm:gb"))
REFUSALS = RefusalFraming(Names("nrm:gb"))
EVENT = recorded("event 1", position=7, custody_seq=3, recorded_ms=1_700_000_000_123)
REFUSAL = refusal("refused", number=4, recorded_ms=1_700_000_000_456)

ids = st.uuids().map(str)
numbers = st.integers(1, MOST)
signed = {
    "statement": st.binary(min_size=statement.SIZE, max_size=statement.SIZE),
    "signature": st.binary(min_size=64, max_size=64),
    "recorded_ms": st.integers(0, MOST),
}
events = st.builds(
    Recorded,
    position=numbers,
    event_id=ids,
    case_id=ids,
    version=numbers,
    type=st.sampled_from(LANGUAGE.types()),
    body=st.binary(max_size=200),
    custody_seq=st.none() | numbers,
    **signed,
)
refusals = st.builds(
    Refusal, event_id=ids, code=st.text(max_size=40), number=numbers, **cast("Any", signed)
)
header_values = st.none() | st.binary(max_size=400)
headers = st.lists(st.tuples(st.sampled_from(LOG_HEADERS) | st.text(max_size=20), header_values))
pieces = st.none() | st.binary(max_size=40)


@given(events)
def test_an_event_comes_back_as_it_was(event: Recorded) -> None:
    assert LOG.decode(*LOG.encode(event)) == event


@given(refusals)
def test_a_refusal_comes_back_as_it_was(refused: Refusal) -> None:
    assert REFUSALS.decode(*REFUSALS.encode(refused)) == refused


@given(pieces, pieces, headers, st.integers())
def test_hostile_bytes_are_malformed_and_nothing_else(
    key: bytes | None, value: bytes | None, found: list[tuple[str, bytes | None]], at: int
) -> None:
    for framing in (LOG, REFUSALS):
        with pytest.raises(Malformed):
            framing.decode(key, value, found, at)


@given(st.data())
def test_a_record_with_one_part_damaged_is_malformed_or_another_whole_record(
    data: st.DataObject,
) -> None:
    """Whatever is taken is written again just as it stood."""
    framing: Any
    framing, whole = data.draw(st.sampled_from([(LOG, EVENT), (REFUSALS, REFUSAL)]))
    key, value, found, at = framing.encode(whole)
    parts = [key, value, *(v for _, v in found)]
    which = data.draw(st.integers(0, len(parts) - 1))
    part = bytearray(parts[which])
    place = data.draw(st.integers(0, len(part) - 1))
    part[place] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, 3))
    parts[which] = bytes(part[: len(part) - cut])
    damaged = parts[0], parts[1], [(n, v) for (n, _), v in zip(found, parts[2:], strict=True)], at
    try:
        taken = framing.decode(*damaged)
    except Malformed:
        return
    assert framing.encode(taken) == damaged


def test_the_record_is_laid_out_as_the_published_format_says() -> None:
    key, value, found, at = LOG.encode(EVENT)
    number = LANGUAGE.shape(EVENT.type).number
    entry = (
        EVENT.version.to_bytes(8, "big")
        + (3).to_bytes(8, "big")
        + at.to_bytes(8, "big")
        + EVENT.signature
        + EVENT.statement
    )
    assert at == 1_700_000_000_123
    assert key == EVENT.case_id.encode()
    assert value == b"\x00" + number.to_bytes(4, "big") + EVENT.body
    assert found == [
        ("ce_specversion", b"1.0"),
        ("ce_id", EVENT.event_id.encode()),
        ("ce_source", b"nrm:gb"),
        ("ce_type", EVENT.type.encode()),
        ("ce_sequence", b"7"),
        ("content-type", b"application/avro"),
        ("nrm_entry", entry),
    ]


def test_any_avro_client_reads_a_refusal_with_the_published_schema() -> None:
    schema = json.loads((package() / "transport" / f"{TYPE}.avsc").read_text("utf-8"))
    number, body = unframe(REFUSALS.encode(REFUSAL).value)
    read = cast("Any", schemaless_reader(BytesIO(body), schema, None))
    assert (number, read["event_id"], read["code"]) == (
        NUMBER,
        UUID(REFUSAL.event_id),
        REFUSAL.code,
    )


def changed(name: str, value: bytes | None) -> list[tuple[str, bytes | None]]:
    return [(n, value if n == name else v) for n, v in LOG.encode(EVENT).headers]


GOOD = LOG.encode(EVENT)
OTHER_NUMBER = next(LANGUAGE.shape(t).number for t in LANGUAGE.types() if t != EVENT.type)
BAD: dict[str, tuple[str, dict[str, Any]]] = {
    "no value": ("RECORD_FRAMING", {"value": None}),
    "a short value": ("RECORD_FRAMING", {"value": b"\x00\x00\x00\x00"}),
    "another magic byte": ("RECORD_FRAMING", {"value": b"\x01" + GOOD.value[1:]}),
    "an unknown schema number": ("RECORD_SCHEMA", {"value": frame(999_999, EVENT.body)}),
    "the number of another type": ("RECORD_SCHEMA", {"value": frame(OTHER_NUMBER, EVENT.body)}),
    "no key": ("RECORD_KEY", {"key": None}),
    "a key that is no case id": ("RECORD_KEY", {"key": b"case 1"}),
    "a key in capitals": ("RECORD_KEY", {"key": GOOD.key.upper()}),
    "another time": ("RECORD_ENTRY", {"timestamp_ms": GOOD.timestamp_ms + 1}),
    "no headers": ("RECORD_HEADERS", {"headers": []}),
    "a header twice": ("RECORD_HEADERS", {"headers": [*GOOD.headers, GOOD.headers[1]]}),
    "a header missing": ("RECORD_HEADERS", {"headers": GOOD.headers[:-1]}),
    "a header nobody knows": ("RECORD_HEADERS", {"headers": [*GOOD.headers, ("odd", b"")]}),
    "another order": ("RECORD_HEADERS", {"headers": GOOD.headers[::-1]}),
    "another hub": ("RECORD_HEADERS", {"headers": changed("ce_source", b"nrm:fr")}),
    "another version of CloudEvents": (
        "RECORD_HEADERS",
        {"headers": changed("ce_specversion", b"2")},
    ),
    "another content type": ("RECORD_HEADERS", {"headers": changed("content-type", b"text/plain")}),
    "an id that is none": ("RECORD_HEADERS", {"headers": changed("ce_id", b"1")}),
    "no id": ("RECORD_HEADERS", {"headers": changed("ce_id", None)}),
    "position 0": ("RECORD_HEADERS", {"headers": changed("ce_sequence", b"0")}),
    "a position with a leading zero": (
        "RECORD_HEADERS",
        {"headers": changed("ce_sequence", b"07")},
    ),
    "a position below 0": ("RECORD_HEADERS", {"headers": changed("ce_sequence", b"-7")}),
    "a position too large": ("RECORD_HEADERS", {"headers": changed("ce_sequence", b"9" * 19)}),
    "no position": ("RECORD_HEADERS", {"headers": changed("ce_sequence", None)}),
    "another type": ("RECORD_SCHEMA", {"headers": changed("ce_type", b"nrm.v1.ConsentGiven")}),
    "no side row": ("RECORD_ENTRY", {"headers": changed("nrm_entry", None)}),
    "a short side row": ("RECORD_ENTRY", {"headers": changed("nrm_entry", bytes(373))}),
    "version 0": ("RECORD_ENTRY", {"headers": changed("nrm_entry", bytes(374)), "timestamp_ms": 0}),
}


@pytest.mark.parametrize("case", BAD)
def test_a_record_is_refused_with_the_code_of_what_is_wrong(case: str) -> None:
    code, changes = BAD[case]
    with pytest.raises(Malformed) as refused:
        LOG.decode(**{**GOOD._asdict(), **changes})
    assert refused.value.code == code


def test_an_event_that_cannot_be_laid_out_is_refused_and_not_cut() -> None:
    for event, code in (
        (replace(EVENT, signature=b"short"), "RECORD_ENTRY"),
        (replace(EVENT, statement=EVENT.statement + b"x"), "RECORD_ENTRY"),
        (replace(EVENT, type="nrm.v1.NeverHeardOf"), "UNKNOWN_EVENT"),
    ):
        with pytest.raises(Malformed) as refused:
            LOG.encode(event)
        assert refused.value.code == code


def test_a_refusal_under_the_id_of_another_action_is_refused() -> None:
    _, value, found, at = REFUSALS.encode(REFUSAL)
    with pytest.raises(Malformed) as refused:
        REFUSALS.decode(
            EVENT.event_id.encode(),
            value,
            [(n, EVENT.event_id.encode() if n == "ce_id" else v) for n, v in found],
            at,
        )
    assert refused.value.code == "RECORD_KEY"
