"""Metrics in a prometheus-client registry of their own; no label names a case or a person."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from domain.action import Outcome

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class HubMetrics:
    """What an operator watches of a hub."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register in `registry`."""
        self._answers = Counter(
            "nrm_actions", "Actions answered, by reason code.", ["code"], registry=registry
        )
        self._commit = Histogram(
            "nrm_commit_seconds", "Time of one commit.", buckets=_FAST, registry=registry
        )
        self._batch = Histogram(
            "nrm_commit_actions",
            "Actions in one commit.",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200),
            registry=registry,
        )
        self._projected = Histogram(
            "nrm_projection_seconds",
            "From recorded to readable in every feed.",
            buckets=_FAST,
            registry=registry,
        )
        self._lag = Gauge(
            "nrm_projection_lag_events", "Events not projected yet.", registry=registry
        )

    def answered(self, outcome: Outcome) -> None:
        """Count one answer."""
        self._answers.labels(outcome.code or "ACCEPTED").inc()

    def committed(self, actions: int, seconds: float) -> None:
        """Note one commit."""
        self._commit.observe(seconds)
        self._batch.observe(actions)

    def projected(self, latency_ms: float) -> None:
        """Note how long one event took to be readable."""
        self._projected.observe(latency_ms / 1000)

    def watch_lag(self, lag: Callable[[], int]) -> None:
        """Ask `lag` at each scrape how far the projector is behind."""
        self._lag.set_function(lag)
