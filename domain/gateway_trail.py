"""What a gateway keeps of the trail, and its way there.

An agency trusts no notary: it keeps the newest checkpoint that it verified, the proof of each of
its own actions, and every delivery of its feeds, and compares. What does not fit is an alarm
with the bytes that prove it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from domain.notary import HeadProof, Receipt, SignedStatement
from domain.trail.merkle import Range

SPLIT_VIEW = "SPLIT_VIEW"
"""Alarm: two signed checkpoints of which neither continues the other. No further one is taken."""


class Seen(NamedTuple):
    """The newest checkpoint that was verified here."""

    size: int
    root: bytes
    note: bytes
    """The signed note, cosignatures included."""


class Own(NamedTuple):
    """An action of the agency's own that was recorded, as the trail must have it."""

    number: int
    """Its place in the outbox."""
    statement: bytes
    signature: bytes
    code: str
    """Reason code of the refusal; empty if it was accepted."""
    recorded_ms: int


class Lane(NamedTuple):
    """One lane of one of the agency's seats."""

    purpose: str
    lane: int

    def __str__(self) -> str:
        """Return how an alarm names it."""
        return f"{self.purpose}, lane {self.lane}"


class Arrived(NamedTuple):
    """One entry of a feed, as the trail must have it."""

    lane: Lane
    seq: int
    case_id: str
    """Empty for an entry that did not hold: it is counted and never confirmed."""
    leaf: bytes
    """Leaf hash of its Delivery."""
    arrived_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """A RECEIPT that was signed and is not proven to stand in the trail yet."""

    seq: int
    """Place in the reader's chain."""
    signed: SignedStatement


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something that an honest trail never shows."""

    code: str
    about: str
    """What it is about, in codes and counts; the same again is not a second alarm."""
    raised_ms: int
    evidence: Mapping[str, bytes] = field(default_factory=dict)
    """File name -> the bytes that prove it."""
    number: int = 0
    """From 1; 0 before it is kept."""
    decided: str = ""
    """Who decided what to do, and why; empty as long as nobody has."""


class GatewayTrail(Protocol):
    """What the agency knows of the trail. What a method returned from outlives the process."""

    def seen(self) -> Seen | None:
        """Return the newest checkpoint that was verified, if any."""
        ...

    def see(self, seen: Seen) -> None:
        """Keep a newer one, or the same with newer cosignatures."""
        ...

    def alarm(self, alarm: Alarm) -> bool:
        """Keep an alarm; False when it is kept already."""
        ...

    def alarms(self, *, evidence: bool = False) -> Sequence[Alarm]:
        """Return every alarm, oldest first; with its evidence if asked."""
        ...

    def decide(
        self,
        number: int,
        decided: str,
        *,
        seen: Seen | None = None,
        anew: Lane | None = None,
        adopt: Lane | None = None,
    ) -> None:
        """Note what was decided about an alarm.

        `seen` takes the place of the newest checkpoint, and every lane and own action is to be
        proven under it; what a RECEIPT confirms that is not proven to stand is unconfirmed again.
        What arrived in the lane `anew` and is not proven is set aside, as evidence of the alarm,
        and its seat's feed is read from the beginning. Of the lane `adopt` it is evidence too,
        and the lane is to go on from what the trail has. `Refused` NO_SUCH_ALARM when none of
        this number waits for a decision.
        """
        ...

    def unproven(self, after: int, limit: int) -> Sequence[Own]:
        """Return up to `limit` recorded actions without receipt, after a place in the outbox."""
        ...

    def prove(self, number: int, receipt: Receipt) -> None:
        """Keep the receipt of an action."""
        ...

    def receipts(self, after: int, limit: int) -> Sequence[tuple[int, Receipt]]:
        """Return up to `limit` (place in the outbox, receipt), in order."""
        ...

    def newest_of(self, lane: Lane) -> int:
        """Return the highest number that arrived in a lane; 0 if none did."""
        ...

    def arrived(self, entries: Sequence[Arrived]) -> None:
        """Keep entries of feeds; one that is kept already stays as it is."""
        ...

    def entries(self, lane: Lane, after: int, limit: int) -> Sequence[Arrived]:
        """Return up to `limit` entries of a lane after a number, in order."""
        ...

    def proven(self, lane: Lane) -> Range:
        """Return the compact range over a lane's entries that a checkpoint has proven whole."""
        ...

    def extend(self, lane: Lane, proven: Range) -> None:
        """Keep the range that is proven now."""
        ...

    def adopting(self) -> Sequence[Lane]:
        """Return the lanes of which it was decided to go on from what the trail has."""
        ...

    def adopt(self, lane: Lane, theirs: Range, never: Sequence[int]) -> None:
        """Go on from `theirs`, the trail's range; entries of the numbers `never` stay as they are.

        Those are never confirmed: the trail has them otherwise.
        """
        ...

    def open_lanes(self) -> Sequence[Lane]:
        """Return the lanes with entries that no checkpoint has proven yet."""
        ...

    def unconfirmed(self, limit: int) -> Sequence[Arrived]:
        """Return up to `limit` proven entries that no RECEIPT confirms, case by case."""
        ...

    def reader_head(self) -> tuple[int, bytes] | None:
        """Return number and digest of the newest RECEIPT that was signed here."""
        ...

    def confirm(self, confirmation: Confirmation, entries: Sequence[Arrived]) -> None:
        """Keep a RECEIPT to be sent, and that it confirms `entries`."""
        ...

    def resign(self, new: Sequence[Confirmation]) -> None:
        """Begin the reader's chain anew with these, in place of everything signed before."""
        ...

    def confirmations(self, limit: int) -> Sequence[Confirmation]:
        """Return up to `limit` RECEIPTs that the notary has not taken, in order."""
        ...

    def acknowledged(self, seq: int) -> None:
        """Note that the notary has taken a RECEIPT; it is kept until it stands in the trail."""
        ...

    def sent(self, limit: int) -> Sequence[Confirmation]:
        """Return up to `limit` RECEIPTs that were taken and do not stand there yet, in order."""
        ...

    def stands(self, seq: int) -> None:
        """Note that a RECEIPT is proven to stand in the trail: it is never sent again."""
        ...

    def unsent(self) -> None:
        """Have everything that does not stand in the trail sent again, in order."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Return how many receipts are kept and due, entries and RECEIPTs not proven yet."""
        ...

    def oldest_unproven_ms(self) -> int | None:
        """Return when the oldest action without receipt was recorded, in ms."""
        ...


class TrailLink(Protocol):
    """A gateway's way to the trail. Away or late is `Unavailable`; retry."""

    async def file(self, path: str) -> bytes | None:
        """Return a public file of the trail, such as `checkpoint`, or None if there is none."""
        ...

    async def receipt(self, stream: bytes, statement_digest: bytes) -> Receipt:
        """Return the proof that a statement stands in a stream; `Refused` NOT_IN_TRAIL."""
        ...

    async def head(self, key: bytes) -> HeadProof:
        """Return the proof of what a key of the map of heads has."""
        ...

    async def disclosed(self, stream: bytes, leaf: bytes) -> Receipt:
        """Return the DISCLOSURE that lists a delivery to this agency; `Refused` NOT_DISCLOSED."""
        ...

    async def confirm(self, signed: SignedStatement) -> None:
        """Hand over a RECEIPT; it was kept when this returns."""
        ...
