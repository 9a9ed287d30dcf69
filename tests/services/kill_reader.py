"""A reader of server-sent events that is cut off and resumes from the last id that it saw."""

import asyncio
from dataclasses import dataclass
from hashlib import sha256

import aiohttp
import msgspec

from adapters.http_links import HttpHubLink
from domain.errors import HubError
from domain.messages import FeedPage
from domain.vocabulary import Seat, mask_of
from services.bootstrap import Parts

_AGAIN_SECONDS = 0.05
_SILENCE_SECONDS = 60.0
_PAGE = msgspec.json.Decoder(FeedPage)


@dataclass(frozen=True, slots=True)
class Seen:
    """One entry as it arrived."""

    lane: int
    seq: int
    supersedes: int | None
    mask: int
    statement: bytes
    """SHA-256 of the statement shown."""


class Reader(HttpHubLink):
    """Follows the feed of one seat for ever, as that agency."""

    def __init__(self, parts: Parts, hub: str, seat: Seat) -> None:
        part = f"gateways/{seat.agency}"
        super().__init__(hub, seat.agency, parts.public_key(part), parts.secret(part, "signing"))
        self.seat = seat
        self.seen: list[Seen] = []
        self.streams = 0
        """How many streams were opened."""
        self.cuts = 0
        """How many of them broke off after something had arrived."""
        self._cursor = ""

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            before = len(self.seen)
            try:
                await self._read()
            except (aiohttp.ClientError, OSError, TimeoutError, HubError):
                self.cuts += len(self.seen) > before
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _read(self) -> None:
        headers = {"Authorization": f"Bearer {await self.new_token()}"}
        if self._cursor:
            headers["Last-Event-ID"] = self._cursor
        timeout = aiohttp.ClientTimeout(total=None, sock_read=_SILENCE_SECONDS)
        path = f"{self._base}/v1/feeds/{self.seat.purpose}/events"
        async with (
            aiohttp.ClientSession() as session,
            session.get(path, headers=headers, timeout=timeout) as response,
        ):
            response.raise_for_status()
            self.streams += 1
            rest = b""
            async for chunk in response.content.iter_any():
                *events, rest = (rest + chunk).split(b"\n\n")
                for event in events:
                    self._take(event)

    def _take(self, event: bytes) -> None:
        """Take one whole event; what was cut in the middle never comes here."""
        if event.startswith(b":"):
            return
        first, _, second = event.partition(b"\n")
        page = _PAGE.decode(second.removeprefix(b"data: "))
        self._cursor = first.removeprefix(b"id: ").decode()
        self.seen += [
            Seen(
                item.lane,
                item.seq,
                item.supersedes,
                mask_of(item.categories),
                sha256(item.event.statement).digest(),
            )
            for item in page.items
        ]
