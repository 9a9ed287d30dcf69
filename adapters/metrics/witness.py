"""What a witness's operator watches: the logs that it cosigns, and what it refused and why."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from adapters.metrics.asked import asked, asked_value
from domain.trail.checkpoint import Checkpoint


class WitnessMetrics:
    """Registered in the registry of a witness's process."""

    def __init__(self, registry: CollectorRegistry, origins: Iterable[str]) -> None:
        """Register in `registry`, for the logs with these origins."""
        self._registry = registry
        self._answers = Counter(
            "nrm_witness_answers",
            "Checkpoints asked to be cosigned: COSIGNED, or the reason code.",
            ["code"],
            registry=registry,
        )
        self._size = Gauge(
            "nrm_witness_checkpoint_entries",
            "Size of the newest checkpoint of a log that was cosigned since the process began.",
            ["log"],
            registry=registry,
        )
        self._cosigned = Gauge(
            "nrm_witness_cosigned_timestamp_seconds",
            "When a checkpoint of a log was cosigned last, since the process began.",
            ["log"],
            registry=registry,
        )
        self._forked = Gauge(
            "nrm_witness_forked",
            "1 for a log that has signed two roots of one size; both notes are kept.",
            ["log"],
            registry=registry,
        )
        for origin in origins:
            self._forked.labels(origin)

    def cosigned(self, checkpoint: Checkpoint, at_s: int) -> None:
        """Show the newest checkpoint of a log and when it was cosigned."""
        self._size.labels(checkpoint.origin).set(checkpoint.size)
        self._cosigned.labels(checkpoint.origin).set(at_s)

    def forked(self, origin: str) -> None:
        """Show that a log has signed two roots of one size."""
        self._forked.labels(origin).set(1)

    def answered(self, code: str) -> None:
        """Count one answer."""
        self._answers.labels(code).inc()

    def watch_replay(
        self,
        entries: Callable[[], int],
        lag: Callable[[], int],
        foreign: Callable[[], int],
        failed: Callable[[], str],
    ) -> None:
        """Show how far the entries were replayed, and the check that failed ("" is none).

        `foreign` counts entries that name a root which the log never had.
        """
        said = "Entries of the trail that were replayed and found right."
        asked_value(self._registry, "nrm_replay_entries", said, entries)
        said = "Entries under the newest checkpoint that was shown and are not replayed yet."
        asked_value(self._registry, "nrm_replay_lag_entries", said, lag)
        said = "Entries whose actor names a root that the trail never had: somebody may be misled."
        asked_value(self._registry, "nrm_replay_foreign_roots", said, foreign)
        asked(
            self._registry,
            "nrm_replay_failed",
            "1 while the replay stands at an entry that is not right, with the check.",
            lambda: {(check,): 1.0} if (check := failed()) else {},
            ("check",),
        )
