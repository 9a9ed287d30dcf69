"""The wiring of the parts that work behind the hub in processes of their own."""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from adapters.kafka.declaration import Declaration
from adapters.kafka.digests import record_digest
from adapters.kafka.feed_topics import RELAY as FEED_RELAY
from adapters.kafka.feed_topics import KafkaFeedTopics
from adapters.kafka.log import RELAY, KafkaLogReader, KafkaLogTopic
from adapters.kafka.publisher import Publisher
from adapters.kafka.source import KafkaSource
from adapters.metrics import FeedRelayMetrics, ProjectorMetrics, RelayMetrics
from adapters.postgres.lease import PostgresLease
from domain.feed import LANES, Skip
from domain.ports import EventStore, Lease
from services.bootstrap.hub import database_of, event_store, feeds_of, notices_of
from services.bootstrap.parts import Parts, now_ms
from services.bootstrap.topics import declaration_of
from services.bootstrap.watching import worker_vitals
from services.http.health import health_app
from services.hub.casebook import CaseBook
from services.hub.feed_pacing import Beats
from services.hub.feed_relay import FeedRelay
from services.hub.feeds import Composer, StoreWorld
from services.hub.projecting import KafkaProjection, Skipping, StoreProjection
from services.hub.projector import Projector, Step
from services.hub.rebuilding import Rebuilding
from services.hub.relay import Relay
from services.hub.restoring import Restored, Restoring
from services.worker import Part, Worker

CLEANER_MS = 60_000
"""Time for a broker's cleaner to come round."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Working:
    """A part at work, and its face."""

    worker: Worker
    app: FastAPI


def build_relay(parts: Parts) -> Working:
    """Return the relay: event store to Kafka."""
    store, registry = event_store(parts), CollectorRegistry()
    publisher = Publisher(parts.broker, parts.names, RELAY)
    topic = KafkaLogTopic(publisher, parts.language, parts.names)
    relay = Relay(store, topic, _lease(parts, RELAY))

    def oldest_ms(lag: int) -> int | None:
        found = store.read_log(store.head() - lag, 1)
        return found[0].recorded_ms if found else None

    RelayMetrics(registry).watch(relay, oldest_ms)
    return _working("relay", parts, relay, registry, store)


def build_feed_relay(parts: Parts) -> Working:
    """Return the feed relay: feeds to one topic a seat."""
    store, feeds, registry = event_store(parts), feeds_of(parts), CollectorRegistry()
    publisher = Publisher(parts.broker, parts.names, FEED_RELAY)
    composer = Composer(
        store=store,
        language=parts.language,
        book=CaseBook(parts.language),
        world=StoreWorld(store, parts.language, parts.world),
        clock=now_ms,
    )
    relay = FeedRelay(
        feeds=feeds,
        compose=composer,
        topics=KafkaFeedTopics(publisher, parts.names, parts.language, now_ms),
        lease=_lease(parts, FEED_RELAY),
        wanted=lambda _: True,
        beats=_beats(declaration_of(parts)),
        clock=now_ms,
        metrics=FeedRelayMetrics(registry, now_ms),
    )
    return _working("feed-relay", parts, relay, registry, store)


def build_kafka_projector(parts: Parts) -> Working:
    """Return a projector that shares the log's partitions on Kafka with others like it."""
    store, feeds, registry = event_store(parts), feeds_of(parts), CollectorRegistry()
    metrics = ProjectorMetrics(registry)
    source = KafkaSource(parts.broker, parts.names, parts.language)
    projector = Projector(store, feeds, parts.language, parts.world, lanes=())
    metrics.watch(source.figures, lambda: projector.stalled)
    part = KafkaProjection(source, projector, _noting(metrics))
    return _working("projector", parts, part, registry, store)


def build_store_projector(parts: Parts) -> Working:
    """Return a projector of every lane, straight from the event store."""
    store, feeds, registry = event_store(parts), feeds_of(parts), CollectorRegistry()
    metrics = ProjectorMetrics(registry)
    projector = Projector(store, feeds, parts.language, parts.world, lanes=range(LANES))
    metrics.watch(dict, lambda: projector.stalled)
    part = StoreProjection(projector, _noting(metrics))
    return _working("projector", parts, part, registry, store)


def restore(parts: Parts, progress: Progress) -> Restored:
    """Make the event store anew from Kafka alone; see `Restoring`."""
    restoring = Restoring(
        reader=KafkaLogReader(parts.broker, parts.names, parts.language),
        store=event_store(parts),
        directory=parts.directory(),
        operator=parts.operator(),
        verify=parts.signing.verify,
        progress=progress,
    )
    return restoring.run()


def rebuild(parts: Parts, progress: Progress) -> int:
    """Build the feeds anew beside the live ones and switch; see `Rebuilding`."""
    rebuilding = Rebuilding(event_store(parts), feeds_of(parts), parts.language, parts.world)
    return rebuilding.run(progress)


def skip(parts: Parts, lane: int, offset: int, *, by: str, reason: str) -> Skip:
    """Let a lane pass over a record that nobody can take; see `Skipping`."""

    def digest_of(lane: int, offset: int) -> bytes:
        return record_digest(parts.broker, parts.names, lane, offset)

    return Skipping(feeds_of(parts), digest_of, now_ms).skip(lane, offset, by=by, reason=reason)


def _beats(declaration: Declaration) -> Beats:
    config = declaration.feed.config
    every = int(config["segment.ms"])
    return Beats(
        every_ms=every, window_ms=every + int(config["max.compaction.lag.ms"]) + CLEANER_MS
    )


def _noting(metrics: ProjectorMetrics) -> Callable[[Step], None]:
    return lambda step: metrics.projected(step.events, now_ms())


def _lease(parts: Parts, name: str) -> Lease:
    return PostgresLease(database_of(parts), f"{parts.names.prefix}.{name}")


def _working(
    name: str, parts: Parts, part: Part, registry: CollectorRegistry, store: EventStore
) -> Working:
    worker = Worker(part, notices_of(parts).wait)
    vitals = worker_vitals(name, registry, worker, parts, store)
    return Working(worker=worker, app=health_app(f"nrm-hub {name}", vitals))
