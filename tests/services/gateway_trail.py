"""An agency's watch over a trail, and logs and notaries that are as honest as a test wants."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from adapters.notes import NoteVerifier
from adapters.sqlite.gateway_store import SqliteGatewayStore
from adapters.sqlite.gateway_trail import SqliteGatewayTrail
from domain.action import Action
from domain.errors import HubError, Unavailable
from domain.feed import Entry as FeedEntry
from domain.gateway import Outgoing, Result
from domain.messages import FeedItem, FeedPage, Shown
from domain.notary import HeadProof, Receipt, SignedStatement
from domain.ports import Recorded, Refusal
from domain.secret import Secret
from domain.trail.quorum import Policy
from domain.trail.statement import Kind, Statement
from domain.trail.tiles import Edge
from domain.vocabulary import names_of
from services.gateway.checkpoints import Checkpoints
from services.gateway.confirming import Confirming, Reader
from services.gateway.deliveries import Deliveries
from services.gateway.overdue import LIMIT_MS
from services.gateway.receipts import Receipts
from services.gateway.trail import TrailWatch, Watching
from tests.services import notary_witnesses
from tests.services.notary_witnesses import AT_S
from tests.services.notary_world import SIGNING, NotaryWorld, public, seed
from tests.witnessed import Log

PURPOSE = "protection_support"
NOW = 1_000_000
"""By the clock of who follows a log, in ms."""
VERIFIER = NoteVerifier()


def kept(path: str = "") -> SqliteGatewayTrail:
    """Return an empty store, in memory unless a path is given."""
    return SqliteGatewayTrail(SqliteGatewayStore(path).file)


@dataclass
class LogLink:
    """`TrailLink` of a log without entries: its checkpoint and tiles, as the test sets them."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def show(self, log: Log, size: int, note: bytes | None = None) -> None:
        """Publish the log at this size; `note` in place of one that the log alone signed."""
        edge, full = Edge().extend(log.leaves(size))
        self.files = {tile.path: data for tile, data in (*full, *edge.partial())}
        self.files["checkpoint"] = note or log.note(size)

    async def file(self, path: str) -> bytes | None:
        self.asked.append(path)
        return self.files.get(path)

    async def receipt(self, stream: bytes, statement_digest: bytes) -> Receipt:
        raise NotImplementedError

    async def head(self, key: bytes) -> HeadProof:
        raise NotImplementedError

    async def disclosed(self, stream: bytes, leaf: bytes) -> Receipt:
        raise NotImplementedError

    async def confirm(self, signed: SignedStatement) -> None:
        raise NotImplementedError


class NotaryLink:
    """`TrailLink` to a notary in the same process; away while `away`."""

    def __init__(self, world: NotaryWorld, agency: str) -> None:
        self._world = world
        self._agency = agency
        self.away = False
        self.receipts_changed: Callable[[Receipt], Receipt] = lambda receipt: receipt
        self.confirmed: list[SignedStatement] = []

    def _answer(self) -> NotaryWorld:
        if self.away:
            raise Unavailable("PEER_AWAY", "the trail did not answer; retry later")
        return self._world

    async def file(self, path: str) -> bytes | None:
        return self._answer().files.read(path)

    async def receipt(self, stream: bytes, statement_digest: bytes) -> Receipt:
        return self.receipts_changed(self._answer().proofs.receipt(stream, statement_digest))

    async def head(self, key: bytes) -> HeadProof:
        return self._answer().proofs.head(key)

    async def disclosed(self, stream: bytes, leaf: bytes) -> Receipt:
        world = self._answer()
        return world.proofs.receipt(stream, world.intake.disclosure(stream, leaf, self._agency))

    async def confirm(self, signed: SignedStatement) -> None:
        self._answer().intake.take(Kind.RECEIPT, signed, self._agency)
        self.confirmed.append(signed)


class Feed:
    """`HubLink` as far as a feed goes: it has nothing more than what was taken."""

    def __init__(self) -> None:
        self.items: tuple[FeedItem, ...] = ()
        self.refuses: HubError | None = None

    async def feed(self, purpose: str, cursor: str, wait: float) -> FeedPage:
        if self.refuses:
            raise self.refuses
        return FeedPage(items=self.items, cursor=cursor)

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(name)


class Watched:
    """The watch of one agency over a notary's trail."""

    def __init__(self, world: NotaryWorld, agency: str = "gb-shelter", path: str = "") -> None:
        self.world = world
        self.agency = agency
        self.store = SqliteGatewayStore(path)
        self.trail = SqliteGatewayTrail(self.store.file)
        self.link = NotaryLink(world, agency)
        self.hub = Feed()
        self.checkpoints = Checkpoints(
            link=self.link,
            trail=self.trail,
            policy=lambda: world.policy,
            verifying=VERIFIER,
            clock=world.clock,
        )
        self.receipts = Receipts(self.trail, self.checkpoints, world.clock)
        self.deliveries = Deliveries(
            agency=agency,
            trail=self.trail,
            checkpoints=self.checkpoints,
            link=self.link,
            hub=self.hub,
            cursor=lambda purpose: self.store.place(f"feed {purpose}"),
            clock=world.clock,
        )
        self.sign_with(agency)

    def sign_with(self, key: str) -> None:
        """Begin anew with the key of this name, as a process does after it was replaced."""
        self.confirming = Confirming(
            reader=Reader(seed=Secret(seed(key)), public_key=public(key), notary=public("notary")),
            signing=SIGNING,
            link=self.link,
            trail=self.trail,
            checkpoints=self.checkpoints,
            clock=self.world.clock,
        )
        self.watching = Watching(
            TrailWatch(
                trail=self.trail,
                checkpoints=self.checkpoints,
                receipts=self.receipts,
                deliveries=self.deliveries,
                confirming=self.confirming,
            )
        )

    def alarms(self) -> list[tuple[str, str]]:
        return [(a.code, a.about) for a in self.trail.alarms()]

    def acted(self, *recorded: Recorded | Refusal, **answered: Any) -> None:
        """Put own actions, with the answers that the hub gave, into the outbox."""
        for one in recorded:
            said = Statement.decode(one.statement)
            action = Action(
                event_id=one.event_id,
                type="nrm.v1.CaseOpened",
                record=b"",
                statement=one.statement,
                signature=one.signature,
            )
            outgoing = Outgoing(
                number=0,
                command_id=one.event_id,
                case_id=one.event_id,
                actor_seq=said.actor_seq,
                action=action,
            )
            self.store.enqueue([outgoing], [], [])
            (queued,) = self.store.queued(1)
            code = one.code if isinstance(one, Refusal) else None
            result = Result(
                command_id=one.event_id,
                event_id=one.event_id,
                case_id=one.event_id,
                type="CaseOpened",
                status="refused" if code else "accepted",
                code=code,
                recorded_ms=one.recorded_ms,
            )
            self.store.settle([(queued, replace(result, **answered))], [], [])

    def took(self, *taken: tuple[FeedItem, str]) -> None:
        """Take entries of a feed as they arrived."""
        with self.store.together(durable=False):
            self.deliveries.take(PURPOSE, taken)


def later_checkpoints(world: NotaryWorld, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the same tree cosigned anew, minute by minute, for as long as anything may take."""
    for minute in range(1, LIMIT_MS // 60_000 + 2):
        world.now += 60_000
        monkeypatch.setattr(notary_witnesses, "AT_S", AT_S + 60 * minute)
        world.publishing.step()
        yield


def item_of(entry: FeedEntry, event: Recorded, **changes: Any) -> FeedItem:
    """Return what a seat is served of its feed's entry."""
    shown = Shown(
        type=event.type,
        record=event.body,
        statement=event.statement,
        signature=event.signature,
        recorded_ms=event.recorded_ms,
    )
    item = FeedItem(
        lane=entry.lane,
        seq=entry.seq,
        supersedes=entry.supersedes,
        categories=names_of(entry.mask),
        granted=names_of(entry.mask),
        basis=entry.basis,
        event=shown,
    )
    return replace(item, **changes)


def disclosed(
    world: NotaryWorld, agency: str, count: int = 1, case: str = "case"
) -> list[tuple[FeedItem, str]]:
    """Record events and project each into the agency's feed; return what the seat is served."""
    made = []
    for _ in range(count):
        event = world.acting.event(case=case)
        (position,) = world.acting.record(event)
        entry = world.acting.feed(agency, position, case)
        made.append((item_of(entry, event), event.case_id))
    return made


def policy_of(log: Log, *witnesses: Any, needed: int | str = "all") -> Policy:
    """Return the policy under which all `witnesses`, or so many, must cosign `log`."""
    lines = [f"log {log.vkey.text}"]
    lines += [f"witness w{i} {w.text}" for i, w in enumerate(witnesses)]
    names = " ".join(f"w{i}" for i in range(len(witnesses)))
    group = [f"group enough {needed} {names}", "quorum enough"] if witnesses else ["quorum none"]
    return Policy.parse("\n".join([*lines, *group, ""]).encode())


def following(
    log: Log,
    link: LogLink,
    trail: SqliteGatewayTrail,
    *witnesses: Any,
    needed: int | str = "all",
) -> Checkpoints:
    """Return who follows a log under its policy."""
    policy = policy_of(log, *witnesses, needed=needed)
    return Checkpoints(
        link=link, trail=trail, policy=lambda: policy, verifying=VERIFIER, clock=lambda: NOW
    )
