"""Whole logs of invented cases: random histories of several, and the registry's facts."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import cache
from hashlib import sha256
from heapq import merge
from random import Random
from typing import Any

from adapters.sqlite.event_store import SqliteEventStore
from domain import events as ev
from domain.feed import LANES, Cursor, Entry, lanes_of
from domain.ports import EventStore, Feeds, Recorded
from domain.trail.statement import ZEROS, Kind, Statement, stream_tag
from schemas import wire
from schemas.language import AvroLanguage
from schemas.layout import layout
from tests import agencies as a
from tests.agencies import DAY, REGISTERED, T0, sha
from tests.builders import uid
from tests.contracts.making import actor
from tests.domain.histories import history
from tests.schemas.builders import sealed

LANGUAGE = AvroLanguage()
Told = tuple[int, str, ev.Event]
"""(recorded_ms, case id, event)."""


def whole_log(seed: int, cases: int = 6, proposals: int = 60) -> list[Recorded]:
    """Return a log in which `cases` random histories mix, with agencies that come and go."""
    rng = Random(seed)  # noqa: S311 - a history, no key
    told = [_told(rng.randrange(1 << 32), f"case {seed} {n}", proposals) for n in range(cases)]
    return list(_recorded(merge(_registry(), *told, key=lambda one: one[0])))


@cache
def store_of(seed: int, cases: int = 6) -> tuple[SqliteEventStore, int]:
    """Return a store that holds `whole_log(seed, cases)` and how much that is."""
    events = whole_log(seed, cases)
    store = SqliteEventStore("")
    append(store, events)
    return store, len(events)


def append(store: EventStore, events: Sequence[Recorded]) -> None:
    with store.appending() as tx:
        tx.append([replace(event, position=0) for event in events], [])


def dump(feeds: Feeds) -> list[Entry]:
    """Return every entry of every seat."""
    found: list[Entry] = []
    for seat in sorted({seat for seat, _ in feeds.heads()}):
        cursor = Cursor()
        while page := feeds.read(seat, cursor, LANES * 1_000):
            for entry in page:
                cursor = cursor.past(entry.lane, entry.seq)
            found += page
    return sorted(found, key=lambda e: (e.seat, e.lane, e.seq))


def _registry() -> list[Told]:
    """Return the agencies, and what happens to some of them while cases run."""
    told: list[tuple[int, ev.RegistryEvent]] = []
    for agency in a.AGENCIES:
        told += [(REGISTERED, _lapsing(fact)) for fact in a.facts(agency)]
    head = a.facts(a.SHELTER)[0].head
    about: dict[str, Any] = {"head": head, "agency": a.SHELTER, "approvals": ()}
    told.append((T0 + 3 * DAY, ev.AgencySuspended(**about, reason="x-inspection")))
    told.append((T0 + 7 * DAY, ev.AgencyReinstated(**about)))
    told.append((T0 + 9 * DAY, a.facts(a.REFUGE)[1]))
    return [(at, ev.REGISTRY_STREAM, fact) for at, fact in told]


def _lapsing(fact: ev.RegistryEvent) -> ev.RegistryEvent:
    """Let the first designation of a refuge end by the clock, without a fact that says so."""
    if isinstance(fact, ev.AgencyDesignated) and fact.agency == a.REFUGE:
        return replace(fact, valid_to=T0 + 5 * DAY)
    return fact


def _told(seed: int, label: str, proposals: int) -> list[Told]:
    case_id = uid(label)
    return [(at, case_id, named(event, label)) for event, at in history(seed, proposals)]


def named(event: ev.CaseEvent, label: str) -> ev.CaseEvent:
    """Return `event` with an id where the schema wants one; the rules look at none so closely."""
    if isinstance(event, ev.ConsentWithdrawn | ev.GuardianConflictFound):
        return event  # without an id it is about all of them
    changes: dict[str, Any] = {}
    if isinstance(event, ev.ConsentEvent) and event.consent_id is None:
        changes["consent_id"] = uid(f"act {label}")
    if isinstance(event, ev.GuardianAppointed) and event.guardian_id is None:
        changes["guardian_id"] = uid(f"guardian {label}")
    return replace(event, **changes)


def _recorded(told: Iterator[Told]) -> Iterator[Recorded]:
    versions: dict[str, int] = {}
    for position, (at, case_id, event) in enumerate(told, 1):
        versions[case_id] = version = versions.get(case_id, 0) + 1
        event_id = uid(f"{case_id} {version}")
        head = replace(event.head, event_id=event_id, case_id=case_id)
        yield row(replace(event, head=head), position, version, at)


def row(event: ev.Event, position: int, version: int, recorded_ms: int) -> Recorded:
    """Return `event` as the log holds it, with a statement that describes its bytes."""
    type = LANGUAGE.newest(event.__class__.__name__)
    form = layout(type)
    clear = wire.write(form.coders[: form.routing_count], asdict(event))
    shut = [
        wire.write_sealed(sealed(f.path), withheld=False) for f in form.fields[form.routing_count :]
    ]
    body = b"".join([*clear, *shut])
    case_id = event.head.case_id
    said = Statement(
        kind=Kind.ACTION,
        type=form.shape.number,
        stream=stream_tag(case_id),
        after=ZEROS,
        actor=actor(event.head.agency),
        actor_seq=position,
        actor_prev=ZEROS,
        actor_time_ms=recorded_ms,
        schema=form.shape.seal_fp,
        field_count=len(form.fields),
        fields=LANGUAGE.record(type, body).fields_root,
        payload=sha256(body).digest(),
        seen_size=0,
        seen_root=ZEROS,
    )
    return Recorded(
        position=position,
        event_id=event.head.event_id,
        case_id=case_id,
        version=version,
        type=type,
        body=body,
        statement=said.encode(),
        signature=2 * sha(event.head.event_id),
        recorded_ms=recorded_ms,
    )


def by_lane(events: Sequence[Recorded]) -> list[list[Recorded]]:
    """Return what each lane is to take, registry facts included."""
    lanes: list[list[Recorded]] = [[] for _ in range(LANES)]
    for event in events:
        for lane in lanes_of(event.case_id):
            lanes[lane].append(event)
    return lanes
