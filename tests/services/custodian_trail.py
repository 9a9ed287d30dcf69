"""A trail in memory that answers the custodian as a notary does, and a custodian that reads it."""

from collections.abc import Collection, Iterable, Sequence

from adapters.notes import NoteVerifier
from domain.events import REGISTRY_STREAM
from domain.feed import lane_of
from domain.notary import HeadProof, Streamed, StreamProof
from domain.trail.deliveries import Delivery
from domain.trail.entry import Entry
from domain.trail.heads import stream_key
from domain.trail.merkle import inclusion_proof, leaf, root
from domain.trail.proof import Proof
from domain.trail.quorum import NONE, Policy
from domain.trail.statement import disclosure_stream
from services.custodian.disclosures import Check, Disclosures, Shown
from services.custodian.registry import REGISTRY, Fact, Facts
from services.custodian.stream import Stream
from services.custodian.streams import Streams
from services.custodian.trail import SeenTrail
from tests.trail.signed import CASE, NOTARY, SIGNING, SignedTrail, public

LANE = lane_of(CASE)


def given(event: bytes, agency: str, seq: int, mask: int = 1, lane: int = LANE) -> Delivery:
    return Delivery(agency, "protection_support", lane, seq, 0, mask, event, "")


class Told(SignedTrail):
    """A trail whose every answer is under the newest EPOCH, which it ends with."""

    def page(self, case_id: str, after: int = 0, most: int = 1_000) -> StreamProof:
        return self.stream(disclosure_stream(case_id), after, most)

    def stream(self, stream: bytes, after: int = 0, most: int = 1_000) -> StreamProof:
        found = [
            Streamed(index=i, entry=data, body=body)
            for i, (data, body) in enumerate(self.leaves)
            if len(data) > len(stream) and _stream_of(data) == stream
        ]
        return StreamProof(head=self.head(stream), entries=tuple(found[after : after + most]))

    def head(self, stream: bytes) -> HeadProof:
        at = self.size - 1
        hashes = tuple(inclusion_proof(at, self.size, self.nodes))
        return HeadProof(
            epoch=self.leaves[at][0],
            proof=Proof(at, hashes, self.note).encode().decode(),
            map=self.state.heads.prove(stream_key(stream)).encode(),
        )

    def nodes(self, level: int, index: int) -> bytes:
        span = self.leaves[index << level : (index + 1) << level]
        return root([leaf(data) for data, _ in span])


class Custodian:
    """Pins the log alone and asks it about one case; what the notary says can be changed."""

    def __init__(self, told: Told, streams: Streams[Stream] | None = None) -> None:
        self.told = told
        self.streams = streams or Streams(Stream())
        self._facts = Streams(Facts())
        self.asked: list[int] = []
        """From which numbers on."""
        self.pages: Sequence[StreamProof] = ()
        """What it is told in place of the truth, one after the other."""
        policy = Policy((told.log.vkey,), {}, {}, NONE)
        self._trail = SeenTrail(
            lambda: policy, NoteVerifier(), lambda _: self.told.nodes, None, lambda: 0
        )
        self._disclosures = Disclosures(self._trail, public(NOTARY), SIGNING.verify)

    async def shown(self, events: Collection[bytes], case_id: str = CASE) -> Shown:
        async def proven(stream: Stream, proof: HeadProof) -> Shown:
            shown, checks = self._disclosures.shown(case_id, stream, proof, events, 0)
            passed(checks)
            return shown

        return await self.streams.proven(case_id, self._ask, proven)

    async def facts(self) -> tuple[Fact, ...]:
        async def proven(read: Facts, proof: HeadProof) -> tuple[Fact, ...]:
            passed(self._disclosures.facts(read, 0, proof, 0))
            return read.facts

        async def ask(_: str, after: int) -> StreamProof:
            return self.told.stream(REGISTRY, after)

        return await self._facts.proven(REGISTRY_STREAM, ask, proven)

    async def _ask(self, case_id: str, after: int) -> StreamProof:
        self.asked.append(after)
        if self.pages:
            answer, *self.pages = self.pages
            return answer
        return self.told.page(case_id, after)


def passed(checks: Iterable[Check]) -> None:
    for check in checks:
        check()


def _stream_of(data: bytes) -> bytes:
    return Entry.decode(data).said.stream if data[1] != 7 else b""
