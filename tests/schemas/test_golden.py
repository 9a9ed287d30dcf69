"""A record of every schema ever released is read today, and means what it meant."""

import json
from base64 import b64decode
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader

from domain.sealing import parse_header
from domain.vocabulary import Category
from schemas.released import TRANSPORT, Released, lock
from tests.schemas import golden
from tests.schemas.builders import LANGUAGE

EVENTS = [entry for entry in lock() if entry.number < TRANSPORT]
NAMES = [entry.name for entry in EVENTS]


def wire(name: str) -> Any:
    """Return the schema that a client gets for `name`, parsed without logical types' classes."""
    view = next(p.schema for p in LANGUAGE.published() if p.subject == name)
    return parse_schema(_plain(json.loads(view)))


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items() if key != "logicalType"}
    return [_plain(item) for item in node] if isinstance(node, list) else node


def test_every_released_schema_has_a_golden_record_and_nothing_else_has() -> None:
    assert {f.stem for f in golden.FOLDER.iterdir()} == {entry.name for entry in lock()}


@pytest.mark.parametrize("entry", lock(), ids=lambda entry: entry.name)
def test_number_and_fingerprint_are_those_under_which_it_was_released(entry: Released) -> None:
    kept = golden.read(entry.name)

    assert (kept["type"], kept["number"], kept["seal_fp"]) == (
        entry.name,
        entry.number,
        entry.seal_fp,
    )


@pytest.mark.parametrize("entry", lock(), ids=lambda entry: entry.name)
def test_any_avro_library_reads_it_with_the_schema_that_is_published(entry: Released) -> None:
    kept = golden.read(entry.name)
    source = BytesIO(b64decode(kept["body"]))

    read = schemaless_reader(source, wire(entry.name), None)

    assert source.read() == b""
    assert golden.jsonable(read) == kept["values"]


@pytest.mark.parametrize("name", NAMES)
def test_our_own_reader_finds_every_field_and_writes_the_same_bytes(name: str) -> None:
    kept = golden.read(name)
    body = b64decode(kept["body"])

    record = LANGUAGE.record(name, body)

    assert LANGUAGE.body(record) == body
    for field in record.fields:
        if field.category is not Category.ROUTING:
            assert field.value == b64decode(kept["values"][field.path])
            assert parse_header(field.value).category is field.category


@pytest.mark.parametrize("name", NAMES)
def test_the_rules_read_it(name: str) -> None:
    kept = golden.read(name)

    event = LANGUAGE.event(LANGUAGE.record(name, b64decode(kept["body"])))

    assert event.head.event_id == kept["values"]["head"]["event_id"]
    assert type(event).__name__ == name.rpartition(".")[2]


@pytest.mark.parametrize("name", NAMES)
def test_with_every_field_withheld_it_is_the_same_record_to_whoever_checks_it(name: str) -> None:
    kept = golden.read(name)
    record = LANGUAGE.record(name, b64decode(kept["body"]))

    withheld = LANGUAGE.record(name, b64decode(kept["withheld"]))

    assert withheld == record.withhold(0)
    assert withheld.fields_root == record.fields_root
    assert LANGUAGE.event(withheld) == LANGUAGE.event(record)
    source = BytesIO(b64decode(kept["withheld"]))
    read: Any = schemaless_reader(source, wire(name), None)
    assert source.read() == b""
    assert all(
        read[field.path] == field.value
        for field in withheld.fields
        if field.category is not Category.ROUTING
    )


@pytest.mark.parametrize("name", NAMES)
def test_opened_it_is_a_document_of_the_newest_version(name: str) -> None:
    kept = golden.read(name)
    clear = {path: b64decode(data) for path, data in kept["clear"].items()}

    document = LANGUAGE.opened(name, clear)

    assert document == kept["document"]
    newest = LANGUAGE.newest(name.rpartition(".")[2])
    assert [f.path for f in LANGUAGE.clear(newest, document)] == [
        path for path, _ in LANGUAGE.shape(newest).fields
    ]
