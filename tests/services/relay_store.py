"""Event stores for the relay's tests, and what a topic must hold of one."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.lease import PostgresLease
from adapters.sqlite.event_store import SqliteEventStore
from domain.feed import LANES, lanes_of
from domain.ports import EventStore, Lease, Recorded, Refusal
from tests.adapters.kafka_log import history, refused


class Alone:
    """The lease of a relay that is started only once."""

    def acquire(self, seconds: float) -> bool:
        return True

    def check(self) -> None:
        return

    def close(self) -> None:
        return


def opened(address: str) -> Any:
    """Return the store at `address`: a database's, or a file."""
    return PostgresEventStore(address) if "://" in address else SqliteEventStore(address)


def lease_of(address: str, hub_id: str) -> Lease:
    """Return the lease of the relay over the store at `address`."""
    return PostgresLease(address, f"relay {hub_id}") if "://" in address else Alone()


def grow(store: EventStore, count: int, refusals: int = 0, label: str = "event") -> None:
    """Append `count` events and some refusals to what the store holds."""
    known = len(read_refusals(store))
    with store.appending() as tx:
        events = history(count, first=store.head() + 1, label=label)
        tx.append([replace(e, position=0) for e in events], refused(known + refusals)[known:])


def read_log(store: EventStore) -> list[Recorded]:
    return list(store.read_log(0, 1_000_000))


def read_refusals(store: EventStore) -> list[Refusal]:
    return list(store.read_refusals(0, 1_000_000))


def expected(events: Iterable[Recorded]) -> list[list[int]]:
    """Return the positions that each partition of the log holds, in order."""
    lanes: list[list[int]] = [[] for _ in range(LANES)]
    for event in events:
        for lane in lanes_of(event.case_id):
            lanes[lane].append(event.position)
    return lanes
