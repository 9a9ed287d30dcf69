"""What a schema must be before it is published, one small rule a function.

Each takes the schemas as written and yields what is wrong, as text for the author.
"""

import re
from collections.abc import Iterator

from domain.vocabulary import Category
from schemas import walk
from schemas.catalogue import Sources, full_name, kind

PROPERTIES = frozenset({"nrm.category", "nrm.codes", "nrm.why_clear"})
AVRO = frozenset({"null", "boolean", "int", "long", "string", "bytes", "fixed", "array", "record"})
_SHELTER = re.compile(r"shelter|safe_?house|refuge|accommodation")
_PLACE = re.compile(r"address|location|street|city|post_?code|phone|coordinates|place")


def unresolved(written: Sources) -> Iterator[str]:
    """A type that is neither Avro's nor in types/."""
    for where, schema in walk.roots(written):
        for name in walk.names_used(schema):
            if name not in written.types:
                yield f"{where}: names a type that is not in types/: {name}"


def recursive(written: Sources) -> Iterator[str]:
    """A type inside itself: deep input would crash the decoder."""
    for where, schema in walk.roots(written):
        if walk.comes_back(schema, written.types, ()):
            yield f"{where}: is recursive"


def misnamed(written: Sources) -> Iterator[str]:
    """A file is named like what it holds."""
    for where, schema in walk.roots(written):
        if full_name(schema) != where:
            yield f"{where}: the file holds {full_name(schema)}"


def headless(written: Sources) -> Iterator[str]:
    """Every event begins with the envelope."""
    for where, schema in written.events.items():
        if [(f["name"], f["type"]) for f in schema["fields"][:1]] != [("head", "nrm.v1.Head")]:
            yield f"{where}: the first field must be head"


def untagged(written: Sources) -> Iterator[str]:
    """Every field of an event says how it is protected."""
    for where, schema in written.events.items():
        for field in schema["fields"]:
            if field.get("nrm.category") not in Category.__members__:
                yield f"{where}.{field['name']}: nrm.category is missing or unknown"


def routing_later(written: Sources) -> Iterator[str]:
    """ROUTING fields come first, so that they can be read without the rest."""
    for where, schema in written.events.items():
        sealed = False
        for field in schema["fields"]:
            clear = field.get("nrm.category") == "ROUTING"
            if clear and sealed:
                yield f"{where}.{field['name']}: ROUTING comes before sealed fields"
            sealed = sealed or not clear


def unargued(written: Sources) -> Iterator[str]:
    """Clear text must be argued for; ids in UUID form say nothing."""
    for where, schema in written.events.items():
        routing = [f for f in schema["fields"] if f.get("nrm.category") == "ROUTING"]
        for path, field in walk.every_field(written, routing, where):
            if walk.is_text(field["type"]) and not field.get("nrm.why_clear"):
                yield f"{path}: clear text needs nrm.why_clear"


def unknown_property(written: Sources) -> Iterator[str]:
    """A misspelt property would silently protect nothing."""
    for where, schema in walk.roots(written):
        for node in walk.objects(schema):
            for key in node:
                if key.startswith("nrm.") and key not in PROPERTIES:
                    yield f"{where}: {key} is no property of ours"


def undocumented(written: Sources) -> Iterator[str]:
    """Every type and field says what it is."""
    for where, schema in walk.roots(written):
        for node in walk.objects(schema):
            if "name" in node and not node.get("doc"):
                yield f"{where}: {node['name']} has no doc"


def forbidden_type(written: Sources) -> Iterator[str]:
    """Enums break old readers, maps and floats have no one encoding, wide unions no one meaning."""
    for where, schema in walk.roots(written):
        for node in walk.schemas(schema):
            if isinstance(node, list):
                if len(node) != 2 or node[0] != "null":
                    yield f"{where}: a union must be null and one type"
            elif kind(node) not in AVRO | written.types.keys():
                yield f"{where}: {kind(node)} is not used here"


def zero_width(written: Sources) -> Iterator[str]:
    """Items of no bytes: five bytes of input could ask for millions of them."""
    for where, schema in walk.roots(written):
        for node in walk.schemas(schema):
            items = node.get("items", node.get("values")) if isinstance(node, dict) else None
            if items is not None and not walk.has_width(items, written.types):
                yield f"{where}: items of a list take no bytes"


def shelter_address(written: Sources) -> Iterator[str]:
    """Where a shelter is stands in no event."""
    for where, schema in walk.roots(written):
        for node in walk.objects(schema):
            name = str(node.get("name", "")).lower()
            if _SHELTER.search(name) and _PLACE.search(name):
                yield f"{where}: {node['name']} could tell where a shelter is"


NAMES = (unresolved, recursive)
"""Rules that must hold before any other can be asked."""
RULES = (
    misnamed,
    headless,
    untagged,
    routing_later,
    unargued,
    unknown_property,
    undocumented,
    forbidden_type,
    zero_width,
    shelter_address,
)
