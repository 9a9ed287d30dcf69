"""The statement and the field digests under it against their vectors."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Malformed
from domain.record import Field, Record, field_digest
from domain.trail.statement import (
    SIZE,
    Statement,
    actor_id,
    digest,
    signed_bytes,
    stream_tag,
)
from domain.vocabulary import Category
from tests.vectors import load

VECTOR = load("statement")
ENCODED = bytes.fromhex(VECTOR["encoded"])
FACTS: dict[str, Any] = {
    name: bytes.fromhex(value) if isinstance(value, str) else value
    for name, value in VECTOR["statement"].items()
}
PUBLISHED = Statement(**FACTS)

hashes = st.binary(min_size=32, max_size=32)
u8, u16, u64 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 64))
statements = st.builds(
    Statement,
    kind=u8,
    type=u16,
    stream=hashes,
    after=hashes,
    actor=hashes,
    actor_seq=u64,
    actor_prev=hashes,
    actor_time_ms=u64,
    schema=hashes,
    field_count=u16,
    fields=hashes,
    payload=hashes,
    seen_size=u64,
    seen_root=hashes,
)


def test_a_statement_has_the_published_bytes() -> None:
    assert PUBLISHED.encode() == ENCODED
    assert len(ENCODED) == SIZE == 286
    assert digest(ENCODED).hex() == VECTOR["digest"]
    assert signed_bytes(ENCODED).hex() == VECTOR["signed_bytes"]


def test_stream_and_actor_have_the_published_names() -> None:
    assert stream_tag(VECTOR["case_id"]) == PUBLISHED.stream
    assert actor_id(bytes.fromhex(VECTOR["public_key"])) == PUBLISHED.actor


@given(statements)
def test_a_statement_is_read_back_from_its_bytes(statement: Statement) -> None:
    assert Statement.decode(statement.encode()) == statement


@given(statements, statements)
def test_two_statements_never_share_bytes(one: Statement, other: Statement) -> None:
    assert (one == other) == (one.encode() == other.encode())


@pytest.mark.parametrize("name", Statement._fields)
def test_every_field_of_a_statement_is_in_its_bytes(name: str) -> None:
    changed = bytes(32) if isinstance(FACTS[name], bytes) else FACTS[name] + 1
    assert Statement(**FACTS | {name: changed}).encode() != ENCODED


@pytest.mark.parametrize("data", [b"", ENCODED[:-1], ENCODED + b"\x00"])
def test_a_statement_of_another_size_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        Statement.decode(data)
    assert refusal.value.code == "STATEMENT_SIZE"


def test_a_statement_of_an_unknown_version_is_refused() -> None:
    with pytest.raises(Malformed) as refusal:
        Statement.decode(b"\x02" + ENCODED[1:])
    assert refusal.value.code == "STATEMENT_VERSION"


def published_record() -> Record:
    categories = (Category.ROUTING, Category.IDENTITY, Category.CASEWORK)
    return Record(
        "nrm.v1.Example",
        tuple(
            Field(f["path"], c, bytes.fromhex(f["value"]))
            for f, c in zip(load("fields_root")["fields"], categories, strict=True)
        ),
    )


def test_field_digests_and_their_root_have_the_published_bytes() -> None:
    vector = load("fields_root")
    for field in vector["fields"]:
        made = field_digest(field["path"], bytes.fromhex(field["value"]))
        assert made.hex() == field["digest"]
    assert published_record().fields_root.hex() == vector["root"]


def test_withholding_fields_leaves_the_root_as_signed() -> None:
    record = published_record()
    shown = record.withhold(Category.CASEWORK.bit)
    assert [f.withheld for f in shown.fields] == [False, True, False]
    assert shown.fields_root == record.fields_root


@pytest.mark.parametrize("name", ["stream", "after", "actor_prev", "payload", "seen_root"])
@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_statement_holds_digests_of_their_size_alone(name: str, size: int) -> None:
    with pytest.raises(Malformed, match="STATEMENT_SIZE"):
        PUBLISHED._replace(**{name: bytes(size)}).encode()  # type: ignore[arg-type] # by name
