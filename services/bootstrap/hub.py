"""The hub's wiring: over files with everything in it, or over PostgreSQL with parts apart."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from adapters.metrics import ClockMetrics, HubMetrics, ProjectorMetrics
from adapters.signing import check_public_key
from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.feeds import SqliteFeeds
from domain.errors import Malformed
from domain.ports import EventStore, Feeds, Notices
from domain.rules.world import World
from domain.secret import Secret
from services.bootstrap.parts import COORDINATOR, CUSTODIAN, Parts, now_ms
from services.bootstrap.watching import hub_vitals, watch_hub
from services.http.auth import TokenIssuer
from services.http.hub import LOG, Hub
from services.hub.accepting import Accepting
from services.hub.casebook import CaseBook
from services.hub.clocks import Clocks
from services.hub.explaining import Explaining
from services.hub.feeds import FeedService
from services.hub.followers import Followers
from services.hub.projector import Projector
from services.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class HubParts:
    """A hub and what stands behind its HTTP face."""

    hub: Hub
    store: EventStore
    feeds: Feeds
    book: CaseBook


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeHub(HubParts):
    """A hub with the parts that work behind it in the same process."""

    projector: Projector
    clocks: Clocks
    projector_metrics: ProjectorMetrics
    clock_metrics: ClockMetrics


def event_store(parts: Parts) -> EventStore:
    """Return the hub's event store: PostgreSQL if a database is set, else a file."""
    if not parts.settings.database:
        return SqliteEventStore(str(parts.folder("hub") / "events.db"))
    from adapters.postgres.event_store import PostgresEventStore  # noqa: PLC0415 - loaded if used

    return PostgresEventStore(parts.settings.database)


def feeds_of(parts: Parts) -> Feeds:
    """Return the hub's feeds, beside the event store."""
    if not parts.settings.database:
        return SqliteFeeds(str(parts.folder("hub") / "feeds.db"))
    from adapters.postgres.feeds import PostgresFeeds  # noqa: PLC0415 - loaded if used

    return PostgresFeeds(parts.settings.database)


def notices_of(parts: Parts) -> Notices:
    """Return the wake-ups that processes over one database send each other."""
    from adapters.postgres.notices import PostgresNotices  # noqa: PLC0415 - loaded if used

    return PostgresNotices(database_of(parts))


def database_of(parts: Parts) -> str:
    """Return the database's URL; `Malformed` when none is set."""
    if not parts.settings.database:
        raise Malformed(
            "DATABASE_URL", "set NRM_DATABASE_URL to postgresql://user:password@host/db"
        )
    return parts.settings.database


def build_hub(parts: Parts, address: str) -> WholeHub:
    """Return the hub that is reached at `address`, with projector and clocks in the process."""
    store, feeds, book = event_store(parts), feeds_of(parts), CaseBook(parts.language)
    projector = Projector(store, feeds, parts.language, parts.world)

    def lag() -> int:
        return store.head() - projector.position

    apart = _build(parts, address, store=store, feeds=feeds, book=book, lag=lag)
    clocks, registry = build_clocks(parts, store, book), apart.hub.metrics
    projector_metrics, clock_metrics = ProjectorMetrics(registry), ClockMetrics(registry)
    projector_metrics.watch(dict, lambda: projector.stalled)
    clock_metrics.watch(clocks.overdue_since)
    return WholeHub(
        **{name: getattr(apart, name) for name in HubParts.__slots__},
        projector=projector,
        clocks=clocks,
        projector_metrics=projector_metrics,
        clock_metrics=clock_metrics,
    )


def build_hub_apart(parts: Parts, address: str) -> HubParts:
    """Return a hub whose projectors and clocks are other processes; there may be several."""
    store, feeds, book = event_store(parts), feeds_of(parts), CaseBook(parts.language)

    def lag() -> int:
        # A lane moves with its own events alone, so the newest of them all is how far we are.
        return store.head() - max(p.position for p in feeds.progress())

    secret = parts.secret("hub", "tokens")
    return _build(parts, address, store=store, feeds=feeds, book=book, lag=lag, token_secret=secret)


def build_clocks(parts: Parts, store: EventStore, book: CaseBook) -> Clocks:
    """Return the clocks over a store."""
    return Clocks(store=store, language=parts.language, book=book, clock=now_ms)


def _build(
    parts: Parts,
    address: str,
    *,
    store: EventStore,
    feeds: Feeds,
    book: CaseBook,
    lag: Callable[[], int],
    token_secret: Secret | None = None,
) -> HubParts:
    signals, registry = Signals(), CollectorRegistry()
    metrics = HubMetrics(registry)
    accepting = _accepting(parts, store, book, signals, metrics)

    def world() -> World:
        return accepting.world

    reading: dict[str, Any] = {"store": store, "book": book, "world": world, "clock": now_ms}
    hub = Hub(
        accepting=accepting,
        feeds=FeedService(**reading, feeds=feeds, language=parts.language),
        followers=Followers(store, parts.language),
        explaining=Explaining(**reading),
        tokens=TokenIssuer(address, _keys(parts, world), now_ms, token_secret),
        language=parts.language,
        schemas=parts.language,
        signals=signals,
        metrics=registry,
        noted=metrics,
        watching=watch_hub(metrics, store, feeds, parts.language, lag),
        vitals=hub_vitals(registry, store, feeds, accepting),
        lag=lag,
        custodian=CUSTODIAN,
    )
    return HubParts(hub=hub, store=store, feeds=feeds, book=book)


def _accepting(
    parts: Parts, store: EventStore, book: CaseBook, signals: Signals, metrics: HubMetrics
) -> Accepting:
    return Accepting(
        store=store,
        language=parts.language,
        book=book,
        world=parts.world,
        registrars=parts.registrars(),
        operator=parts.operator(),
        verify=parts.signing.verify_all,
        check_key=check_public_key,
        clock=now_ms,
        on_commit=lambda _: signals.notify([LOG]),
        metrics=metrics,
    )


def _keys(parts: Parts, world: Callable[[], World]) -> Callable[[str], bytes | None]:
    """Return what gives the key by which an agency proves itself."""
    pinned = {COORDINATOR: parts.trust.operator, CUSTODIAN: parts.trust.custodian}

    def key_of(agency: str) -> bytes | None:
        return world().registry.signing_key(agency, now_ms()) or pinned.get(agency)

    return key_of
