"""What an operator watches of the two relays: is the outbox moving, do the topics keep up."""

from collections.abc import Callable, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from adapters.metrics.asked import SLOW, age_seconds, asked, asked_value
from domain.vocabulary import Seat


class Relaying(Protocol):
    """A relay, as far as it is watched."""

    @property
    def commit_seconds(self) -> float:
        """How long the newest transaction took."""
        ...

    def lag(self) -> int | None:
        """Return how many events are not published; None while another relay leads."""
        ...


class RelayMetrics:
    """The relay: event store to Kafka. Everything is asked at the scrape."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register in `registry`."""
        self._registry = registry

    def watch(self, relay: Relaying, oldest_ms: Callable[[int], int | None]) -> None:
        """Ask `relay`, and `oldest_ms` when the first of its last n events was recorded, in ms."""
        registry = self._registry

        def age() -> dict[tuple[str, ...], float]:
            lag = relay.lag()
            if lag is None:
                return {}
            return {(): age_seconds(oldest_ms(lag) if lag else None)}

        said = "Events in the store that are not published; absent while another relay leads."
        asked(
            registry,
            "nrm_outbox_events",
            said,
            lambda: {} if (lag := relay.lag()) is None else {(): lag},
            (),
        )
        said = "Age of the oldest event that is not published; absent while another relay leads."
        asked(registry, "nrm_outbox_age_seconds", said, age, ())
        said = "Whether this relay is the one that publishes (1) or waits for its turn (0)."
        asked_value(registry, "nrm_relay_leading", said, lambda: float(relay.lag() is not None))
        said = "Time of the newest transaction on Kafka."
        asked_value(registry, "nrm_relay_commit_seconds", said, lambda: relay.commit_seconds)


class FeedRelayMetrics:
    """The feed relay: feeds to one topic a seat."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], int]) -> None:
        """Register in `registry`; `clock` is in ms."""
        self._clock = clock
        self._behind = Gauge(
            "nrm_feed_topics_lag_entries",
            "Feed entries that are not in their topics, parked seats included.",
            registry=registry,
        )
        self._seconds = Histogram(
            "nrm_feed_topic_seconds",
            "From recorded to in a seat's topic; what a new grant opens of the past counts too.",
            buckets=SLOW,
            registry=registry,
        )
        self._entries = Counter(
            "nrm_feed_topic_entries",
            "Feed entries written into a seat's topic.",
            ["agency", "purpose"],
            registry=registry,
        )
        self._parked = Gauge(
            "nrm_feed_topic_parked",
            "1 for a seat whose topic takes nothing, with the reason code.",
            ["agency", "purpose", "code"],
            registry=registry,
        )
        self._codes: dict[Seat, str] = {}

    def feeds_behind(self, entries: int) -> None:
        """Note how many entries wait."""
        self._behind.set(entries)

    def delivered(self, seat: Seat, recorded_ms: Sequence[int]) -> None:
        """Note entries that stand in the seat's topic now, by when their events were recorded."""
        self._entries.labels(*seat).inc(len(recorded_ms))
        now = self._clock()
        for recorded in recorded_ms:
            self._seconds.observe(max(0.0, (now - recorded) / 1000))

    def parked(self, seat: Seat, code: str | None) -> None:
        """Note that a seat is set apart, and why; None when it flows again."""
        if (before := self._codes.pop(seat, None)) is not None:
            self._parked.remove(*seat, before)
        if code is not None:
            self._codes[seat] = code
            self._parked.labels(*seat, code).set(1)
