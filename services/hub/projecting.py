"""The projector as a process of its own: some lanes from the store, or its share from Kafka."""

from collections.abc import Callable
from time import monotonic

from domain.errors import Conflict, Refused
from domain.feed import LANES, Progress, Skip
from domain.lanes import LogSource
from domain.ports import Feeds
from services.hub.projector import STEP, Projector, Step

POLL_S = 0.5
LOOK_S = 1.0
"""How often it is looked whether somebody let a lane that stands still go on."""


def _nobody(_: Step) -> None:
    """Tell nobody."""


class StoreProjection:
    """Projects the lanes of its projector straight from the event store."""

    def __init__(
        self, projector: Projector, on_step: Callable[[Step], None] = _nobody, limit: int = STEP
    ) -> None:
        """Take up to `limit` events a step and tell `on_step` what was done."""
        self.projector = projector
        self._on_step = on_step
        self._limit = limit

    def step(self) -> bool:
        """Project what comes next; return whether there was anything.

        `Unavailable` when a database is away: call again. `Corrupt` when an event cannot be taken.
        """
        try:
            step = self.projector.step(self._limit)
        except Conflict:
            return True  # another was first: the next step goes on from what it left
        self._on_step(step)
        return bool(step.recorded_ms)

    def close(self) -> None:
        """Hold nothing that must be let go."""


class KafkaProjection:
    """Projects the lanes that the group gives this member."""

    def __init__(
        self, source: LogSource, projector: Projector, on_step: Callable[[Step], None] = _nobody
    ) -> None:
        """Take over `projector`, which owns no lane yet, and tell `on_step` what was done."""
        self.source = source
        self.projector = projector
        self._on_step = on_step
        self._looked_at = 0.0

    def step(self) -> bool:
        """Project what has come; return whether there was anything.

        `Unavailable` when Kafka or a database is away: call again. Other errors as
        `LogSource.poll` has them.
        """
        batches = () if self.projector.astray else self.source.poll(POLL_S)
        if self._misplaced() or self._let_go_on():
            self._place()  # what was polled comes again
            return True
        if not batches:
            return False
        try:
            step = self.projector.take(batches)
        except Conflict:
            return True  # another owner or a new generation: the next step finds out
        self._on_step(step)
        self.source.pause(self.projector.stalled.keys())
        self.source.acknowledge(self.projector.progress())
        return True

    def close(self) -> None:
        """Leave the group."""
        self.source.close()

    def _misplaced(self) -> bool:
        return (
            self.projector.astray
            or self.source.lanes() != self.projector.lanes
            or bool(self.source.unplaced() - self.projector.stalled.keys())
        )

    def _let_go_on(self) -> bool:
        """Return whether a lane that stood still was moved, which is what `skip` does."""
        stalled = set(self.projector.stalled)
        if not stalled or monotonic() - self._looked_at < LOOK_S:
            return False
        self._looked_at = monotonic()
        self.projector.resume()
        return stalled != set(self.projector.stalled)

    def _place(self) -> None:
        """Go on with every lane of this member from what the feeds have."""
        self.projector.own(self.source.lanes())
        stalled = self.projector.stalled.keys()
        places = {n: p for n, p in self.projector.progress().items() if n not in stalled}
        self.source.place(places)


class Skipping:
    """Lets a lane pass over a record that nobody can take; who did and why is kept."""

    def __init__(
        self, feeds: Feeds, digest_of: Callable[[int, int], bytes], clock: Callable[[], int]
    ) -> None:
        """Ask `digest_of` for the digest of a record by lane and offset."""
        self._feeds = feeds
        self._digest_of = digest_of
        self._clock = clock

    def skip(self, lane: int, offset: int, *, by: str, reason: str) -> Skip:
        """Pass over the record at `offset`, which must be the one that the lane stands at.

        `Refused` LANE_UNKNOWN, SKIP_ELSEWHERE or SKIP_UNSIGNED; `Conflict` when the lane moved
        meanwhile. A projector that stands there goes on by itself.
        """
        if not 0 <= lane < LANES:
            raise Refused("LANE_UNKNOWN", f"lanes are 0 to {LANES - 1}")
        if not (by.strip() and reason.strip()):
            raise Refused("SKIP_UNSIGNED", "say who skips the record, and why")
        at = self._feeds.progress()[lane]
        if at.offset != offset:
            raise Refused("SKIP_ELSEWHERE", f"lane {lane} stands at offset {at.offset}")
        made = Skip(
            lane=lane,
            offset=offset,
            digest=self._digest_of(lane, offset),
            by=by,
            reason=reason,
            skipped_ms=self._clock(),
        )
        self._feeds.skip(made, (at, Progress(at.position, offset + 1)))
        return made
