"""A record: one event as it is stored, published and shown, field by field.

The sealed view of an event is its Avro record in which every field that is not ROUTING is
either sealed bytes or the 32-byte digest that stands for them. Because the signature covers
digests only, a record with withheld fields still verifies, and nobody sees from outside
whether a field was filled in.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from domain.trail.merkle import root
from domain.vocabulary import Category


class Field(NamedTuple):
    """One field of a record.

    `value` is the field's Avro bytes (ROUTING), its sealed bytes, or, when `withheld`,
    the 32-byte digest of what was there.
    """

    path: str
    category: Category
    value: bytes
    withheld: bool = False

    @property
    def digest(self) -> bytes:
        """H(0x00 || lp(path) || value), 32 bytes; of a withheld field, the digest it is."""
        return self.value if self.withheld else field_digest(self.path, self.value)


@dataclass(frozen=True)
class Record:
    """An event type's full name and its fields in schema order."""

    type: str
    fields: tuple[Field, ...]

    @cached_property
    def digests(self) -> tuple[bytes, ...]:
        """The digest of each field; kept, for the same record is shown to many."""
        return tuple([f.digest for f in self.fields])

    @property
    def fields_root(self) -> bytes:
        """RFC 6962 root over the field digests in schema order; what the statement signs."""
        return root(self.digests)

    def withhold(self, mask: int) -> "Record":
        """Return this record with every sealed field outside category `mask` as its digest."""
        return Record(
            self.type,
            tuple(
                f
                if f.withheld or f.category is Category.ROUTING or mask & f.category.bit
                else f._replace(value=digest, withheld=True)
                for f, digest in zip(self.fields, self.digests, strict=True)
            ),
        )


def field_digest(path: str, value: bytes) -> bytes:
    """Return the leaf of one field: SHA-256(0x00 || u16 length of path || path || value)."""
    return hashlib.sha256(_leaf_of(path) + value).digest()


@lru_cache(maxsize=1024)  # the paths of the published schemas
def _leaf_of(path: str) -> bytes:
    name = path.encode()
    return b"\x00" + len(name).to_bytes(2, "big") + name


@dataclass(frozen=True, slots=True)
class Shape:
    """What the language knows of an event type."""

    type: str
    """Avro full name, such as nrm.v1.ReferralSent."""
    number: int
    """The type's number in statements; never reused."""
    version: int
    """The number in the namespace: 1 for nrm.v1."""
    seal_fp: bytes
    """SHA-256 over the canonical full schema, categories included; 32 bytes."""
    fields: tuple[tuple[str, Category], ...]
    """Path and category of each field in schema order; ROUTING fields come first."""
