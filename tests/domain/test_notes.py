"""Signed notes and verifier keys against the public examples and the rules of C2SP signed-note."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Malformed
from domain.trail.notes import (
    MAX_SIGNATURES,
    MAX_SIZE,
    Algorithm,
    Note,
    Signature,
    VerifierKey,
    from_base64,
    is_key_name,
    to_base64,
)
from tests.vectors import load

VECTORS = load("notes")
PETER, ENOCH = VECTORS["peter_neumann"], VECTORS["enoch_root"]
PETER_KEY, ENOCH_KEY = VerifierKey.parse(PETER["vkey"]), VerifierKey.parse(ENOCH["vkey"])
TEXT, PETER_LINE, ENOCH_LINE = PETER["text"], PETER["line"], ENOCH["line"]

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(is_key_name)
lines = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=20)
texts = st.lists(lines, min_size=1, max_size=4).map(lambda parts: "\n".join(parts) + "\n")
signatures = st.builds(
    Signature,
    names.filter(lambda name: not any(ord(c) < 32 for c in name)),
    st.binary(min_size=4, max_size=4),
    st.binary(min_size=1, max_size=80),
)


def decoded(note: str) -> Note:
    return Note.decode(note.encode())


def test_a_note_is_its_text_and_its_signatures() -> None:
    note = decoded(TEXT + "\n" + PETER_LINE + ENOCH_LINE)
    assert note.text == TEXT
    assert [s.name for s in note.signatures] == ["PeterNeumann", "EnochRoot"]
    assert [s.line for s in note.signatures] == [PETER_LINE, ENOCH_LINE]


def test_signatures_are_found_by_name_and_id_together() -> None:
    note = decoded(TEXT + "\n" + PETER_LINE + ENOCH_LINE)
    namesake = ENOCH_KEY._replace(name="PeterNeumann")
    assert [key for key, _ in note.signed_by([ENOCH_KEY, namesake])] == [ENOCH_KEY]
    assert [key for key, _ in note.signed_by([ENOCH_KEY, PETER_KEY])] == [PETER_KEY, ENOCH_KEY]
    assert note.signed_by([]) == []


def test_a_known_key_signs_once_and_an_unknown_one_as_often_as_it_likes() -> None:
    note = decoded(TEXT + "\n" + PETER_LINE + ENOCH_LINE + ENOCH_LINE)
    assert len(note.signed_by([PETER_KEY])) == 1
    with pytest.raises(Malformed, match="twice"):
        note.signed_by([PETER_KEY, ENOCH_KEY])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty line"),
        (TEXT.encode(), "empty line"),
        (f"{TEXT}\n".encode(), "empty line"),
        (f"{TEXT}\n{PETER_LINE[:-1]}".encode(), "empty line"),
        (f"{TEXT}\n{PETER_LINE}\n".encode(), "empty line"),
        (f"{TEXT}{PETER_LINE}".encode(), "empty line"),
        (f"\x01{TEXT}\n{PETER_LINE}".encode(), "control"),
        (f"{TEXT}\n{PETER_LINE}".replace("\n", "\r\n").encode(), "control"),
        (f"{TEXT}\t\n\n{PETER_LINE}".encode(), "control"),
        (b"\xff" + f"{TEXT}\n{PETER_LINE}".encode(), "UTF-8"),
        (b"\xed\xa0\x80" + f"{TEXT}\n{PETER_LINE}".encode(), "UTF-8"),
        (f"{TEXT}\n{PETER_LINE}Unexpected line.\n".encode(), "em dash"),
        (f"{TEXT}\n-{PETER_LINE[1:]}".encode(), "em dash"),
        (f"{TEXT}\n— Bad Name x08go/ZJkuBS9UG=\n".encode(), "base64"),
        (f"{TEXT}\n— Bad+Name x08go/ZJ\n".encode(), "plus"),
        (f"{TEXT}\n— Bad\u00a0Name x08go/ZJ\n".encode(), "spaces"),
        (f"{TEXT}\n—  x08go/ZJ\n".encode(), "empty"),
        (f"{TEXT}\n— name\n".encode(), "shorter"),
        (f"{TEXT}\n— name AAAAAA==\n".encode(), "shorter"),
        (f"{TEXT}\n— name AAAAAAE\n".encode(), "base64"),
        (f"{TEXT}\n— name AAAAAAF=\n".encode(), "base64"),
        (f"{TEXT}\n— name AAAA_AE=\n".encode(), "base64"),
        (f"{TEXT}\n— name  AAAAAAE=\n".encode(), "base64"),
        (f"{TEXT}\n— name AAAAAAE= \n".encode(), "base64"),
        (f"{TEXT}\n— name AAAAAAE=é\n".encode(), "base64"),
        (f"{TEXT}\n{PETER_LINE * (MAX_SIGNATURES + 1)}".encode(), "more than"),
        (f"{TEXT * (MAX_SIZE // len(TEXT))}\n{PETER_LINE}".encode(), "larger"),
    ],
)
def test_what_is_no_note_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why) as refusal:
        Note.decode(data)
    assert refusal.value.code == "NOTE"


@given(texts, st.lists(signatures, min_size=1, max_size=5))
def test_a_note_reads_as_it_was_written(text: str, signed: list[Signature]) -> None:
    note = Note(text, tuple(signed))
    assert Note.decode(note.encode()) == note


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        note = Note.decode(b"text\n\n\xe2\x80\x94 " + data)
    except Malformed:
        return
    assert note.encode() == b"text\n\n\xe2\x80\x94 " + data


def test_keys_read_as_they_were_written() -> None:
    for vkey in (PETER["vkey"], ENOCH["vkey"], VECTORS["c2sp"]["vkey"]):
        assert VerifierKey.parse(vkey).text == vkey


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+c74f20a3",
        PETER["vkey"] + "\n",
        PETER["vkey"][:-4],
        PETER["vkey"].replace("Peter", "Petra"),
        PETER["vkey"].replace("c74f20a3", "C74F20A3"),
        PETER["vkey"].replace("c74f20a3", "c74f20a"),
        PETER["vkey"].replace("+ARpc", "+AhpC"),
        PETER["vkey"].replace("+ARpc", "+BBpc"),
        PETER["vkey"].replace("PeterNeumann", ""),
        PETER["vkey"].replace("PeterNeumann", "Peter Neumann"),
        PETER["vkey"].replace("PeterNeumann", "\udcff"),
        "name+00000000+",
        "name+00000000+" + to_base64(b"\x06" + bytes(32)),
    ],
)
def test_what_is_no_verifier_key_is_refused(vkey: str) -> None:
    with pytest.raises(Malformed) as refusal:
        VerifierKey.parse(vkey)
    assert refusal.value.code == "VKEY"


@given(names, st.sampled_from([Algorithm.ED25519, Algorithm.ED25519_COSIGNATURE]), st.data())
def test_one_public_key_has_another_id_for_each_use(
    name: str, algorithm: Algorithm, data: st.DataObject
) -> None:
    public_key = data.draw(st.binary(min_size=32, max_size=32))
    key = VerifierKey(name, algorithm, public_key)
    assert VerifierKey.parse(key.text) == key
    assert len({VerifierKey(name, used, public_key).id for used in Algorithm}) == len(Algorithm)


@given(st.binary(max_size=50))
def test_base64_has_one_form(data: bytes) -> None:
    assert from_base64(to_base64(data)) == data
    for other in (to_base64(data) + "=", to_base64(data) + "\n", " " + to_base64(data)):
        with pytest.raises(ValueError):  # noqa: PT011
            from_base64(other)
