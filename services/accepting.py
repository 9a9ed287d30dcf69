"""Accept actions: check what an agency signed, decide under the lock, append many at once.

Garbage and bad signatures are counted and leave nothing. An action with a valid signature
and its actor's next number is recorded in any case, as an event or as a refusal with its
reason code, so that a hub that refuses leaves proof of it. A repeat gets its first answer.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from time import perf_counter
from typing import Protocol

from domain import events as ev
from domain.action import Action, Outcome
from domain.agency import decide as decide_registry
from domain.agency import evolve as evolve_registry
from domain.case import CUSTODY, evolve
from domain.errors import Conflict, HubError, Malformed, NotAuthentic, Refused
from domain.ports import ActorHead, Answer, Appending, EventStore, Language, Recorded, Refusal
from domain.record import Record
from domain.rules.decide import decide
from domain.rules.keys import check_sealed
from domain.rules.world import World
from domain.standing import Key
from domain.trail import statement
from domain.trail.describes import check_describes
from domain.trail.statement import ZEROS, Statement
from services.casebook import CaseBook, Known, ReadsCases, RegistryBook

BATCH_ACTIONS = 200
BATCH_BYTES = 1_000_000
CLOCK_AHEAD_MS = 600_000
"""How far an agency's clock may run ahead of the hub's."""

Verify = Callable[[Iterable[tuple[bytes, bytes, bytes]]], Sequence[bool]]
"""(public key, message, signature) triples -> whether each holds; run off the event loop."""


class Metrics(Protocol):
    """What is noted of accepting."""

    def answered(self, outcome: Outcome) -> None:
        """Count one answer."""
        ...

    def committed(self, actions: int, seconds: float) -> None:
        """Note one commit."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """An action whose statement could be read and whose actor is known."""

    action: Action
    said: Statement
    digest: bytes
    key: Key
    record: Record | None = None
    event: ev.Event | None = None
    fault: Refused | None = None
    """Why the record cannot be an event; it is recorded as a refusal like any other."""


@dataclass(slots=True)
class _Waiting:
    checked: Checked
    answered: asyncio.Future[Outcome]


@dataclass(slots=True)
class _Batch:
    """What one transaction has decided so far; nothing of it counts until it is committed."""

    now: int
    world: World
    answers: dict[str, Answer]
    actors: dict[bytes, ActorHead]
    heads: dict[str, int]
    cases: dict[str, Known] = field(default_factory=dict)
    events: list[Recorded] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


class Accepting:
    """The hub's one writer: actions in, answers out, each answered only when durable."""

    def __init__(
        self,
        *,
        store: EventStore,
        language: Language,
        book: CaseBook,
        world: World,
        registrars: Mapping[str, bytes],
        operator: Key,
        verify: Verify,
        clock: Callable[[], int],
        on_commit: Callable[[int], None],
        metrics: Metrics,
    ) -> None:
        """Take the pinned `registrars` (id -> key), the `operator` whose key may write
        the first registry facts, and `on_commit`, told the newest position after each commit.
        """
        self._store = store
        self._language = language
        self._book = book
        self._registry = RegistryBook(language)
        self._world = world
        self._registrars = registrars
        self._operator = operator
        self._operator_id = statement.actor_id(operator.signing_key)
        self._verify = verify
        self._clock = clock
        self._on_commit = on_commit
        self._metrics = metrics
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()

    @property
    def world(self) -> World:
        """The rules' surroundings as of the newest registry event in the store."""
        version = self._store.heads([ev.REGISTRY_STREAM]).get(ev.REGISTRY_STREAM, 0)
        self._catch_up(version, self._store)
        return self._world

    def _catch_up(self, version: int, store: ReadsCases) -> None:
        if version > self._registry.version:
            registry = self._registry.catch_up(version, store)
            self._world = replace(self._world, registry=registry)

    async def submit(self, actions: Sequence[Action], sender: str) -> list[Outcome]:
        """Return the answer to each of `actions` of agency `sender`, in their order."""
        waiting = [self._admit(action, sender) for action in actions]
        outcomes = [await w if isinstance(w, asyncio.Future) else w for w in waiting]
        for outcome in outcomes:
            self._metrics.answered(outcome)
        return outcomes

    def answer(self, event_id: str, sender: str) -> Outcome:
        """Return the first answer to `event_id`, if `sender` asked it; else `Refused` NO_ANSWER."""
        unknown = Refused("NO_ANSWER", "no action of yours with this event id was answered")
        found = self._store.read_answer(event_id)
        if found is None:
            raise unknown
        key = self._actor(found.actor)
        if key is None or key.agency != sender:
            raise unknown
        return Outcome(
            event_id=event_id,
            accepted=found.code is None,
            recorded_ms=found.recorded_ms,
            code=found.code,
        )

    def _admit(self, action: Action, sender: str) -> "asyncio.Future[Outcome] | Outcome":
        try:
            checked = self._checked(action, sender)
        except HubError as e:
            return _unrecorded(action, e)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Waiting(checked, future))
        return future

    def _checked(self, action: Action, sender: str) -> Checked:
        said = Statement.decode(action.statement)
        key = self._actor(said.actor)
        if key is None or key.agency != sender:
            raise NotAuthentic("ACTOR_UNKNOWN", "no key of your agency made this statement")
        if said.payload != sha256(action.record).digest():
            raise NotAuthentic("PAYLOAD_MISMATCH", "the statement is about other bytes")
        checked = Checked(
            action=action, said=said, digest=statement.digest(action.statement), key=key
        )
        try:
            record = self._language.record(action.type, action.record)
            event = self._language.event(record)
            self._same_thing(action, said, record, event, sender)
        except Refused as e:
            return replace(checked, fault=e)
        return replace(checked, record=record, event=event)

    def _actor(self, actor: bytes) -> Key | None:
        """Return the key behind an actor id; the newest registry has the last word."""
        if actor == self._operator_id:
            return self._operator
        return self._world.registry.key_of(actor) or self.world.registry.key_of(actor)

    def _same_thing(
        self, action: Action, said: Statement, record: Record, event: ev.Event, sender: str
    ) -> None:
        """Refuse a statement that is not about this record, or a record about somebody else."""
        check_describes(said, record, self._language.shape(action.type), event.head.case_id)
        if event.head.event_id != action.event_id:
            raise Malformed("EVENT_ID_MISMATCH", "the record carries another event id")
        if event.head.agency != sender:
            raise Malformed("AGENCY_MISMATCH", "the record names another agency as actor")
        registry_stream = event.head.case_id == ev.REGISTRY_STREAM
        if isinstance(event, ev.RegistryEvent) is not registry_stream:
            raise Malformed("WRONG_STREAM", "registry facts and cases have streams of their own")

    async def run(self) -> None:
        """Serve the queue until cancelled: verify a batch off the loop, commit it on the loop."""
        while True:
            batch = await self._drain()
            signed = [
                (
                    w.checked.key.signing_key,
                    statement.signed_bytes(w.checked.action.statement),
                    w.checked.action.signature,
                )
                for w in batch
            ]
            valid = await asyncio.to_thread(self._verify, signed)
            good = [w for w, holds in zip(batch, valid, strict=True) if holds]
            for waiting, holds in zip(batch, valid, strict=True):
                if not holds:
                    _answer(waiting, _unrecorded(waiting.checked.action, _BAD_SIGNATURE))
            self._commit(good)

    async def _drain(self) -> list[_Waiting]:
        batch = [await self._queue.get()]
        size = len(batch[0].checked.action.record)
        while not self._queue.empty() and len(batch) < BATCH_ACTIONS and size < BATCH_BYTES:
            batch.append(self._queue.get_nowait())
            size += len(batch[-1].checked.action.record)
        return batch

    def _commit(self, batch: Sequence[_Waiting]) -> None:
        started = perf_counter()
        try:
            with self._store.appending() as tx:
                decided = self._begin(tx, [w.checked for w in batch])
                outcomes = [self._decide(tx, decided, w.checked) for w in batch]
                positions = tx.append(decided.events, decided.refusals)
        except Exception as e:  # noqa: BLE001 - every caller must be answered, whatever broke
            for waiting in batch:
                _fail(waiting, e)
            return
        for known in decided.cases.values():
            self._book.keep(known)
        for waiting, outcome in zip(batch, outcomes, strict=True):
            _answer(waiting, outcome)
        self._metrics.committed(len(batch), perf_counter() - started)
        if positions:
            self._on_commit(positions[-1])

    def _begin(self, tx: Appending, batch: Sequence[Checked]) -> _Batch:
        streams = {c.event.head.case_id for c in batch if c.event} | {ev.REGISTRY_STREAM}
        heads = dict(tx.heads(list(streams)))
        self._catch_up(heads.get(ev.REGISTRY_STREAM, 0), tx)
        return _Batch(
            now=max(self._clock(), tx.last_recorded_ms()),
            world=self._world,
            answers=dict(tx.answers([c.action.event_id for c in batch])),
            actors=dict(tx.actors(list({c.said.actor for c in batch}))),
            heads=heads,
        )

    def _decide(self, tx: Appending, batch: _Batch, checked: Checked) -> Outcome:
        action, said = checked.action, checked.said
        earlier = batch.answers.get(action.event_id)
        if earlier is not None:
            return _repeated(action, checked.digest, earlier)
        broken = _chain_problem(batch.actors.get(said.actor), said)
        if broken is not None:
            return _unrecorded(action, broken)
        refused: Refused | None = None
        try:
            self._record(tx, batch, checked)
        except Refused as e:
            refused = e
            batch.refusals.append(
                Refusal(
                    event_id=action.event_id,
                    statement=action.statement,
                    signature=action.signature,
                    recorded_ms=batch.now,
                    code=e.code,
                )
            )
        batch.actors[said.actor] = ActorHead(said.actor_seq, checked.digest)
        batch.answers[action.event_id] = Answer(
            statement_digest=checked.digest,
            actor=said.actor,
            recorded_ms=batch.now,
            position=None,
            code=refused.code if refused else None,
        )
        return Outcome(
            event_id=action.event_id,
            accepted=refused is None,
            recorded_ms=batch.now,
            code=refused.code if refused else None,
            message=refused.message if refused else None,
        )

    def _record(self, tx: Appending, batch: _Batch, checked: Checked) -> None:
        """Stage the event, or raise why not."""
        if checked.event is None or checked.record is None:
            raise checked.fault or Malformed("RECORD_UNREADABLE", "the record is no event")
        event, now = checked.event, batch.now
        if not checked.key.period.holds(now):
            raise Refused("KEY_NOT_IN_FORCE", "sign with the key that the registry names now")
        if max(checked.said.actor_time_ms, event.head.occurred_at) > now + CLOCK_AHEAD_MS:
            raise Refused("CLOCK_AHEAD", "set the clock of the gateway; it runs ahead of the hub's")
        if isinstance(event, ev.RegistryEvent):
            self._record_registry(batch, checked, event)
            return
        case_id = event.head.case_id
        known = batch.cases.get(case_id) or self._book.at(case_id, batch.heads.get(case_id, 0), tx)
        decide(event, known.case, batch.world, now)
        check_sealed(checked.record, event.head.agency, known.case)
        if checked.said.after != ZEROS and checked.said.after not in known.digests:
            raise Refused("AFTER_UNKNOWN", "`after` names no statement of this case")
        case = evolve(known.case, event, now)
        batch.cases[case_id] = Known(case, known.digests | {checked.digest})
        follows = type(event).__name__ in CUSTODY
        self._stage(batch, checked, case.version, case.custody_seq if follows else None)

    def _record_registry(self, batch: _Batch, checked: Checked, event: ev.RegistryEvent) -> None:
        now, registry = batch.now, batch.world.registry
        decide_registry(event, registry, self._verify_one, self._registrars, now)
        batch.world = replace(batch.world, registry=evolve_registry(registry, event, now))
        version = batch.heads.get(ev.REGISTRY_STREAM, 0) + 1
        batch.heads[ev.REGISTRY_STREAM] = version
        self._stage(batch, checked, version, version)

    def _verify_one(self, key: bytes, message: bytes, signature: bytes) -> bool:
        return self._verify([(key, message, signature)])[0]

    def _stage(
        self, batch: _Batch, checked: Checked, version: int, custody_seq: int | None
    ) -> None:
        action, event = checked.action, checked.event
        if event is None:
            raise Malformed("RECORD_UNREADABLE", "the record is no event")
        batch.events.append(
            Recorded(
                position=0,
                event_id=action.event_id,
                case_id=event.head.case_id,
                version=version,
                type=action.type,
                body=action.record,
                statement=action.statement,
                signature=action.signature,
                recorded_ms=batch.now,
                custody_seq=custody_seq,
            )
        )


_BAD_SIGNATURE = NotAuthentic("BAD_SIGNATURE", "the signature does not hold for this statement")


def _chain_problem(head: ActorHead | None, said: Statement) -> HubError | None:
    """Return why `said` is not its actor's next statement, if it is not."""
    next_seq, prev = (head.seq + 1, head.digest) if head else (0, ZEROS)
    if said.actor_seq > next_seq:
        return Conflict("ACTOR_SEQ_AHEAD", f"send your action number {next_seq} first")
    if said.actor_seq < next_seq:
        return Refused("ACTOR_SEQ_USED", f"your next action has number {next_seq}")
    if said.actor_prev != prev:
        return Refused("ACTOR_CHAIN_BROKEN", "the statement does not follow your previous one")
    return None


def _repeated(action: Action, digest: bytes, earlier: Answer) -> Outcome:
    if earlier.statement_digest != digest:
        reused = Refused("EVENT_ID_REUSED", "this event id was used for another action")
        return _unrecorded(action, reused)
    return Outcome(
        event_id=action.event_id,
        accepted=earlier.code is None,
        recorded_ms=earlier.recorded_ms,
        code=earlier.code,
        message=None if earlier.code is None else "refused when it was first sent",
    )


def _unrecorded(action: Action, error: HubError) -> Outcome:
    return Outcome(event_id=action.event_id, accepted=False, code=error.code, message=error.message)


def _answer(waiting: _Waiting, outcome: Outcome) -> None:
    if not waiting.answered.done():
        waiting.answered.set_result(outcome)


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.answered.done():
        waiting.answered.set_exception(error)
