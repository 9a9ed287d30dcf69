"""`python -m tests.schemas.golden`: write a golden record of each released schema that has none.

The Avro library alone writes them, with the view that the registry serves: our own codec has no
part in it. A file that is there is never written again. Everything in them is invented.
"""

import hashlib
import json
from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from fastavro import parse_schema, schemaless_writer

from domain.sealing import bucket
from domain.vocabulary import Category
from schemas.catalogue import Schema, kind, logical, sources
from schemas.language import AvroLanguage
from schemas.released import Released, lock
from schemas.sealed import sealed_view

FOLDER = Path(__file__).parents[1] / "vectors" / "golden"
INSTANT = 1_717_400_000_000


def path_of(name: str) -> Path:
    """Return the file of a released schema."""
    return FOLDER / f"{name}.json"


def read(name: str) -> dict[str, Any]:
    """Return the golden record of a released schema."""
    found: dict[str, Any] = json.loads(path_of(name).read_text("utf-8"))
    return found


def invented(schema: Schema, path: str) -> Any:
    """Return a plain value of a self-contained schema, another one for each path."""
    schema = sources().types.get(schema, schema) if isinstance(schema, str) else schema
    seed = hashlib.sha256(path.encode()).digest()
    match kind(schema):
        case "string":
            return str(uuid5(NAMESPACE_OID, path)) if logical(schema) == "uuid" else f"{path} ß"
        case "boolean":
            return seed[0] % 2 == 0
        case "int":
            return 1 + seed[0] % 9
        case "long":
            return INSTANT + seed[0]
        case "bytes":
            return seed[:8]
        case "fixed":
            return hashlib.shake_256(seed).digest(schema["size"])
        case "array":
            return [invented(schema["items"], f"{path}.{i}") for i in range(1 + seed[0] % 2)]
        case "union":
            return None if seed[0] % 4 == 0 else invented(schema[1], path)
        case _:
            return {f["name"]: invented(f["type"], f"{path}.{f['name']}") for f in schema["fields"]}


def sealed(path: str, clear: bytes, category: Category) -> bytes:
    """Return bytes of the form and size of `clear` sealed, that no key opens."""
    header = b"\xe1\x01" + bytes([category, 0]) + (1).to_bytes(4, "big")
    size = 12 + bucket(len(clear) + 1, category) + 16
    return header + hashlib.shake_256(path.encode()).digest(size)


def avro(schema: Schema, value: Any) -> bytes:
    """Return the Avro bytes of `value`, as any library writes them."""
    out = BytesIO()
    schemaless_writer(out, parse_schema(schema), value)
    return out.getvalue()


def golden(entry: Released) -> dict[str, Any]:
    """Return the golden record of a released schema."""
    written, view = sources(), sealed_view(sources(), entry.name)
    common = {"type": entry.name, "number": entry.number, "seal_fp": entry.seal_fp}
    if entry.name in written.transport:
        value = invented(view, entry.name)
        return {**common, "body": text(avro(view, value)), "values": jsonable(value)}
    body, withheld, clear = {}, {}, {}
    for field in written.events[entry.name]["fields"]:
        path, type = field["name"], written.field_type(field)
        category = Category[field["nrm.category"]]
        body[path] = withheld[path] = value = invented(type, path)
        clear[path] = avro(type, value)
        if category is not Category.ROUTING:
            body[path] = sealed(path, clear[path], category)
            name = len(path).to_bytes(2, "big") + path.encode()
            digest = hashlib.sha256(b"\x00" + name + body[path]).digest()
            withheld[path] = ("nrm.v1.Withheld", digest)
    return {
        **common,
        "body": text(avro(view, body)),
        "withheld": text(avro(view, withheld)),
        "values": jsonable(body),
        "clear": {path: text(data) for path, data in clear.items()},
        "document": AvroLanguage().opened(entry.name, clear),
    }


def text(data: bytes) -> str:
    """Return bytes in base64."""
    return b64encode(data).decode()


def jsonable(value: Any) -> Any:
    """Return `value` with bytes in base64."""
    match value:
        case bytes():
            return text(value)
        case list():
            return [jsonable(item) for item in value]
        case dict():
            return {key: jsonable(item) for key, item in value.items()}
        case _:
            return value


def main() -> None:
    """Write what is missing."""
    FOLDER.mkdir(exist_ok=True)
    for entry in lock():
        if not path_of(entry.name).exists():
            record = json.dumps(golden(entry), indent=1, ensure_ascii=False)
            path_of(entry.name).write_text(record + "\n", "utf-8")


if __name__ == "__main__":
    main()
