"""What the custodian keeps on its machine, and the ports of the stores that keep it.

Keys and releases are boxed under their case's shred key; events stay sealed as they came.
"""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from domain.messages import FollowedItem
from domain.ports import Boxing


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
