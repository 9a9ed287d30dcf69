"""A hub that records what its rules allow, projects it, and tells in a trail what it disclosed.

Nothing is made up: rules, projector, signatures and files are the real ones. A dishonest hub
changes what it tells in the last moment, as its `lie` says.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.feeds import SqliteFeeds
from domain import events as ev
from domain.agency import evolve as evolve_registry
from domain.case import Case
from domain.errors import Refused
from domain.feed import Entry as FeedEntry
from domain.fold import evolve
from domain.policy import Policy
from domain.ports import Recorded
from domain.rules.decide import decide
from domain.rules.world import World
from domain.trail.checkpoint import sign
from domain.trail.deliveries import Delivery
from domain.trail.entry import Entry
from domain.trail.notes import Note
from domain.trail.statement import ZEROS, digest
from domain.vocabulary import Seat
from schemas.layout import layout
from services.auditor.differing import DisclosureFinding
from services.auditor.disclosures import disclosures
from services.auditor.expecting import Judging
from services.auditor.packs import Packs
from services.auditor.reconciling import Asked
from services.auditor.report import Report
from services.hub.projector import Projector
from tests import agencies as a
from tests.agencies import T0, world
from tests.builders import uid
from tests.domain.histories import History
from tests.services.case_logs import LANGUAGE, append, dump, named, row
from tests.trail import audited
from tests.trail.signed import SignedTrail
from tests.witnessed import witness_signer

Told = list[tuple[str, Delivery]]
"""(case id, delivery) each: what a hub tells of one round."""
Lie = Callable[[Told], Told]
MINUTE = 60_000


def honest(told: Told) -> Told:
    return told


class Consistent:
    """Tells what `lie` makes of the truth, in feeds without gaps whose entries fit together."""

    def __init__(self, lie: Lie) -> None:
        self._lie = lie
        self._heads: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._given: dict[tuple[tuple[str, str, int], bytes], int] = {}

    def __call__(self, told: Told) -> Told:
        return [(case_id, self._placed(delivery)) for case_id, delivery in self._lie(told)]

    def _placed(self, delivery: Delivery) -> Delivery:
        feed = delivery[:3]
        seq = self._heads[feed] = self._heads[feed] + 1
        supersedes = self._given.get((feed, delivery.event), 0)
        self._given[feed, delivery.event] = seq
        return delivery._replace(seq=seq, supersedes=supersedes)


class DisclosingHub:
    """One hub with its trail."""

    def __init__(self, agencies: Iterable[str] = a.AGENCIES) -> None:
        self.trail = SignedTrail()
        self.lie: Lie = honest
        self.told: list[tuple[str, Delivery]] = []
        """Everything that was told."""
        self.disclosed = ZEROS
        """Digest of the newest DISCLOSURE."""
        self.world: World = replace(world(), registry=type(world().registry)())
        self._store = SqliteEventStore("")
        self._feeds = SqliteFeeds("")
        self._projector = Projector(self._store, self._feeds, LANGUAGE, world())
        self._cases: dict[str, Case] = {}
        self._seen: set[tuple[Seat, int, int]] = set()
        self._digests: dict[int, bytes] = {}
        for agency in agencies:
            self.trail.agency(agency)
        for entry, body in self.trail.leaves:
            self._take(entry, body)

    @property
    def recorded(self) -> Sequence[Recorded]:
        """Everything that was recorded, in order."""
        return self._store.read_log(0, self._store.head())

    def restart(self, pack: Policy) -> None:
        """Go on under another policy pack; everything before was projected."""
        self.world = replace(self.world, policies={pack.id: pack}, policy_id=pack.id)
        self._projector = Projector(self._store, self._feeds, LANGUAGE, self.world)

    def act(self, event: ev.CaseEvent, at: int = T0) -> bool:
        """Record an event, not before `at`; return whether the rules let it in."""
        at = max(at, self.trail.recorded_ms + 1)
        case = self._cases.get(event.head.case_id, Case(id=event.head.case_id))
        try:
            decide(event, case, self.world, at)
        except Refused:
            return False
        self.record(event, at)
        return True

    def record(self, event: ev.CaseEvent, at: int, signed_by: str = "") -> None:
        """Record an event whatever the rules say, signed by its agency or another."""
        type = LANGUAGE.newest(event.__class__.__name__)
        body, case_id = row(event, 1, 1, at).body, event.head.case_id
        self.trail.recorded_ms = at - 1
        number = layout(type).shape.number
        label = signed_by or event.head.agency
        self.trail.add(label, body=body, case_id=case_id, type=number)
        self._take(*self.trail.leaves[-1])

    def fact(self, event: ev.RegistryEvent, at: int = 0) -> None:
        """Record a registry fact, not before `at`."""
        self.trail.recorded_ms = max(at - 1, self.trail.recorded_ms)
        self.trail.fact(event)
        self._take(*self.trail.leaves[-1])

    def histories(self, told: Mapping[str, History], every: int = 5) -> None:
        """Record what the rules let in of histories, each as the case of its label, by turns."""
        turns = zip_longest(
            *([(label, n, *one) for n, one in enumerate(h)] for label, h in told.items())
        )
        for number, (label, n, event, at) in enumerate(
            one for turn in turns for one in turn if one
        ):
            head = replace(event.head, case_id=uid(label), event_id=uid(f"{label} {n}"))
            self.act(named(replace(event, head=head), label), at)
            if number % every == every - 1:
                self.round()

    def project(self) -> Told:
        """Project; return what is new in the feeds, in their order."""
        while self._projector.step().recorded_ms:
            pass
        entries = [e for e in dump(self._feeds) if (e.seat, e.lane, e.seq) not in self._seen]
        self._seen |= {(e.seat, e.lane, e.seq) for e in entries}
        return [(e.case_id, self._delivery(e)) for e in entries]

    def round(self) -> None:
        """Project what was recorded, and tell what came of it."""
        self.tell(self.lie(self.project()))

    def tell(self, told: Told, **statement: int) -> None:
        """Sign what was disclosed, case by case, and close the round.

        `statement` are parts of the notary's statements in the place of true ones.
        """
        by_case: defaultdict[str, list[Delivery]] = defaultdict(list)
        for case_id, delivery in told:
            by_case[case_id].append(delivery)
        for case_id, deliveries in by_case.items():
            self.disclosed = self.trail.disclose(*deliveries, case_id=case_id, **statement)
        self.told += told
        self.trail.epoch()

    def write(self, folder: Path, seen_ms: int | None = None) -> Path:
        """Write the trail, cosigned at `seen_ms`: by default long after all of it."""
        audited.write(folder, self.trail)
        at_s = (self.trail.recorded_ms + 10 * MINUTE if seen_ms is None else seen_ms) // 1000
        signers = [self.trail.log.signer, *map(witness_signer, audited.WITNESSES)]
        point = self.trail.checkpoint
        lines = tuple(sign(point, signer, at_s) for signer in signers)
        (folder / "checkpoint").write_bytes(Note(point.text, lines).encode())
        return folder

    def close(self) -> None:
        self._store.close()
        self._feeds.close()

    def _take(self, data: bytes, body: bytes) -> None:
        entry = Entry.decode(data)
        type = _TYPES[entry.said.type]
        event = LANGUAGE.routing(type, body)
        case_id, at = event.head.case_id, entry.recorded_ms
        position = self._store.head() + 1
        self._digests[position] = digest(entry.statement)
        recorded = Recorded(
            position=position,
            event_id=event.head.event_id,
            case_id=case_id,
            version=self._store.heads([case_id]).get(case_id, 0) + 1,
            type=type,
            body=body,
            statement=entry.statement,
            signature=entry.signature,
            recorded_ms=at,
        )
        append(self._store, [recorded])
        if isinstance(event, ev.RegistryEvent):
            registry = evolve_registry(self.world.registry, event, at)
            self.world = replace(self.world, registry=registry)
        else:
            self._cases[case_id] = evolve(self._cases.get(case_id, Case(id=case_id)), event, at)

    def _delivery(self, entry: FeedEntry) -> Delivery:
        return Delivery(
            *entry.seat,
            entry.lane,
            entry.seq,
            entry.supersedes or 0,
            entry.mask,
            self._digests[entry.position],
            entry.basis,
        )


_TYPES = {layout(t).shape.number: t for t in LANGUAGE.types()}


def audit(
    folder: Path, trail: SignedTrail, packs: Collection[Policy] = (), **asked: object
) -> Report:
    """Audit the disclosures of the trail in `folder`, under the auditor's own pins.

    Judged by is the pack of these tests if no `packs` are given.
    """
    given = Packs(packs or [world().policy])
    with (
        audited.tools() as tools,
        closing(SqliteEventStore("")) as events,
        closing(SqliteFeeds("")) as feeds,
    ):
        judging = Judging(language=LANGUAGE, packs=given, events=events, feeds=feeds)
        own = audited.own(trail)
        return disclosures(audited.source(folder), own, tools, judging, Asked(**asked))  # type: ignore[arg-type]


def differences(report: Report) -> list[DisclosureFinding]:
    """Return the findings that are about deliveries."""
    return [f for f in report.findings if isinstance(f, DisclosureFinding)]
