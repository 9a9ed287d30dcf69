"""Gauges whose values are asked for when Prometheus scrapes, so that no loop has to push them."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from domain.errors import HubError

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Buckets in seconds for what is over in a moment."""
SLOW = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Buckets in seconds for what somebody waits for."""

Samples = Mapping[tuple[str, ...], float]
"""Values of the labels -> value."""
Ask = Callable[[], Mapping[str, float]]
"""Asks for the values of one label."""


class Asked(Collector):
    """Gauges answered by one question. While what it asks is away, the scrape is without them."""

    def __init__(
        self,
        registry: CollectorRegistry,
        gauges: Mapping[str, str],
        labels: tuple[str, ...],
        ask: Callable[[], Sequence[Samples]],
    ) -> None:
        """Register name -> meaning; `ask` returns samples for each, in the scrape's thread."""
        self._gauges, self._labels, self._ask = gauges, labels, ask
        registry.register(self)

    def describe(self) -> list[GaugeMetricFamily]:
        """Return the gauges without samples."""
        return [GaugeMetricFamily(n, said, labels=self._labels) for n, said in self._gauges.items()]

    def collect(self) -> list[GaugeMetricFamily]:
        """Return the gauges with what is answered now."""
        families = self.describe()
        with suppress(HubError):  # `nrm_dependency_up` says so, and the rest must be seen
            for family, samples in zip(families, self._ask(), strict=True):
                for values, value in samples.items():
                    family.add_metric(values, value)
        return families


class AskedCounter(Collector):
    """A counter that somebody else keeps; while that is away, the scrape is without it."""

    def __init__(
        self, registry: CollectorRegistry, name: str, said: str, label: str, ask: Ask
    ) -> None:
        """Register `name`, without _total; `ask` returns the value of the label -> count."""
        self._name, self._said, self._label, self._ask = name, said, label, ask
        registry.register(self)

    def describe(self) -> list[CounterMetricFamily]:
        """Return the counter without samples."""
        return [CounterMetricFamily(self._name, self._said, labels=(self._label,))]

    def collect(self) -> list[CounterMetricFamily]:
        """Return the counter with what is answered now."""
        (family,) = self.describe()
        with suppress(HubError):
            for value, count in self._ask().items():
                family.add_metric((value,), count)
        return [family]


def asked(
    registry: CollectorRegistry,
    name: str,
    said: str,
    ask: Callable[[], Samples],
    labels: tuple[str, ...],
) -> None:
    """Register a gauge whose samples are what `ask` returns."""
    Asked(registry, {name: said}, labels, lambda: [ask()])


def asked_value(
    registry: CollectorRegistry, name: str, said: str, ask: Callable[[], float]
) -> None:
    """Register a gauge without labels whose value is what `ask` returns."""
    Asked(registry, {name: said}, (), lambda: [{(): ask()}])


def age_seconds(since_ms: int | None) -> float:
    """Return the seconds since an instant in ms; 0 when there is none or it is to come."""
    return 0.0 if since_ms is None else max(0.0, time.time() - since_ms / 1000)
