"""What people are told of the trail: is there something to decide, what of theirs is proven.

Everything is out of the gateway's own store; signatures and proofs are verified again when they
are shown. No identity is in any of it: ids, codes, counts and times.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from domain.errors import HubError, NotAuthentic, Refused
from domain.feed import LANES
from domain.gateway_trail import Alarm, GatewayTrail, Lane
from domain.notary import Receipt
from domain.own_acts import OwnAct, OwnActs
from domain.trail.entry import Entry
from domain.trail.merkle import leaf
from domain.trail.notes import NoteVerifying
from domain.trail.proof import Proof
from domain.trail.quorum import NONE, Policy, Witnessed, open_checkpoint
from domain.trail.statement import Statement
from services.gateway.deciding import files_of
from services.gateway.trail import Watching

BEHIND_MS = 900_000
"""As the alerts NrmCheckpointOld and NrmReceiptMissing; an idle trail is cosigned each minute."""
MISSING, FALSE = "RECEIPT_MISSING", "RECEIPT_FALSE"


class Act(NamedTuple):
    """How an action of the agency's own stands in the trail."""

    own: OwnAct
    place: int | None = None
    """Number of its entry, from 0; None as long as it is not proven."""
    since_ms: int | None = None
    """When enough witnesses had cosigned a checkpoint that has it, if the proof says."""
    fault: str = ""
    """Why the proof that is kept does not hold."""
    alarm: Alarm | None = None
    """What says that the trail does not have it, or has it otherwise."""


class Newest(NamedTuple):
    """The newest checkpoint that was verified."""

    size: int
    cosigned_ms: Mapping[str, int]
    """Witness, as the policy calls it -> when it cosigned."""
    fault: str = ""
    """Why the note that is kept does not hold now."""


class Fed(NamedTuple):
    """How much of a seat's feed is proven whole."""

    purpose: str
    arrived: int
    proven: int
    until_ms: int | None
    """When the newest proven entry arrived, if there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Whether there is something to act on."""

    alarms: tuple[Alarm, ...] = ()
    """Those that nobody has decided about."""
    code: str = ""
    """Why the newest look at the trail ended early."""
    behind_since_ms: int | None = None
    """When the newest verified checkpoint was cosigned, if that is too long ago."""
    unproven_since_ms: int | None = None
    """When the oldest unproven action was recorded, if receipts cannot be had for too long."""


class TrailReport:
    """Reads what the watch over the trail has found."""

    def __init__(
        self,
        *,
        watching: Watching,
        acts: OwnActs,
        policy: Callable[[], Policy],
        verifying: NoteVerifying,
        clock: Callable[[], int],
    ) -> None:
        """`policy` raises `HubError` as long as none is pinned here; `clock` gives ms."""
        self._watching = watching
        self._acts = acts
        self._policy = policy
        self._verifying = verifying
        self._clock = clock
        self._started_ms = clock()

    @property
    def _trail(self) -> GatewayTrail:
        return self._watching.watch.trail

    def state(self) -> State:
        """Return whether there is something to act on."""
        codes = self._watching.codes
        unproven_ms = self._trail.oldest_unproven_ms() if codes.get("receipts") else None
        return State(
            alarms=tuple(a for a in self._trail.alarms() if not a.decided),
            code=next((code for code in codes.values() if code), ""),
            behind_since_ms=self._late(self._newest_ms()) if codes else None,
            unproven_since_ms=self._late(unproven_ms),
        )

    def counts(self) -> Mapping[str, int]:
        """Return the counts of the trail, and how many actions are overdue in it."""
        overdue = [
            act
            for alarm, act in self.alarms()
            if alarm.code == MISSING and not alarm.decided and act and act.receipt is None
        ]
        return {**self._watching.counts(), "overdue": len(overdue)}

    def newest(self) -> Newest | None:
        """Return the newest verified checkpoint; None before the first."""
        seen = self._trail.seen()
        if seen is None:
            return None
        try:
            found = open_checkpoint(seen.note, self._without_quorum(), self._verifying)
        except HubError as e:
            return Newest(seen.size, {}, e.code)
        return Newest(seen.size, {w: self._past(s) for w, s in found.cosigned_s.items()})

    def feeds(self) -> Sequence[Fed]:
        """Return each seat that is read here."""
        return [self._fed(purpose) for purpose in sorted(self._watching.watch.deliveries.purposes)]

    def alarms(self) -> Sequence[tuple[Alarm, OwnAct | None]]:
        """Return every alarm with its evidence, newest first, and the own action it is about."""
        return [(a, self._about(a)) for a in reversed(self._trail.alarms(evidence=True))]

    def acts(self, event_ids: Iterable[str]) -> Mapping[str, Act]:
        """Return how those of these events stand in the trail that are the agency's own."""
        alarms = {act.event_id: alarm for alarm, act in reversed(self.alarms()) if act}
        found = (self._acts.act(event_id) for event_id in event_ids)
        return {a.event_id: self._act(a, alarms.get(a.event_id)) for a in found if a}

    def proof(self, event_id: str) -> tuple[int, Receipt]:
        """Return number and receipt of an own action; `Refused` NO_SUCH_PROOF without one."""
        act = self._acts.act(event_id)
        if act is None or act.receipt is None:
            message = "there is no proof of such an act of your agency, or none yet"
            raise Refused("NO_SUCH_PROOF", message)
        return Proof.decode(act.receipt.proof.encode()).index, act.receipt

    def evidence(self, number: int) -> Sequence[tuple[str, bytes]]:
        """Return (path, content) of what proves an alarm; `Refused` NO_SUCH_ALARM."""
        for alarm in self._trail.alarms(evidence=True):
            if alarm.number == number:
                return list(files_of(alarm))
        raise Refused("NO_SUCH_ALARM", f"there is no alarm {number}")

    def _late(self, since_ms: int | None) -> int | None:
        late = since_ms is not None and self._clock() - since_ms > BEHIND_MS
        return since_ms if late else None

    def _newest_ms(self) -> int:
        """Return when the newest verified checkpoint was cosigned, or this run began."""
        if seen_ms := self._watching.seen_ms():
            return seen_ms
        newest = self.newest()
        cosigned_ms = newest.cosigned_ms if newest else {}
        reached_ms = self._policy().reached(cosigned_ms) if cosigned_ms else None
        # It was taken before this run, whatever a witness's clock says.
        return self._started_ms if reached_ms is None else min(reached_ms, self._started_ms)

    def _about(self, alarm: Alarm) -> OwnAct | None:
        if alarm.code not in {MISSING, FALSE}:
            return None
        said = Statement.decode(alarm.evidence["statement"])
        return self._acts.act_numbered(said.actor_seq)

    def _act(self, own: OwnAct, alarm: Alarm | None) -> Act:
        if own.receipt is None:
            return Act(own, alarm=alarm)
        try:
            place, witnessed = self._proven(own.statement, own.receipt)
        except HubError as e:
            return Act(own, fault=e.code, alarm=alarm)
        return Act(own, place, self._reached_ms(witnessed), alarm=alarm)

    def _proven(self, statement: bytes, receipt: Receipt) -> tuple[int, Witnessed]:
        if Entry.decode(receipt.entry).statement != statement:
            raise NotAuthentic("RECEIPT_DIFFERS", "the proof is of something else")
        proof = Proof.decode(receipt.proof.encode())
        found = proof.check(leaf(receipt.entry), self._without_quorum(), self._verifying)
        return proof.index, found

    def _without_quorum(self) -> Policy:
        """Return the policy, but any witnesses: there were enough when the proof was kept."""
        return self._policy()._replace(quorum=NONE)

    def _reached_ms(self, found: Witnessed) -> int | None:
        """Return when the witnesses of today's policy had reached its quorum."""
        reached_s = self._policy().reached(found.cosigned_s)
        return None if reached_s is None else self._past(reached_s)

    def _past(self, time_s: int) -> int:
        """Return a witness's time in ms; its clock may be ahead of ours by any amount."""
        return min(time_s * 1000, self._clock())

    def _fed(self, purpose: str) -> Fed:
        trail, arrived, proven, until_ms = self._trail, 0, 0, list[int]()
        for lane in (Lane(purpose, number) for number in range(LANES)):
            size = trail.proven(lane).size
            arrived += trail.newest_of(lane)
            proven += size
            if size:
                until_ms += [e.arrived_ms for e in trail.entries(lane, size - 1, 1)]
        return Fed(purpose, arrived, proven, max(until_ms, default=None))
