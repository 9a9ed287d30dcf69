"""The `Language` port over the published Avro schemas.

Foreign bytes and documents are taken whole or refused with `Malformed`; nothing else escapes,
and no message holds a value.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from domain.errors import Malformed
from domain.events import Event
from domain.published import PublishedSchema
from domain.record import Field, Record, Shape
from domain.vocabulary import Category
from schemas import codes, documents, published, upcast, wire
from schemas.catalogue import sources
from schemas.layout import FieldLayout, Layout, layout
from schemas.sealed import sealed_view

MAX_REMEMBERED = 16 << 10
"""Bytes of a body that is remembered; most have less than one kilobyte."""
MAX_CLEAR = wire.MAX_BODY - (128 << 10)
"""Bytes that clear fields may hold together, so that padded and sealed they fit a body."""


class AvroLanguage:
    """The published schemas, compiled on first use; one serves every thread.

    Records are remembered: hub, projector and readers split the same sealed bytes many times.
    """

    def __init__(self, remembered: int = 4096) -> None:
        """Remember the last `remembered` records split, `MAX_REMEMBERED` bytes each at most."""
        self._remembered = lru_cache(maxsize=remembered)(_split)

    def types(self) -> tuple[str, ...]:
        """Return the full name of every event type and version."""
        return tuple(sources().events)

    def newest(self, event_name: str) -> str:
        """Return the full name of the newest version of an event given by its short name."""
        versions = [t for t in self.types() if t.rpartition(".")[2] == event_name]
        if not versions:
            raise Malformed("UNKNOWN_EVENT", "the event type is not in the published schemas")
        return max(versions, key=lambda t: layout(t).shape.version)

    def shape(self, type: str) -> Shape:
        """Return what is known of `type`; `Malformed` UNKNOWN_EVENT otherwise."""
        return layout(type).shape

    def sealed_schema(self, type: str) -> dict[str, Any]:
        """Return the Avro schema with which any Avro library reads the bodies of `type`."""
        return sealed_view(sources(), layout(type).shape.type)

    def published(self) -> tuple[PublishedSchema, ...]:
        """Return every released schema, as a registry lists them."""
        return published.published()

    def same(self, subject: str, schema: str) -> PublishedSchema | None:
        """Return the subject's schema that says the same as `schema`, wording aside."""
        return published.same(subject, schema)

    def conflicts(self, number: int, schema: str) -> tuple[str, ...]:
        """Return why `schema` and schema `number` cannot be versions of one subject."""
        return published.conflicts(number, schema)

    def record(self, type: str, body: bytes) -> Record:
        """Split the unframed Avro body of the sealed view into its fields, byte for byte."""
        return self.read(type, body)[0]

    def body(self, record: Record) -> bytes:
        """Return the unframed Avro body of `record`; the inverse of `record`."""
        _check_fields(record, layout(record.type))
        body = b"".join(
            f.value
            if f.category is Category.ROUTING
            else wire.write_sealed(f.value, withheld=f.withheld)
            for f in record.fields
        )
        if len(body) > wire.MAX_BODY:
            raise Malformed("TOO_LARGE", f"a body may hold {wire.MAX_BODY} bytes")
        return body

    def event(self, record: Record) -> Event:
        """Return the ROUTING fields of `record` as the event that the rules see."""
        form = layout(record.type)
        _check_fields(record, form)
        return _event(b"".join([f.value for f in record.fields[: form.routing_count]]), form)

    def read(self, type: str, body: bytes) -> tuple[Record, Event]:
        """Return what `record` and `event` return, from one reading."""
        return (self._remembered if len(body) <= MAX_REMEMBERED else _split)(type, body)

    def routing(self, type: str, body: bytes) -> Event:
        """Return what `event` returns, from a body that was accepted once: nothing is checked."""
        return _event(body, layout(type))

    def clear(self, type: str, document: Mapping[str, Any]) -> tuple[Field, ...]:
        """Check a JSON document, `head` included, against the clear view of `type`.

        Each field's value is its plain Avro bytes; what comes back fits a body when sealed.
        """
        form = layout(type)
        if not isinstance(document, Mapping):
            raise Malformed("FIELD_TYPE", "the document must be an object")
        documents.bounded(document)
        values = form.parse(document)
        for f in form.fields:
            if f.check is not None:
                f.check(values[f.path])
        parts = wire.write(form.coders, values)
        if sum(map(len, parts[: form.routing_count])) > wire.MAX_ROUTING:
            raise Malformed("TOO_LARGE", f"clear fields may hold {wire.MAX_ROUTING} bytes")
        if sum(map(len, parts)) > MAX_CLEAR:
            raise Malformed("TOO_LARGE", f"the fields of an event may hold {MAX_CLEAR} bytes")
        return tuple(
            [Field(f.path, f.category, p) for f, p in zip(form.fields, parts, strict=True)]
        )

    def opened(self, type: str, fields: Mapping[str, bytes]) -> dict[str, Any]:
        """Return the JSON document of the plain Avro bytes that could be opened.

        Upcast to the newest version; a path that could not be opened is absent.
        """
        form = layout(type)
        if not fields.keys() <= {f.path for f in form.fields}:
            raise Malformed("FIELD_UNKNOWN", "a path is not in the event's schema")
        document = {f.path: _value(f, fields[f.path]) for f in form.fields if f.path in fields}
        return upcast.to_newest(type, document)

    def unknown_codes(self, type: str, document: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        """Return (path, code) of each code in `document` that its list does not hold.

        They are kept all the same: a newer list or another country may know them.
        """
        layout(type)
        return tuple(
            (path, code)
            for path, steps, name in codes.coded(sources().full(type))
            for code in _texts(document, steps)
            if not codes.known(name, code)
        )


def _split(type: str, body: bytes) -> tuple[Record, Event]:
    form = layout(type)
    if len(body) > wire.MAX_BODY:
        raise Malformed("TOO_LARGE", f"a body may hold {wire.MAX_BODY} bytes")
    values, parts, at = wire.split(body[: wire.MAX_ROUTING], form.routing, form.ends)
    fields = []
    for f, value in zip(form.fields, parts, strict=False):
        if f.check is not None:
            f.check(values[f.path])
        fields.append(Field(f.path, f.category, value))
    for f in form.fields[form.routing_count :]:
        value, withheld, at = wire.read_sealed(body, at)
        fields.append(Field(f.path, f.category, value, withheld))
    if at != len(body):
        raise Malformed("TRAILING_BYTES", f"{len(body) - at} bytes stand behind the event")
    return Record(type, tuple(fields)), _built(values, form)


def _event(clear: bytes, form: Layout) -> Event:
    """Return the event whose ROUTING fields stand at the beginning of `clear`."""
    return _built(wire.read(clear, form.routing), form)


def _built(values: dict[str, Any], form: Layout) -> Event:
    """Return the event of plain `values`, which become parts of it."""
    for path, build in form.builds:
        values[path] = build(values[path])
    event: Event = form.event(**values)
    return event


def _check_fields(record: Record, form: Layout) -> None:
    if len(record.fields) != len(form.fields):
        raise Malformed("WRONG_FIELDS", f"the event has {len(form.fields)} fields")
    for field, expected in zip(record.fields, form.shape.fields, strict=True):
        if field.path != expected[0] or field.category is not expected[1]:
            raise Malformed("WRONG_FIELDS", "the fields are not those of the event's schema")


def _value(field: FieldLayout, data: bytes) -> Any:
    """Return the JSON value of one field's plain Avro bytes, which a foreign agency sealed."""
    values, _, end = wire.split(data, field.coder, (field.end,))
    if end != len(data):
        raise Malformed("TRAILING_BYTES", f"{len(data) - end} bytes stand behind {field.path}")
    value = values[field.path]
    if field.check is not None:
        field.check(value)
    return value if field.render is None else field.render(value)


def _texts(node: Any, steps: tuple[str, ...]) -> Iterator[str]:
    """Yield the texts that `steps` lead to: a key each, or `[]` for every item of a list."""
    match node, steps:
        case str(), ():
            yield node.strip(" ")
        case list(), ("[]", *rest):
            for item in node:
                yield from _texts(item, tuple(rest))
        case Mapping(), (key, *rest) if key in node:
            yield from _texts(node[key], tuple(rest))
