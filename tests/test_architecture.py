"""The plan of the house, checked on the source: who imports whom, what is pure, what ships."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from setuptools import Distribution
from setuptools.config.pyprojecttoml import apply_configuration

ROOT = Path(__file__).parents[1]
ROOMS = ("domain", "schemas", "adapters", "services")
MAY_IMPORT = {
    "domain": {"domain"},
    "schemas": {"schemas", "domain"},
    "adapters": {"adapters", "schemas", "domain"},
    "services": {"services", "domain"},
}
WIRING = "services/bootstrap/"
PURE = {
    *("abc", "base64", "binascii", "bisect", "collections", "contextlib", "dataclasses"),
    *("datetime", "enum", "functools", "hashlib", "heapq", "hmac", "itertools", "json", "math"),
    *("operator", "re", "string", "struct", "tomllib", "types", "typing", "unicodedata", "uuid"),
}
"""What the rules may take from the standard library: no clock, randomness, input or output."""
IMPURE_CALLS = {
    *("open", "print", "input", "eval", "exec", "__import__", "breakpoint"),
    *("now", "utcnow", "today", "uuid1", "uuid4", "getnode"),
}
"""Calls by which builtins and modules of PURE reach the outside after all."""

SOURCES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(source: str) -> Iterator[str]:
    """Yield the top name of every module that `source` imports; "." for a relative import."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name.partition(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]
            case ast.ImportFrom():
                yield "."
            case _:
                pass


def calls(source: str) -> Iterator[str]:
    """Yield the last name of everything that `source` calls."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                yield name
            case _:
                pass


def faults(name: str, source: str) -> set[str]:
    """Return what the file `name` imports or calls and may not."""
    room, found = name.partition("/")[0], set(imports(source))
    allowed = set(ROOMS) if name.startswith(WIRING) else MAY_IMPORT[room]
    wrong = found & {*ROOMS, "tests", "deploy", "."} - allowed
    if room == "domain":
        wrong |= (found - PURE - allowed) | (set(calls(source)) & IMPURE_CALLS)
    return wrong


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_file_takes_only_what_its_room_may(path: Path) -> None:
    assert faults(relative(path), path.read_text("utf-8")) == set()


@pytest.mark.parametrize(
    ("name", "source", "wrong"),
    [
        ("domain/case.py", "import time", "time"),
        ("domain/case.py", "from os.path import join", "os"),
        ("domain/case.py", "import msgspec", "msgspec"),
        ("domain/case.py", "from datetime import datetime\ndatetime.now()", "now"),
        ("domain/case.py", "from uuid import uuid4\nuuid4()", "uuid4"),
        ("domain/case.py", "from schemas import codec", "schemas"),
        ("domain/case.py", "from . import consent", "."),
        ("domain/case.py", "from .consent import Act", "."),
        ("schemas/codec.py", "import adapters.kafka", "adapters"),
        ("adapters/kafka.py", "def late():\n    import services.relay", "services"),
        ("services/relay.py", "from adapters.kafka import Log", "adapters"),
        ("services/relay.py", "from schemas.codec import read", "schemas"),
        ("services/bootstrap/hub.py", "from tests.spec import given", "tests"),
    ],
)
def test_a_file_in_the_wrong_room_is_found(name: str, source: str, wrong: str) -> None:
    assert faults(name, source) == {wrong}


def test_the_wiring_may_take_from_every_room() -> None:
    everything = "\n".join(f"import {room}" for room in ROOMS)
    assert faults(f"{WIRING}any.py", everything) == set()


def test_every_file_of_a_room_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    program = apply_configuration(Distribution({"script_name": "setup.py"}), "pyproject.toml")
    build = program.get_command_obj("build_py")
    build.ensure_finalized()
    modules = {Path(file).as_posix() for _, _, file in build.find_all_modules()}
    data = {
        (Path(folder) / file).as_posix()
        for _, folder, _, files in build.data_files
        for file in files
    }

    present = {
        relative(path)
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert modules | data == present
