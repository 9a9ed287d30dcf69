"""Does a statement describe this record? Asked by the hub and, again, by every reader."""

from domain.errors import Malformed
from domain.record import Record, Shape
from domain.trail.statement import Kind, Statement, stream_tag


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
