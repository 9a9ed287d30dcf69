"""The code lists that the schemas name: HTCDS 2.0 with our `x-` codes, CTDC bands, our own.

Checked softly: an unknown code is reported and kept, so that a new code breaks no old reader.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from schemas.catalogue import Schema, kind, package

FORMATS = {
    "iso:3166": re.compile(r"[A-Z]{2}|unknown"),
    "iso:639": re.compile(r"[a-z]{2,3}"),
    "nrm:legal_basis": re.compile(r"[A-Z]{2}(\.[A-Z0-9]+)+"),
}
"""Forms of codes that others keep: ISO, and the policy packs of each country."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a code means, for people."""

    en: str
    fr: str
    """Our own draft, not an official translation."""


@cache
def lists() -> Mapping[str, Mapping[str, Label]]:
    """Return every list: name -> code -> label."""
    found: dict[str, Mapping[str, Label]] = {}
    for file in (package() / "codes").iterdir():
        if file.name.endswith(".json"):
            held = json.loads(file.read_text("utf-8"))["lists"]
            for name, entries in held.items():
                found[name] = {e["code"]: Label(e["en"], e["fr"]) for e in entries}
    return found


def known(name: str, code: str) -> bool:
    """Return whether list `name` holds `code`, or `code` has the form that the list asks for."""
    form = FORMATS.get(name)
    return code in lists().get(name, {}) or (form is not None and bool(form.fullmatch(code)))


def coded(full: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Yield path, steps and list name of each coded text of a self-contained event schema."""
    for field in full["fields"]:
        yield from _coded(field["type"], (field["name"],), field.get("nrm.codes"))


def _coded(
    schema: Schema, steps: tuple[str, ...], name: str | None
) -> Iterator[tuple[str, tuple[str, ...], str]]:
    match kind(schema):
        case "record" if isinstance(schema, dict):
            for field in schema["fields"]:
                yield from _coded(field["type"], (*steps, field["name"]), field.get("nrm.codes"))
        case "array":
            yield from _coded(schema["items"], (*steps, "[]"), name)
        case "union":
            for branch in schema:
                yield from _coded(branch, steps, name)
        case "string" if name is not None:
            yield ".".join(steps).replace(".[]", "[]"), steps, name
