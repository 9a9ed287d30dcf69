"""Documents and records of any event type, made from its schema; everything in them is invented."""

import hashlib
from base64 import b64encode
from datetime import UTC
from typing import Any

from hypothesis import strategies as st

from domain.record import Field, Record
from domain.vocabulary import Category
from schemas.catalogue import Schema, kind, logical, sources
from schemas.language import AvroLanguage

LANGUAGE = AvroLanguage()
TYPES = LANGUAGE.types()
INSTANT = "2024-05-03T10:00:00.000Z"
UUID = "01890a5d-ac96-774b-bcce-b302099a8057"

_PLAIN_TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cf", "Zl", "Zp")), max_size=12)
_ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=12)


def sealed(label: str, size: int = 64) -> bytes:
    """Bytes that have the form of a sealed value, derived from `label`."""
    stream = hashlib.shake_256(label.encode()).digest(size - 1)
    return b"\xe1" + stream


def documents(type: str) -> st.SearchStrategy[dict[str, Any]]:
    """Valid documents of an event type."""
    return st.fixed_dictionaries(
        {
            f["name"]: _values(f["type"], clear=f["nrm.category"] == "ROUTING")
            for f in sources().full(type)["fields"]
        }
    )


def _values(schema: Schema, *, clear: bool) -> st.SearchStrategy[Any]:
    if isinstance(schema, str) and "." in schema:
        schema = sources().types[schema]
    match kind(schema):
        case "string" if logical(schema) == "uuid":
            return st.uuids().map(str)
        case "string":
            return _PLAIN_TEXT if clear else _ANY_TEXT.map(lambda t: t.strip(" "))
        case "boolean":
            return st.booleans()
        case "int":
            return st.integers(-(2**31), 2**31 - 1)
        case "long" if logical(schema) == "timestamp-millis":
            return st.datetimes(timezones=st.just(UTC)).map(
                lambda d: d.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            )
        case "bytes":
            return st.binary(max_size=80).map(lambda b: b64encode(b).decode())
        case "fixed":
            size = schema["size"]
            return st.binary(min_size=size, max_size=size).map(lambda b: b64encode(b).decode())
        case "array":
            return st.lists(_values(schema["items"], clear=clear), max_size=3)
        case "union":
            return st.none() | _values(schema[1], clear=clear)
        case _:
            return st.fixed_dictionaries(
                {f["name"]: _values(f["type"], clear=clear) for f in schema["fields"]}
            )


def example(type: str) -> dict[str, Any]:
    """The same valid document each time: the shortest that says something in every field."""
    return {f["name"]: _example(f["type"]) for f in sources().full(type)["fields"]}


def _example(schema: Schema) -> Any:
    if isinstance(schema, str) and "." in schema:
        schema = sources().types[schema]
    match kind(schema):
        case "string":
            return UUID if logical(schema) == "uuid" else "invented"
        case "boolean":
            return True
        case "int":
            return 1
        case "long":
            return INSTANT
        case "bytes":
            return b64encode(b"invented").decode()
        case "fixed":
            return b64encode(bytes(range(schema["size"]))).decode()
        case "array":
            return [_example(schema["items"])]
        case "union":
            return _example(schema[1])
        case _:
            return {f["name"]: _example(f["type"]) for f in schema["fields"]}


def sealed_record(type: str, document: dict[str, Any]) -> Record:
    """The record of `document` with sealed bytes in place of every field that is not ROUTING."""
    return Record(type, tuple(_seal(f) for f in LANGUAGE.clear(type, document)))


def _seal(field: Field) -> Field:
    clear = field.category is Category.ROUTING
    return field if clear else field._replace(value=sealed(field.path, 36 + len(field.value)))
