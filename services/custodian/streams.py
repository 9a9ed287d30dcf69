"""Reading cases' disclosure streams: what was proven of one is kept, and only what is new read."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from domain.errors import Malformed, Unavailable
from domain.notary import HeadProof, StreamProof
from domain.trail.heads import MapProof
from services.custodian.stream import Stream

MOST = 100_000
"""Entries of one case's stream; a notary that has more of them to tell is not listened to."""
MOST_BYTES = 128 << 20
"""Of all streams that are kept or being read: of events shown to seats, some 170,000."""
Ask = Callable[[str, int], Awaitable[StreamProof]]
"""(case id, number) -> the case's stream from that number on."""
T = TypeVar("T")
Prove = Callable[[Stream, HeadProof], Awaitable[T]]


class Streams:
    """The streams of the cases that were asked about last."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Hold `most_bytes` at most."""
        self._most = most_bytes
        self._kept: OrderedDict[str, Stream] = OrderedDict()
        self._held = 0
        self._read: dict[str, int] = {}
        """Case that is being read -> bytes of it so far."""
        self._folding = asyncio.Lock()

    async def proven(self, case_id: str, ask: Ask, prove: Prove[T]) -> T:
        """Return what `prove` makes of the whole stream of a case, as the notary says it is.

        Once that returns, the stream is kept and not asked for again. Raises what
        `Stream.extended` raises, and `Malformed` STREAM_LENGTH when the notary says that there is
        more than any case has, `Unavailable` STREAMS_HELD when the streams that are read at once
        are too large together.
        """
        try:
            stream, proof = await self._whole(case_id, ask)
            found = await prove(stream, proof)
            self._keep(case_id, stream)
            return found
        finally:
            self._read.pop(case_id, None)

    def forget(self) -> None:
        """Read every case from its start again."""
        self._kept.clear()
        self._held = 0

    async def _whole(self, case_id: str, ask: Ask) -> tuple[Stream, HeadProof]:
        stream = self._kept.get(case_id, Stream())
        while True:
            page = await ask(case_id, stream.length)
            length = _length_of(page)
            if max(length, stream.length + len(page.entries)) > MOST:
                raise Malformed("STREAM_LENGTH", f"a stream has at most {MOST} entries")
            async with self._folding:  # one after the other: a page makes many deliveries
                stream = await asyncio.to_thread(stream.extended, case_id, page.entries)
            self._read[case_id] = stream.size
            self._make_room()
            if not page.entries or stream.length >= length:
                return stream, page.head

    def _keep(self, case_id: str, stream: Stream) -> None:
        if before := self._kept.pop(case_id, None):
            self._held -= before.size
        self._kept[case_id] = stream
        self._held += stream.size
        del self._read[case_id]
        self._make_room()

    def _make_room(self) -> None:
        """Let go of the streams that were not asked about for longest; `Unavailable`."""
        while self._held + sum(self._read.values()) > self._most:
            if not self._kept:
                raise Unavailable("STREAMS_HELD", "too much is read at once; it is asked again")
            _, oldest = self._kept.popitem(last=False)
            self._held -= oldest.size


def _length_of(page: StreamProof) -> int:
    """Return how many entries a page says that the stream has; nothing of it is proven yet."""
    head = MapProof.decode(page.head.map).head
    return head.length if head else 0
