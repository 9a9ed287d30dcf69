"""What the custodian keeps on its machine, and the ports of the stores that keep it.

Keys and releases are boxed under their case's shred key; events stay sealed as they came.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from domain.messages import FollowedItem
from domain.notary import StreamProof
from domain.ports import Boxing
from domain.vocabulary import Seat


class ShredKeys(Protocol):
    """One random key a case, in a store and backup set of its own; destroying it is the erasure."""

    def make(self, case_ids: Collection[str]) -> None:
        """Make durable the key of each case that has none yet."""
        ...

    def box(self, case_id: str) -> Boxing:
        """Return the box of a case, made durable first if it is new."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldKey:
    """A data key in the custodian's store, boxed under its case's shred key."""

    case_id: str
    writer: str
    category: int
    epoch: int
    boxed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRelease:
    """What a recipient may open of one writer's keys in one case, boxed like the keys."""

    seq: int
    """Place among the recipient's changes, from 1."""
    case_id: str
    recipient: str
    writer: str
    state: bytes
    """Digest of which keys were released to which opening key; empty once removed."""
    boxed: tuple[bytes, ...]
    """The signed releases, each boxed; empty once removed."""


KeyOfCase = tuple[str, int, int]
"""(writer, category number, epoch)."""


class Proven(NamedTuple):
    """A key of a case that the trail has shown to be disclosed to a seat."""

    seat: Seat
    key: KeyOfCase
    size: int
    """Of the tree of the trail in which it was seen."""
    witnessed: bool
    """Whether a quorum had cosigned it; if not, it is to be seen again once one has."""


class Waiting(NamedTuple):
    """Releases of one case that consent allows and that wait for the proof of a disclosure."""

    since_ms: int
    """When the oldest of them began to wait."""
    releases: int


class SeenLog(NamedTuple):
    """The newest tree of the trail that the custodian has seen."""

    size: int
    root: bytes
    note: bytes
    """The signed checkpoint."""
    quorum_ms: int | None
    """When a quorum had last cosigned a tree that was seen; None if none ever had."""


SPLIT_VIEW = "SPLIT_VIEW"
"""Two signed checkpoints of which neither continues the other. No further one is taken."""


class Split(NamedTuple):
    """The proof of a split view."""

    seen: bytes
    """The signed note of the newest tree that was seen."""
    shown: bytes
    """That of one which contradicts it."""
    raised_ms: int
    decided: str = ""
    """Who decided which to follow, and why; empty as long as nobody has."""


class DisclosureLink(Protocol):
    """What the custodian asks the notary for; `Unavailable` while that is away."""

    async def file(self, path: str) -> bytes | None:
        """Return a public file of the trail, such as `checkpoint`, or None if there is none."""
        ...

    async def disclosures(self, case_id: str, after: int) -> StreamProof:
        """Return a case's disclosures from number `after` on, and the proof that it is all."""
        ...

    async def registry(self, after: int) -> StreamProof:
        """Return the registry's facts from number `after` on, and the proof that it is all."""
        ...


class Custody(Protocol):
    """The custodian's own store. What a method returned from is durable."""

    def together(self) -> AbstractContextManager[None]:
        """Make everything written inside the block durable as one, or leave nothing of it."""
        ...

    def position(self) -> int:
        """Return how far the hub's log was followed."""
        ...

    def follow(self, items: Sequence[FollowedItem], position: int) -> None:
        """Keep `items` and move to `position` in one transaction; held items are passed over."""
        ...

    def followed(self, case_id: str, after: int = 0) -> Sequence[FollowedItem]:
        """Return the events of a case after its number `after`, in order."""
        ...

    def hold(self, keys: Sequence[HeldKey]) -> None:
        """Keep deposited keys; one that is held already stays as it is."""
        ...

    def held(self, case_id: str) -> Sequence[HeldKey]:
        """Return every key held of a case."""
        ...

    def withdraw(self, case_id: str, consent_id: str | None, received_ms: int) -> None:
        """Keep a withdrawal that came straight from a gateway; None takes back every consent."""
        ...

    def withdrawals(self, case_id: str) -> Sequence[tuple[str | None, int]]:
        """Return (consent id or None, received_ms) of each such withdrawal."""
        ...

    def releases_of_case(self, case_id: str) -> Sequence[HeldRelease]:
        """Return the newest release of each recipient and writer."""
        ...

    def put_releases(self, releases: Sequence[HeldRelease]) -> None:
        """Replace each recipient's release of a case and writer; `seq` is set here."""
        ...

    def releases(self, recipient: str, after: int, limit: int) -> Sequence[HeldRelease]:
        """Return up to `limit` of the recipient's changes after `after`, in order."""
        ...

    def proven(self, case_id: str) -> Sequence[Proven]:
        """Return what the trail has shown of a case, in order."""
        ...

    def prove(self, case_id: str, proven: Collection[Proven]) -> None:
        """Keep `proven` in place of what was kept of the case."""
        ...

    def facts(self) -> int:
        """Return how many facts the registry had when the trail had last shown all of them."""
        ...

    def show_facts(self, count: int) -> None:
        """Note that the trail has shown all `count` facts of the registry."""
        ...

    def unwitnessed(self) -> Mapping[str, int]:
        """Return each case with keys proven without a quorum -> size of the tree that did it."""
        ...

    def waiting(self) -> Mapping[str, Waiting]:
        """Return what waits for a proof, by case."""
        ...

    def waits(self, case_id: str) -> Waiting | None:
        """Return what of a case waits; None if nothing does."""
        ...

    def wait(self, case_id: str, waiting: Waiting | None) -> None:
        """Note what of a case waits; None: nothing does."""
        ...

    def seen(self, log: str) -> SeenLog | None:
        """Return what was seen of the log with this verifier key."""
        ...

    def see(self, log: str, seen: SeenLog) -> None:
        """Keep `seen` in place of what was seen of the log before."""
        ...

    def split(self, log: str, split: Split) -> None:
        """Keep the proof of a split view; nothing is done if one waits for a decision already."""
        ...

    def splits(self, log: str) -> Sequence[Split]:
        """Return every split view of the log, oldest first."""
        ...

    def decide(self, log: str, decided: str, seen: SeenLog | None = None) -> None:
        """Note what was `decided` about the split view that waits; `Refused` NO_SPLIT_VIEW.

        With `seen` that is put in place of what was seen of the log, and what was proven counts
        as proven without a quorum, in a tree of size 0.
        """
        ...
