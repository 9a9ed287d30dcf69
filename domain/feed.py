"""Feeds: per seat and lane a gapless sequence of entries that point into the log.

An entry is a reference (position, mask, basis), not a copy: the record with its digests is
composed when it is served. A changed mask is a new entry that names what it supersedes.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from domain.errors import Malformed
from domain.events import REGISTRY_STREAM
from domain.vocabulary import Seat

LANES = 8
"""Lanes of every feed, by case; equal to the partitions of the log's topic, for good."""


def lane_of(case_id: str) -> int:
    """Return the lane of a case; case ids are random, so their first digits spread evenly."""
    return int(case_id[:8], 16) % LANES


def lanes_of(case_id: str) -> range:
    """Return the lanes that an event is in: its case's one; every one if it is a registry fact."""
    if case_id == REGISTRY_STREAM:
        return range(LANES)
    lane = lane_of(case_id)
    return range(lane, lane + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of one seat's feed."""

    seat: Seat
    lane: int
    seq: int
    """Place in the seat's lane, from 1, without gaps."""
    position: int
    """Place in the log of the event referred to; never shown to the agency."""
    case_id: str
    mask: int
    """Categories shown; 0 shows the ROUTING fields alone."""
    basis: str
    """What the mask rests on: ids of acts and codes of legal bases, space between."""
    supersedes: int | None = None
    """Earlier entry of this lane that this one replaces; None if it is the first of its event."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the projection of one lane has come."""

    position: int = 0
    """Place in the log of the newest event taken; what is not after it was taken before."""
    offset: int = 0
    """Where the lane goes on in its Kafka partition; 0 if it was never read from there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A record of the log that a person let a lane pass over, kept for the auditor."""

    lane: int
    offset: int
    """Where the record stands in the lane's Kafka partition."""
    digest: bytes
    """SHA-256 of the record's value; of no bytes if there was no value."""
    by: str
    reason: str
    skipped_ms: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader has come: the last sequence number taken, per lane."""

    seqs: tuple[int, ...] = (0,) * LANES

    def encode(self) -> str:
        """Return the cursor as text that readers keep and do not read."""
        plain = ".".join(map(str, self.seqs)).encode()
        return base64.urlsafe_b64encode(plain).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Return the cursor in `text`; empty text is the beginning, bad text `Malformed` CURSOR."""
        if not text:
            return cls()
        try:
            plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
            seqs = tuple(int(part) for part in plain.split("."))
        except (binascii.Error, ValueError) as e:
            raise Malformed("CURSOR", "use the cursor as the feed gave it") from e
        if len(seqs) != LANES or min(seqs) < 0 or max(seqs) >= 1 << 63:
            raise Malformed("CURSOR", "use the cursor as the feed gave it")
        return cls(seqs)

    def past(self, lane: int, seq: int) -> "Cursor":
        """Return the cursor after entry `seq` of `lane` was taken."""
        return Cursor(tuple(seq if i == lane else s for i, s in enumerate(self.seqs)))


Heads = Mapping[tuple[Seat, int], int]
"""(seat, lane) -> newest sequence number."""
