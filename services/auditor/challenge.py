"""`audit challenge`: a nonce of ours, signed, must come back as an entry under a new checkpoint.

So the auditor knows that what it is shown is not older than its question, and the question
stays in the case's trail: who is audited can tell by whom, and when.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID

from domain.errors import HubError, Malformed, Unavailable
from domain.notary import HeadProof, Receipt, SignedStatement
from domain.trail.entry import Entry, Epoch
from domain.trail.heads import Head, MapProof, actor_key, stream_key
from domain.trail.merkle import EMPTY_ROOT, leaf
from domain.trail.notes import NoteVerifying
from domain.trail.proof import Proof
from domain.trail.quorum import Policy, Witnessed, open_checkpoint
from domain.trail.statement import (
    ZEROS,
    Kind,
    Statement,
    digest,
    disclosure_stream,
    reader_id,
    signed_bytes,
    stream_tag,
)
from services.auditor.opening import CHECKPOINT
from services.auditor.report import Report

_PAUSE_S = 0.2
_LATER = frozenset({"NOT_IN_TRAIL", "READER_SEQ", "TRAIL_EMPTY", "TRAIL_PENDING"})
"""Codes of what the next checkpoint mends."""
T = TypeVar("T")


class _Proven(NamedTuple):
    """A leaf under a checkpoint that holds."""

    at: int
    witnessed: Witnessed


class ChallengeLink(Protocol):
    """An auditor's way to the notary. Away or late is `Unavailable`; retry."""

    async def file(self, path: str) -> bytes | None:
        """Return a public file of the trail, or None if there is none."""
        ...

    async def head(self, key: bytes) -> HeadProof:
        """Return the proof of what a key of the map of heads has."""
        ...

    async def challenge(self, signed: SignedStatement) -> None:
        """Hand over an AUDIT; `Conflict` READER_SEQ unless it is the reader's next."""
        ...

    async def receipt(self, stream: bytes, statement_digest: bytes) -> Receipt:
        """Return the proof that a statement stands in a stream; `Refused` NOT_IN_TRAIL."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenger:
    """Who asks, and how the answer is judged."""

    public_key: bytes
    sign: Callable[[bytes], bytes]
    verifying: NoteVerifying
    clock: Callable[[], int]
    """Gives ms."""
    policy: bytes | None = None
    """The auditor's own copy; None to take the log's."""
    seconds: float = 120.0
    """How long to wait for the checkpoint."""


async def challenge(
    link: ChallengeLink, challenger: Challenger, case_id: str, nonce: bytes
) -> Report:
    """Return what came of a challenge about a case.

    `Malformed` CASE_ID or POLICY; `Unavailable` CHALLENGE_UNANSWERED when it was in no
    checkpoint in time; `Refused` or `NotAuthentic` when the notary does not take it.
    """
    try:
        case_id = str(UUID(case_id))
    except ValueError:
        raise Malformed("CASE_ID", "a case id is a UUID") from None
    report = Report(f"a challenge about {case_id}")
    asking = _Asking(link, challenger, await _policy(link, challenger, report), report)
    try:
        async with asyncio.timeout(challenger.seconds):
            await asking.ask(case_id, nonce)
    except TimeoutError:
        message = (
            f"no checkpoint of {challenger.seconds:.0f} s had it: the witnesses may be away;"
            " audit the case later, a challenge that was taken must be in its trail"
        )
        raise Unavailable("CHALLENGE_UNANSWERED", message) from None
    return report


async def _policy(link: ChallengeLink, challenger: Challenger, report: Report) -> Policy:
    if challenger.policy is not None:
        return Policy.parse(challenger.policy)
    theirs = await link.file("policy") or b""
    report.notes.append(
        "policy came with what is audited; compare its SHA-256 with a copy of your own:"
        f" {hashlib.sha256(theirs).hexdigest()}"
    )
    return Policy.parse(theirs)


class _Asking:
    """One challenge; what does not hold becomes a finding, and it goes no further."""

    def __init__(
        self, link: ChallengeLink, challenger: Challenger, policy: Policy, report: Report
    ) -> None:
        self._link = link
        self._challenger = challenger
        self._policy = policy
        self._report = report

    async def ask(self, case_id: str, nonce: bytes) -> None:
        """Post the challenge, wait for it, and count what the case has then."""
        stream = disclosure_stream(case_id)
        signed = await self._posted(stream, nonce)
        if signed is None:
            return
        asked = digest(signed.statement)
        receipt = await self._until(lambda: self._link.receipt(stream, asked))
        came = self._came_back(receipt, signed)
        if came is None:
            return
        trail, disclosures = await self._head(stream_tag(case_id)), await self._head(stream)
        if trail is None or disclosures is None:
            return
        (count, _), (listed, witnessed) = trail, disclosures
        if listed is None or listed.at < came:
            self._report.find("COMPLETENESS", "the map of heads does not count the challenge", came)
            return
        self._report.checkpoint, self._report.cosigned_s = witnessed
        self._report.holds("CHALLENGE", f"entry {came} is the challenge, signed just as it was")
        last = "the challenge is the last" if listed.at == came else f"the last is {listed.at}"
        actions = count.length if count else 0
        self._report.holds(
            "COMPLETENESS",
            f"the map of heads counts {actions} entries of the trail and {listed.length} of its"
            f" disclosures; {last}",
        )

    async def _posted(self, stream: bytes, nonce: bytes) -> SignedStatement | None:
        """Return the challenge that the notary took; None after a finding."""

        async def once() -> SignedStatement | None:
            witnessed = await self._newest()
            # The reader's chain goes on from where the trail has it.
            reader = actor_key(reader_id(self._challenger.public_key))
            proven = await self._head_of(reader) if witnessed else None
            if witnessed is None or proven is None:
                return None
            signed = self._signed(stream, nonce, proven[0], witnessed)
            await self._link.challenge(signed)
            return signed

        return await self._until(once)

    def _signed(
        self, stream: bytes, nonce: bytes, head: Head | None, seen: Witnessed
    ) -> SignedStatement:
        statement = Statement(
            kind=Kind.AUDIT,
            type=0,
            stream=stream,
            after=ZEROS,
            actor=reader_id(self._challenger.public_key),
            actor_seq=head.length if head else 0,
            actor_prev=head.head if head else ZEROS,
            actor_time_ms=self._challenger.clock(),
            schema=ZEROS,
            field_count=0,
            fields=EMPTY_ROOT,
            payload=hashlib.sha256(nonce).digest(),
            seen_size=seen.checkpoint.size,
            seen_root=seen.checkpoint.root,
        ).encode()
        signature = self._challenger.sign(signed_bytes(statement))
        return SignedStatement(statement=statement, signature=signature, body=nonce)

    async def _newest(self) -> Witnessed | None:
        note = await self._link.file("checkpoint")
        if note is None:
            raise Unavailable("TRAIL_EMPTY", "no checkpoint is published yet; ask again")
        try:
            return open_checkpoint(note, self._policy, self._challenger.verifying)
        except HubError as e:
            self._report.find(CHECKPOINT, str(e))
            return None

    def _came_back(self, receipt: Receipt, signed: SignedStatement) -> int | None:
        """Return where the challenge stands in the log; None after a finding."""
        proven = self._proven(receipt.entry, receipt.proof)
        if proven is None:
            return None
        entry = Entry.decode(receipt.entry)
        if (entry.statement, entry.signature, entry.code) != (*_parts(signed), ""):
            self._report.find("CHALLENGE", "what came back is not what was posted", proven.at)
            return None
        return proven.at

    async def _head(self, stream: bytes) -> tuple[Head | None, Witnessed] | None:
        return await self._until(lambda: self._head_of(stream_key(stream)))

    async def _head_of(self, key: bytes) -> tuple[Head | None, Witnessed] | None:
        """Return what a key of the map has, and under which checkpoint; None after a finding."""
        found = await self._link.head(key)
        proven = self._proven(found.epoch, found.proof)
        if proven is None:
            return None
        try:
            epoch, way = Epoch.decode(found.epoch), MapProof.decode(found.map)
            way.check(epoch.map_root)
        except HubError as e:
            self._report.find("COMPLETENESS", str(e))
            return None
        size = proven.witnessed.checkpoint.size
        if not proven.at == epoch.covered == size - 1 or way.key != key:
            message = "the proof of a head is not of what was asked, or not of this checkpoint"
            self._report.find("COMPLETENESS", message)
            return None
        return way.head, proven.witnessed

    def _proven(self, data: bytes, proof: str) -> _Proven | None:
        try:
            read = Proof.decode(proof.encode())
            verifying = self._challenger.verifying
            return _Proven(read.index, read.check(leaf(data), self._policy, verifying))
        except HubError as e:
            self._report.find("INCLUSION", str(e))
            return None

    async def _until(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what `ask` gives once the next checkpoint has mended what it may lack."""
        while True:
            try:
                return await ask()
            except HubError as e:
                if e.code not in _LATER:
                    raise
            await asyncio.sleep(_PAUSE_S)


def _parts(signed: SignedStatement) -> tuple[bytes, bytes]:
    return signed.statement, signed.signature
