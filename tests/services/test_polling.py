"""Gateways and custodian ask a peer again at once if it makes them wait, else ever more rarely."""

import asyncio
from pathlib import Path
from threading import current_thread, main_thread

import pytest

from domain.messages import FeedPage, FollowedPage, ReleasePage
from services import polling
from services.bootstrap import CustodianProcess, Parts, Settings, build_custodian, build_gateway
from services.custodian.keeping_up import keep_up
from services.gateway.gateway import FIRST_BACKOFF, LAST_BACKOFF
from services.polling import LONG_POLL
from services.signals import Signals
from tests.services.running import POLICE

NOBODY = "http://127.0.0.1:9"
ASKED = 12
SLEEP = asyncio.sleep


class Time:
    """The time that the loops see: it goes on when they rest, and while a peer has them wait."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rests: list[float] = []

    async def rest(self, seconds: float) -> None:
        if current_thread() is not main_thread():  # a server that some fixture runs
            await SLEEP(seconds)
            return
        self.rests.append(seconds)
        self.now += seconds


class Peer:
    """A peer that has nothing, and says so after some seconds, until it was asked often enough."""

    def __init__(self, signals: Signals, time: Time, seconds: float) -> None:
        self.asked = 0
        self._signals = signals
        self._time = time
        self._seconds = seconds
        self._enough = asyncio.Event()

    async def feed(self, purpose: str, cursor: str, wait: float) -> FeedPage:
        self._answer()
        return FeedPage(items=(), cursor=cursor)

    async def releases(self, after: int, wait: float) -> ReleasePage:
        self._answer()
        return ReleasePage(items=(), seq=after)

    async def custody(self, after: int, wait: float) -> FollowedPage:
        self._answer()
        return FollowedPage(items=(), position=after)

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
    monkeypatch.setattr(polling, "monotonic", lambda: made.now)
    monkeypatch.setattr(asyncio, "sleep", made.rest)
    return made


async def reading(folder: Path, time: Time, what: str, seconds: float) -> Peer:
    """Let a gateway read its releases or a feed, or the custodian the log.

    Its peer answers after `seconds`.
    """
    parts = Parts(Settings(data=folder))
    if what == "log":
        return await followed(build_custodian(parts, NOBODY, NOBODY, NOBODY), time, seconds)
    built = build_gateway(parts, POLICE, NOBODY, NOBODY)
    peer = Peer(built.gateway.signals, time, seconds)
    hub, custodian, _ = built.links
    hub.feed = peer.feed  # type: ignore[method-assign]
    custodian.releases = peer.none if what == "feed" else peer.releases  # type: ignore[method-assign]
    await built.gateway.read(["police"] if what == "feed" else [])
    return peer


async def followed(built: CustodianProcess, time: Time, seconds: float) -> Peer:
    peer = Peer(built.signals, time, seconds)
    built.hub.custody = peer.custody  # type: ignore[method-assign]
    await keep_up(built.custodian, built.hub, built.signals, lambda _: None)
    return peer


@pytest.mark.parametrize("what", ["feed", "releases", "log"])
async def test_a_peer_that_answers_nothing_at_once_is_asked_ever_more_rarely(
    tmp_path: Path, time: Time, what: str
) -> None:
    peer = await reading(tmp_path, time, what, seconds=0)
    assert peer.asked == ASKED
    assert time.rests[:ASKED] == [min(FIRST_BACKOFF * 2**n, LAST_BACKOFF) for n in range(ASKED)]


@pytest.mark.parametrize("what", ["feed", "releases", "log"])
async def test_a_peer_that_waits_for_news_is_asked_again_at_once(
    tmp_path: Path, time: Time, what: str
) -> None:
    peer = await reading(tmp_path, time, what, seconds=LONG_POLL)
    assert (peer.asked, time.rests) == (ASKED, [])
