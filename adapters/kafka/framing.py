"""What a record of the log looks like on Kafka: Confluent framing and CloudEvents headers.

Encoding and decoding are pure and each other's inverse; foreign bytes are taken whole or are
`Malformed`. Formats: kafka-protocol-binding of CloudEvents 1.0, wire format of Confluent.
"""

import re
import struct
from collections.abc import Sequence
from typing import NamedTuple

from adapters.kafka.names import Names
from domain.errors import Malformed
from domain.ports import Language, Recorded
from domain.trail import statement

MAGIC = 0
_FRAME = struct.Struct(">BI")
_ENTRY = struct.Struct(f">QQQ64s{statement.SIZE}s")
"""Version, place among what the custodian follows (0 = none), recorded_ms, signature, statement."""
_SIGNATURE = 64
_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NUMBER = re.compile(rb"[1-9][0-9]{0,18}")
MOST = (1 << 63) - 1
"""Largest number that the stores and Kafka hold."""
LOG_HEADERS = (
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_sequence",
    "content-type",
    "nrm_entry",
)
"""The headers of a record of the log: these, in this order."""
SPECVERSION = ("ce_specversion", b"1.0")
CONTENT_TYPE = ("content-type", b"application/avro")

Headers = list[tuple[str, bytes]]


class Framed(NamedTuple):
    """A record of the log as Kafka carries it."""

    key: bytes
    value: bytes
    headers: Headers
    timestamp_ms: int


class EventTypes:
    """Event types as records name them: by number before the body, by name in `ce_type`."""

    def __init__(self, language: Language) -> None:
        """Look up every event type of `language` once."""
        shapes = [language.shape(type) for type in language.types()]
        self._heads = {s.type: frame(s.number, b"") for s in shapes}
        self._numbered = {s.number: s.type for s in shapes}
        self.headers = {s.type: ("ce_type", s.type.encode()) for s in shapes}

    def framed(self, type: str, body: bytes) -> bytes:
        """Return `body` behind the number of its type; `Malformed` UNKNOWN_EVENT."""
        if type not in self._heads:
            raise Malformed("UNKNOWN_EVENT", "the event type is not in the published schemas")
        return self._heads[type] + body

    def unframed(self, value: bytes | None) -> tuple[str, bytes]:
        """Return type and body of a value; `Malformed` RECORD_FRAMING, RECORD_SCHEMA."""
        number, body = unframe(value)
        if number not in self._numbered:
            raise Malformed("RECORD_SCHEMA", f"no event type has number {number}; upgrade")
        return self._numbered[number], body


class LogFraming:
    """Turns what the log holds into Kafka's records and back, for one hub."""

    def __init__(self, language: Language, names: Names) -> None:
        """Look up every event type of `language` once."""
        self._types = EventTypes(language)
        self._source = ("ce_source", source(names))

    def encode(self, event: Recorded) -> Framed:
        """Return the record of `event`; `Malformed` when something in it has not its size."""
        value = self._types.framed(event.type, event.body)
        headers = [
            SPECVERSION,
            ("ce_id", event.event_id.encode()),
            self._source,
            self._types.headers[event.type],
            ("ce_sequence", b"%d" % event.position),
            CONTENT_TYPE,
            ("nrm_entry", _entry(event)),
        ]
        return Framed(event.case_id.encode(), value, headers, event.recorded_ms)

    def decode(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
        timestamp_ms: int,
    ) -> Recorded:
        """Return the event in a record; `Malformed` says what is wrong with it.

        Codes: RECORD_FRAMING, RECORD_SCHEMA, RECORD_HEADERS, RECORD_KEY, RECORD_ENTRY.
        """
        type, body = self._types.unframed(value)
        event_id, position, entry = self._headers(headers, type)
        version, custody_seq, recorded_ms, signature, said = _opened(entry)
        if timestamp_ms != recorded_ms:
            raise Malformed("RECORD_ENTRY", "the record's time is not when the hub recorded it")
        return Recorded(
            position=position,
            event_id=event_id,
            case_id=uuid_text(key, "RECORD_KEY"),
            version=version,
            type=type,
            body=body,
            statement=said,
            signature=signature,
            recorded_ms=recorded_ms,
            custody_seq=custody_seq or None,
        )

    def _headers(
        self, headers: Sequence[tuple[str, bytes | None]], type: str
    ) -> tuple[str, int, bytes]:
        """Return event id, position and side row."""
        if tuple([name for name, _ in headers]) != LOG_HEADERS:
            raise Malformed("RECORD_HEADERS", f"the headers are not {', '.join(LOG_HEADERS)}")
        spec, event_id, origin, kind, sequence, content, (_, entry) = headers
        if (spec, content) != (SPECVERSION, CONTENT_TYPE) or origin != self._source:
            raise Malformed("RECORD_HEADERS", "the record is not of this hub's log")
        if kind != self._types.headers[type]:
            raise Malformed("RECORD_SCHEMA", "ce_type is not the type that the value is framed as")
        return uuid_text(event_id[1], "RECORD_HEADERS"), number_of(sequence[1]), entry or b""


def source(names: Names) -> bytes:
    """Return `ce_source` of everything that this hub publishes: its id, which is a URI."""
    return names.hub.encode()


def frame(number: int, body: bytes) -> bytes:
    """Return `body` behind the number of its schema."""
    return _FRAME.pack(MAGIC, number) + body


def unframe(value: bytes | None) -> tuple[int, bytes]:
    """Return schema number and body of a value; `Malformed` RECORD_FRAMING."""
    if value is None or len(value) < _FRAME.size or value[0] != MAGIC:
        raise Malformed("RECORD_FRAMING", "a value is 0x00, four bytes of schema number, Avro")
    number: int = _FRAME.unpack_from(value)[1]
    return number, bytes(value[_FRAME.size :])


def uuid_text(data: bytes | None, code: str) -> str:
    """Return the UUID that `data` is in lower-case text; `Malformed` `code` otherwise."""
    if data is None or not _UUID.fullmatch(data):
        raise Malformed(code, "an id is a UUID in lower-case text")
    return data.decode("ascii")


def number_of(data: bytes | None) -> int:
    """Return the number from 1 that `data` is in decimal; `Malformed` RECORD_HEADERS otherwise."""
    if data is None or not _NUMBER.fullmatch(data) or (number := int(data)) > MOST:
        raise Malformed("RECORD_HEADERS", "ce_sequence is a decimal number from 1")
    return number


def check_signed(said: bytes, signature: bytes, code: str) -> None:
    """Refuse a statement or signature that has not its size, with `Malformed` `code`."""
    if len(said) != statement.SIZE or len(signature) != _SIGNATURE:
        raise Malformed(code, f"a statement is {statement.SIZE} bytes, a signature {_SIGNATURE}")


def _entry(event: Recorded) -> bytes:
    check_signed(event.statement, event.signature, "RECORD_ENTRY")
    return _ENTRY.pack(
        event.version,
        event.custody_seq or 0,
        event.recorded_ms,
        event.signature,
        event.statement,
    )


def _opened(entry: bytes) -> tuple[int, int, int, bytes, bytes]:
    """Return the fields of the side row."""
    if len(entry) != _ENTRY.size:
        raise Malformed("RECORD_ENTRY", f"nrm_entry is {_ENTRY.size} bytes, not {len(entry)}")
    version, custody_seq, recorded_ms, signature, said = _ENTRY.unpack(entry)
    if not 1 <= version <= MOST or custody_seq > MOST or recorded_ms > MOST:
        raise Malformed("RECORD_ENTRY", "a number in nrm_entry is out of range")
    return version, custody_seq, recorded_ms, signature, said
