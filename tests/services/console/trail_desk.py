"""A case worker's browser over a real trail, its notary, and the watch of one agency over it."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.sqlite.own_acts import SqliteOwnActs
from domain.ports import Recorded
from domain.trail.checkpoint import Checkpoint, sign
from domain.trail.notes import Note
from services.gateway.trail_report import TrailReport
from tests.agencies import sha
from tests.services.console.browser import REFER, Browser, FakeGateway, browser_of
from tests.services.console.documents import CASE, ME, event, named, sent, uid
from tests.services.gateway_trail import (
    VERIFIER,
    Watched,
    later_checkpoints,
)
from tests.services.notary_witnesses import LOG
from tests.services.notary_world import T0, NotaryWorld

ROOT = Path(__file__).parents[3]
THEN = "14 November 2023, 22:13 UTC"
"""T0, when the witnesses cosigned."""
PAGES = ("/", f"/cases/{CASE}", REFER, "/trail", f"/cases/{uid('none')}")
OTHERS = sent()
MINUTE = 60_000


class Desk:
    """A case worker's browser, and the trail that the gateway behind it watches."""

    def __init__(self, world: NotaryWorld) -> None:
        self.world = world
        self.police = Watched(world, "gb-police")
        self.report = TrailReport(
            watching=self.police.watching,
            acts=SqliteOwnActs(self.police.store.file),
            policy=lambda: world.policy,
            verifying=VERIFIER,
            clock=world.clock,
        )
        self.case = [named("Amal"), OTHERS]
        self.browser: Browser

    def acts(self, *, recorded: bool = True) -> Recorded:
        """Carry out an act that the hub answers, and records unless it does not."""
        done = self.world.acting.event()
        if recorded:
            self.world.acting.record(done)
        self.police.acted(done)
        about = {"event_id": done.event_id, "recorded_ms": T0}
        self.case.append({**event("ReferralReceived", {}, agency=ME), **about})
        return done

    async def looks(self) -> None:
        """Publish what was recorded, and let the gateway look at it."""
        self.world.published()
        await self.police.watching.step()

    async def waits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let checkpoints go on for as long as anything may take."""
        for _ in later_checkpoints(self.world, monkeypatch):
            await self.police.watching.step()

    async def page(self, path: str) -> str:
        self.browser.clock.now = self.world.now
        return (await self.browser.get(path))[1]

    async def line_of(self, act: Recorded) -> str:
        """Return the text of the line that says how an act stands in the trail."""
        lines = re.findall(r'<p class="trail [a-z]+">.*</p>', await self.page(f"/cases/{CASE}"))
        own = [e["event_id"] for e in reversed(self.case) if e["own"]]  # the page begins with it
        return re.sub(r"<[^>]*>", "", lines[own.index(act.event_id)])


@asynccontextmanager
async def desk_at(world: NotaryWorld) -> AsyncIterator[Desk]:
    desk = Desk(world)
    async with browser_of(FakeGateway({CASE: desk.case}), desk.report) as desk.browser:
        desk.browser.clock.now = world.now
        await desk.browser.log_in()
        yield desk


def banners(page: str) -> list[str]:
    """Return what stands above a page's own content, as text."""
    above = page.split('<main id="main">', 1)[1].split("<h1>", 1)[0]
    return [
        " ".join(re.sub(r"<[^>]*>", " ", found).split())
        for found in re.findall(r'<div class="notice[^>]*>(.*?)</div>', above, re.DOTALL)
    ]


def forged(world: NotaryWorld) -> bytes:
    """Return another checkpoint of the published size, signed by the log."""
    text = Note.decode(world.files.read("checkpoint") or b"").text
    false = Checkpoint.parse(text)._replace(root=sha("another history"))
    return Note(false.text, (sign(false, LOG, 0),)).encode()


def shown(desk: Desk, checkpoint: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the trail show this checkpoint."""

    async def file(path: str) -> bytes | None:
        return checkpoint if path == "checkpoint" else desk.world.files.read(path)

    monkeypatch.setattr(desk.police.link, "file", file)
