"""The leak search finds a planted token in every form, wherever it stands, and nothing else."""

import base64
import json
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random
from urllib.parse import quote_from_bytes

import pytest

from services.demo.leaks import count_leaks, find_leaks
from services.demo.people import TOKENS

CHUNK = 512
UNREADABLE = Path("/proc/self/mem")
"""A file to everybody, whose first byte nobody can read."""
NOISE = Random(5).randbytes(8_192)  # noqa: S311 - filler


def percent(data: bytes) -> bytes:
    return "".join(f"%{byte:02X}" for byte in data).encode()


FORMS: dict[str, Callable[[str], bytes]] = {
    "utf-8": str.encode,
    "utf-16-le": lambda t: t.encode("utf-16-le"),
    "utf-16-be": lambda t: t.encode("utf-16-be"),
    "base64": lambda t: base64.b64encode(t.encode()),
    "base64 after one byte": lambda t: base64.b64encode(b"a" + t.encode()),
    "base64 after two bytes": lambda t: base64.b64encode(b"ab" + t.encode() + b"!"),
    "base64 url-safe": lambda t: base64.urlsafe_b64encode(t.encode() + b"?"),
    "base64 url-safe after one byte": lambda t: base64.urlsafe_b64encode(b"~" + t.encode()),
    "base64 url-safe after two bytes": lambda t: base64.urlsafe_b64encode(b"~~" + t.encode()),
    "hex": lambda t: t.encode().hex().encode(),
    "HEX": lambda t: t.encode().hex().upper().encode(),
    "json": lambda t: json.dumps({"name": t}).encode(),
    "JSON": lambda t: "".join(f"\\u{ord(c):04X}" for c in t).encode(),
    "json of every letter": lambda t: "".join(f"\\u{ord(c):04x}" for c in t).encode(),
    "percent": lambda t: percent(t.encode()),
    "percent in lower case": lambda t: percent(t.encode()).lower(),
    "percent as in addresses": lambda t: quote_from_bytes(t.encode()).encode(),
    "a document in a document": lambda t: base64.b64encode(
        json.dumps([t], ensure_ascii=False).encode()
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("token", TOKENS, ids=["latin", "arabic", "cyrillic"])
def test_a_token_is_found_once_at_any_place_of_a_chunk(
    tmp_path: Path, token: str, form: str
) -> None:
    planted = FORMS[form](token)
    for at in range(CHUNK - len(planted) - 2, CHUNK + 3):
        file = tmp_path / "some.log"
        file.write_bytes(NOISE[:at] + planted + NOISE[at : 3 * CHUNK])
        found = list(find_leaks([tmp_path], chunk=CHUNK))
        assert [leak.path for leak in found] == [file], at


@pytest.mark.parametrize("token", TOKENS, ids=["latin", "arabic", "cyrillic"])
def test_the_place_of_a_token_is_told(tmp_path: Path, token: str) -> None:
    for at in (0, 1, CHUNK - 1, CHUNK, 2 * CHUNK + 7):
        (tmp_path / "some.log").write_bytes(NOISE[:at] + token.encode())
        assert [leak.at for leak in find_leaks([tmp_path], chunk=CHUNK)] == [at]


def test_a_file_shorter_than_a_token_holds_none(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"ab")
    (tmp_path / "empty").write_bytes(b"")
    assert count_leaks([tmp_path]) == 0


def test_a_clean_tree_is_clean(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "noise").write_bytes(NOISE)
    (tmp_path / "deep" / "half").write_text(TOKENS[1][:-1] + TOKENS[2][1:], "utf-8")
    assert count_leaks([tmp_path]) == 0


def test_every_occurrence_counts(tmp_path: Path) -> None:
    (tmp_path / "one").write_text(TOKENS[0] + TOKENS[1] + TOKENS[0], "utf-8")
    (tmp_path / "two").write_bytes(TOKENS[2].encode() * 3)
    assert count_leaks([tmp_path]) == 6
    assert count_leaks([tmp_path / "two"]) == 3


def test_a_name_of_a_file_or_folder_is_read_too(tmp_path: Path) -> None:
    (tmp_path / TOKENS[1]).mkdir()
    (tmp_path / TOKENS[1] / "clean").write_bytes(b"nothing")
    assert [leak.at for leak in find_leaks([tmp_path])] == [-1]


def test_a_finding_never_repeats_what_it_found(tmp_path: Path) -> None:
    (tmp_path / "one").write_text(f"before {TOKENS[0]} behind", "utf-8")
    assert TOKENS[0] not in repr(list(find_leaks([tmp_path])))


@pytest.mark.parametrize("token", TOKENS, ids=["latin", "arabic", "cyrillic"])
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_a_value_in_a_database_is_found(tmp_path: Path, token: str, encoding: str) -> None:
    with sqlite3.connect(tmp_path / "hub.db") as db:
        db.execute(f"PRAGMA encoding = '{encoding}'")
        db.execute("CREATE TABLE events (body TEXT)")
        db.execute("INSERT INTO events VALUES (?)", (f"called {token} at home",))
    db.close()
    assert count_leaks([tmp_path]) == 1


def test_a_value_in_a_write_ahead_log_is_found(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "hub.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE events (body TEXT)")
    db.execute("INSERT INTO events VALUES (?)", (TOKENS[1],))
    found = {leak.path.name for leak in find_leaks([tmp_path])}
    db.close()
    assert found == {"hub.db-wal"}


def test_a_marker_split_by_a_page_border_is_found(tmp_path: Path) -> None:
    """Overflow pages cut a long value anywhere; a marker holds its token twice for that."""
    marker = f"{TOKENS[0]}-0000001-narrative-{TOKENS[0]}"
    for place in range(440, 560):
        file = tmp_path / "hub.db"
        file.unlink(missing_ok=True)
        with sqlite3.connect(file) as db:
            db.execute("PRAGMA page_size = 512")
            db.execute("CREATE TABLE events (body TEXT)")
            db.execute("INSERT INTO events VALUES (?)", ("." * place + marker + "." * 3_000,))
        db.close()
        assert count_leaks([file]) in {1, 2}


@pytest.mark.skipif(not UNREADABLE.exists(), reason="needs the proc file system")
def test_a_file_that_cannot_be_read_is_no_clean_file() -> None:
    with pytest.raises(OSError, match="Input/output error"):
        count_leaks([UNREADABLE])


def test_a_socket_is_passed_over(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "s"))
        assert count_leaks([tmp_path]) == 0


def test_a_missing_root_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        count_leaks([tmp_path / "mistyped"])
