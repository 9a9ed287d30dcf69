"""Data keys: what they belong to, how the log commits to them, how they travel in a bundle.

A key is of one writer, case, category and epoch. A commitment in the log tells every
recipient that the key it was handed is the one that the writer used.
"""

import hashlib
import hmac
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from domain.errors import Malformed, NotAuthentic
from domain.sealing.encoding import exactly, lp, uint, uuid_bytes
from domain.vocabulary import SEALED, Category

KEY_SIZE = 32
SLOTS = 16
"""Keys that one bundle, hence one release, can carry."""
_SLOT = struct.Struct(">BI32s")
BUNDLE_SIZE = 2 + SLOTS * _SLOT.size
_CATEGORIES = {int(c): c for c in SEALED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a writer's data keys belong to: one case at one hub."""

    hub: str
    writer: str
    case_id: str


def commitment(dek: bytes, scope: Scope, category: Category, epoch: int) -> bytes:
    """Return the 32 bytes that bind a data key to its scope without showing it."""
    context = b"nrm-fle/1 commit\x00" + lp(scope.hub) + lp(scope.writer) + uuid_bytes(scope.case_id)
    message = context + uint(category, 1) + uint(epoch, 4)
    return hmac.digest(exactly(KEY_SIZE, dek), message, hashlib.sha256)


@dataclass(frozen=True, slots=True)
class DataKey:
    """The key of one category and epoch within a scope."""

    category: Category
    epoch: int
    dek: bytes = field(repr=False)


def check_keys(
    keys: Iterable[DataKey], scope: Scope, logged: Mapping[tuple[int, int], bytes]
) -> None:
    """Raise `NotAuthentic` unless each key is the one that the log committed to.

    `logged` maps (category, epoch) to the commitment of a KeyEpochOpened. To be called on
    every release before a key is used: otherwise whoever relays it chooses the key.
    """
    for key in keys:
        expected = logged.get((key.category, key.epoch), b"")
        if not hmac.compare_digest(commitment(key.dek, scope, key.category, key.epoch), expected):
            place = f"category {key.category:d} epoch {key.epoch}"
            raise NotAuthentic("KEY_SUBSTITUTED", f"{place}: not the key that the log knows")


def encode_bundles(keys: Sequence[DataKey]) -> tuple[bytes, ...]:
    """Return as many bundles of 594 bytes as `keys` need, 16 in each; a release carries one."""
    return tuple(_bundle(keys[at : at + SLOTS]) for at in range(0, len(keys), SLOTS))


def decode_bundle(bundle: bytes) -> tuple[DataKey, ...]:
    """Return the keys in a bundle, or raise `Malformed` BAD_BUNDLE; gaps and repeats are bad."""
    if len(bundle) != BUNDLE_SIZE or bundle[:2] != bytes((1, SLOTS)):
        raise Malformed("BAD_BUNDLE", f"{len(bundle)} bytes are no bundle of version 1")
    keys = [
        DataKey(_CATEGORIES[category], epoch, dek)
        for category, epoch, dek in _SLOT.iter_unpack(bundle[2:])
        if category in _CATEGORIES and epoch
    ]
    distinct = len({(k.category, k.epoch) for k in keys}) == len(keys)
    if not distinct or _bundle(keys) != bundle:
        raise Malformed("BAD_BUNDLE", "a slot is out of place, repeated or half empty")
    return tuple(keys)


def _bundle(keys: Sequence[DataKey]) -> bytes:
    slots = (uint(k.category, 1) + uint(k.epoch, 4) + exactly(KEY_SIZE, k.dek) for k in keys)
    return (bytes((1, SLOTS)) + b"".join(slots)).ljust(BUNDLE_SIZE, b"\x00")
