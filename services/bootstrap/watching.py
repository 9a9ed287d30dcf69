"""What each process shows of itself: its metrics, and what it asks to know whether it is ready."""

from collections.abc import Callable, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry

from adapters.http_links import HttpCustodianLink, HttpHubLink
from adapters.metrics import CustodianMetrics, GatewayMetrics, HubMetrics, ProcessMetrics
from domain.errors import Refused, Unavailable
from domain.gateway import GatewayStore
from domain.ports import EventStore, Feeds, Language
from domain.trail.statement import Statement
from services.bootstrap.parts import Parts, now_ms
from services.custodian.custodian import Custodian
from services.gateway.gateway import Gateway
from services.http.health import Ask, Vitals, in_thread
from services.hub.accepting import Accepting
from services.hub.watching import Watching
from services.worker import Worker


def vitals_of(
    process: str,
    registry: CollectorRegistry,
    depends: Mapping[str, Ask],
    loops: Mapping[str, Callable[[], float]] | None = None,
    ca: str = "",
) -> Vitals:
    """Return the vitals of a process, shown in `registry` too; `ca` is a PEM file that it uses."""
    vitals = Vitals(registry=registry, depends=depends, loops=loops or {})
    metrics = ProcessMetrics(registry, process)
    metrics.watch(vitals.states, vitals.ages)
    metrics.watch_certificates({"kafka_ca": [Path(ca)]} if ca else {})
    return vitals


def worker_vitals(
    process: str, registry: CollectorRegistry, worker: Worker, parts: Parts, store: EventStore
) -> Vitals:
    """Return the vitals of a part that works by itself over PostgreSQL and Kafka."""

    async def works() -> None:
        if worker.waiting:
            raise Unavailable(worker.waiting, "the part waits and tries again")

    depends: dict[str, Ask] = {"work": works, "store": in_thread(store.head)}
    ca = ""
    if parts.settings.kafka is not None:
        depends["kafka"] = kafka_answers(parts)
        ca = parts.broker.ca
    return vitals_of(process, registry, depends, {process: lambda: worker.beat}, ca)


def kafka_answers(parts: Parts) -> Ask:
    """Return a question to Kafka: do the brokers let us in?"""
    from adapters.kafka.preflight import connected  # noqa: PLC0415 - loads Kafka's client

    def enters() -> None:
        with connected(parts.broker):
            pass

    return in_thread(enters)


def watch_hub(
    metrics: HubMetrics, store: EventStore, feeds: Feeds, language: Language, lag: Callable[[], int]
) -> Watching:
    """Let `metrics` ask a hub's stores at each scrape."""
    watching = Watching(
        store=store,
        feeds=feeds,
        language=language,
        clock=now_ms,
        lanes=lambda: [p.position for p in feeds.progress()],
    )
    metrics.watch_lag(lag)
    metrics.watch_store(store.head)
    metrics.watch_skips(feeds.skips)
    metrics.watch_readers(watching.readers.waiting)
    metrics.watch_withdrawals(watching.withdrawals)
    metrics.watch_registry(watching.agencies.ends, watching.agencies.keys)
    return watching


def hub_vitals(
    registry: CollectorRegistry, store: EventStore, feeds: Feeds, accepting: Accepting
) -> Vitals:
    """Return the vitals of a hub: it needs its two stores, to read and to write."""

    async def commits() -> None:
        if accepting.failing:
            raise Unavailable(accepting.failing, "the newest commit failed")

    depends: dict[str, Ask] = {
        "store": in_thread(store.head),
        "feeds": in_thread(feeds.progress),
        "accepting": commits,
    }
    return vitals_of("hub", registry, depends)


def custodian_vitals(
    registry: CollectorRegistry, metrics: CustodianMetrics, custodian: Custodian, hub: HttpHubLink
) -> Vitals:
    """Return the vitals of a custodian: it needs its store, and a hub to follow."""
    metrics.watch(
        lambda: custodian.position,
        lambda: len(custodian.gaps),
        lambda: len(custodian.substituted),
    )
    metrics.watch_proofs(
        lambda: sum(one.releases for one in custodian.waiting.values()),
        lambda: min((one.since_ms for one in custodian.waiting.values()), default=None),
        lambda: len(custodian.unwitnessed),
    )

    async def follows() -> object:
        return await hub.registry(custodian.directory.seq)

    depends = {"store": in_thread(lambda: custodian.position), "hub": follows}
    return vitals_of("custodian", registry, depends)


def gateway_vitals(
    gateway: Gateway, store: GatewayStore, hub: HttpHubLink, custodian: HttpCustodianLink
) -> Vitals:
    """Return the vitals of a gateway: hub and custodian answer it, and its outbox moves."""
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry)
    metrics.watch_outbox(store.counts, lambda: _oldest(store), lambda: gateway.outbox.blocked)
    metrics.watch_alarms(lambda: dict(gateway.inbox.alarmed))
    watching, trail = gateway.watching, gateway.watching.watch.trail
    metrics.watch_trail(
        trail.counts, trail.oldest_unproven_ms, watching.open_alarms, watching.seen_ms
    )

    async def releases() -> object:
        return await custodian.releases(gateway.releases_seen, 0)

    async def outbox() -> None:
        if gateway.outbox.blocked is not None:
            raise Refused(gateway.outbox.blocked, "the hub does not record our next action")

    depends: dict[str, Ask] = {
        "hub": gateway.inbox.refresh_directory,
        "custodian": releases,
        "outbox": outbox,
        "store": in_thread(store.counts),
    }
    vitals = vitals_of("gateway", registry, depends)
    vitals.says = watching.says
    return vitals


def _oldest(store: GatewayStore) -> int | None:
    """Return when the oldest action without an answer was signed, in ms."""
    queued = store.queued(1)
    return Statement.decode(queued[0].action.statement).actor_time_ms if queued else None
