"""What a record of the refusals topic looks like: Avro of `nrm.v1.ActionRefused`, framed."""

import json
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from adapters.kafka.framing import (
    CONTENT_TYPE,
    MOST,
    SPECVERSION,
    Framed,
    check_signed,
    frame,
    number_of,
    source,
    unframe,
    uuid_text,
)
from adapters.kafka.names import Names
from domain.errors import Malformed
from domain.ports import Refusal
from schemas.catalogue import package

TYPE = "nrm.v1.ActionRefused"
NUMBER = 1001
"""Number of its schema in the registry."""
_AVRO_FAILS = (ArithmeticError, AttributeError, EOFError, LookupError, TypeError, ValueError)
"""What fastavro raises on damaged bytes, and some more of its kind."""


class RefusalFraming:
    """Turns refusals into Kafka's records and back, for one hub."""

    def __init__(self, names: Names) -> None:
        """Read the schema that ships with the package."""
        self._schema = _schema()
        self._source = ("ce_source", source(names))

    def encode(self, refusal: Refusal) -> Framed:
        """Return the record of `refusal`; `Malformed` when something in it has not its size."""
        check_signed(refusal.statement, refusal.signature, "RECORD_ENTRY")
        key = refusal.event_id.encode()
        body = self._body(
            {
                "event_id": refusal.event_id,
                "statement": refusal.statement,
                "signature": refusal.signature,
                "recorded_ms": refusal.recorded_ms,
                "code": refusal.code,
            }
        )
        headers = self._headers(key, b"%d" % refusal.number)
        return Framed(key, frame(NUMBER, body), headers, refusal.recorded_ms)

    def decode(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
        timestamp_ms: int,
    ) -> Refusal:
        """Return the refusal in a record; `Malformed` with codes as `LogFraming.decode`."""
        number, body = unframe(value)
        if number != NUMBER:
            raise Malformed("RECORD_SCHEMA", f"a refusal has schema number {NUMBER}, not {number}")
        values = self._values(body)
        event_id = uuid_text(key, "RECORD_KEY")
        sequence = dict(headers).get("ce_sequence")
        place = number_of(sequence)
        if list(headers) != self._headers(event_id.encode(), b"%d" % place):
            raise Malformed("RECORD_HEADERS", "the headers are not those of a refusal of this hub")
        if values["event_id"] != event_id:
            raise Malformed("RECORD_KEY", "the key is not the id of the refused action")
        if not timestamp_ms == values["recorded_ms"] <= MOST:
            raise Malformed("RECORD_ENTRY", "the record's time is not when the hub recorded it")
        return Refusal(**values, number=place)

    def _headers(self, key: bytes, number: bytes) -> list[tuple[str, bytes]]:
        return [
            SPECVERSION,
            ("ce_id", key),
            self._source,
            ("ce_type", TYPE.encode()),
            ("ce_sequence", number),
            CONTENT_TYPE,
        ]

    def _body(self, values: dict[str, Any]) -> bytes:
        out = BytesIO()
        schemaless_writer(out, self._schema, values)
        return out.getvalue()

    def _values(self, body: bytes) -> dict[str, Any]:
        try:
            values: Any = schemaless_reader(BytesIO(body), self._schema, None)
            again = self._body(values)
        except _AVRO_FAILS as e:
            raise Malformed("RECORD_FRAMING", f"the bytes are not Avro of {TYPE}") from e
        if again != body:
            raise Malformed("RECORD_FRAMING", "the refusal is not written in the one canonical way")
        found: dict[str, Any] = values
        return found


def _schema() -> Any:
    """Return the schema as fastavro takes it, ids and times as plain text and numbers."""
    text = (package() / "transport" / f"{TYPE}.avsc").read_text("utf-8")
    return parse_schema(json.loads(text, object_hook=_plain))


def _plain(node: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key != "logicalType"}
