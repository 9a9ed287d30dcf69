"""`python -m schemas.lint`: list what keeps the schemas from being published; exit 1 if anything.

With `--release` it first appends new events to the list of what was released.
"""

import sys
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path

from schemas import released, rules, upcast
from schemas.catalogue import Sources, package, sources
from schemas.compatibility import conflicts
from schemas.released import TRANSPORT, Released, describe
from schemas.sealed import sealed_view

Lock = tuple[Released, ...]


def main(arguments: list[str]) -> int:
    """Print every finding and return 1 if there is one, else 0."""
    written, lock = sources(), released.lock()
    found = findings(written) or frozen(written, lock)
    if arguments == ["--release"] and not found:
        lock = released.release(written, lock)
        Path(str(package() / released.LOCK)).write_text(released.dumps(lock), "utf-8")
    found += not_released(written, lock)
    for finding in found:
        print(finding)
    return 1 if found else 0


def findings(written: Sources) -> list[str]:
    """Return what is wrong with the schemas as written."""
    broken = [finding for rule in rules.NAMES for finding in rule(written)]
    return broken or [finding for rule in rules.RULES for finding in rule(written)]


def frozen(written: Sources, lock: Lock) -> list[str]:
    """Return where the schemas or the list differ from what was released."""
    return [
        f
        for rule in (lock_order, withdrawn, released_field, released_file, unread_version)
        for f in rule(written, lock)
    ]


def lock_order(_: Sources, lock: Lock) -> Iterator[str]:
    """The list only grows: numbers from 1, of transport from 1001, each name once."""
    events = [e.number for e in lock if e.number < TRANSPORT]
    transport = [e.number for e in lock if e.number >= TRANSPORT]
    for numbers, first in ((events, 1), (transport, TRANSPORT)):
        if numbers != list(range(first, first + len(numbers))):
            yield f"{released.LOCK}: numbers must be {first}, {first + 1}, {first + 2} ... in order"
    if len({e.name for e in lock}) != len(lock):
        yield f"{released.LOCK}: a name stands twice"


def withdrawn(written: Sources, lock: Lock) -> Iterator[str]:
    """A released file stays, for the records that were written with it."""
    for entry in lock:
        if entry.name not in written.published:
            yield f"{entry.name}: was released and its file is gone"


def released_field(written: Sources, lock: Lock) -> Iterator[str]:
    """Category, type and logical type of a released field are frozen."""
    for entry, now in _both(written, lock):
        for path, then in entry.fields.items():
            leaf = now.fields.get(path)
            if leaf is None:
                yield f"{entry.name}.{path}: was released and is gone or of another type"
                continue
            for what, a, b in zip(("category", "type", "logical type"), then, leaf, strict=True):
                if a != b:
                    verb = "lowered" if b == "ROUTING" else "changed"
                    yield f"{entry.name}.{path}: {what} {verb} from {a} to {b}"


def released_file(written: Sources, lock: Lock) -> Iterator[str]:
    """A released file never changes; a change is a new file and an upcaster."""
    for entry, now in _both(written, lock):
        if (entry.seal_fp, entry.avro_fp) != (now.seal_fp, now.avro_fp):
            yield f"{entry.name}: is not what was released; write a new version"


def unread_version(written: Sources, lock: Lock) -> Iterator[str]:
    """Every version of an event reads every other's bytes, or an upcaster makes the newer of it.

    Both views are held to it: the sealed one, which is on the wire, holds the clear types too.
    """
    for older, newer in _versions(e.name for e in lock if e.name in written.published):
        found = conflicts(sealed_view(written, older), sealed_view(written, newer))
        if found and not upcast.leads(older, newer):
            yield f"{older} and {newer}: {found[0]}; needs an upcaster in schemas/upcast.py"


def _versions(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each older and newer version of one event: nrm.v1.X and nrm.v2.X."""
    yield from (
        (a, b)
        for a, b in combinations(sorted(names, key=released.version), 2)
        if a.rpartition(".")[2] == b.rpartition(".")[2]
    )


def not_released(written: Sources, lock: Lock) -> Iterator[str]:
    """A new file needs its number before it is used."""
    for name in sorted(written.published.keys() - {e.name for e in lock}):
        yield f"{name}: is not in {released.LOCK}; run python -m schemas.lint --release"


def _both(written: Sources, lock: Lock) -> Iterator[tuple[Released, Released]]:
    for entry in lock:
        if entry.name in written.published:
            yield entry, describe(written.full(entry.name), entry.number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
