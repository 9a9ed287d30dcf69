"""What an agency watches of its own gateway: does it send, does it read, did anybody forge."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry

from adapters.metrics.asked import AskedCounter, age_seconds, asked, asked_value


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

    def watch_alarms(self, alarms: Callable[[], Mapping[str, int]]) -> None:
        """Ask how often each code said that something was forged, exchanged or altered."""
        said = "Fields and key releases that were not what their writer signed, by code."
        AskedCounter(self._registry, "nrm_gateway_alarms", said, "code", alarms)
