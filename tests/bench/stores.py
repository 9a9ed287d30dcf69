"""`append` and `group_commit`: the event store and the hub's one writer, without HTTP."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from time import perf_counter
from typing import Self
from uuid import UUID

import uvloop
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

from adapters.sqlite.connection import connect
from adapters.sqlite.event_store import SqliteEventStore
from domain.action import Action
from domain.ports import EventStore, Recorded
from services.bootstrap import COORDINATOR, Parts, Settings
from services.hub.accepting import Accepting
from tests.bench.cases import CASE_ACTIONS, OPENER_ACTIONS, WrittenCase, mixed
from tests.bench.ledger import put, running, write_log, writer
from tests.bench.measuring import Measured, paired, seconds
from tests.bench.town import Town

ROUNDS = 5
BATCH = 100
APPENDED = 3_000
"""Events a round."""
CALLERS = 64
CALLS = 48
"""Actions a caller and round."""
REFUSED_EVERY = 100


class Stock:
    """One of the library's own recorders, as it is."""

    def __init__(self, recorder: SQLiteApplicationRecorder | PostgresApplicationRecorder) -> None:
        """Create its table."""
        self._recorder = recorder
        self._recorder.create_table()

    @classmethod
    def on_sqlite(cls, path: Path) -> Self:
        """Return the recorder over a file of its own."""
        return cls(SQLiteApplicationRecorder(SQLiteDatastore(str(path), lock_timeout=30)))

    def insert(self, events: Sequence[StoredEvent], size: int = BATCH) -> None:
        """Insert `events`, `size` a call."""
        for at in range(0, len(events), size):
            self._recorder.insert_events(events[at : at + size])


def stored(case_id: str, version: int, action: Action | Recorded) -> StoredEvent:
    """Return the recorder's row of an action with as many bytes as the hub keeps of it."""
    body = action.record if isinstance(action, Action) else action.body
    state = body + action.statement + action.signature
    return StoredEvent(UUID(case_id), version, action.type, state)


def append(folder: Path) -> Iterator[Measured]:
    """Append the same events in transactions of 100 to the store, to bare SQLite, to the stock."""
    parts = recorded_parts(folder)
    store, stock = SqliteEventStore(str(folder / "store.db")), Stock.on_sqlite(folder / "stock.db")

    def ours(number: int) -> float:
        return APPENDED / seconds(lambda: append_to(store, parts[number]))

    def stocks(number: int) -> float:
        rows = [stored(e.case_id, e.version, e) for e in parts[number]]
        return APPENDED / seconds(lambda: stock.insert(rows))

    with closing(connect(str(folder / "bare.db"), _BARE)) as bare:
        value, ratio = paired(
            ROUNDS, ours, lambda n: APPENDED / seconds(lambda: _executemany(bare, parts[n]))
        )
    against = f"sqlite3 executemany of the same bytes, {BATCH} a transaction, WAL and full sync"
    yield Measured(name="append", value=value, unit="events/s", ratio=ratio, against=against)
    store = SqliteEventStore(str(folder / "again.db"))
    value, ratio = paired(ROUNDS, ours, stocks)
    against = f"the stock recorder's insert_events of the same bytes, {BATCH} a call"
    yield Measured(name="append_stock", value=value, unit="events/s", ratio=ratio, against=against)


def recorded_parts(folder: Path) -> Sequence[Sequence[Recorded]]:
    """Return `APPENDED` events a round of a log that a hub wrote."""
    town = Town(Parts(Settings(data=folder)), 20, 20)
    log = write_log(
        town, str(folder / "log.db"), mixed(town, APPENDED * ROUNDS // CASE_ACTIONS + 1)
    )
    events = log.read_log(log.head() - APPENDED * ROUNDS, APPENDED * ROUNDS)
    return [events[at : at + APPENDED] for at in range(0, len(events), APPENDED)]


def append_to(store: EventStore, events: Sequence[Recorded]) -> None:
    """Append `events`, `BATCH` a transaction."""
    for at in range(0, len(events), BATCH):
        with store.appending() as tx:
            tx.append(events[at : at + BATCH], [])


_BARE = (
    "CREATE TABLE events (position INTEGER PRIMARY KEY, case_id TEXT, version INTEGER, type TEXT,"
    " body BLOB, event_id TEXT, statement BLOB, signature BLOB, recorded_ms INTEGER,"
    " custody_seq INTEGER, UNIQUE (case_id, version))"
)


def _executemany(db: sqlite3.Connection, events: Sequence[Recorded]) -> None:
    for at in range(0, len(events), BATCH):
        rows = [
            (
                e.case_id,
                e.version,
                e.type,
                e.body,
                e.event_id,
                e.statement,
                e.signature,
                e.recorded_ms,
                e.custody_seq,
            )
            for e in events[at : at + BATCH]
        ]
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO events VALUES (NULL,?,?,?,?,?,?,?,?,?)", rows)
        db.execute("COMMIT")


def group_commit(folder: Path) -> Iterator[Measured]:
    """64 callers with one action each at a time, against the recorder's insert of the same bytes.

    Once more with one action in a hundred that the rules refuse: it must not slow the others.
    """
    store, stock = SqliteEventStore(str(folder / "events.db")), Stock.on_sqlite(folder / "stock.db")
    yield from grouped("group_commit", folder, store, stock)


def grouped(name: str, folder: Path, store: EventStore, stock: Stock) -> Iterator[Measured]:
    """Yield `name` of the hub's writer over `store`, and the same with refusals."""
    parts = Parts(Settings(data=folder))
    town, elsewhere = Town(parts, CALLERS, 1), Town(parts, CALLERS, 1)
    accepting = writer(town, store)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_register(accepting, town))

        def called(*, refused: bool = False) -> float:
            return runner.run(_called(accepting, _calls(town, refused=refused)))

        value, ratio = paired(
            ROUNDS, lambda _: called(), lambda _: _inserted(stock, _calls(elsewhere))
        )
        against = f"the stock recorder's insert_events of as many bytes, {BATCH} a call"
        yield Measured(name=name, value=value, unit="actions/s", ratio=ratio, against=against)
        value, ratio = paired(ROUNDS, lambda _: called(refused=True), lambda _: called())
        against = f"the same callers without one refused action in {REFUSED_EVERY}"
        yield Measured(
            name=f"{name}_refused", value=value, unit="actions/s", ratio=ratio, against=against
        )


Calls = Mapping[str, Sequence[tuple[str, Action]]]
"""Agency -> its actions in order, each with its case id."""


async def _register(accepting: Accepting, town: Town) -> None:
    async with running(accepting):
        await put(accepting, ((COORDINATOR, fact) for fact in town.facts()))


async def _called(accepting: Accepting, calls: Calls) -> float:
    """Let every caller submit its actions; return the rate."""
    async with running(accepting):
        started = perf_counter()
        answered = await asyncio.gather(*(_call(accepting, mine) for mine in calls.items()))
        return sum(answered) / (perf_counter() - started)


async def _call(accepting: Accepting, calls: tuple[str, Sequence[tuple[str, Action]]]) -> int:
    """Submit one action after the other; return how many."""
    agency, actions = calls
    for _, action in actions:
        outcome = (await accepting.submit([action], agency))[0]
        if not (outcome.accepted or outcome.code == "ALREADY_DONE"):
            raise RuntimeError(f"the bench's action was refused: {outcome.code}")
    return len(actions)


def _calls(town: Town, *, refused: bool = False) -> Calls:
    """Return `CALLS` actions a caller; `refused` opens a case a second time now and then."""
    calls: dict[str, list[tuple[str, Action]]] = {agency: [] for agency in town.openers}
    count = 0
    for agency, actions in calls.items():
        while len(actions) < CALLS:
            case = WrittenCase(town, agency, town.providers[0])
            steps = list(case.opening())
            count += OPENER_ACTIONS
            if refused and count >= REFUSED_EVERY:
                steps.append(case.open())
                count -= REFUSED_EVERY
            actions += [(case.id, action) for step in steps for _, action in step]
    return calls


def _inserted(stock: Stock, calls: Calls) -> float:
    """Insert the actions of all callers in turn; return the rate."""
    versions: Counter[str] = Counter()
    rows = []
    for turn in zip_longest(*calls.values()):
        for case_id, action in filter(None, turn):
            versions[case_id] += 1
            rows.append(stored(case_id, versions[case_id], action))
    return len(rows) / seconds(lambda: stock.insert(rows))
