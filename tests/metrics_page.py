"""The table of metrics in docs/operating.md, read."""

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "operating.md"
_ROW = re.compile(r"^\| `(nrm_\w+)`(?: `\{([\w, ]*)\}`)? \| (\w+) \| ([\w ,-]+) \| (.+) \|$", re.M)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric as the page describes it."""

    name: str
    """As the library calls it: counters without their _total."""
    labels: frozenset[str]
    kind: str
    processes: frozenset[str]

    @property
    def series(self) -> frozenset[str]:
        """Return the names that an expression may use."""
        match self.kind:
            case "counter":
                return frozenset({f"{self.name}_total"})
            case "histogram":
                return frozenset(f"{self.name}_{s}" for s in ("bucket", "sum", "count"))
            case _:
                return frozenset({self.name})


PROCESSES = (
    "hub",
    "relay",
    "feed-relay",
    "projector",
    "notary",
    "clocks",
    "custodian",
    "gateway",
    "witness",
)


def documented() -> list[Metric]:
    """Return every metric on the page."""
    return [
        Metric(
            name=name.removesuffix("_total"),
            labels=frozenset(labels.replace(" ", "").split(",")) if labels else frozenset(),
            kind=kind,
            processes=frozenset(PROCESSES if where == "all" else where.split(", ")),
        )
        for name, labels, kind, where, _ in _ROW.findall(PAGE.read_text("utf-8"))
    ]
