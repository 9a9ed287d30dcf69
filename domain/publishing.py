"""The log and the feeds as they leave the hub: what relays write and projectors read again.

A relay writes records and its own place in one transaction, so that after any crash both are
there or neither is.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.errors import Corrupt
from domain.feed import Cursor
from domain.messages import FeedItem
from domain.ports import Recorded, Refusal
from domain.vocabulary import Seat

NOTHING = bytes(32)
"""Digest of the newest event before there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """How far the log was published, and of which store."""

    incarnation: str
    """`EventStore.incarnation` of the store that was read."""
    position: int = 0
    """Position of the newest event published."""
    digest: bytes = NOTHING
    """`event_digest` of that event."""
    refusals: int = 0
    """Number of the newest refusal published."""


def event_digest(event: Recorded) -> bytes:
    """Return SHA-256(u64 position || statement || signature), by which two stores are told apart.

    The statement covers the body by its digest.
    """
    place = event.position.to_bytes(8, "big")
    return hashlib.sha256(place + event.statement + event.signature).digest()


def check_store(
    published: Published, incarnation: str, newest: Recorded | None, refusal: Refusal | None
) -> None:
    """Refuse to go on publishing from a store that is not what was published, with `Corrupt`.

    `newest` and `refusal` are what the store holds at the places published; None if nothing.
    LOG_OF_ANOTHER_STORE, STORE_RESTORED (behind the log), STORE_FORKED (other than the log).
    """
    if incarnation != published.incarnation:
        raise Corrupt(
            "LOG_OF_ANOTHER_STORE",
            f"the log was published from store {published.incarnation}, this is {incarnation};"
            " give this hub a log of its own, or name that store's database",
        )
    if (published.position and newest is None) or (published.refusals and refusal is None):
        raise Corrupt(
            "STORE_RESTORED",
            f"the log holds {published.position} events and {published.refusals} refusals, the"
            f" store fewer: it was restored from a backup; {_REBUILD}",
        )
    if newest is not None and event_digest(newest) != published.digest:
        raise Corrupt(
            "STORE_FORKED",
            f"event {published.position} in the store is not the one published: the store was"
            f" restored and then written to; {_REBUILD}",
        )


_REBUILD = "run nrm-hub rebuild --from-kafka into an empty database, or give this hub a new log"


class LogTopic(Protocol):
    """The log as everybody else reads it; one writer at a time, the newer fences the older."""

    def published(self) -> Published | None:
        """Return how far the log was published; None at the start."""
        ...

    def publish(
        self, events: Sequence[Recorded], refusals: Sequence[Refusal], published: Published
    ) -> None:
        """Write all of it or nothing, the new place included.

        `Unavailable` when it may or may not have been written: ask `published` again.
        `Refused` FENCED when another writer has taken over: stop.
        """
        ...

    def close(self) -> None:
        """Let go of the topic; `published` takes hold of it again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRecord:
    """One entry of a seat's feed on its way to the seat's topic."""

    seat: Seat
    event_id: str
    """The record's key: an entry replaces the older ones of its event."""
    item: FeedItem


class FeedTopics(Protocol):
    """A topic for every seat; one writer at a time, the newer fences the older."""

    def published(self) -> Mapping[Seat, Cursor]:
        """Return how far each seat's feed was published; a seat that is absent has nothing."""
        ...

    def publish(self, records: Sequence[FeedRecord], published: Mapping[Seat, Cursor]) -> None:
        """Write all of it or nothing, the new places included; errors as `LogTopic.publish`."""
        ...
