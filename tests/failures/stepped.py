"""Everything from accepting to the topics of a hub in one process, each part stepped by hand."""

import threading
from concurrent.futures import wait
from typing import Any

from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.feeds import SqliteFeeds
from domain.messages import FeedItem
from domain.vocabulary import Seat
from services.bootstrap import COORDINATOR, Parts, now_ms
from services.hub.accepting import Accepting
from services.hub.casebook import CaseBook
from services.hub.feeds import Composer, FeedService, StoreWorld
from services.hub.projector import Projector
from tests.bench.cases import Sent
from tests.bench.ledger import put, writer
from tests.bench.town import OPENER_ROLES, PROVIDER_ROLES, Town
from tests.failures.apart import LIMIT
from tests.failures.persons import Person
from tests.services.feed_memory import MemoryFeedTopics, MemoryTopics
from tests.services.feed_relays import Clock, relay

SUPPORT = "protection_support"


class Hub:
    """A hub without its faces; what its feed relay writes is in `memory`."""

    def __init__(self, parts: Parts, topics: MemoryFeedTopics, memory: MemoryTopics) -> None:
        self.town = Town(parts, 1, 1)
        self.memory = memory
        self.clock = Clock()
        self.seat = Seat(self.town.providers[0], SUPPORT)
        for agency, roles in (("opener", OPENER_ROLES), ("provider", PROVIDER_ROLES)):
            memory.there |= {Seat(f"gb-{agency}-0", p) for of in roles.values() for p in of}
        self._store, self._feeds = SqliteEventStore(""), SqliteFeeds("")
        self.accepting: Accepting = writer(self.town, self._store)
        self.projector = Projector(self._store, self._feeds, parts.language, parts.world)
        self._parts = parts
        self._service = FeedService(**self._reading(), feeds=self._feeds)
        self.relay = relay(
            self._feeds, topics, compose=Composer(**self._reading()), clock=self.clock
        )
        self._cursor = ""
        self._seen = 0

    def _reading(self) -> dict[str, Any]:
        parts = self._parts
        return {
            "store": self._store,
            "language": parts.language,
            "book": CaseBook(parts.language),
            "world": StoreWorld(self._store, parts.language, parts.world),
            "clock": now_ms,
        }

    def close(self) -> None:
        self.relay.close()
        self._store.close()
        self._feeds.close()

    async def begin(self) -> None:
        await put(self.accepting, ((COORDINATOR, fact) for fact in self.town.facts()))

    def person(self) -> Person:
        return Person(self.town, self.town.openers[0], self.town.providers[0])

    async def record(self, person: Person, sent: list[Sent]) -> None:
        await put(self.accepting, sent)
        person.recorded(sent)

    def publish(self) -> None:
        """Step the feed relay, and wait for the transaction that it began."""
        self.relay.step()
        if self.relay._flight is not None:  # noqa: SLF001 - nothing else tells
            wait([self.relay._flight.written])  # noqa: SLF001

    def published(self) -> list[FeedItem]:
        """Return what came into the topic since this was last asked."""
        items = [record.item for record in self.memory.entries(self.seat)]
        before, self._seen = self._seen, len(items)
        return items[before:]

    def read(self, limit: int) -> list[FeedItem]:
        """Return the next page of the feed over HTTP."""
        page = self._service.page(self.seat, self._cursor, limit)
        self._cursor = page.cursor
        return list(page.items)

    def project_all(self) -> None:
        while self.projector.step().recorded_ms:
            pass


class Gate(MemoryFeedTopics):
    """Topics that take nothing while they are shut: brokers that do not answer."""

    def __init__(self, topics: MemoryTopics) -> None:
        super().__init__(topics)
        self.open = threading.Event()
        self.asked = threading.Event()

    def publish(self, *args: Any) -> None:
        self.asked.set()
        assert self.open.wait(LIMIT)
        super().publish(*args)
