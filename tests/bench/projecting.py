"""`project`: the projector over a prepared log, feeds rebuilt from nothing, on one core."""

from collections.abc import Iterator
from pathlib import Path

from adapters.event_store import SqliteEventStore
from adapters.feeds import SqliteFeeds
from services.bootstrap import Parts, Settings
from services.hub.projector import Projector
from tests.bench.cases import CASE_ACTIONS, mixed
from tests.bench.ledger import write_log
from tests.bench.measuring import Measured, paired, seconds
from tests.bench.town import Town

ROUNDS = 3
EVENTS = 20_000
PAGE = 500


def project(folder: Path) -> Iterator[Measured]:
    """Feeds for 100 agencies of two purposes each; writing the log is not counted."""
    town = Town(Parts(Settings(data=folder)), 50, 50)
    store = write_log(town, str(folder / "log.db"), mixed(town, EVENTS // CASE_ACTIONS))
    events, parts = store.head(), town.parts

    def ours(number: int) -> float:
        feeds = SqliteFeeds(str(folder / f"feeds-{number}.db"))
        projector = Projector(store, feeds, parts.language, parts.world)
        return events / seconds(lambda: _run(projector))

    value, ratio = paired(ROUNDS, ours, lambda _: events / seconds(lambda: _read(store, parts)))
    yield Measured(
        name="project",
        value=value,
        unit="events/s",
        ratio=ratio,
        against="reading and decoding the same log",
    )


def _run(projector: Projector) -> None:
    while projector.step(PAGE).recorded_ms:
        pass


def _read(store: SqliteEventStore, parts: Parts) -> None:
    position, language = 0, parts.language
    while page := store.read_log(position, PAGE):
        for recorded in page:
            language.event(language.record(recorded.type, recorded.body))
        position = page[-1].position
