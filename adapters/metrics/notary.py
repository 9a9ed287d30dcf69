"""What an operator watches of the trail: does it grow, is it published, who still cosigns."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry

from adapters.metrics.asked import age_seconds, asked, asked_value


class NotaryMetrics:
    """The notary. Everything is asked at the scrape."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register in `registry`."""
        self._registry = registry

    def watch_tree(self, size: Callable[[], int], published: Callable[[], int]) -> None:
        """Show the size of the newest tree, and what of it is not published."""
        said = "Entries of the trail that are sequenced."
        asked_value(self._registry, "nrm_trail_size", said, size)
        said = "Entries of the trail that no published checkpoint covers yet."
        asked_value(self._registry, "nrm_trail_pending_entries", said, lambda: size() - published())

    def watch_sources(self, behind: Callable[[], int]) -> None:
        """Show how many accepted events the trail has not."""
        said = "Events in the store that are not sequenced."
        asked_value(self._registry, "nrm_trail_lag_events", said, behind)

    def watch_witnesses(self, cosigned_s: Callable[[], Mapping[str, int]]) -> None:
        """Show how long ago each witness cosigned; absent until it has."""

        def ages() -> dict[tuple[str, ...], float]:
            return {(n,): age_seconds(1000 * at) for n, at in cosigned_s().items() if at}

        said = "Age of the newest cosignature of a witness; absent until it has cosigned."
        name = "nrm_trail_cosignature_age_seconds"
        asked(self._registry, name, said, ages, ("witness",))

    def watch_state(
        self,
        state: Callable[[], str],
        seconds_left: Callable[[], float],
        published_ms: Callable[[], int | None],
    ) -> None:
        """Show the state, the countdown, and the age of what is published."""
        said = "State of the trail: published, pending, degraded, stopped or a reason code."
        asked(self._registry, "nrm_trail_state", said, lambda: {(state(),): 1.0}, ("state",))
        said = "Seconds until the trail stops if no quorum comes."
        asked_value(self._registry, "nrm_trail_seconds_until_stop", said, seconds_left)
        said = "Age of the published checkpoint, or of the notary's start if that is newer."
        name = "nrm_trail_checkpoint_age_seconds"
        asked_value(self._registry, name, said, lambda: age_seconds(published_ms()))

    def watch_alarms(self, alarms: Callable[[], int]) -> None:
        """Show how many entries name a root that this log never had."""
        said = "Entries since the start of the notary that name a root which this log never had."
        asked_value(self._registry, "nrm_trail_foreign_roots", said, alarms)

    def watch_anchors(self, overdue: Callable[[], float]) -> None:
        """Show for how long a time-stamp has been missing."""
        said = "Seconds for which a time-stamp of the published trail has been due; 0 if none is."
        asked_value(self._registry, "nrm_trail_anchor_overdue_seconds", said, overdue)
