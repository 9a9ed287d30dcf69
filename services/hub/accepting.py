"""Accept actions: many at once, each answered only when durable.

Garbage and bad signatures are counted and leave nothing. Whatever has a valid signature and
its actor's next number is recorded, as an event or as a refusal with its reason code, so that
a hub that refuses leaves proof of it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from time import monotonic, perf_counter
from typing import Protocol

from domain import events as ev
from domain.action import Action, Outcome
from domain.errors import HubError, NotAuthentic, Refused, Unavailable
from domain.ports import Appending, EventStore, Language
from domain.rules.world import World
from domain.standing import Key
from domain.trail import statement
from services.hub.casebook import CaseBook, ReadsCases, RegistryBook
from services.hub.checking import Checked, Checker
from services.hub.deciding import Batch, Decider, Verify, unrecorded

BATCH_ACTIONS = 200
BATCH_BYTES = 1_000_000
_VERIFIERS = 2
"""Threads that verify one batch; more would fight for the interpreter lock."""
_SHARE = 16
"""Signatures that are worth a thread of their own."""
FAILING_SECONDS = 10.0
"""So long a failed commit counts: a hub that gets no requests because of it is tried again."""


class Metrics(Protocol):
    """What is noted of accepting."""

    def answered(self, outcome: Outcome) -> None:
        """Count one answer."""
        ...

    def committed(self, actions: int, seconds: float) -> None:
        """Note one commit."""
        ...


@dataclass(slots=True)
class _Waiting:
    checked: Checked
    answered: asyncio.Future[Outcome]


_Verifying = tuple[list[_Waiting], list[asyncio.Future[Sequence[bool]]]]
"""A batch, and the verdicts on its signatures in their order, part by part."""


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
        check_key: Callable[[bytes], None],
        clock: Callable[[], int],
        on_commit: Callable[[int], None],
        metrics: Metrics,
    ) -> None:
        """Take the pinned `registrars` (id -> key), the `operator` whose key may write
        the first registry facts, and `on_commit`, told the newest position after each commit.
        """
        self._store = store
        self._book = book
        self._registry = RegistryBook(language)
        self._world = world
        self._checker = Checker(language, self._actor, operator.agency)
        self._decider = Decider(
            book=book,
            registrars=registrars,
            verify=verify,
            check_key=check_key,
            operator=operator,
        )
        self._operator = operator
        self._operator_id = statement.actor_id(operator.signing_key)
        self._verify = verify
        self._clock = clock
        self._on_commit = on_commit
        self._metrics = metrics
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._failed = ("", 0.0)

    @property
    def failing(self) -> str:
        """Reason code of the newest commit if that failed a moment ago; empty otherwise."""
        code, at = self._failed
        return code if monotonic() - at < FAILING_SECONDS else ""

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
            checked = self._checker.check(action, sender)
        except Unavailable:
            raise  # says nothing of the action
        except HubError as e:
            return unrecorded(action, e)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Waiting(checked, future))
        return future

    def _actor(self, actor: bytes) -> Key | None:
        """Return the key behind an actor id; the newest registry has the last word."""
        if actor == self._operator_id:
            return self._operator
        return self._world.registry.key_of(actor) or self.world.registry.key_of(actor)

    async def run(self) -> None:
        """Serve the queue until cancelled: verify a batch off the loop, commit it on the loop.

        While one batch is committed the next is verified: a commit waits for the disk.
        """
        started: _Verifying | None = None
        while True:
            batch, parts = started or self._verifying(await self._drain())
            valid = [holds for part in parts for holds in await part]
            started = None if self._queue.empty() else self._verifying(await self._drain())
            self._settle(batch, valid)

    def _verifying(self, batch: list[_Waiting]) -> _Verifying:
        """Start to verify the signatures of `batch`; libraries let go of the interpreter lock."""
        loop = asyncio.get_running_loop()
        signed = [
            (
                w.checked.key.signing_key,
                statement.signed_bytes(w.checked.action.statement),
                w.checked.action.signature,
            )
            for w in batch
        ]
        share = max(_SHARE, -(-len(signed) // _VERIFIERS))
        return batch, [
            loop.run_in_executor(None, self._verify, signed[at : at + share])
            for at in range(0, len(signed), share)
        ]

    def _settle(self, batch: Sequence[_Waiting], valid: Sequence[bool]) -> None:
        for waiting, holds in zip(batch, valid, strict=True):
            if not holds:
                _answer(waiting, unrecorded(waiting.checked.action, _BAD_SIGNATURE))
        self._commit([w for w, holds in zip(batch, valid, strict=True) if holds])

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
            with self._open([w.checked for w in batch]) as tx:
                decided = self._begin(tx)
                outcomes = [self._decider.decide(tx, decided, w.checked) for w in batch]
                positions = tx.append(decided.events, decided.refusals)
        except Exception as e:  # noqa: BLE001 - every caller must be answered, whatever broke
            self._failed = (e.code if isinstance(e, HubError) else "COMMIT_FAILED", monotonic())
            for waiting in batch:
                _fail(waiting, e)
            return
        self._failed = ("", 0.0)
        for known in decided.cases.values():
            self._book.keep(known)
        for waiting, outcome in zip(batch, outcomes, strict=True):
            _answer(waiting, outcome)
        self._metrics.committed(len(batch), perf_counter() - started)
        if positions:
            self._on_commit(positions[-1])

    def _open(self, batch: Sequence[Checked]) -> AbstractContextManager[Appending]:
        return self._store.appending(
            cases={c.event.head.case_id for c in batch if c.event} | {ev.REGISTRY_STREAM},
            actors={c.said.actor for c in batch},
            events={c.action.event_id for c in batch},
        )

    def _begin(self, tx: Appending) -> Batch:
        start = tx.start
        self._catch_up(start.heads.get(ev.REGISTRY_STREAM, 0), tx)
        return Batch(
            now=max(self._clock(), start.recorded_ms),
            world=self._world,
            answers=dict(start.answers),
            actors=dict(start.actors),
            heads=dict(start.heads),
        )


_BAD_SIGNATURE = NotAuthentic("BAD_SIGNATURE", "the signature does not hold for this statement")


def _answer(waiting: _Waiting, outcome: Outcome) -> None:
    if not waiting.answered.done():
        waiting.answered.set_result(outcome)


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.answered.done():
        waiting.answered.set_exception(error)
