"""Does a statement describe this record? Asked by the hub and, again, by every reader."""

import hashlib
import struct
from functools import lru_cache

from domain.errors import Malformed
from domain.record import Record, Shape
from domain.trail.statement import SIZE, VERSION, Kind, Statement, stream_tag

_ABOUT_BODY = struct.Struct(">BBH32s178x32s40x")
"""Version, kind, type, stream and payload of a statement."""
_stream_tag = lru_cache(maxsize=4_096)(stream_tag)
"""Asked again and again about the cases in which something happens."""


def check_describes(said: Statement, record: Record, shape: Shape, case_id: str) -> None:
    """Raise `Malformed` STATEMENT_MISMATCH unless `said` is about `record` of case `case_id`.

    A record with withheld fields passes like the whole one: a withheld field is its digest.
    """
    stated = (said.kind, said.type, said.stream, said.schema, said.field_count, said.fields)
    found = (
        Kind.ACTION,
        shape.number,
        stream_tag(case_id),
        shape.seal_fp,
        len(record.fields),
        record.fields_root,
    )
    if stated != found:
        raise Malformed("STATEMENT_MISMATCH", "the statement does not describe this record")


def check_describes_body(said: bytes, number: int, body: bytes, case_id: str) -> None:
    """Raise `Malformed` STATEMENT_MISMATCH unless `said` is about `body` of type `number`.

    For bytes that were checked field by field when they were accepted: a hash and no more.
    """
    stated = _ABOUT_BODY.unpack(said) if len(said) == SIZE else None
    payload = hashlib.sha256(body).digest()
    if stated != (VERSION, Kind.ACTION, number, _stream_tag(case_id), payload):
        raise Malformed("STATEMENT_MISMATCH", "the statement does not describe this record")
