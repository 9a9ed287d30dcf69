"""An archive has one encoding, and whatever else a ZIP can be is refused."""

import io
import struct
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Malformed
from domain.trail import archive

NAMES = st.from_regex(r"\A[a-zA-Z0-9][a-zA-Z0-9._-]{0,9}(/[a-z0-9]{1,9}){0,2}\Z")
MEMBERS = {"a": b"first", "b/000000.entry": b"", "b/c": bytes(300)}


@given(st.dictionaries(NAMES, st.binary(max_size=50), max_size=5))
def test_what_goes_in_comes_out_and_python_reads_it_too(members: dict[str, bytes]) -> None:
    data = archive.encode(members)
    assert archive.decode(data) == members
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert {name: found.read(name) for name in found.namelist()} == members
        assert found.namelist() == sorted(members)


def test_the_order_in_which_members_come_does_not_matter() -> None:
    assert archive.encode(dict(reversed(MEMBERS.items()))) == archive.encode(MEMBERS)


def written(change: Callable[[zipfile.ZipFile], None], kind: int = zipfile.ZIP_STORED) -> bytes:
    """Return a ZIP as another program writes it."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", kind) as made:
        change(made)
    return data.getvalue()


def comment(made: zipfile.ZipFile) -> None:
    _plain(made)
    made.comment = b"read me first"


def twice(made: zipfile.ZipFile) -> None:
    _plain(made)
    with pytest.warns(UserWarning, match="Duplicate"):
        made.writestr(_info("a"), b"second")


def extra(made: zipfile.ZipFile) -> None:
    info = _info("a")
    info.extra = struct.pack("<HH4s", 0xCAFE, 4, b"more")
    made.writestr(info, b"first")


def climbing(made: zipfile.ZipFile) -> None:
    made.writestr(_info("../../etc/passwd"), b"root")


def absolute(made: zipfile.ZipFile) -> None:
    made.writestr(_info("/etc/passwd"), b"root")


def dated(made: zipfile.ZipFile) -> None:
    made.writestr(zipfile.ZipInfo("a", (2026, 1, 1, 0, 0, 0)), b"first")


def bomb(made: zipfile.ZipFile) -> None:
    made.writestr("a", bytes(50_000_000))


def unsorted(made: zipfile.ZipFile) -> None:
    for name in ("b", "a"):
        made.writestr(_info(name), b"")


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr = 3, 0o100644 << 16
    return info


def _plain(made: zipfile.ZipFile) -> None:
    for name in sorted(MEMBERS):
        made.writestr(_info(name), MEMBERS[name])


def _packed(change: Callable[[zipfile.ZipFile], None]) -> bytes:
    return written(change, zipfile.ZIP_DEFLATED)


PLAIN = archive.encode(MEMBERS)
TRICKS: dict[str, bytes] = {
    "compressed": _packed(lambda made: made.writestr("a", b"first")),
    "a bomb": _packed(bomb),
    "a comment": written(comment),
    "a member twice": written(twice),
    "an extra field": written(extra),
    "a path that climbs": written(climbing),
    "an absolute path": written(absolute),
    "a date": written(dated),
    "not in order": written(unsorted),
    "bytes before": b"MZ" + PLAIN,
    "bytes behind": PLAIN + b"\0",
    "cut off": PLAIN[:-1],
    "cut off within a header": PLAIN[:20],
    "no archive": b"evidence",
    "nothing": b"",
}


def test_python_writes_the_same_archive() -> None:
    assert written(_plain) == PLAIN


@pytest.mark.parametrize("trick", TRICKS)
def test_every_other_zip_is_refused(trick: str) -> None:
    with pytest.raises(Malformed, match=r"^ARCHIVE: "):
        archive.decode(TRICKS[trick])


@pytest.mark.parametrize(
    "name", ["", "/a", "a/", "a//b", "..", "a/..", ".a", "a\\b", "ä", "a" * 99]
)
def test_a_name_that_is_no_plain_path_is_not_written(name: str) -> None:
    with pytest.raises(Malformed, match=r"^ARCHIVE: "):
        archive.encode({name: b""})


def test_sizes_have_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    data = archive.encode({"a": bytes(100), "b": b""})
    monkeypatch.setattr(archive, "MAX_SIZE", 99)
    with pytest.raises(Malformed, match="99 bytes"):
        archive.decode(data)
    with pytest.raises(Malformed, match="99 bytes"):
        archive.encode({"a": bytes(100)})
    monkeypatch.setattr(archive, "MAX_SIZE", 1_000)
    monkeypatch.setattr(archive, "MAX_MEMBERS", 1)
    with pytest.raises(Malformed, match="1 members"):
        archive.decode(data)
