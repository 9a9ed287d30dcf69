"""How a figure is taken and said: rounds of ours and of the baseline in turn, medians, one line."""

import gc
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One figure. `ratio` is ours over `against`, both in the same unit and run."""

    name: str
    value: float
    unit: str
    ratio: float
    against: str
    p99_ms: float | None = None

    def line(self) -> str:
        """Return the figure as one JSON object, to four digits."""
        found = {k: v for k, v in asdict(self).items() if v is not None}
        return json.dumps({k: _short(v) for k, v in found.items()})


def _short(value: object) -> object:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def quantile(values: Sequence[float], part: float) -> float:
    """Return the value below which `part` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def latency(name: str, ours: Sequence[float], baseline: Sequence[float], against: str) -> Measured:
    """Return the figure of latencies in ms, its ratio being p99 over p99."""
    p99 = quantile(ours, 0.99)
    return Measured(
        name=name,
        value=quantile(ours, 0.5),
        unit="ms",
        ratio=p99 / quantile(baseline, 0.99),
        against=against,
        p99_ms=p99,
    )


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` took."""
    started = perf_counter()
    work()
    return perf_counter() - started


def paired(
    rounds: int, ours: Callable[[int], float], baseline: Callable[[int], float]
) -> tuple[float, float]:
    """Return the median of ours and of the ratio, over rounds that take turns in going first.

    Both give a figure of one round, whose number they are told.
    """
    values, ratios = [], []
    for number in range(rounds):
        gc.collect()
        if number % 2:
            base, value = baseline(number), ours(number)
        else:
            value, base = ours(number), baseline(number)
        values.append(value)
        ratios.append(value / base)
    return median(values), median(ratios)
