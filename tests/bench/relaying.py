"""`relay`: the event store to the log topic, in transactions of 500, one broker and three.

Against it kafka-python sends the same records, in transactions as large, with nothing to read.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from adapters.kafka.framing import LogFraming
from adapters.kafka.log import RELAY, KafkaLogTopic
from adapters.kafka.names import Names
from adapters.kafka.publisher import Outgoing, Publisher
from adapters.sqlite.event_store import SqliteEventStore
from domain.feed import lanes_of
from services.bootstrap import Parts, Settings
from services.hub.relay import PAGE, Relay
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from tests.adapters.kafka_log import broker_of
from tests.bench.brokers import AGAINST, bare_producer, new_names, running_brokers, send
from tests.bench.cases import CASE_ACTIONS, mixed
from tests.bench.ledger import write_log
from tests.bench.measuring import Measured, paired, seconds
from tests.bench.town import Town
from tests.servers import make_topics
from tests.services.relay_store import Alone

ROUNDS = 5
EVENTS = 20_000


def relay(folder: Path) -> Iterator[Measured]:
    """Publish a prepared log; starting the brokers and making the topics is not counted."""
    town = Town(Parts(Settings(data=folder)), 4, 4)
    store = write_log(town, str(folder / "log.db"), mixed(town, EVENTS // CASE_ACTIONS))
    for name, nodes in (("relay", 1), ("relay_three_brokers", 3)):
        with running_brokers(folder / name, nodes) as brokers:
            bench = _Bench(store, town.parts, brokers)
            value, ratio = paired(ROUNDS, bench.ours, bench.baseline)
            yield Measured(name=name, value=value, unit="events/s", ratio=ratio, against=AGAINST)


class _Bench:
    """One store, and a hub of its own for each round."""

    def __init__(
        self, store: SqliteEventStore, parts: Parts, brokers: Brokers | GivenBrokers
    ) -> None:
        self._store = store
        self._language = parts.language
        self._brokers = brokers

    def ours(self, _: int) -> float:
        """Return events a second of the relay, once it leads."""
        names = self._hub()
        publisher = Publisher(broker_of(self._brokers), names, RELAY)
        topic = KafkaLogTopic(publisher, self._language, names)
        with closing(Relay(self._store, topic, Alone())) as relay:
            relay.step()  # takes over, and learns where the partitions are
            return (self._store.head() - PAGE) / seconds(lambda: _run(relay))

    def baseline(self, _: int) -> float:
        """Return events a second of kafka-python alone, with the settings of ours."""
        names = self._hub()
        pages = self._pages(names)
        with bare_producer(broker_of(self._brokers), metrics_enabled=False) as producer:
            send(producer, pages[:1])
            return (self._store.head() - PAGE) / seconds(lambda: send(producer, pages[1:]))

    def _hub(self) -> Names:
        names = new_names()
        make_topics(self._brokers, names)
        return names

    def _pages(self, names: Names) -> list[list[Outgoing]]:
        framing, pages, position = LogFraming(self._language, names), [], 0
        while events := self._store.read_log(position, PAGE):
            position = events[-1].position
            pages.append(
                [
                    Outgoing(names.log, lane, *framing.encode(event))
                    for event in events
                    for lane in lanes_of(event.case_id)
                ]
            )
        return pages


def _run(relay: Relay) -> None:
    while relay.step():
        pass
