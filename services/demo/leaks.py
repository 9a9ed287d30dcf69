"""The leak search: every byte of every file, for planted tokens in every form text may take.

Bounded memory whatever the size of a file; names of files and folders are searched too.
What is compressed is not unpacked: nothing of ours compresses.
"""

import base64
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.demo.people import TOKENS

CHUNK = 4 << 20


@dataclass(frozen=True, slots=True)
class Leak:
    """One planted token found where none may be."""

    path: Path
    at: int
    """Offset in the file; -1 when it stands in the path itself."""
    form: str
    """The form it was found in; never what stands around it."""


def count_leaks(paths: Iterable[Path], tokens: Sequence[str] = TOKENS) -> int:
    """Return how many leaks `find_leaks` finds."""
    return sum(1 for _ in find_leaks(paths, tokens))


def find_leaks(
    paths: Iterable[Path], tokens: Sequence[str] = TOKENS, chunk: int = CHUNK
) -> Iterator[Leak]:
    """Yield every occurrence of a token in the files at and under `paths`.

    `OSError` when one of `paths` is not there or a file cannot be read, since it may hold
    anything; a file below them that is gone by then holds nothing.
    """
    forms = encodings(tokens)
    for root in paths:
        for path in _files(root):
            name = os.fsencode(path.relative_to(root.parent))
            for _, form in _found(name, forms):
                yield Leak(path, -1, form)
            yield from _in_file(path, forms, chunk)


def encodings(tokens: Iterable[str]) -> dict[bytes, str]:
    """Return the byte strings that give a token away, each with the name of its form."""
    forms: dict[bytes, str] = {}
    for token in tokens:
        plain = token.encode()
        forms[plain] = "utf-8"
        # Without the outer byte the two orders of one script are the same, and found once.
        forms[token.encode("utf-16-le")[:-1]] = "utf-16"
        forms[token.encode("utf-16-be")[1:]] = "utf-16"
        for offset in range(3):
            inner = _inner_base64(plain, offset)
            forms[inner.translate(_URL_SAFE)] = "base64url"
            forms[inner] = "base64"
        units = token.encode("utf-16-be").hex()
        escapes = ("\\u" + units[i : i + 4] for i in range(0, len(units), 4))
        escaped = "".join(escapes).encode()
        _both_cases(forms, plain.hex().encode(), "hex")
        _both_cases(forms, escaped, "json")
        _both_cases(forms, b"".join(b"%%%02x" % byte for byte in plain), "percent")
    return forms


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def _inner_base64(plain: bytes, offset: int) -> bytes:
    """Return the base64 letters that depend on `plain` alone when it stands at `offset` mod 3."""
    encoded = base64.b64encode(bytes(offset) + plain)
    first = -(-offset * 4 // 3)
    return encoded[first : (offset + len(plain)) * 4 // 3]


def _both_cases(forms: dict[bytes, str], lower: bytes, form: str) -> None:
    forms[lower] = form
    forms[lower.replace(b"\\u", b"\0").upper().replace(b"\0", b"\\u")] = form


def _files(root: Path) -> Iterator[Path]:
    if stat.S_ISREG(root.stat().st_mode):
        yield root
        return
    for folder, _, names in os.walk(root, onerror=_unless_gone):
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file():  # no sockets and pipes
                yield path


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _in_file(path: Path, forms: dict[bytes, str], chunk: int) -> Iterator[Leak]:
    overlap = max(map(len, forms)) - 1
    kept, start = b"", 0
    try:
        with path.open("rb", buffering=0) as file:
            while data := file.read(chunk):
                window = kept + data
                for at, form in _found(window, forms, len(kept)):
                    yield Leak(path, start + at, form)
                kept = window[-overlap:]
                start += len(window) - len(kept)
    except FileNotFoundError:
        return


def _found(window: bytes, forms: dict[bytes, str], seen: int = 0) -> Iterator[tuple[int, str]]:
    """Yield (offset, form) of what ends behind the first `seen` bytes, searched before."""
    for needle, form in forms.items():
        at = window.find(needle, max(0, seen - len(needle) + 1))
        while at >= 0:
            yield at, form
            at = window.find(needle, at + 1)
