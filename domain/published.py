"""The published language as any Kafka client meets it: schemas by subject and by number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSchema:
    """One released schema, as records are written on the wire."""

    subject: str
    """Avro full name of the record: one name, one schema, for good."""
    version: int
    """Place among the schemas of the subject, from 1."""
    number: int
    """Schema id in the framing of a record; never reused."""
    schema: str
    """Avro schema as JSON text."""


class PublishedLanguage(Protocol):
    """Every released schema. Nothing is ever added to it, changed or removed while it runs."""

    def published(self) -> Sequence[PublishedSchema]:
        """Return every released schema in the order of release."""
        ...

    def same(self, subject: str, schema: str) -> PublishedSchema | None:
        """Return the subject's schema that says the same as JSON text `schema`, wording aside.

        `Malformed` when the text is no Avro schema.
        """
        ...

    def conflicts(self, number: int, schema: str) -> Sequence[str]:
        """Return why JSON text `schema` and schema `number` cannot be versions of one subject.

        Empty when each reads what the other wrote and means the same by it; `Malformed` when
        the text is no Avro schema.
        """
        ...
