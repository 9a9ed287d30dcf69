"""What must hold after any failure: nothing acknowledged is lost, nothing is there twice."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from adapters.kafka.log import KafkaLogReader
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.feeds import PostgresFeeds
from adapters.sqlite.feeds import SqliteFeeds
from domain.events import REGISTRY_STREAM
from domain.feed import Entry
from domain.ports import Feeds, Recorded
from domain.publishing import FeedRecord
from domain.vocabulary import Seat
from services.hub.projector import Projector
from services.local.processes import until
from tests.adapters.kafka_feeds import feed_of
from tests.adapters.kafka_log import LANGUAGE, broker_of, found, positions
from tests.failures.apart import LIMIT, Apart, Part
from tests.failures.writing import Load
from tests.services.cluster_checks import entries_of, log_of, projected
from tests.services.relay_store import expected


@contextmanager
def stores(apart: Apart) -> Iterator[tuple[PostgresEventStore, PostgresFeeds]]:
    """Open the hub's stores for the block."""
    dsn = apart.database
    with closing(PostgresEventStore(dsn)) as store, closing(PostgresFeeds(dsn)) as feeds:
        yield store, feeds


def log_is_what_was_answered(apart: Apart, load: Load) -> list[Recorded]:
    """The log is gapless and in order, and holds what was acknowledged, each once, and no more."""
    with stores(apart) as (store, _):
        events, refusals = log_of(store)
    assert [e.position for e in events] == list(range(1, len(events) + 1))
    assert [e.recorded_ms for e in events] == sorted(e.recorded_ms for e in events)
    assert [r.number for r in refusals] == list(range(1, len(refusals) + 1))
    answers = load.answers()
    recorded = [(e.event_id, e.recorded_ms) for e in events if e.case_id != REGISTRY_STREAM]
    accepted = [(o.event_id, o.recorded_ms) for o in answers if o.accepted]
    assert sorted(recorded) == sorted(accepted)
    assert sorted((r.event_id, r.recorded_ms, r.code) for r in refusals) == sorted(
        (o.event_id, o.recorded_ms or 0, o.code or "") for o in answers if not o.accepted
    )
    return events


def published(apart: Apart) -> int:
    """Return up to which position the log is on Kafka."""
    assert apart.brokers is not None
    reader = KafkaLogReader(broker_of(apart.brokers), apart.names, LANGUAGE)
    place = reader.published()
    return place.position if place else 0


def kafka_has_the_log(apart: Apart) -> None:
    """Wait until all is published; then each partition holds what it must, once and in order."""
    assert apart.brokers is not None
    with stores(apart) as (store, _):
        assert until(lambda: published(apart) == store.head(), seconds=LIMIT), "not published"
        events, _ = log_of(store)
    lanes = found(apart.brokers, apart.names.log)
    assert [positions(lane) for lane in lanes] == expected(events)


def feeds_are_what_the_log_gives(apart: Apart) -> dict[Seat, list[Entry]]:
    """Wait until all is projected; then the feeds are those of a projector that nothing befell."""
    with stores(apart) as (store, feeds):
        events, _ = log_of(store)
        assert until(lambda: projected(feeds, events), seconds=LIMIT), "not projected"
        undisturbed = SqliteFeeds("")
        projector = Projector(store, undisturbed, apart.parts.language, apart.parts.world)
        while projector.step().recorded_ms:
            pass
        entries = entries_of(feeds)
        assert entries == entries_of(undisturbed)
    return entries


def topics_have_the_feeds(apart: Apart) -> None:
    """Wait until each seat finds its whole feed in its topic, each entry once and in order."""
    with stores(apart) as (_, feeds):
        entries = entries_of(feeds)
        assert until(lambda: _have(apart, feeds), seconds=LIMIT), "not in the topics"
    for seat in entries:
        seen = dict[int, int]()
        for record in _topic(apart, seat):
            assert record.item.seq > seen.get(record.item.lane, 0)
            seen[record.item.lane] = record.item.seq


def _have(apart: Apart, feeds: Feeds) -> bool:
    return all(
        sorted((r.item.lane, r.item.seq) for r in _topic(apart, seat))
        == [(e.lane, e.seq) for e in entries]
        for seat, entries in entries_of(feeds).items()
    )


def _topic(apart: Apart, seat: Seat) -> list[FeedRecord]:
    assert apart.brokers is not None
    return feed_of(apart.brokers, apart.hub_id, seat)


def works(part: Part) -> Callable[[], bool]:
    """Return what tells whether a process waits for nothing."""
    return lambda: not part.waits_for()


def waits_for(part: Part, name: str, code: str) -> Callable[[], bool]:
    """Return what tells whether a process waits for `name`, with that reason code."""
    return lambda: part.waits_for().get(name) == code
