"""The sealed view of an event, derived from its clear schema and never written by hand.

Each field that is not ROUTING becomes sealed bytes or the 32-byte digest that stands for
them. Any Avro library reads our bodies with it.
"""

from collections.abc import Mapping
from typing import Any

from schemas.catalogue import Schema, Sources

WITHHELD = {"type": "fixed", "name": "Withheld", "namespace": "nrm.v1", "size": 32}


def sealed_view(written: Sources, name: str) -> dict[str, Any]:
    """Return the view of `name` that is on the wire, as a self-contained Avro schema."""
    full = written.full(name)
    if name in written.transport:
        return full
    clear_types = [written.field_type(field) for field in written.events[name]["fields"]]
    fields: list[dict[str, Any]] = []
    withheld: Schema = WITHHELD
    for field, clear_type in zip(full["fields"], clear_types, strict=True):
        if field["nrm.category"] == "ROUTING":
            fields.append(field)
            continue
        fields.append(_sealed_field(field, clear_type, withheld))
        withheld = "nrm.v1.Withheld"
    return {**full, "fields": fields}


def _sealed_field(field: Mapping[str, Any], clear_type: Schema, withheld: Schema) -> dict[str, Any]:
    sealed = {
        "type": "bytes",
        "logicalType": "nrm-sealed",
        "nrm.category": field["nrm.category"],
        "nrm.clear_type": clear_type,
    }
    kept = {key: value for key, value in field.items() if key != "default"}
    return {**kept, "type": [sealed, withheld]}
