"""`audit challenge`: a nonce of ours, signed, must come back as an entry under a new checkpoint.

So the auditor knows that what it is shown is not older than its question, and the question
stays in the case's trail: who is audited can tell by whom, and when.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from domain.errors import HubError, Unavailable
from domain.notary import HeadProof, Receipt, SignedStatement
from domain.trail.heads import Head, actor_key, stream_key
from domain.trail.merkle import EMPTY_ROOT
from domain.trail.notes import NoteVerifying
from domain.trail.quorum import Policy, Witnessed
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
from services.auditor.answers import Answers, Counted
from services.auditor.case import case_id_of
from services.auditor.report import Report

_PAUSE_S = 0.2
_LATER = frozenset({"NOT_IN_TRAIL", "READER_SEQ", "TRAIL_EMPTY", "TRAIL_PENDING"})
"""Codes of what the next checkpoint mends."""
T = TypeVar("T")


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
    case_id = case_id_of(case_id)
    report = Report(f"a challenge about {case_id}")
    try:
        async with asyncio.timeout(challenger.seconds):
            policy = await _policy(link, challenger, report)
            await _Asking(link, challenger, policy, report).ask(case_id, nonce)
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
    """One challenge; after an answer that does not hold it goes no further."""

    def __init__(
        self, link: ChallengeLink, challenger: Challenger, policy: Policy, report: Report
    ) -> None:
        self._link = link
        self._challenger = challenger
        self._answers = Answers(policy, challenger.verifying, report)
        self._report = report

    async def ask(self, case_id: str, nonce: bytes) -> None:
        """Post the challenge, wait for it, and count what the case has then."""
        stream = disclosure_stream(case_id)
        posted = await self._until(lambda: self._post(stream, nonce))
        if posted is None:
            return
        asked = digest(posted.statement)
        came = self._answers.place(
            await self._until(lambda: self._link.receipt(stream, asked)), posted
        )
        if came is None:
            return
        trail, disclosures = await self._counted(stream_tag(case_id)), await self._counted(stream)
        if trail is not None and disclosures is not None:
            self._conclude(came, trail.head, disclosures)

    async def _post(self, stream: bytes, nonce: bytes) -> SignedStatement | None:
        """Return the challenge that the notary took; None after a finding."""
        note = await self._link.file("checkpoint")
        if note is None:
            raise Unavailable("TRAIL_EMPTY", "no checkpoint is published yet; ask again")
        seen = self._answers.checkpoint(note)
        # The reader's chain goes on from where the trail has it.
        reader = actor_key(reader_id(self._challenger.public_key))
        before = self._answers.counted(await self._link.head(reader), reader) if seen else None
        if seen is None or before is None:
            return None
        signed = self._signed(stream, nonce, before.head, seen)
        await self._link.challenge(signed)
        return signed

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

    async def _counted(self, stream: bytes) -> Counted | None:
        key = stream_key(stream)
        return self._answers.counted(await self._until(lambda: self._link.head(key)), key)

    def _conclude(self, came: int, trail: Head | None, disclosures: Counted) -> None:
        """Report how long the case was when the challenge, entry `came`, stood in it."""
        listed, report = disclosures.head, self._report
        if listed is None or listed.at < came:
            report.find("COMPLETENESS", "the map of heads does not count the challenge", came)
            return
        report.checkpoint, report.cosigned_s = disclosures.witnessed
        report.holds("CHALLENGE", f"entry {came} is the challenge, signed just as it was")
        last = "the challenge is the last" if listed.at == came else f"the last is {listed.at}"
        actions = trail.length if trail else 0
        report.holds(
            "COMPLETENESS",
            f"the map of heads counts {actions} entries of the trail and {listed.length} of its"
            f" disclosures; {last}",
        )

    async def _until(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what `ask` gives once the next checkpoint has mended what it may lack."""
        while True:
            try:
                return await ask()
            except HubError as e:
                if e.code not in _LATER:
                    raise
            await asyncio.sleep(_PAUSE_S)
