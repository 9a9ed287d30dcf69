"""A trail over HTTP: what is there, what is not, and servers that answer wrongly or not at all."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import RawIOBase
from pathlib import Path
from typing import Any, ClassVar

import pytest

from adapters.trail_source import ANSWER_SECONDS, SLOWEST, FolderSource, HttpSource, Paced
from domain.errors import Malformed, NotAuthentic, Refused, Unavailable
from services.auditor.verifying import verify
from services.trail.source import Source
from tests.trail import audited
from tests.trail.signed import SignedTrail, small_trail


class Folder(BaseHTTPRequestHandler):
    """Serves a folder to who has the newest token; some paths are answered wrongly."""

    protocol_version = "HTTP/1.1"
    root: ClassVar[Path]
    token: ClassVar[str] = ""
    odd: ClassVar[dict[str, int]] = {"/trail/moved": 302, "/trail/broken": 500, "/trail/kept": 403}

    def do_GET(self) -> None:
        file = self.root / self.path.removeprefix("/trail/")
        status = self.odd.get(self.path, 200 if file.is_file() else 404)
        if self.token and self.headers["Authorization"] != f"Bearer {self.token}":
            status = 401
        body = file.read_bytes() if status == 200 else b""
        self.send_response(status)
        cut = self.path.endswith("cut")
        self.send_header("Content-Length", str(len(body) + (10 if cut else 0)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = cut

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path, token: str = "") -> Iterator[str]:
    with serving(type("Handler", (Folder,), {"root": folder, "token": token})) as address:
        yield address


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/trail"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def http(address: str, token: Callable[[], str] = str) -> Iterator[HttpSource]:
    source = HttpSource(address, token)
    try:
        yield source
    finally:
        source.close()


@pytest.fixture(scope="module")
def trail() -> SignedTrail:
    return small_trail()


@pytest.fixture
def folder(trail: SignedTrail, tmp_path: Path) -> Path:
    audited.write(tmp_path, trail)
    return tmp_path


def test_a_log_at_an_address_is_verified_like_one_in_a_folder(
    folder: Path, trail: SignedTrail
) -> None:
    with served(folder) as address, http(address) as source, audited.tools() as tools:
        report = verify(Source(source), audited.own(trail), tools)
    assert report.findings == []


def test_what_is_not_there_is_none_in_both(folder: Path) -> None:
    with served(folder) as address, http(address) as over_http:
        for source in (over_http, FolderSource(folder)):
            assert source.read("checkpoint", 10_000)
            assert source.read("tile/0/001", 10_000) is None
            with pytest.raises(Malformed, match=r"^FILE_SIZE: "):
                source.read("checkpoint", 10)


@pytest.mark.parametrize(
    ("path", "error"), [("moved", Refused), ("broken", Unavailable), ("kept", NotAuthentic)]
)
def test_a_server_that_answers_otherwise_is_told_of(
    folder: Path, path: str, error: type[Exception]
) -> None:
    with served(folder) as address, http(address) as source, pytest.raises(error):
        source.read(path, 100)


def test_an_answer_that_is_cut_off_is_no_file(folder: Path) -> None:
    (folder / "cut").write_bytes(b"half")
    away = pytest.raises(Unavailable, match=r"^SOURCE_AWAY: ")
    with served(folder) as address, http(address) as source, away:
        source.read("cut", 100)


class Dripping(BaseHTTPRequestHandler):
    """Answers byte by byte without an end, in the head or in the body."""

    def do_GET(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nX-Long: "
        if self.path.endswith("body"):
            head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
        with suppress(ConnectionError):
            self.wfile.write(head)
            while True:
                self.wfile.write(b".")
                time.sleep(0.01)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("path", ["head", "body"])
def test_a_server_that_drips_holds_nobody(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.trail_source.ANSWER_SECONDS", 0.2)
    away = pytest.raises(Unavailable, match=r"^SOURCE_AWAY: .* was too slow for ")
    with serving(Dripping) as address, http(address) as source, away:
        source.read(path, 1_000_000)


@pytest.mark.parametrize(("a_second", "bears"), [(SLOWEST, True), (SLOWEST // 2, False)])
def test_what_comes_fast_enough_is_waited_for_however_long(a_second: int, *, bears: bool) -> None:
    seconds = 0

    class Coming(RawIOBase):
        def readinto(self, into: Any) -> int:
            nonlocal seconds
            seconds += 1
            return a_second

    paced = Paced(Coming(), lambda wait: None, lambda: seconds)
    with nullcontext() if bears else pytest.raises(TimeoutError):
        for _ in range(1_000):
            paced.readinto(bytearray())
    assert bears or seconds == 2 * ANSWER_SECONDS


def test_a_token_that_has_run_out_is_asked_for_again(folder: Path) -> None:
    tokens = iter(["old", "new"])
    with served(folder, "new") as address:
        with http(address, lambda: next(tokens)) as source:
            assert source.read("checkpoint", 10_000)
        with http(address, lambda: "none") as source, pytest.raises(NotAuthentic, match="--as"):
            source.read("checkpoint", 10_000)


@pytest.mark.parametrize(
    "address",
    [
        *("ftp://a/b", "https://", "http://host:port/trail", "http://host/trail?x=1"),
        *("http://[::1/trail", "http://a..b/trail", "http://host/tr ail", "http://host/tr\nail"),
        "http://host/tr\N{LATIN SMALL LETTER A WITH DIAERESIS}il",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(Malformed, match=r"^SOURCE: "):
        HttpSource(address, str)


def test_pipes_and_devices_in_a_copy_are_no_files(folder: Path) -> None:
    """Of one nothing may ever come, of the other too much."""
    os.mkfifo(folder / "pipe")
    (folder / "device").symlink_to("/dev/zero")
    source = FolderSource(folder)
    assert (source.read("pipe", 10), source.read("device", 10)) == (None, None)


def test_a_file_that_is_kept_from_us_is_not_asked_for_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    source = FolderSource(folder)
    monkeypatch.setattr(Path, "is_file", denied)
    with pytest.raises(NotAuthentic, match=r"^NOT_ALLOWED: checkpoint cannot be read"):
        source.read("checkpoint", 10)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match=r"^SOURCE: "):
        FolderSource(tmp_path / "missing")
