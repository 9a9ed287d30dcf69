"""The way out: commands to signed actions, kept before they are sent, sent until answered.

An action is always sent as the same bytes. Only when its keys turn out stale at the hub is
the command carried out once more, as a new action under new keys; the refused one stays on
record.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from domain import events as ev
from domain.action import Outcome
from domain.errors import HubError, Refused
from domain.gateway import Command, GatewayStore, Kept, KeptKey, Outgoing, Result
from domain.messages import Deposits, Submission
from domain.ports import Boxing, CustodianLink, HubLink, Language
from domain.record import Record
from domain.sealing import Sealing, parse_header
from domain.trail import statement
from domain.trail.statement import ZEROS
from domain.vocabulary import ALL_SEALED, Category
from services.gateway.keyring import OwnKeys, open_record
from services.gateway.sealer import KEY_EVENT, Checked, Made, Office, Sealer

BATCH = 50
BATCH_BYTES = 4 << 20
"""Of records sent together; as base64 they must stay below what a hub takes."""
HELD_CASES = 2_000

_RESEAL = frozenset({"STALE_EPOCH", "EPOCH_UNKNOWN"})
log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Writing:
    """What the agency needs to write in one case."""

    own: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """Category number -> (newest epoch, key)."""
    after: bytes = ZEROS
    """Digest of the newest statement of the case seen here."""


class Outbox:
    """Everything between a command and its final answer."""

    def __init__(
        self,
        *,
        office: Office,
        store: GatewayStore,
        language: Language,
        sealing: Sealing,
        box: Boxing,
        sealer: Sealer,
        hub: HubLink,
        custodian: CustodianLink,
    ) -> None:
        """Continue where the store stands."""
        self._office = office
        self._store = store
        self._language = language
        self._sealing = sealing
        self._box = box
        self._sealer = sealer
        self._hub = hub
        self._custodian = custodian
        self._cases: OrderedDict[str, _Writing] = OrderedDict()
        self._answers: dict[str, list[asyncio.Future[Result]]] = {}
        self.actions_waiting = asyncio.Event()
        self.deposits_waiting = asyncio.Event()
        self.blocked: str | None = None
        """Reason code of an action that the hub will not record: the outbox waits for somebody."""

    async def submit(self, commands: Sequence[Command], seconds: float) -> list[Result]:
        """Take commands and return what became of each within `seconds`; `queued` is not lost.

        `Malformed` when one of them is not what it claims to be; then none is taken.
        """
        known = {c.command_id: self._store.result(c.command_id) for c in commands}
        fresh = {c.command_id: c for c in commands if known[c.command_id] is None}
        checked = {i: self._sealer.checked(c) for i, c in fresh.items()}
        open_ids = [i for i, result in known.items() if not result or result.status == "queued"]
        waiting = [self._wait_for(i) for i in open_ids]
        self._keep([self._make(i, ready) for i, ready in checked.items()])
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)
        return [self._result(c.command_id) for c in commands]

    async def carry_out(self, command_id: str, checked: Checked, seconds: float) -> Result:
        """Take one event that is checked already; see `submit`."""
        waiting = self._wait_for(command_id)
        self._keep([self._make(command_id, checked)])
        await asyncio.wait([waiting], timeout=seconds)
        return self._result(command_id)

    def saw(self, case_id: str, said: bytes) -> None:
        """Remember the newest statement of a case that arrived here."""
        if case_id in self._cases:
            self._cases[case_id].after = statement.digest(said)

    async def send(self) -> bool:
        """Send what is queued, in order, and keep the answers; return whether there was any."""
        self.actions_waiting.clear()
        queued = _together(self._store.queued(BATCH))
        if not queued:
            return False
        await self._tell_custodian(queued)
        answers = await self._hub.submit(Submission(actions=tuple(o.action for o in queued)))
        self._settle(list(zip(queued, answers.outcomes, strict=True)))
        return True

    async def hand_over(self) -> bool:
        """Hand deposits of keys to the custodian; return whether there was any."""
        self.deposits_waiting.clear()
        waiting = self._store.deposits(BATCH)
        if not waiting:
            return False
        await self._custodian.deposit(Deposits(deposits=tuple(d for _, d in waiting)))
        self._store.deposited([number for number, _ in waiting])
        return True

    def _result(self, command_id: str) -> Result:
        result = self._store.result(command_id)
        if result is None:
            raise Refused("COMMAND_UNKNOWN", "no such command was taken here")
        return result

    def _wait_for(self, command_id: str) -> "asyncio.Future[Result]":
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._answers.setdefault(command_id, []).append(future)
        return future

    def _make(self, command_id: str, checked: Checked, *, fresh: bool = False) -> Made:
        writing = self._writing(checked.head.case_id)
        return self._sealer.make(command_id, checked, writing.own, writing.after, fresh=fresh)

    def _keep(self, made: Sequence[Made]) -> None:
        if not made:
            return
        try:
            self._store.enqueue(
                [o for m in made for o in m.outgoing],
                [k for m in made for k in m.keys],
                [d for m in made for d in m.deposits],
            )
        except HubError:
            self._start_over()
            raise
        self.actions_waiting.set()
        self.deposits_waiting.set()

    def _start_over(self) -> None:
        """What was signed and not kept never happened: continue from what the store has."""
        self._sealer.resume(self._store.actor_head())
        self._cases.clear()

    def _writing(self, case_id: str) -> _Writing:
        writing = self._cases.pop(case_id, None) or self._load(case_id)
        self._cases[case_id] = writing
        if len(self._cases) > HELD_CASES:
            self._cases.popitem(last=False)
        return writing

    def _load(self, case_id: str) -> _Writing:
        newest = self._store.newest(case_id)
        after = statement.digest(newest.statement) if newest else ZEROS
        return _Writing(self._own_keys(case_id).newest(), after)

    def _own_keys(self, case_id: str) -> OwnKeys:
        return OwnKeys(self._box, self._office.agency, self._store.keys(case_id))

    async def _tell_custodian(self, queued: Sequence[Outgoing]) -> None:
        """A withdrawal goes to hub and custodian both, so that neither can sit on it alone."""
        for outgoing in queued:
            if outgoing.action.type.endswith(".ConsentWithdrawn"):
                try:
                    await self._custodian.withdraw(outgoing.action)
                except HubError as e:
                    log.warning("the custodian did not take a withdrawal directly: %s", e.code)

    def _settle(self, answered: Sequence[tuple[Outgoing, Outcome]]) -> None:
        """Keep final answers; carry out once more what was refused for its keys alone."""
        recorded = [(o, a) for o, a in answered if a.recorded]
        stopped = next((a.code for _, a in answered if not a.recorded), None)
        if stopped is not None:
            log.error("the hub does not record our next action: %s", stopped)
        self.blocked = stopped
        results = [(o, _result_of(o, a)) for o, a in recorded]
        kept = [self._own_event(o, a.recorded_ms or 0) for o, a in recorded if a.accepted]
        lost = [k for o, a in recorded if not a.accepted for k in self._never_opened(o)]
        again = [o for o, a in recorded if a.code in _RESEAL and o.command_id and not o.retried]
        try:
            # As one: an answer kept without its second sealing would stand as the last word.
            with self._store.together(durable=bool(again)):
                self._store.settle(results, kept, lost)
                for key in lost:
                    self._cases.pop(key.case_id, None)
                for event in kept:
                    self.saw(event.case_id, event.statement)
                sealed = [o for o in again if self._seal_again(o)]
        except HubError:
            self._start_over()
            raise
        for outgoing, result in results:
            if outgoing not in sealed:
                self._answer(result)

    def _answer(self, result: Result) -> None:
        for future in self._answers.pop(result.command_id, ()):
            if not future.done():
                future.set_result(result)

    def _own_event(self, outgoing: Outgoing, recorded_ms: int) -> Kept:
        action = outgoing.action
        return Kept(
            case_id=outgoing.case_id,
            event_id=action.event_id,
            type=action.type,
            writer=self._office.agency,
            record=action.record,
            statement=action.statement,
            signature=action.signature,
            recorded_ms=recorded_ms,
            categories=ALL_SEALED,
            basis="",
            own=True,
        )

    def _never_opened(self, outgoing: Outgoing) -> list[KeptKey]:
        """Return the keys of a refused key event: the hub does not know them."""
        action = outgoing.action
        if not action.type.endswith(f".{KEY_EVENT}"):
            return []
        _, event = self._language.read(action.type, action.record)
        keys = event.keys if isinstance(event, ev.KeyEpochOpened) else ()
        return [
            KeptKey(
                case_id=outgoing.case_id,
                writer=self._office.agency,
                category=key.category,
                epoch=key.epoch,
                boxed=b"",
            )
            for key in keys
        ]

    def _seal_again(self, outgoing: Outgoing) -> bool:
        """Carry out a command once more under keys that the hub takes; return whether it could."""
        action = outgoing.action
        read = record, event = self._language.read(action.type, action.record)
        own = self._own_keys(outgoing.case_id)
        opened, shut = open_record(self._office.hub, self._language, self._sealing, read, own)
        if shut:
            log.error("an action cannot be sealed again: its own keys are missing")
            return False
        document = self._language.opened(action.type, opened)
        command = Command(
            command_id=outgoing.command_id,
            type=action.type.rpartition(".")[2],
            case_id=outgoing.case_id,
            fields={k: v for k, v in document.items() if k != "head"},
            legal_basis=event.head.legal_basis,
            occurred_at=event.head.occurred_at,
        )
        self._cases.pop(outgoing.case_id, None)
        stale = _uses(record, own.newest())
        made = self._make(outgoing.command_id, self._sealer.checked(command), fresh=stale)
        made.outgoing[-1] = replace(made.outgoing[-1], retried=True)
        self._keep([made])
        return True


def _together(queued: Sequence[Outgoing]) -> Sequence[Outgoing]:
    """Return the first of `queued` that a request has room for, one at least."""
    sizes = accumulate(len(o.action.record) for o in queued)
    fitting = sum(size <= BATCH_BYTES for size in sizes)
    return queued[: max(1, fitting)]


def _uses(record: Record, newest: dict[int, tuple[int, bytes]]) -> bool:
    """Return whether `record` is sealed under the newest keys held, which are stale then."""
    return any(
        newest.get(f.category, (0, b""))[0] == parse_header(f.value).epoch
        for f in record.fields
        if f.category is not Category.ROUTING
    )


def _result_of(outgoing: Outgoing, outcome: Outcome) -> Result:
    return Result(
        command_id=outgoing.command_id,
        event_id=outgoing.action.event_id,
        case_id=outgoing.case_id,
        type=outgoing.action.type.rpartition(".")[2],
        status="accepted" if outcome.accepted else "refused",
        code=outcome.code,
        message=outcome.message,
        recorded_ms=outcome.recorded_ms,
    )
