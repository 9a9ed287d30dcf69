"""RECEIPTs: the agency signs, in its reader's chain, what its feeds brought it.

Only what a checkpoint proves delivered is confirmed, case by case. A RECEIPT is kept until it is
proven to stand in the trail, and sent again if the notary lost it; if another tool of the agency
used the chain, it is signed anew behind that.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from domain.errors import HubError, NotAuthentic
from domain.gateway_trail import Arrived, Confirmation, GatewayTrail, TrailLink
from domain.notary import SignedStatement
from domain.sealing import Signing
from domain.secret import Secret
from domain.trail.deliveries import RECEIPT_SCHEMA, leaves_of, receipt_body
from domain.trail.entry import Entry
from domain.trail.heads import actor_key
from domain.trail.merkle import root
from domain.trail.statement import (
    ZEROS,
    Kind,
    Statement,
    actor_id,
    digest,
    disclosure_stream,
    reader_id,
    signed_bytes,
)
from services.gateway.checkpoints import Checkpoints
from services.gateway.overdue import Overdue

BATCH = 20
"""Cases confirmed, and RECEIPTs sent and proven, in one round."""
ENTRIES = 1_000
"""Entries looked at in one round; those of one case become one RECEIPT."""
_ANEW = frozenset({"READER_SEQ", "READER_TIME", "SEEN_UNKNOWN"})
"""Codes of a RECEIPT that was good when it was signed and has to be signed anew."""
_ALL = 1 << 30
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who confirms, and whose DISCLOSUREs it answers."""

    seed: Secret
    public_key: bytes
    notary: bytes
    """The notary's pinned public key."""


class Confirming:
    """Signs, keeps and sends RECEIPTs."""

    def __init__(
        self,
        *,
        reader: Reader,
        signing: Signing,
        link: TrailLink,
        trail: GatewayTrail,
        checkpoints: Checkpoints,
        clock: Callable[[], int],
    ) -> None:
        """Continue the chain that `trail` keeps; `clock` gives ms."""
        self._reader = reader
        self._signing = signing
        self._link = link
        self._trail = trail
        self._checkpoints = checkpoints
        self._clock = clock
        self._actor = reader_id(reader.public_key)
        self._overdue = Overdue()

    async def confirm(self) -> bool:
        """Sign for what is proven delivered; return whether there may be more."""
        waiting = self._trail.unconfirmed(ENTRIES)
        cases = [list(of) for _, of in groupby(waiting, lambda e: (e.case_id, e.lane))]
        for entries in cases[:BATCH]:
            after = await self._disclosure(entries[-1])
            body = receipt_body([e.leaf for e in entries])
            seq, prev = self._next()
            stream = disclosure_stream(entries[0].case_id)
            self._trail.confirm(self._signed(body, stream, after, seq, prev), entries)
        return len(cases) > BATCH or len(waiting) == ENTRIES

    async def send(self) -> bool:
        """Hand over what was signed, in order; return whether there may be more."""
        waiting = self._trail.confirmations(BATCH)
        for one in waiting:
            try:
                await self._link.confirm(one.signed)
            except HubError as e:
                if e.code in _ANEW or Statement.decode(one.signed.statement).actor != self._actor:
                    await self._sign_anew()
                raise
            self._trail.acknowledged(one.seq)
        return len(waiting) == BATCH

    async def prove(self) -> bool:
        """Let go of what stands in the trail; return whether there may be more of it.

        What checkpoints go on without for long is sent again, and all that follows it.
        """
        waiting = self._trail.sent(BATCH)
        for one in waiting:
            if not await self._stands(one.signed):
                self._late(one)
                return False  # what follows in the chain does not stand there either
            self._overdue.found(one.seq)
            self._trail.stands(one.seq)
        return len(waiting) == BATCH

    async def _stands(self, signed: SignedStatement) -> bool:
        """Return whether the trail has a RECEIPT; `NotAuthentic` if what it shows proves it not."""
        found = await self._checkpoints.receipt(signed.statement)
        if found is None:
            return False
        await self._checkpoints.proven(found.entry, found.proof)
        entry = Entry.decode(found.entry)
        if (entry.statement, entry.signature) != (signed.statement, signed.signature):
            raise NotAuthentic("RECEIPT_DIFFERS", "the trail shows another entry as our RECEIPT")
        return True

    def _late(self, one: Confirmation) -> None:
        if self._overdue.missed(one.seq, self._checkpoints.witnessed_ms):
            log.warning("the notary took RECEIPT %d and lost it: it is sent again", one.seq)
            self._overdue.found(one.seq)
            self._trail.unsent()

    async def _disclosure(self, newest: Arrived) -> bytes:
        """Return the digest of the DISCLOSURE that lists the newest entry of a case.

        `NotAuthentic` DISCLOSURE unless the pinned notary signed it and it stands in the log.
        """
        stream = disclosure_stream(newest.case_id)
        found = await self._link.disclosed(stream, newest.leaf)
        await self._checkpoints.proven(found.entry, found.proof)
        entry = Entry.decode(found.entry)
        said, notary = entry.said, self._reader.notary
        stated = said.kind, said.stream, said.actor
        if stated != (Kind.DISCLOSURE, stream, actor_id(notary)) or not self._signing.verify(
            notary, signed_bytes(entry.statement), entry.signature
        ):
            raise NotAuthentic("DISCLOSURE", "this is no DISCLOSURE of the case by the notary")
        return digest(entry.statement)

    def _next(self) -> tuple[int, bytes]:
        head = self._trail.reader_head()
        return (head[0] + 1, head[1]) if head else (0, ZEROS)

    async def _sign_anew(self) -> None:
        """Continue the chain from where the trail has it, once everything taken stands there."""
        if self._trail.sent(1):
            return
        head, _ = await self._checkpoints.head(actor_key(self._actor))
        seq, prev = (head.length, head.head) if head else (0, ZEROS)
        anew = list[Confirmation]()
        for one in self._trail.confirmations(_ALL):
            said = Statement.decode(one.signed.statement)
            anew.append(self._signed(one.signed.body, said.stream, said.after, seq, prev))
            seq, prev = seq + 1, digest(anew[-1].signed.statement)
        self._trail.resign(anew)

    def _signed(
        self, body: bytes, stream: bytes, after: bytes, seq: int, prev: bytes
    ) -> Confirmation:
        leaves = leaves_of(body)
        seen_size, seen_root = self._checkpoints.seen()
        statement = Statement(
            kind=Kind.RECEIPT,
            type=0,
            stream=stream,
            after=after,
            actor=self._actor,
            actor_seq=seq,
            actor_prev=prev,
            actor_time_ms=self._clock(),
            schema=RECEIPT_SCHEMA,
            field_count=len(leaves),
            fields=root(leaves),
            payload=hashlib.sha256(body).digest(),
            seen_size=seen_size,
            seen_root=seen_root,
        ).encode()
        signature = self._signing.sign(self._reader.seed.reveal(), signed_bytes(statement))
        signed = SignedStatement(statement=statement, signature=signature, body=body)
        return Confirmation(seq=seq, signed=signed)
