"""What an agency watches of its own gateway: does it send, does it read, did anybody forge."""

from collections.abc import Callable, Mapping
from functools import partial

from prometheus_client import CollectorRegistry

from adapters.metrics.asked import AskedCounter, age_seconds, asked, asked_value

_TRAIL = (
    (
        "nrm_gateway_receipts_waiting",
        "receipts_waiting",
        "Actions that were answered and are not proven to stand in the trail yet.",
    ),
    (
        "nrm_gateway_entries_unproven",
        "feed_entries_unproven",
        "Feed entries that no checkpoint proves to be disclosed yet.",
    ),
    (
        "nrm_gateway_confirmations_waiting",
        "confirmations_waiting",
        "Signed RECEIPTs that are not proven to stand in the trail yet.",
    ),
)
"""Name, key of the count, meaning."""


def _count(counts: Callable[[], Mapping[str, int]], key: str) -> int:
    return counts()[key]


class GatewayMetrics:
    """Registered in the registry of a gateway's process; everything is asked at the scrape."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register in `registry`."""
        self._registry = registry

    def watch_outbox(
        self,
        queued: Callable[[], Mapping[str, int]],
        oldest_ms: Callable[[], int | None],
        blocked: Callable[[], str | None],
    ) -> None:
        """Ask the counts of the store, when the oldest queued action was signed, what blocks it."""
        registry = self._registry
        said = "Actions signed and not answered yet."
        asked_value(registry, "nrm_gateway_queued_actions", said, lambda: queued()["queued"])
        said = "Age of the oldest action that is not answered; 0 when there is none."
        asked_value(
            registry, "nrm_gateway_queue_age_seconds", said, lambda: age_seconds(oldest_ms())
        )
        said = "Deposits of keys that the custodian has not confirmed."
        asked_value(registry, "nrm_gateway_deposits_waiting", said, lambda: queued()["deposits"])
        said = "Feed entries that did not hold and were parked for somebody to look at."
        asked_value(registry, "nrm_gateway_parked_entries", said, lambda: queued()["parked"])
        asked(
            registry,
            "nrm_gateway_blocked",
            "1 while the hub will not record the next action, with the reason code.",
            lambda: {(code,): 1} if (code := blocked()) else {},
            ("code",),
        )

    def watch_trail(
        self,
        counts: Callable[[], Mapping[str, int]],
        oldest_ms: Callable[[], int | None],
        alarms: Callable[[], Mapping[str, int]],
        seen_ms: Callable[[], int | None],
    ) -> None:
        """Ask the counts of the trail, the oldest action without receipt, open alarms by code.

        `seen_ms` is when the newest checkpoint was cosigned; None before the first.
        """
        registry = self._registry
        for name, key, said in _TRAIL:
            asked_value(registry, name, said, partial(_count, counts, key))
        said = "Age of the oldest action that was answered and has no receipt; 0 without one."
        asked_value(
            registry, "nrm_gateway_receipt_age_seconds", said, lambda: age_seconds(oldest_ms())
        )
        said = "Age of the newest checkpoint that was verified; missing before the first."
        asked(
            registry,
            "nrm_gateway_checkpoint_age_seconds",
            said,
            lambda: {} if (seen := seen_ms()) is None else {(): age_seconds(seen)},
            (),
        )
        asked(
            registry,
            "nrm_gateway_trail_alarms",
            "Alarms of the trail that nobody has decided about, by code.",
            lambda: {(code,): count for code, count in alarms().items()},
            ("code",),
        )

    def watch_alarms(self, alarms: Callable[[], Mapping[str, int]]) -> None:
        """Ask how often each code said that something was forged, exchanged or altered."""
        said = "Fields and key releases that were not what their writer signed, by code."
        AskedCounter(self._registry, "nrm_gateway_alarms", said, "code", alarms)
