"""A notary over real stores in a folder, and agencies that act; witnesses cosign at once."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from adapters.notes import NoteVerifier
from adapters.signing import Ed25519Signing
from adapters.sqlite.event_store import SqliteEventStore
from adapters.sqlite.feeds import SqliteFeeds
from adapters.sqlite.notary_store import SqliteNotaryStore
from adapters.trail_files import FolderTrailFiles
from domain.agency import Registry
from domain.feed import Entry as FeedEntry
from domain.feed import Progress, lane_of
from domain.ports import Recorded, Refusal
from domain.standing import Agency, Designation, Key, Period
from domain.trail.admission import Signer
from domain.trail.merkle import EMPTY_ROOT
from domain.trail.quorum import Policy
from domain.trail.replay import Replay
from domain.trail.state import Item
from domain.trail.statement import (
    ZEROS,
    Kind,
    Statement,
    actor_id,
    digest,
    signed_bytes,
    stream_tag,
)
from domain.vocabulary import Seat
from services.bootstrap import now_ms
from services.notary.disclosing import Disclosing
from services.notary.intake import Intake
from services.notary.panel import Panel
from services.notary.proofs import Proofs
from services.notary.publishing import Publishing
from services.notary.round import Notary
from services.notary.sequencer import Sequencer
from services.notary.shown import Shown
from services.notary.signers import Signers
from services.notary.state import RunningState
from services.notary.tree import Tree
from tests.agencies import sha
from tests.builders import uid
from tests.services.notary_witnesses import LOG, GoodWitness

SIGNING = Ed25519Signing()
AGENCIES = ("gb-police", "gb-shelter", "gb-authority")
T0 = 1_700_000_000_000
FOREVER = Period(starts=0)


@cache
def seed(agency: str) -> bytes:
    return sha(f"seed of {agency}")


@cache
def public(agency: str) -> bytes:
    return SIGNING.public_key(seed(agency))


@cache
def registry() -> Registry:
    """Return three agencies, each with one key and one role."""
    agencies = {
        name: Agency(
            id=name,
            name=name,
            country="GB",
            designations=(Designation(role="police", purposes=frozenset(), period=FOREVER),),
            keys=(Key(agency=name, signing_key=public(name), opening_key=b"", period=FOREVER),),
        )
        for name in AGENCIES
    }
    actors = {actor_id(public(name)): (name, 0) for name in AGENCIES}
    return Registry(version=1, agencies=agencies, actors=actors)


OPERATOR = Key(
    agency="gb-coordinator", signing_key=public("operator"), opening_key=b"", period=FOREVER
)
SIGNERS = Signers(registry, OPERATOR, public("notary"))


SIGNERS.renew()


class Keys:
    """What a replay knows: the same agencies from the start."""

    def signer(self, actor: bytes) -> Signer | None:
        return SIGNERS.signer(actor)

    def learn(self, item: Item) -> None:
        """Learn nothing: no action here is a registry fact."""


@dataclass
class Acting:
    """Agencies that sign statement after statement, and the hub that records them."""

    events: SqliteEventStore
    feeds: SqliteFeeds
    now: int = T0
    heads: dict[str, tuple[int, bytes]] = field(
        default_factory=lambda: defaultdict(lambda: (0, ZEROS))
    )
    versions: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    fed: dict[tuple[Seat, int], int] = field(default_factory=lambda: defaultdict(int))
    progress: dict[int, Progress] = field(default_factory=lambda: defaultdict(Progress))
    count: int = 0

    def signed(self, agency: str, case_id: str, body: bytes, **changes: Any) -> tuple[bytes, bytes]:
        """Return the agency's next statement and its signature."""
        seq, prev = self.heads[agency]
        said = Statement(
            kind=Kind.ACTION,
            type=1,
            stream=stream_tag(case_id),
            after=ZEROS,
            actor=actor_id(public(agency)),
            actor_seq=seq,
            actor_prev=prev,
            actor_time_ms=self.now,
            schema=sha("schema"),
            field_count=1,
            fields=sha("fields"),
            payload=hashlib.sha256(body).digest(),
            seen_size=0,
            seen_root=EMPTY_ROOT,
        )._replace(**changes)
        statement = said.encode()
        self.heads[agency] = (seq + 1, digest(statement))
        return statement, SIGNING.sign(seed(agency), signed_bytes(statement))

    def event(self, agency: str = "gb-police", case: str = "case", **changes: Any) -> Recorded:
        """Return the record of an accepted action; a later one is not recorded earlier."""
        self.count += 1
        case_id = uid(case)
        self.versions[case_id] += 1
        body = f"body {self.count}".encode()
        statement, signature = self.signed(agency, case_id, body, **changes)
        return Recorded(
            position=0,
            event_id=uid(f"event {self.count}"),
            case_id=case_id,
            version=self.versions[case_id],
            type="nrm.v1.CaseOpened",
            body=body,
            statement=statement,
            signature=signature,
            recorded_ms=self.now,
        )

    def refusal(self, agency: str = "gb-police", case: str = "case") -> Refusal:
        self.count += 1
        statement, signature = self.signed(agency, uid(case), b"refused")
        return Refusal(
            event_id=uid(f"event {self.count}"),
            statement=statement,
            signature=signature,
            recorded_ms=self.now,
            code="CONSENT_MISSING",
        )

    def record(self, *what: Recorded | Refusal) -> list[int]:
        """Append in one transaction; return the positions of the events."""
        events = [e for e in what if isinstance(e, Recorded)]
        refusals = [r for r in what if isinstance(r, Refusal)]
        with self.events.appending() as transaction:
            return list(transaction.append(events, refusals))

    def feed(self, agency: str, position: int, case: str = "case", **changes: Any) -> FeedEntry:
        """Project an event into a seat's feed."""
        seat, lane = Seat(agency, "protection_support"), lane_of(uid(case))
        self.fed[seat, lane] += 1
        entry = FeedEntry(
            seat=seat,
            lane=lane,
            seq=self.fed[seat, lane],
            position=position,
            case_id=uid(case),
            mask=6,
            basis="c-1",
        )
        entry = replace(entry, **changes)
        before, after = self.progress[lane], Progress(self.progress[lane].position + 1)
        self.feeds.write([entry], {lane: (before, after)})
        self.progress[lane] = after
        return entry


class NotaryWorld:
    """A notary in `folder`; made anew over the same folder, it goes on as after a restart."""

    def __init__(
        self,
        folder: Path,
        witnesses: Sequence[GoodWitness] = (),
        signers: Signers = SIGNERS,
        *,
        spacing_ms: int = 0,
    ) -> None:
        """Its clock stands still unless there are `spacing_ms` between checkpoints."""
        self._spacing_ms = spacing_ms
        self.folder = folder
        self._signers = signers
        self.events = SqliteEventStore(str(folder / "events.db"))
        self.feeds = SqliteFeeds(str(folder / "feeds.db"))
        self.store = SqliteNotaryStore(str(folder / "notary.db"))
        self.files = FolderTrailFiles(folder / "trail")
        self.acting = Acting(self.events, self.feeds)
        self.witnesses = witnesses or (GoodWitness("one"), GoodWitness("two"))
        self.now = T0
        self.shown = Shown(self.files)
        self.publishing = self._publishing()
        self.sequencer = Sequencer(self._notary())
        self.proofs = Proofs(self.store, self.shown)
        self.intake = Intake(self.store, self.files, registry, SIGNING.verify, self.clock)

    def clock(self) -> int:
        return now_ms() if self._spacing_ms else self.now

    def close(self) -> None:
        for store in (self.events, self.feeds, self.store):
            store.close()

    def _notary(self) -> Notary:
        return Notary(
            events=self.events,
            store=self.store,
            files=self.files,
            disclosing=Disclosing(
                self.feeds,
                self.events,
                actor_id(public("notary")),
                lambda message: SIGNING.sign(seed("notary"), message),
                self.clock,
            ),
            signers=self._signers,
            shown=self.shown,
            stopped=lambda: self.publishing.countdown.stopped,
        )

    def _publishing(self) -> Publishing:
        panel = Panel(
            self.policy, {w.key.name: w for w in self.witnesses}, NoteVerifier(), seconds=60
        )
        return Publishing(
            origin=LOG.key.name,
            store=self.store,
            files=self.files,
            signers=[LOG],
            cosign=panel.cosign,
            clock=self.clock,
            on_published=self.shown.publish,
            on_degraded=self.shown.degrade,
            spacing_ms=self._spacing_ms,
        )

    @property
    def policy(self) -> Policy:
        names = " ".join(w.key.name for w in self.witnesses)
        lines = [f"log {LOG.key.text}"]
        lines += [f"witness {w.key.name} {w.key.text}" for w in self.witnesses]
        return Policy.parse(
            "\n".join([*lines, f"group all {'all'} {names}", "quorum all", ""]).encode()
        )

    def sequenced(self) -> None:
        """Make rounds until there is nothing new."""
        while self.sequencer.step():
            pass

    def published(self) -> None:
        """Sequence and publish everything."""
        self.sequenced()
        self.publishing.step()

    def sequencer_state(self) -> RunningState:
        """Return the running state as a restart finds it."""
        return RunningState(self.store, self.files)

    def replayed(self) -> Replay:
        """Return the replay of the newest tree, whole: entries and bodies out of the files."""
        size = self.store.newest().tree.size
        tree, replay = Tree(self.files, size), Replay(keys=Keys(), notary=public("notary"))
        for index in range(size):
            claim = replay.take(tree.entry(index), tree.body(index))
            assert claim is None or SIGNING.verify(*claim)
        replay.finish() if size else None
        assert replay.state.range == self.store.newest().tree
        return replay

    def statements(self) -> list[bytes]:
        """Return the statements of all entries, in the order of the log."""
        size = self.store.newest().tree.size
        tree = Tree(self.files, size)
        found = [tree.entry(i) for i in range(size)]
        return [entry[:286] for entry in found if entry[1] != Kind.EPOCH]
