"""Entries and EPOCHs: one encoding each, and a clear word about everything else."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Malformed
from domain.trail.entry import Entry, Epoch, read
from domain.trail.merkle import leaf
from domain.trail.statement import Kind, Statement, disclosure_stream, reader_id, stream_tag
from tests.spec import refusal_of
from tests.vectors import load

VECTOR = load("trail")
ACCEPTED = bytes.fromhex(VECTOR["entries"][0]["entry"])
REFUSED = bytes.fromhex(next(e["entry"] for e in VECTOR["entries"] if e.get("code")))
EPOCH = bytes.fromhex(next(e["entry"] for e in VECTOR["entries"] if e["kind"] == Kind.EPOCH))

u64 = st.integers(0, 2**64 - 1)
hashes = st.binary(min_size=32, max_size=32)
epochs = st.builds(Epoch, u64, u64, hashes, u64)
entries = st.builds(
    Entry,
    st.builds(
        lambda kind, body: bytes((1, kind)) + body,
        st.sampled_from([k for k in Kind if k is not Kind.EPOCH]),
        st.binary(min_size=284, max_size=284),
    ),
    u64,
    hashes,
    u64,
    st.binary(min_size=64, max_size=64),
    code=st.text("ABCXYZ0189_", max_size=40),
    alg=st.just(1),
)


@given(entries | epochs)
def test_a_leaf_is_read_back_from_its_bytes(made: Entry | Epoch) -> None:
    assert read(made.encode()) == made


@given(st.binary(max_size=500) | st.binary(max_size=40).map(lambda b: ACCEPTED[:330] + b))
def test_whatever_is_read_has_no_other_encoding(data: bytes) -> None:
    with suppress(Malformed):
        assert read(data).encode() == data


def test_leaves_have_the_published_bytes() -> None:
    for vector in VECTOR["entries"]:
        data = bytes.fromhex(vector["entry"])
        found = read(data)
        assert leaf(data).hex() == vector["leaf"]
        if isinstance(found, Entry):
            assert Statement.decode(found.statement).kind == vector["kind"]
            assert found.code == vector.get("code", "")
    assert (len(ACCEPTED), len(EPOCH)) == (402, 60)


def test_streams_and_readers_have_the_published_names() -> None:
    assert disclosure_stream(VECTOR["case_id"]).hex() == VECTOR["disclosure_stream"]
    assert stream_tag(VECTOR["case_id"]).hex() == VECTOR["stream"]
    assert reader_id(bytes.fromhex(VECTOR["reader"]["public"])).hex() == VECTOR["reader"]["id"]


def changed(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + bytes((value,)) + data[at + 1 :]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "it ends after 0 bytes"),
        (ACCEPTED[:337], "it ends after 337 bytes"),
        (ACCEPTED[:401], "its size is not that of its parts"),
        (ACCEPTED + b"\0", "its size is not that of its parts"),
        (REFUSED[:-1], "its size is not that of its parts"),
        (changed(ACCEPTED, 0, 2), "version 2 is unknown"),
        (changed(ACCEPTED, 1, 9), "kind 9 is none of an entry"),
        (changed(ACCEPTED, 334, 2), "signature algorithm 2 is unknown"),
        (changed(ACCEPTED, 336, 63), "a signature of algorithm 1 is 64 bytes, not 63"),
        (changed(REFUSED, len(REFUSED) - 1, 0xC3), "a reason code is"),
        (changed(REFUSED, len(REFUSED) - 1, 0x1B), "a reason code is"),
        (changed(ACCEPTED, 1, Kind.EPOCH), "an EPOCH is 60 bytes, not 402"),
        (EPOCH[:-1], "an EPOCH is 60 bytes, not 59"),
        (EPOCH + b"\0", "an EPOCH is 60 bytes, not 61"),
        (changed(EPOCH, 0, 2), "an EPOCH begins with"),
        (changed(EPOCH, 3, 1), "an EPOCH begins with"),
    ],
)
def test_a_leaf_that_is_none_is_refused_with_what_is_wrong(data: bytes, what: str) -> None:
    code, message = refusal_of(lambda: read(data))
    assert code == "ENTRY"
    assert what in message


@pytest.mark.parametrize(
    "made",
    [
        Entry(ACCEPTED[:285], 0, bytes(32), 0, bytes(64)),
        Entry(ACCEPTED[:286], 0, bytes(31), 0, bytes(64)),
        Entry(ACCEPTED[:286], 0, bytes(32), 0, bytes(63)),
        Entry(ACCEPTED[:286], 0, bytes(32), 0, bytes(64), "consent withdrawn"),
        Entry(ACCEPTED[:286], 0, bytes(32), 0, bytes(64), "A" * 256),
        Entry(EPOCH[:2] + ACCEPTED[2:286], 0, bytes(32), 0, bytes(64)),
        Epoch(0, 0, bytes(31), 0),
    ],
)
def test_what_could_not_be_read_back_is_not_written(made: Entry | Epoch) -> None:
    assert refusal_of(made.encode)[0] == "ENTRY"
