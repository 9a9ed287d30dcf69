"""Reading streams of the trail: what was proven of one is kept, and only what is new is read."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, Self, TypeVar

from domain.errors import Malformed, Unavailable
from domain.notary import HeadProof, Streamed, StreamProof
from domain.trail.heads import MapProof

MOST = 100_000
"""Entries of one stream; a notary that has more of them to tell is not listened to."""
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
        self._folding = asyncio.Lock()

    async def proven(self, name: str, ask: Ask, prove: Callable[[S, HeadProof], Awaitable[T]]) -> T:
        """Return what `prove` makes of a whole stream, as the notary says it is.

        Once that returns, the stream is kept and not asked for again. Raises what
        `extended` raises, and `Malformed` STREAM_LENGTH when the notary says that there is
        more than any has, `Unavailable` STREAMS_HELD when the streams that are read at once
        are too large together.
        """
        try:
            stream, proof = await self._whole(name, ask)
            found = await prove(stream, proof)
            self._keep(name, stream)
            return found
        finally:
            self._read.pop(name, None)

    def forget(self) -> None:
        """Read every stream from its start again."""
        self._kept.clear()
        self._held = 0

    async def _whole(self, name: str, ask: Ask) -> tuple[S, HeadProof]:
        stream = self._kept.get(name, self._empty)
        while True:
            page = await ask(name, stream.length)
            length = _length_of(page)
            if max(length, stream.length + len(page.entries)) > MOST:
                raise Malformed("STREAM_LENGTH", f"a stream has at most {MOST} entries")
            async with self._folding:  # one after the other: a page makes many deliveries
                stream = await asyncio.to_thread(stream.extended, name, page.entries)
            self._read[name] = stream.size
            self._make_room()
            if not page.entries or stream.length >= length:
                return stream, page.head

    def _keep(self, name: str, stream: S) -> None:
        if before := self._kept.pop(name, None):
            self._held -= before.size
        self._kept[name] = stream
        self._held += stream.size
        del self._read[name]
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
