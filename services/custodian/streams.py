"""Reading streams of the trail: what was proven of one is kept, and only what is new is read."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, Self, TypeVar

from domain.errors import Unavailable
from domain.notary import HeadProof, Streamed, StreamProof
from domain.trail.heads import MapProof

PAGES = 20
"""Of one stream, read at once; a longer one is read on at the next look, beside the others.

Anybody with a part in a case can lengthen its stream: by challenges, receipts and refused actions.
"""
MOST_BYTES = 128 << 20
"""Of all streams that are kept or being read: of events shown to seats, some 170,000."""
Ask = Callable[[str, int], Awaitable[StreamProof]]
"""(name, number) -> the stream from that number on."""


class Read(Protocol):
    """A stream from its first entry on, as far as it was read; it never changes."""

    @property
    def length(self) -> int:
        """How many entries were read."""
        ...

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, about."""
        ...

    def extended(self, name: str, entries: Sequence[Streamed]) -> Self:
        """Return the stream with `entries` after its own; raises when they do not follow."""
        ...


S = TypeVar("S", bound=Read)
T = TypeVar("T")


class Streams(Generic[S]):
    """The streams of one kind that were asked for last, by name: a case's by its id."""

    def __init__(self, empty: S, most_bytes: int = MOST_BYTES) -> None:
        """Begin each with `empty`; hold `most_bytes` at most."""
        self._empty = empty
        self._most = most_bytes
        self._kept: OrderedDict[str, S] = OrderedDict()
        self._held = 0
        self._read: dict[str, int] = {}
        """What is being read -> bytes of it so far."""
        self._partly: dict[str, S] = {}
        """Streams that were not read to their end yet; nothing of them is proven."""
        self._folding = asyncio.Lock()

    async def proven(self, name: str, ask: Ask, prove: Callable[[S, HeadProof], Awaitable[T]]) -> T:
        """Return what `prove` makes of a whole stream, as the notary says it is.

        Once that returns, the stream is kept and not asked for again. Raises what
        `extended` raises, and `Unavailable`: STREAM_LONG when there is more, to be read on when
        asked again, STREAMS_HELD when the streams that are read at once are too large together.
        """
        try:
            stream, proof = await self._whole(name, ask)
            found = await prove(stream, proof)
            self._keep(name, stream)
            return found
        finally:
            if name not in self._partly:
                self._read.pop(name, None)

    def forget(self) -> None:
        """Read every stream from its start again."""
        self._kept.clear()
        self._held = 0
        while self._partly:
            self._let_go()

    async def _whole(self, name: str, ask: Ask) -> tuple[S, HeadProof]:
        stream = self._partly.pop(name, None) or self._kept.get(name, self._empty)
        for _ in range(PAGES):
            page = await ask(name, stream.length)
            async with self._folding:  # one after the other: a page makes many deliveries
                stream = await asyncio.to_thread(stream.extended, name, page.entries)
            self._read[name] = stream.size
            self._make_room()
            if not page.entries or stream.length >= _length_of(page):
                return stream, page.head
        self._partly[name] = stream
        raise Unavailable("STREAM_LONG", "the stream is long; it is read on when asked again")

    def _keep(self, name: str, stream: S) -> None:
        if before := self._kept.pop(name, None):
            self._held -= before.size
        self._kept[name] = stream
        self._held += stream.size
        del self._read[name]
        self._make_room()

    def _let_go(self) -> None:
        """Let go of a stream that was not read to its end."""
        name, _ = self._partly.popitem()
        del self._read[name]

    def _make_room(self) -> None:
        """Let go of the streams that were not asked about for longest; `Unavailable`."""
        while self._held + sum(self._read.values()) > self._most:
            if self._partly:
                self._let_go()
                continue
            if not self._kept:
                raise Unavailable("STREAMS_HELD", "too much is read at once; it is asked again")
            _, oldest = self._kept.popitem(last=False)
            self._held -= oldest.size


def _length_of(page: StreamProof) -> int:
    """Return how many entries a page says that the stream has; nothing of it is proven yet."""
    head = MapProof.decode(page.head.map).head
    return head.length if head else 0
