"""Metrics of every process in prometheus-client registries; docs/operating.md lists them all.

No label names a case, a person or a small number. Seats are agencies, and may be named.
"""

from prometheus_client import disable_created_metrics

from adapters.metrics.custodian import CustodianMetrics
from adapters.metrics.gateway import GatewayMetrics
from adapters.metrics.hub import HubMetrics
from adapters.metrics.process import ProcessMetrics
from adapters.metrics.projecting import ClockMetrics, ProjectorMetrics
from adapters.metrics.publishing import FeedRelayMetrics, RelayMetrics

__all__ = [
    "ClockMetrics",
    "CustodianMetrics",
    "FeedRelayMetrics",
    "GatewayMetrics",
    "HubMetrics",
    "ProcessMetrics",
    "ProjectorMetrics",
    "RelayMetrics",
]

# A second series beside every counter, which nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call] # the library left this one out
