"""Decide actions under the lock, one after another, and say what is to be written.

An action with its actor's next number becomes an event or a refusal with its reason code,
and either way the actor's chain goes on. A repeat gets its first answer.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from domain import events as ev
from domain.action import Action, Outcome
from domain.agency import decide as decide_registry
from domain.agency import evolve as evolve_registry
from domain.case import CUSTODY
from domain.errors import Conflict, HubError, Malformed, Refused
from domain.fold import evolve
from domain.ports import ActorHead, Answer, Appending, Recorded, Refusal
from domain.rules.decide import decide
from domain.rules.keys import check_sealed
from domain.rules.world import World
from domain.standing import Key
from domain.trail.statement import ZEROS, Statement
from services.hub.casebook import CaseBook, Known
from services.hub.checking import Checked

CLOCK_AHEAD_MS = 600_000
"""How far an agency's clock may run ahead of the hub's."""

Verify = Callable[[Iterable[tuple[bytes, bytes, bytes]]], Sequence[bool]]
"""(public key, message, signature) triples -> whether each holds."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Batch:
    """What one transaction has decided so far; nothing of it counts until it is committed."""

    now: int
    world: World
    answers: dict[str, Answer]
    actors: dict[bytes, ActorHead]
    heads: dict[str, int]
    cases: dict[str, Known] = field(default_factory=dict)
    events: list[Recorded] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


class Decider:
    """Applies the rules to checked actions."""

    def __init__(
        self,
        *,
        book: CaseBook,
        registrars: Mapping[str, bytes],
        verify: Verify,
        check_key: Callable[[bytes], None],
        operator: Key,
    ) -> None:
        """Take the pinned `registrars` (id -> public key); `check_key` refuses weak keys.

        `operator` is the pinned key of who writes the registry.
        """
        self._check_key = check_key
        self._operator = operator
        self._book = book
        self._registrars = registrars
        self._verify = verify

    def decide(self, tx: Appending, batch: Batch, checked: Checked) -> Outcome:
        """Return the outcome of one action and stage what it writes in `batch`."""
        action, said = checked.action, checked.said
        earlier = batch.answers.get(action.event_id)
        if earlier is not None:
            return _repeated(action, checked.digest, earlier)
        broken = _chain_problem(batch.actors.get(said.actor), said)
        if broken is not None:
            return unrecorded(action, broken)
        refused: Refused | None = None
        try:
            self._record(tx, batch, checked)
        except HubError as e:
            if not isinstance(e, Refused):
                raise
            refused = e
        except Exception:
            # One action that the rules cannot bear must not stop everybody's.
            log.exception("the rules failed on a %s", action.type)
            refused = Refused("RULES_FAILED", "the hub could not decide this; tell its operator")
        if refused is not None:
            batch.refusals.append(
                Refusal(
                    event_id=action.event_id,
                    statement=action.statement,
                    signature=action.signature,
                    recorded_ms=batch.now,
                    code=refused.code,
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

    def _record(self, tx: Appending, batch: Batch, checked: Checked) -> None:
        """Stage the event, or raise why not."""
        if checked.event is None or checked.record is None:
            raise checked.fault or Malformed("RECORD_UNREADABLE", "the record is no event")
        event, now = checked.event, batch.now
        if not self._key(batch, checked).period.holds(now):
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

    def _key(self, batch: Batch, checked: Checked) -> Key:
        """Return the key of an action as it stands now: it may have been replaced meanwhile."""
        found = batch.world.registry.key_of(checked.said.actor)
        return checked.key if found is None or checked.key == self._operator else found

    def _record_registry(self, batch: Batch, checked: Checked, event: ev.RegistryEvent) -> None:
        now, registry = batch.now, batch.world.registry
        if isinstance(event, ev.AgencyKeyPublished):
            self._check_key(event.signing_key)
        decide_registry(event, registry, self._verify_one, self._registrars, now)
        batch.world = replace(batch.world, registry=evolve_registry(registry, event, now))
        version = batch.heads.get(ev.REGISTRY_STREAM, 0) + 1
        batch.heads[ev.REGISTRY_STREAM] = version
        self._stage(batch, checked, version, version)

    def _verify_one(self, key: bytes, message: bytes, signature: bytes) -> bool:
        return self._verify([(key, message, signature)])[0]

    def _stage(self, batch: Batch, checked: Checked, version: int, custody_seq: int | None) -> None:
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
        return unrecorded(action, reused)
    return Outcome(
        event_id=action.event_id,
        accepted=earlier.code is None,
        recorded_ms=earlier.recorded_ms,
        code=earlier.code,
        message=None if earlier.code is None else "refused when it was first sent",
    )


def unrecorded(action: Action, error: HubError) -> Outcome:
    """Return the outcome of an action that leaves nothing."""
    return Outcome(event_id=action.event_id, accepted=False, code=error.code, message=error.message)
