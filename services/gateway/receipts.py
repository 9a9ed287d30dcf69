"""The receipts of an agency's own actions: the proof that each stands in the trail as it was.

A receipt counts under the witnesses' quorum only. One that says something else than was done
and answered here, and one that does not come, is an alarm.
"""

import logging
from collections.abc import Callable

from domain.errors import Malformed, NotAuthentic
from domain.gateway_trail import SPLIT_VIEW, Alarm, GatewayTrail, Own
from domain.notary import Receipt
from domain.trail.entry import Entry
from domain.trail.statement import Statement
from services.gateway.checkpoints import Checkpoints
from services.gateway.overdue import Overdue

BATCH = 20
"""Receipts of one round; a larger backlog takes more rounds, and the trail other readers too."""
_NOT_YET = frozenset({SPLIT_VIEW, "QUORUM"})
log = logging.getLogger(__name__)


class Receipts:
    """Fetches, checks and keeps them."""

    def __init__(
        self, trail: GatewayTrail, checkpoints: Checkpoints, clock: Callable[[], int]
    ) -> None:
        """Ask through `checkpoints`; `clock` gives ms."""
        self._trail = trail
        self._checkpoints = checkpoints
        self._clock = clock
        self._after = 0
        self._overdue = Overdue()

    async def collect(self) -> bool:
        """Take the receipts that are there; return whether more may be."""
        waiting = self._trail.unproven(self._after, BATCH)
        for own in waiting:
            if not await self._collected(own) and not self._late(own):
                self._after = 0
                return False  # what was recorded later is not there either
            self._after = own.number
        if len(waiting) < BATCH:
            self._after = 0
        return len(waiting) == BATCH

    async def _collected(self, own: Own) -> bool:
        """Return whether the trail has an entry of this action."""
        receipt = await self._checkpoints.receipt(own.statement)
        if receipt is None:
            return False
        self._overdue.found(own.number)
        try:
            await self._checkpoints.proven(receipt.entry, receipt.proof)
            _check(receipt, own)
        except (Malformed, NotAuthentic) as e:
            if e.code in _NOT_YET:
                raise
            number = Statement.decode(own.statement).actor_seq
            self._alarm("RECEIPT_FALSE", number, _evidence(receipt, own))
        else:
            self._trail.prove(own.number, receipt)
        return True

    def _late(self, own: Own) -> bool:
        """Say, and keep as an alarm, that checkpoints go on without this action."""
        if not self._overdue.missed(own.number, self._checkpoints.witnessed_ms):
            return False
        files = {"statement": own.statement, "signature": own.signature}
        self._alarm("RECEIPT_MISSING", Statement.decode(own.statement).actor_seq, files)
        return True

    def _alarm(self, code: str, number: int, evidence: dict[str, bytes]) -> None:
        about = f"action {number} of this agency"
        alarm = Alarm(code=code, about=about, raised_ms=self._clock(), evidence=evidence)
        if self._trail.alarm(alarm):
            log.error("%s: %s", code, about)


def _check(receipt: Receipt, own: Own) -> None:
    """Raise `NotAuthentic` RECEIPT_DIFFERS unless the entry is what was done and answered."""
    entry = Entry.decode(receipt.entry)
    found = entry.statement, entry.signature, entry.code, entry.recorded_ms
    if found != (own.statement, own.signature, own.code, own.recorded_ms):
        raise NotAuthentic("RECEIPT_DIFFERS", "the trail has the action otherwise")


def _evidence(receipt: Receipt, own: Own) -> dict[str, bytes]:
    answered = f"{own.recorded_ms} {own.code or 'accepted'}\n".encode()
    return {
        "statement": own.statement,
        "signature": own.signature,
        "answered": answered,
        "entry": receipt.entry,
        "entry.tlog-proof": receipt.proof.encode(),
    }
