"""A gateway asks a peer again at once if that makes it wait for news, and else ever more rarely."""

import asyncio
from pathlib import Path

import pytest

from domain.messages import FeedPage, ReleasePage
from services.bootstrap import GatewayProcess, Parts, Settings, build_gateway
from services.gateway import gateway as gateway_module
from services.gateway.gateway import FIRST_BACKOFF, LAST_BACKOFF, LONG_POLL
from tests.services.running import POLICE

NOBODY = "http://127.0.0.1:9"
ASKED = 12


class Time:
    """The time that the loops see: it goes on when they rest, and while a peer has them wait."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rests: list[float] = []

    async def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now += seconds


class Peer:
    """A peer that has nothing, and says so after some seconds, until it was asked often enough."""

    def __init__(self, built: GatewayProcess, time: Time, seconds: float) -> None:
        self.asked = 0
        self._signals = built.gateway.signals
        self._time = time
        self._seconds = seconds
        self._enough = asyncio.Event()

    async def feed(self, purpose: str, cursor: str, wait: float) -> FeedPage:
        self._answer()
        return FeedPage(items=(), cursor=cursor)

    async def releases(self, after: int, wait: float) -> ReleasePage:
        self._answer()
        return ReleasePage(items=(), seq=after)

    async def none(self, after: int, wait: float) -> ReleasePage:
        await self._enough.wait()
        return ReleasePage(items=(), seq=after)

    def _answer(self) -> None:
        self.asked += 1
        self._time.now += self._seconds
        if self.asked == ASKED:
            self._signals.close()
            self._enough.set()


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(gateway_module, "monotonic", lambda: made.now)
    monkeypatch.setattr(asyncio, "sleep", made.rest)
    return made


async def reading(folder: Path, time: Time, what: str, seconds: float) -> Peer:
    """Let a gateway read its releases, or a feed, from a peer that answers after `seconds`."""
    built = build_gateway(Parts(Settings(data=folder)), POLICE, NOBODY, NOBODY)
    peer = Peer(built, time, seconds)
    hub, custodian, _ = built.links
    hub.feed = peer.feed  # type: ignore[method-assign]
    custodian.releases = peer.none if what == "feed" else peer.releases  # type: ignore[method-assign]
    await built.gateway.read(["police"] if what == "feed" else [])
    return peer


@pytest.mark.parametrize("what", ["feed", "releases"])
async def test_a_peer_that_answers_nothing_at_once_is_asked_ever_more_rarely(
    tmp_path: Path, time: Time, what: str
) -> None:
    peer = await reading(tmp_path, time, what, seconds=0)
    assert peer.asked == ASKED
    assert time.rests[:ASKED] == [min(FIRST_BACKOFF * 2**n, LAST_BACKOFF) for n in range(ASKED)]


@pytest.mark.parametrize("what", ["feed", "releases"])
async def test_a_peer_that_waits_for_news_is_asked_again_at_once(
    tmp_path: Path, time: Time, what: str
) -> None:
    peer = await reading(tmp_path, time, what, seconds=LONG_POLL)
    assert (peer.asked, time.rests) == (ASKED, [])
