"""The log read lane by lane: what a source hands to a projector, and why a lane stands still."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.feed import Progress
from domain.ports import Recorded


@dataclass(frozen=True, slots=True)
class Stall:
    """Why a lane stands still, and where."""

    code: str
    message: str
    offset: int
    """Of the record that nobody can take, in the lane's Kafka partition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a lane goes on with."""

    lane: int
    events: Sequence[Recorded]
    """In the lane's order, registry facts included; some may have been taken before."""
    offsets: Sequence[int] = ()
    """Offset of each event in the lane's Kafka partition; empty if they are from the store."""
    reached: Progress
    """Where the lane stands when all of them were taken; its position is that of the newest
    event if this one's is lower."""
    stall: Stall | None = None
    """What is wrong with the record that comes next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneFigures:
    """How a lane is doing, for metrics."""

    offset: int
    lag: int
    """Records between there and the end of the partition, markers of transactions included."""
    moved_s: float
    """Seconds since it last moved, or since there was last nothing to do."""


class LogSource(Protocol):
    """The log on Kafka, shared out among the members of one consumer group."""

    def poll(self, seconds: float) -> Sequence[Batch]:
        """Return what has come for the lanes that were placed, after up to `seconds`.

        `Unavailable` when Kafka is away; `Refused` TOPIC_MISSING, TOPIC_PARTITIONS,
        KAFKA_NOT_ALLOWED or LANE_STUCK: end the process; `Corrupt` LOG_LOST: the topic was made
        anew, stop.
        """
        ...

    def lanes(self) -> frozenset[int]:
        """Return the lanes that are this member's now."""
        ...

    def unplaced(self) -> frozenset[int]:
        """Return those of them that wait for `place`."""
        ...

    def place(self, places: Mapping[int, Progress]) -> None:
        """Go on with these lanes from there; a lane that was never placed gives nothing."""
        ...

    def pause(self, lanes: Collection[int]) -> None:
        """Give nothing more of these lanes until they are placed again."""
        ...

    def acknowledge(self, places: Mapping[int, Progress]) -> None:
        """Tell the group how far the lanes are in the feeds' database; only for who watches lag."""
        ...

    def figures(self) -> Mapping[int, LaneFigures]:
        """Return how each lane of this member is doing."""
        ...

    def close(self) -> None:
        """Leave the group."""
        ...
