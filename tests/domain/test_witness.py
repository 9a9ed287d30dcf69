"""The body of add-checkpoint (C2SP tlog-witness)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Malformed
from domain.witness import MAX_PROOF, AddCheckpoint

HASH = b"\x01" * 32
LINE = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
NOTE = "log\n1\nroot\n\n— log sig\n"

requests = st.builds(
    AddCheckpoint,
    st.integers(0, (1 << 63) - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=MAX_PROOF).map(tuple),
    st.binary(max_size=300),
)


def test_it_is_a_size_the_proof_an_empty_line_and_the_checkpoint() -> None:
    asked = AddCheckpoint(7, (HASH, HASH), NOTE.encode())
    assert asked.encode().decode() == "old 7\n" + LINE + LINE + "\n" + NOTE
    assert AddCheckpoint.decode(asked.encode()) == asked


@given(requests)
def test_what_was_written_is_read_again(asked: AddCheckpoint) -> None:
    assert AddCheckpoint.decode(asked.encode()) == asked


@given(st.binary(max_size=200))
def test_of_any_bytes_none_is_more_than_malformed(body: bytes) -> None:
    try:
        asked = AddCheckpoint.decode(b"old " + body)
    except Malformed as e:
        assert e.code == "WITNESS_REQUEST"  # noqa: PT017 - most bytes are no request
    else:
        assert asked.encode() == b"old " + body


@pytest.mark.parametrize(
    "head",
    [
        "",
        "old\n",
        "old \n",
        "old -1\n",
        "old 01\n",
        "old +1\n",
        "old 1 \n",
        "old \N{ARABIC-INDIC DIGIT ONE}\n",
        "Old 1\n",
        " old 1\n",
        "size 1\n",
        "old 9223372036854775808\n",
        "old 1\r\n",
        "old 1\nAQ==\n",
        "old 1\n" + LINE.strip("=\n") + "\n",
        "old 1\n" + LINE.replace("\n", " \n"),
        "old 1\n!" + LINE[1:],
        "old 1\n" + LINE * (MAX_PROOF + 1),
    ],
)
def test_what_is_no_request_is_refused(head: str) -> None:
    with pytest.raises(Malformed, match="WITNESS_REQUEST"):
        AddCheckpoint.decode(f"{head}\n{NOTE}".encode())


def test_it_does_not_end_before_the_checkpoint() -> None:
    with pytest.raises(Malformed, match="WITNESS_REQUEST"):
        AddCheckpoint.decode(b"old 1\n" + LINE.encode())
