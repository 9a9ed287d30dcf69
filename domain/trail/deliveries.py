"""Deliveries: what stood in whose feed, as the trail keeps it (docs/formats.md).

The notary signs a DISCLOSURE over them for each case and checkpoint interval; the reader
signs a RECEIPT over those it took. No personal data: digests, seats and reason codes.
"""

import hashlib
import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, Self

from domain.errors import Malformed
from domain.trail.merkle import leaf

VERSION = 1
DELIVERY_SCHEMA = hashlib.sha256(b"nrm-trail/v1/delivery\n").digest()
"""`schema` of a DISCLOSURE."""
RECEIPT_SCHEMA = hashlib.sha256(b"nrm-trail/v1/receipt\n").digest()
"""`schema` of a RECEIPT."""
MOST = 0xFFFF
"""Deliveries that one entry can count."""

_LENGTH = struct.Struct(">H")
_PLACE = struct.Struct(">BQQH32s")
"""lane, seq, supersedes, mask, event."""
_SIZE = struct.Struct(">I")
_HASH = 32


class Delivery(NamedTuple):
    """One entry of one seat's feed, as disclosed."""

    agency: str
    purpose: str
    lane: int
    seq: int
    """Place in the seat's lane, from 1, without gaps."""
    supersedes: int
    """Earlier entry of this seat and lane that this one replaces; 0 if none."""
    mask: int
    """Categories shown; 0 shows the ROUTING fields alone."""
    event: bytes
    """Digest of the statement of the event shown."""
    basis: str
    """Ids of acts and codes of legal bases that the mask rests on, space between."""

    @property
    def place(self) -> tuple[str, str, int, int]:
        """Seat, lane and number: the order in a body."""
        return self[:4]

    @property
    def leaf(self) -> bytes:
        """The 32 bytes by which root, receipt and feed name it."""
        return leaf(self.encode())

    def encode(self) -> bytes:
        """Return its one encoding; `Malformed` DELIVERY when it has none."""
        _check(self)
        place = _PLACE.pack(self.lane, self.seq, self.supersedes, self.mask, self.event)
        agency, purpose, basis = map(_lp, (self.agency, self.purpose, self.basis))
        return b"".join((bytes((VERSION,)), agency, purpose, place, basis))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the delivery in `data`; `Malformed` DELIVERY says what is wrong."""
        if data[:1] != bytes((VERSION,)):
            raise _wrong("its version is unknown")
        agency, at = _text(data, 1)
        purpose, at = _text(data, at)
        if len(data) < at + _PLACE.size:
            raise _wrong(f"it ends after {len(data)} bytes")
        lane, seq, supersedes, mask, event = _PLACE.unpack_from(data, at)
        basis, at = _text(data, at + _PLACE.size)
        if at != len(data):
            raise _wrong("bytes follow its end")
        delivery = cls(agency, purpose, lane, seq, supersedes, mask, event, basis)
        _check(delivery)
        return delivery


def disclosure_body(deliveries: Iterable[Delivery]) -> bytes:
    """Return the body of a DISCLOSURE over `deliveries`, in its order; `Malformed` DELIVERY."""
    ordered = sorted(deliveries, key=_place)
    _check_ordered(ordered)
    encoded = [d.encode() for d in ordered]
    return b"".join(part for e in encoded for part in (_SIZE.pack(len(e)), e))


def deliveries_of(body: bytes) -> list[Delivery]:
    """Return what a DISCLOSURE's body lists; `Malformed` DELIVERY says what is wrong."""
    found, at = [], 0
    while at < len(body):
        start = at + _SIZE.size
        if len(body) < start:
            raise _wrong("the body ends within a length")
        at = start + _SIZE.unpack_from(body, start - _SIZE.size)[0]
        if len(body) < at:
            raise _wrong("the body ends within a delivery")
        found.append(Delivery.decode(body[start:at]))
    _check_ordered(found)
    return found


def receipt_body(leaves: Sequence[bytes]) -> bytes:
    """Return the body of a RECEIPT that confirms deliveries by their leaves."""
    body = b"".join(leaves)
    if leaves_of(body) != list(leaves):
        raise _wrong(f"a leaf is {_HASH} bytes")
    return body


def leaves_of(body: bytes) -> list[bytes]:
    """Return the leaves that a RECEIPT's body confirms; `Malformed` DELIVERY if it is none."""
    count, rest = divmod(len(body), _HASH)
    if rest or not 0 < count <= MOST:
        raise _wrong(f"a receipt's body is 1 to {MOST} leaves of {_HASH} bytes")
    leaves = [body[at : at + _HASH] for at in range(0, len(body), _HASH)]
    if len(set(leaves)) != count:
        raise _wrong("a receipt names a delivery twice")
    return leaves


def _check(delivery: Delivery) -> None:
    if not delivery.agency or not delivery.purpose:
        raise _wrong("it names no seat")
    if len(delivery.event) != _HASH:
        raise _wrong(f"a statement's digest is {_HASH} bytes")
    if delivery.supersedes >= delivery.seq:
        raise _wrong("it has a number from 1 and supersedes an earlier one")


def _check_ordered(deliveries: Sequence[Delivery]) -> None:
    if not 0 < len(deliveries) <= MOST:
        raise _wrong(f"a disclosure lists 1 to {MOST} deliveries")
    places = [d.place for d in deliveries]
    if any(a >= b for a, b in pairwise(places)):
        raise _wrong("deliveries stand once each, by agency, purpose, lane and number")


def _place(delivery: Delivery) -> tuple[str, str, int, int]:
    return delivery.place


def _lp(text: str) -> bytes:
    data = text.encode("utf-8")
    if len(data) > MOST:
        raise _wrong(f"a text in it is longer than {MOST} bytes")
    return _LENGTH.pack(len(data)) + data


def _text(data: bytes, at: int) -> tuple[str, int]:
    start = at + _LENGTH.size
    if len(data) < start:
        raise _wrong(f"it ends after {len(data)} bytes")
    end = start + _LENGTH.unpack_from(data, at)[0]
    if len(data) < end:
        raise _wrong(f"it ends after {len(data)} bytes")
    try:
        return data[start:end].decode("utf-8"), end
    except UnicodeDecodeError as e:
        raise _wrong("a text in it is not UTF-8") from e


def _wrong(what: str) -> Malformed:
    return Malformed("DELIVERY", what)
