"""What the custodian's own operator watches: keys in, out and taken back; a hub that leaves out."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Histogram

from adapters.metrics.asked import SLOW, age_seconds, asked_value
from adapters.metrics.projecting import withdrawals

OPERATIONS = ("deposited", "released", "removed")


class CustodianMetrics:
    """Registered in the registry of the custodian's process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register in `registry`."""
        self._registry = registry
        self._keys = Counter(
            "nrm_custodian_keys",
            "Keys deposited; releases to a recipient made or changed; releases removed.",
            ["operation"],
            registry=registry,
        )
        for operation in OPERATIONS:
            self._keys.labels(operation)
        self._cut_off = withdrawals(registry, "keys")
        self._bad_proofs = Counter(
            "nrm_custodian_bad_proofs",
            "Checkpoints of the trail and proofs of disclosures that did not hold.",
            registry=registry,
        )
        self._waited = Histogram(
            "nrm_custodian_proof_wait_seconds",
            "How long a case's releases waited for the proof of their disclosure.",
            buckets=SLOW,
            registry=registry,
        )

    def deposited(self, keys: int) -> None:
        """Count keys that were kept."""
        self._keys.labels("deposited").inc(keys)

    def settled(self, released: int, removed: int) -> None:
        """Count releases that were made or changed, and those that were taken back."""
        self._keys.labels("released").inc(released)
        self._keys.labels("removed").inc(removed)

    def cut_off(self, seconds: float) -> None:
        """Note how long a withdrawal took, from recorded at the hub to its releases gone."""
        self._cut_off(max(0.0, seconds))

    def waited(self, seconds: float) -> None:
        """Note how long the releases of a case waited for their proof."""
        self._waited.observe(max(0.0, seconds))

    def bad_proof(self) -> None:
        """Count a checkpoint or proof that does not hold."""
        self._bad_proofs.inc()

    def watch_proofs(
        self,
        waiting: Callable[[], int],
        oldest_ms: Callable[[], int | None],
        degraded: Callable[[], int],
    ) -> None:
        """Ask what waits, since when in ms, and how many cases rest on no quorum."""
        said = "Releases that consent allows and that wait for the proof of their disclosure."
        asked_value(self._registry, "nrm_custodian_waiting_releases", said, waiting)
        said = "How long the oldest of them has waited; 0 when none does."
        asked_value(
            self._registry,
            "nrm_custodian_waiting_oldest_seconds",
            said,
            lambda: age_seconds(oldest_ms()),
        )
        said = "Cases with keys released on the log's signature alone, until a quorum is seen."
        asked_value(self._registry, "nrm_custodian_degraded_cases", said, degraded)

    def watch(
        self,
        position: Callable[[], int],
        gaps: Callable[[], int],
        substituted: Callable[[], int],
    ) -> None:
        """Ask how far the log was followed, and in how many cases something is wrong."""
        said = "Place in the hub's log up to which the custodian followed it."
        asked_value(self._registry, "nrm_custodian_position_events", said, position)
        said = "Cases in which the hub left out a number or sent a signature that does not hold."
        asked_value(self._registry, "nrm_custodian_gap_cases", said, gaps)
        said = "Cases in which a writer deposited another key than the log committed to."
        asked_value(self._registry, "nrm_custodian_substituted_cases", said, substituted)
