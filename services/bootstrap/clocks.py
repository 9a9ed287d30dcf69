"""The wiring of the clocks as a process of their own."""

from dataclasses import dataclass

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from adapters.http_links import HttpGatewayLink
from adapters.metrics import ClockMetrics
from services.bootstrap.gateway import gateway_link
from services.bootstrap.hub import build_clocks, event_store
from services.bootstrap.parts import COORDINATOR, Parts
from services.bootstrap.watching import vitals_of
from services.http.health import health_app, in_thread
from services.hub.casebook import CaseBook
from services.hub.ringing import Ringing
from services.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class ClocksProcess:
    """The clocks, their way to the coordinator's gateway, and their face."""

    ringing: Ringing
    link: HttpGatewayLink
    signals: Signals
    app: FastAPI


def build_clocks_apart(parts: Parts, coordinator: str) -> ClocksProcess:
    """Return the clocks, which act through the gateway at `coordinator`."""
    store, registry, signals = event_store(parts), CollectorRegistry(), Signals()
    clocks = build_clocks(parts, store, CaseBook(parts.language))
    link = gateway_link(parts, COORDINATOR, coordinator)
    metrics = ClockMetrics(registry)
    metrics.watch(clocks.overdue_since)
    ringing = Ringing(clocks, link.submit, signals, metrics.rang)
    depends = {"store": in_thread(store.head), "coordinator": link.status}
    vitals = vitals_of("clocks", registry, depends, {"clocks": lambda: ringing.beat})
    app = health_app("nrm-hub clocks", vitals)
    return ClocksProcess(ringing=ringing, link=link, signals=signals, app=app)
