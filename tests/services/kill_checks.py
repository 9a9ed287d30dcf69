"""What must hold of the stores after any number of kills; each check says what does not.

The stores are read with SQL of our own, beside the adapters that wrote them.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from adapters.sqlite.feeds import SqliteFeeds
from domain import events as ev
from domain.feed import LANES, Cursor, Entry
from domain.gateway import Result
from domain.ports import Recorded
from domain.trail.statement import ZEROS, Statement, actor_id, digest
from domain.vocabulary import ALL_SEALED, Seat
from services.bootstrap import Parts
from services.hub.feeds import show
from services.hub.projector import Projector
from services.runtime import Mechanism
from tests.services.kill_reader import Seen

_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Refused:
    """One row of the refusals."""

    event_id: str
    statement: bytes
    recorded_ms: int
    code: str


@dataclass(frozen=True, slots=True)
class Log:
    """Everything that the hub has recorded, in order."""

    events: Sequence[Recorded]
    refusals: Sequence[Refused]


def rows(path: Path, sql: str) -> list[sqlite3.Row]:
    """Return what `sql` finds in the database at `path`, which is only read."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        return db.execute(sql).fetchall()


def log_of(mechanism: Mechanism, data: Path) -> Log:
    """Return the whole log."""
    events: list[Recorded] = []
    while found := mechanism.hub.store.read_log(events[-1].position if events else 0, _PAGE):
        events += found
    sql = "SELECT event_id, statement, recorded_ms, code FROM refusals ORDER BY id"
    return Log(events, [Refused(*r) for r in rows(data / "hub" / "events.db", sql)])


def lost(log: Log, answered: Iterable[Result]) -> Iterator[str]:
    """Every answer that a client has seen stands in the log, just as it was given."""
    events = {e.event_id: e for e in log.events}
    refusals = {r.event_id: r for r in log.refusals}
    for result in answered:
        event, refusal = events.get(result.event_id), refusals.get(result.event_id)
        if result.status == "accepted":
            stands = (event.case_id, event.recorded_ms) if event else None
            if refusal or stands != (result.case_id, result.recorded_ms):
                yield f"accepted {result.type} {result.event_id}: the log has {stands}"
        else:
            found = (refusal.code, refusal.recorded_ms) if refusal else None
            if event or found != (result.code, result.recorded_ms):
                yield f"refused {result.type} {result.event_id}: the log has {found}"


def doubled(log: Log, data: Path, agencies: Iterable[str]) -> Iterator[str]:
    """No id twice, one accepted event a command at most, and no gap in any numbering."""
    ids = Counter([*(e.event_id for e in log.events), *(r.event_id for r in log.refusals)])
    yield from (f"event id {i} stands {n} times" for i, n in ids.items() if n > 1)
    accepted = {e.event_id for e in log.events}
    sql = "SELECT command_id, event_id FROM outbox WHERE command_id <> ''"
    for agency in agencies:
        carried = rows(data / "gateways" / agency / "gateway.db", sql)
        commands = Counter(r["command_id"] for r in carried if r["event_id"] in accepted)
        yield from (f"command {c} was accepted {n} times" for c, n in commands.items() if n > 1)
    yield from _uncounted(log.events)
    events, refusals = [e.recorded_ms for e in log.events], [r.recorded_ms for r in log.refusals]
    if events != sorted(events) or refusals != sorted(refusals):
        yield "recorded_ms goes down along the log"


def _uncounted(events: Iterable[Recorded]) -> Iterator[str]:
    """Versions of each case, and what the custodian follows of it, count from 1."""
    versions: dict[str, list[int]] = defaultdict(list)
    custody: dict[str, list[int]] = defaultdict(list)
    for event in events:
        versions[event.case_id].append(event.version)
        if event.custody_seq is not None:
            custody[event.case_id].append(event.custody_seq)
    for name, streams in (("versions", versions), ("custody numbers", custody)):
        for case_id, numbers in streams.items():
            if numbers != list(range(1, len(numbers) + 1)):
                yield f"{name} of {case_id} do not count from 1"


def broken_chains(log: Log) -> Iterator[str]:
    """Each actor's statements, accepted and refused, count from 0 and name the one before."""
    chains: dict[bytes, list[tuple[int, bytes, bytes]]] = defaultdict(list)
    for signed in (*(e.statement for e in log.events), *(r.statement for r in log.refusals)):
        said = Statement.decode(signed)
        chains[said.actor].append((said.actor_seq, said.actor_prev, digest(signed)))
    for actor, chain in chains.items():
        chain.sort()
        if [seq for seq, _, _ in chain] != list(range(len(chain))):
            yield f"the numbers of actor {actor.hex()[:8]} have gaps or repeats"
        before = [ZEROS, *(own for _, _, own in chain)]
        if [prev for _, prev, _ in chain] != before[:-1]:
            yield f"the chain of actor {actor.hex()[:8]} does not hold"


def entries_of(feeds: SqliteFeeds, seat: Seat) -> list[Entry]:
    """Return every entry of a seat, lane by lane."""
    found: list[Entry] = []
    cursor = Cursor()
    while page := feeds.read(seat, cursor, LANES * _PAGE):
        found += page
        for entry in page:
            cursor = cursor.past(entry.lane, entry.seq)
    return sorted(found, key=lambda e: (e.lane, e.seq))


def feeds_of(data: Path, seats: Iterable[Seat]) -> dict[Seat, list[Entry]]:
    """Return the feeds as they stand."""
    feeds = SqliteFeeds(str(data / "hub" / "feeds.db"))
    found = {seat: entries_of(feeds, seat) for seat in seats}
    feeds.close()
    return found


def crooked_feeds(
    feeds: Mapping[Seat, Sequence[Entry]], mechanism: Mechanism, parts: Parts
) -> Iterator[str]:
    """Numbers have no gaps, and feeds made anew from the log are the same, entry by entry."""
    anew = SqliteFeeds("")
    projector = Projector(mechanism.hub.store, anew, parts.language, parts.world)
    while projector.step().recorded_ms:
        pass
    yield from (f"a seat nobody has: {s}" for s, _ in anew.heads() if s not in feeds)
    for seat, entries in feeds.items():
        for lane in range(LANES):
            numbers = [e.seq for e in entries if e.lane == lane]
            if numbers != list(range(1, len(numbers) + 1)):
                yield f"the numbers of {seat} lane {lane} have gaps"
        rebuilt = entries_of(anew, seat)
        if len(rebuilt) != len(entries):
            yield f"{seat} has {len(entries)} entries, made anew {len(rebuilt)}"
        yield from (
            f"{seat} lane {a.lane} seq {a.seq}: {a} made anew {b}"
            for a, b in zip(entries, rebuilt, strict=False)
            if a != b
        )
    anew.close()


def misread(seat: Seat, seen: Sequence[Seen], entries: Sequence[Entry], log: Log) -> Iterator[str]:
    """A reader that was cut off again and again saw each entry once, in order within lanes."""
    statements = {e.position: sha256(e.statement).digest() for e in log.events}
    arrived = sorted(seen, key=lambda s: s.lane)  # stable: the order within a lane is kept
    if [(s.lane, s.seq) for s in arrived] != [(e.lane, e.seq) for e in entries]:
        counts = Counter((s.lane, s.seq) for s in seen)
        twice = sum(n > 1 for n in counts.values())
        missing = sum((e.lane, e.seq) not in counts for e in entries)
        yield f"{seat}: {missing} entries never seen, {twice} seen twice, or out of order"
        return
    for one, entry in zip(arrived, entries, strict=True):
        if one.statement != statements[entry.position] or one.supersedes != entry.supersedes:
            yield f"{seat} lane {entry.lane} seq {entry.seq} showed another event"
        if one.mask & ~entry.mask:
            yield f"{seat} lane {entry.lane} seq {entry.seq} showed more than its entry"


def unsettled(mechanism: Mechanism, log: Log) -> Iterator[str]:
    """The custodian has followed all, and its releases are what consent allows."""
    custodian = mechanism.custodian.custodian
    if custodian.position != mechanism.hub.store.head():
        yield f"the custodian stands at {custodian.position}"
    for case_id in {e.case_id for e in log.events} - {ev.REGISTRY_STREAM}:
        for held in custodian._settling._settle(case_id):  # noqa: SLF001 - what it would change
            change = "missing" if held.state else "left over"
            yield f"a release of {held.writer} to {held.recipient} in {case_id} is {change}"
    if custodian.gaps or custodian.substituted:
        yield f"{len(custodian.gaps)} gaps, {len(custodian.substituted)} substituted keys"


def stuck(mechanism: Mechanism) -> Iterator[str]:
    """Nothing waits, nothing is parked, nothing raised an alarm."""
    for agency, office in mechanism.offices.items():
        gateway = office.process.gateway
        counts = gateway.counts()
        bad = {k: counts[k] for k in ("queued", "deposits", "parked", "alarms") if counts[k]}
        if bad or gateway.outbox.blocked:
            yield f"{agency}: {bad} {gateway.outbox.blocked or ''}"


def misfiled(
    agency: str, parts: Parts, log: Log, feeds: Mapping[Seat, Sequence[Entry]]
) -> Iterator[str]:
    """A gateway keeps its own events and the newest of each in its feeds, byte for byte."""
    me = actor_id(parts.public_key(f"gateways/{agency}"))
    by_id = {e.event_id: e for e in log.events if e.case_id != ev.REGISTRY_STREAM}
    ids = {e.position: e.event_id for e in log.events}
    due: dict[tuple[str, str], int] = {}
    for seat, entries in feeds.items():
        if seat.agency == agency:
            due |= {(ids[e.position], seat.purpose): e.mask for e in entries}
    for event_id, event in by_id.items():
        if Statement.decode(event.statement).actor == me:
            due[event_id, ""] = ALL_SEALED
    sql = "SELECT event_id, seat, record, categories FROM events"
    path = parts.settings.data / "gateways" / agency / "gateway.db"
    kept = {(r["event_id"], r["seat"]): r for r in rows(path, sql)}
    if kept.keys() != due.keys():
        yield f"{agency} lacks {len(due.keys() - kept.keys())} events, {len(kept)} kept"
    for name in kept.keys() & due.keys():
        mask = kept[name]["categories"]
        shown = show(parts.language, by_id[name[0]], mask)
        if mask != due[name] or kept[name]["record"] != shown.record:
            yield f"{agency} keeps {name} with mask {mask}, due {due[name]}"


def unread(mechanism: Mechanism) -> Iterator[str]:
    """What can be opened was opened once, so that nothing tampered with went unnoticed."""
    for agency, office in mechanism.offices.items():
        inbox = office.process.gateway.inbox
        store = inbox._store  # noqa: SLF001 - the gateway's own store
        cases = [case_id for _, case_id in store.cases(1 << 30)]
        closed = sum(
            inbox._count_opened(one, inbox._keyring(case_id)) > 0  # noqa: SLF001 - see above
            for case_id in cases
            for one in store.unopened(case_id)
        )
        if closed:
            yield f"{agency} never opened {closed} events that it can open"
