"""What the feed relay needs from others, besides the ports."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from domain.feed import Entry
from domain.publishing import FeedRecord, FeedTopics
from domain.vocabulary import Seat


class BeatenTopics(FeedTopics, Protocol):
    """Topics that are compacted only while something writes to them."""

    def beat(self, seats: Collection[Seat]) -> None:
        """Write a record that says nothing into each seat's topic; errors as `publish`."""
        ...

    def unready(self, seats: Collection[Seat]) -> Mapping[Seat, str]:
        """Return those of `seats` whose topic cannot be written just now, with the reason code.

        What only a record can tell it does not say. `Unavailable` when nobody answers.
        """
        ...

    def close(self) -> None:
        """Let go of the topics."""
        ...


class Composes(Protocol):
    """Makes records of entries as consent stands now."""

    def closed(self, seats: Collection[Seat]) -> Mapping[Seat, str]:
        """Return those of `seats` that may read nothing now, each with the reason code."""
        ...

    def records(self, entries: Sequence[Entry]) -> Sequence[FeedRecord]:
        """Return the record of each entry, in order."""
        ...


class Metrics(Protocol):
    """What is noted of the feed relay."""

    def feeds_behind(self, entries: int) -> None:
        """Note how many entries wait, those of parked seats included."""
        ...

    def delivered(self, seat: Seat, recorded_ms: Sequence[int]) -> None:
        """Note entries that stand in the seat's topic now, by when their events were recorded."""
        ...

    def parked(self, seat: Seat, code: str | None) -> None:
        """Note that a seat is set apart, and why; None when it flows again."""
        ...
