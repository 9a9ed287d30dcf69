"""What an operator watches of projectors, lane by lane, and of the clocks."""

from collections.abc import Callable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram

from adapters.metrics.asked import FAST, SLOW, Asked, Samples, age_seconds, asked, asked_value
from domain.lanes import LaneFigures, Stall
from domain.ports import Recorded

WITHDRAWN = ".ConsentWithdrawn"


class ProjectorMetrics:
    """A projector: log to feeds, each lane by itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register in `registry`."""
        self._registry = registry
        self._seconds = Histogram(
            "nrm_projection_seconds",
            "From recorded to readable in every feed.",
            buckets=FAST,
            registry=registry,
        )
        self._withdrawn = withdrawals(registry, "feeds")

    def projected(self, events: Sequence[Recorded], now_ms: int) -> None:
        """Note events whose feed entries are durable at `now_ms`."""
        for event in events:
            seconds = max(0.0, (now_ms - event.recorded_ms) / 1000)
            self._seconds.observe(seconds)
            if event.type.endswith(WITHDRAWN):
                self._withdrawn(seconds)

    def watch(
        self,
        figures: Callable[[], Mapping[int, LaneFigures]],
        stalled: Callable[[], Mapping[int, Stall]],
    ) -> None:
        """Ask how each lane of this projector is doing, and which stand still and why."""

        def samples() -> tuple[Samples, ...]:
            lanes = figures().items()
            places: Samples = {(str(lane),): f.offset for lane, f in lanes}
            lags: Samples = {(str(lane),): f.lag for lane, f in lanes}
            unmoved: Samples = {(str(lane),): f.moved_s for lane, f in lanes}
            return places, lags, unmoved

        gauges = {
            "nrm_lane_offset_records": "Where a lane goes on in its partition of the log.",
            "nrm_lane_lag_records": "Records of a lane's partition that are not projected.",
            "nrm_lane_unmoved_seconds": "Seconds since a lane moved, or had nothing to do.",
        }
        Asked(self._registry, gauges, ("lane",), samples)
        asked(
            self._registry,
            "nrm_lane_stalled",
            "1 for a lane that cannot pass a record, with the reason code.",
            lambda: {(str(lane), stall.code): 1 for lane, stall in dict(stalled()).items()},
            ("lane", "reason"),
        )


class ClockMetrics:
    """The clocks: what falls due and becomes an event."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register in `registry`."""
        self._registry = registry
        self._rung = Counter(
            "nrm_clock_events",
            "Events that a clock had recorded, by type and answer.",
            ["type", "answer"],
            registry=registry,
        )

    def rang(self, type: str, answer: str) -> None:
        """Count one event and what became of it: accepted, queued, refused."""
        self._rung.labels(type, answer).inc()

    def watch(self, oldest_ms: Callable[[], int | None]) -> None:
        """Ask when the oldest of what is due and not rung fell due, in ms; None if nothing is."""
        said = "Seconds since the oldest deadline that has not rung; 0 when there is none."
        asked_value(
            self._registry, "nrm_clock_overdue_seconds", said, lambda: age_seconds(oldest_ms())
        )


def withdrawals(registry: CollectorRegistry, place: str) -> Callable[[float], None]:
    """Return what notes the seconds from a withdrawal recorded to `place` having cut it off."""
    histogram = Histogram(
        "nrm_withdrawal_seconds",
        "From a withdrawal recorded to cut off, by place: feeds, keys.",
        ["place"],
        buckets=SLOW,
        registry=registry,
    )
    return histogram.labels(place).observe
