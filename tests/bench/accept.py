"""`accept_single` and `accept_batch`: signed, sealed actions into a hub over HTTP, durable.

Over SQLite and, as `…_postgres`, over PostgreSQL.
"""

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import uvloop
from eventsourcing.postgres import PostgresApplicationRecorder

from domain.action import Action
from domain.errors import Unavailable
from domain.messages import Submission
from services.bootstrap import Parts, Settings
from services.local.postgres import GivenPostgres
from tests.bench.cases import OPENER_ACTIONS, WrittenCase
from tests.bench.children import child
from tests.bench.load import Load, drive, request
from tests.bench.measuring import Measured, paired, quantile, seconds
from tests.bench.postgres import fresh_database, postgres_server, stock_datastore
from tests.bench.stores import Stock, stored
from tests.bench.town import Town

ROUNDS = 5
SINGLES = 48
"""Requests a connection and round, of one action each."""
SIZE = 50
BATCHES = 8
"""Requests a connection and round, of `SIZE` actions each."""
STOCKED = 10_000
NOOP = "a FastAPI route that reads the same bodies and does nothing, in the same process"
ALONE = "the same hub without notary and witnesses, in a process of its own, taking turns"
STOCK = f"the stock recorder's insert_events of as many bytes, {SIZE} a call, without HTTP"


def single(folder: Path) -> Iterator[Measured]:
    """64 connections of 64 agencies, one action a request."""
    yield _single("accept_single", folder, "")


def single_postgres(folder: Path) -> Iterator[Measured]:
    """`single` over PostgreSQL."""
    with _postgres(folder) as server:
        if server is not None:
            with fresh_database(server) as database:
                yield _single("accept_single_postgres", folder, database)


def beside_notary(folder: Path) -> Iterator[Measured]:
    """`single` with the notary and two witnesses in the process, and checkpoints each second."""
    towns = [Town(Parts(Settings(data=folder / name)), 64, 1) for name in ("with", "without")]
    bodies = [[_bodies(t, a, 1, SINGLES * ROUNDS) for a in t.openers] for t in towns]
    with _hub(towns[0], "", "trail") as beside, _hub(towns[1], "") as alone:
        value, ratio = paired(
            ROUNDS,
            lambda n: _rate(beside.send("/v1/actions", _part(bodies[0], n, SINGLES))),
            lambda n: _rate(alone.send("/v1/actions", _part(bodies[1], n, SINGLES))),
        )
        yield beside.measured("accept_beside_notary", value, ratio, ALONE)


def batch(folder: Path) -> Iterator[Measured]:
    """8 connections of 8 agencies, 50 actions a request."""
    yield _batch("accept_batch", folder, "", Stock.on_sqlite(folder / "stock.db"))


def batch_postgres(folder: Path) -> Iterator[Measured]:
    """`batch` over PostgreSQL, against the stock recorder over the same server."""
    with _postgres(folder) as server:
        if server is not None:
            with (
                fresh_database(server) as database,
                fresh_database(server) as other,
                stock_datastore(other) as datastore,
            ):
                stock = Stock(PostgresApplicationRecorder(datastore))
                yield _batch("accept_batch_postgres", folder, database, stock)


@contextmanager
def _postgres(folder: Path) -> Iterator[GivenPostgres | None]:
    """Run PostgreSQL for the block; without it say so, so that nobody takes it for measured."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(postgres_server(folder))
        except Unavailable as e:
            if e.code != "LOCAL_PROGRAM_MISSING":
                raise
            sys.stderr.write(f"NOT MEASURED: the hub over PostgreSQL ({e.message})\n")
            server = None
        yield server


def _single(name: str, folder: Path, database: str) -> Measured:
    town = Town(Parts(Settings(data=folder)), 64, 1)
    bodies = [_bodies(town, agency, 1, SINGLES * ROUNDS) for agency in town.openers]
    with _hub(town, database) as hub:

        def noop(number: int) -> float:
            return len(bodies) * SINGLES / hub.send("/noop", _part(bodies, number, SINGLES)).seconds

        value, ratio = paired(
            ROUNDS, lambda n: _rate(hub.send("/v1/actions", _part(bodies, n, SINGLES))), noop
        )
        return hub.measured(name, value, ratio, NOOP)


def _batch(name: str, folder: Path, database: str, stock: Stock) -> Measured:
    town = Town(Parts(Settings(data=folder)), 8, 1)
    bodies = [_bodies(town, agency, SIZE, BATCHES * ROUNDS) for agency in town.openers]
    aside = Town(town.parts, 1, 1)
    rows = [
        stored(str(UUID(int=number)), 1, action)
        for number, action in enumerate(_actions(aside, aside.openers[0], STOCKED))
    ]
    with _hub(town, database) as hub:

        def inserted(number: int) -> float:
            part = rows[number * STOCKED // ROUNDS : (number + 1) * STOCKED // ROUNDS]
            return len(part) / seconds(lambda: stock.insert(part, SIZE))

        value, ratio = paired(
            ROUNDS, lambda n: _rate(hub.send("/v1/actions", _part(bodies, n, BATCHES))), inserted
        )
        return hub.measured(name, value, ratio, STOCK)


class _Hub:
    """The hub's process, and the answers that it gave."""

    def __init__(self, town: Town, said: dict[str, Any]) -> None:
        self._town = town
        self._said = said
        self._latencies: list[float] = []

    def send(self, path: str, plans: Sequence[Sequence[bytes]]) -> Load:
        """Send each agency's bodies over a connection of its own."""
        hub = path != "/noop"
        tokens = self._said["tokens"]
        requests = [
            [request(path, tokens[agency], body) for body in plan]
            for agency, plan in zip(self._town.openers, plans, strict=True)
        ]
        load = uvloop.run(drive(self._said["port" if hub else "noop"], requests))
        if hub:
            self._latencies += load.latencies_ms
        return load

    def measured(self, name: str, value: float, ratio: float, against: str) -> Measured:
        """Return the figure, with the hub's p99."""
        p99 = quantile(self._latencies, 0.99)
        return Measured(
            name=name, value=value, unit="actions/s", ratio=ratio, against=against, p99_ms=p99
        )


@contextmanager
def _hub(town: Town, database: str, kind: str = "hub") -> Iterator[_Hub]:
    """Run a hub that knows the town; nothing prepared is looked at by the collector."""
    gc.collect()
    gc.freeze()
    arguments = kind, str(town.parts.settings.data), str(len(town.openers))
    with child(*arguments, database=database) as (said, _):
        yield _Hub(town, said)
    gc.unfreeze()


def _part(bodies: Sequence[Sequence[bytes]], number: int, size: int) -> list[Sequence[bytes]]:
    return [mine[number * size : (number + 1) * size] for mine in bodies]


def _rate(load: Load) -> float:
    """Return actions a second; every one must have been accepted."""
    if load.accepted != load.actions:
        raise RuntimeError(f"{load.actions - load.accepted} of {load.actions} were not accepted")
    return load.accepted / load.seconds


def _bodies(town: Town, agency: str, size: int, count: int) -> list[bytes]:
    actions = _actions(town, agency, size * count)
    return [
        msgspec.json.encode(Submission(actions=tuple(actions[at : at + size])))
        for at in range(0, size * count, size)
    ]


def _actions(town: Town, agency: str, count: int) -> Sequence[Action]:
    """Return the agency's next `count` actions, in its order: the openings of many cases."""
    found: list[Action] = []
    for _ in range(-(-count // OPENER_ACTIONS)):
        case = WrittenCase(town, agency, town.providers[0])
        found += [action for step in case.opening() for _, action in step]
    return found[:count]
