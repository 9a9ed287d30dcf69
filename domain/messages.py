"""What travels between hub, custodian and gateways, as JSON with bytes in base64."""

from dataclasses import dataclass

from domain.action import Action, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An event as somebody else than its writer gets it: some fields may be their digest."""

    type: str
    record: bytes
    """Unframed Avro body of the sealed view."""
    statement: bytes
    signature: bytes
    recorded_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedItem:
    """One entry of a seat's feed."""

    lane: int
    seq: int
    supersedes: int | None
    """Earlier entry of this lane that this one replaces."""
    categories: tuple[str, ...]
    """Categories shown at the moment of serving."""
    granted: tuple[str, ...]
    """Categories disclosed by the entry as it was written; no fewer are in the trail."""
    basis: str
    """Ids of acts and codes of legal bases that `granted` rests on."""
    event: Shown


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """Entries in order within each lane, and the cursor to ask with next."""

    items: tuple[FeedItem, ...]
    cursor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedItem:
    """One event that the custodian or a directory follows, ROUTING fields only."""

    position: int
    case_id: str
    seq: int
    """Gapless per case, and for the registry."""
    event: Shown


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedPage:
    """Events in log order and the position to ask after next."""

    items: tuple[FollowedItem, ...]
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Actions of one agency, in its order."""

    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """One outcome an action, in the same order."""

    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRelease:
    """A key release (docs/formats.md): its one encoding and the issuer's signature."""

    release: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposits:
    """Data keys of one writer on their way to the custodian."""

    deposits: tuple[SignedRelease, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseItem:
    """One change in what a recipient may open of one writer's keys in one case."""

    seq: int
    case_id: str
    writer: str
    releases: tuple[SignedRelease, ...]
    """The releases that hold now; empty when they were removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePage:
    """Changes in order and the sequence number to ask after next."""

    items: tuple[ReleaseItem, ...]
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyQuestion:
    """May this seat see this category of this case now, and why?"""

    case_id: str
    agency: str
    purpose: str
    category: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """The answer: reason code, its sentence, and what it rests on."""

    permit: bool
    code: str
    reason: str
    rests_on: str | None
    notice: bool
