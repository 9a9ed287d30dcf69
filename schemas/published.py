"""What a registry serves: the view of each released schema that is on the wire.

The subject is the record's full name (RecordNameStrategy), the number the one in the lock. A
full name has one schema for good, so nrm.v1.X and nrm.v2.X are two subjects of one version each.
"""

import json
from functools import cache
from typing import Any

from domain.errors import Malformed
from domain.published import PublishedSchema
from schemas import compatibility
from schemas.catalogue import Schema, seal_fp, sources
from schemas.released import lock
from schemas.sealed import sealed_view


@cache
def published() -> tuple[PublishedSchema, ...]:
    """Return every released schema in the order of release."""
    return tuple(
        PublishedSchema(
            subject=entry.name, version=1, number=entry.number, schema=json.dumps(_view(entry.name))
        )
        for entry in lock()
    )


def same(subject: str, schema: str) -> PublishedSchema | None:
    """Return the schema of `subject` that differs from `schema` in wording and spacing at most."""
    said = _said(_read(schema))
    own = (p for p in published() if p.subject == subject)
    return next((p for p in own if _said(_view(p.subject)) == said), None)


def conflicts(number: int, schema: str) -> tuple[str, ...]:
    """Return why `schema` and schema `number` are not versions of one thing."""
    released = next(p for p in published() if p.number == number)
    return compatibility.conflicts(_view(released.subject), _read(schema))


def _said(schema: Schema) -> bytes:
    """Return one fingerprint for all ways to write a schema: with full names, without wording."""
    return seal_fp(compatibility.parsed(schema).schema)


def _view(name: str) -> dict[str, Any]:
    return sealed_view(sources(), name)


def _read(text: str) -> Schema:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as e:
        raise Malformed("SCHEMA_UNREADABLE", "an Avro schema is JSON") from e
