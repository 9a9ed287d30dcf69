"""Every page says when the trail contradicts itself or is behind, and nothing otherwise."""

import io
import re
import zipfile

import pytest

from adapters.sqlite.own_acts import SqliteOwnActs
from domain.errors import Unavailable
from domain.gateway_trail import SPLIT_VIEW, Alarm
from domain.notary import Receipt
from services.gateway.trail_report import BEHIND_MS, State, TrailReport
from tests.services import notary_witnesses
from tests.services.console.browser import FakeGateway, QuietTrail, browser_of
from tests.services.console.documents import CASE, named
from tests.services.console.trail_desk import (
    MINUTE,
    PAGES,
    Desk,
    banners,
    desk_at,
    forged,
    shown,
)
from tests.services.gateway_trail import (
    VERIFIER,
    Watched,
)
from tests.services.notary_world import T0, NotaryWorld


async def test_two_versions_of_the_trail_are_said_on_every_page_with_whom_to_call(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.acts()
    await desk.looks()
    shown(desk, forged(desk.world), monkeypatch)
    await desk.police.watching.step()
    desk.world.now += 10 * BEHIND_MS

    for path in PAGES:
        (said,) = banners(await desk.page(path))  # and not that it is behind as well
        assert said.startswith("The trail was shown to your agency in two versions")
        assert "Nothing newer of it is believed here until a person decides." in said
        assert "the data protection officer and the rapporteur. Runbook: NrmTrailAlarm." in said
        assert 'role="alert"' in await desk.page(path)
    case = await desk.page(f"/cases/{CASE}")
    assert not re.search(r"merkle|\broot\b|checkpoint|hash", case, re.IGNORECASE)


async def test_the_proof_of_two_versions_can_be_taken_away(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.acts()
    await desk.looks()
    seen, false = desk.world.files.read("checkpoint"), forged(desk.world)
    shown(desk, false, monkeypatch)
    await desk.police.watching.step()

    trail = await desk.page("/trail")
    assert "--by NAME --reason TEXT --follow seen|shown" in trail
    (link,) = re.findall(r'href="(/trail/alarms/\d+)"', trail)
    async with desk.browser.http.get(desk.browser.root + link) as answer:
        archive = zipfile.ZipFile(io.BytesIO(await answer.read()))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="alarm-1.zip"'
    assert archive.read("alarm-1/seen.checkpoint") == seen
    assert archive.read("alarm-1/shown.checkpoint") == false
    assert archive.read("alarm-1/alarm.txt").startswith(SPLIT_VIEW.encode())


async def test_a_trail_that_is_away_is_said_once_it_lasts(desk: Desk) -> None:
    act = desk.acts()
    await desk.looks()
    desk.police.link.away = True
    await desk.police.watching.step()
    desk.world.now = T0 + BEHIND_MS
    assert banners(await desk.page("/")) == []
    assert "ended early: it did not answer (PEER_AWAY)" in await desk.page("/trail")

    desk.world.now += MINUTE
    (said,) = banners(await desk.page("/"))
    assert said.startswith("The trail has been behind for 16 minutes.")
    assert "is recorded and kept" in said
    assert "Runbook: NrmCheckpointOld (PEER_AWAY)." in said
    assert (await desk.line_of(act)).startswith("In the trail since")  # that proof stays good


async def test_a_trail_that_is_back_is_no_longer_said_to_be_behind(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.acts()
    await desk.looks()
    desk.police.link.away = True
    await desk.waits(monkeypatch)
    desk.world.now += BEHIND_MS
    assert len(banners(await desk.page("/"))) == 1
    desk.police.link.away = False
    desk.world.now -= BEHIND_MS
    await desk.police.watching.step()

    assert banners(await desk.page("/")) == []


@pytest.mark.parametrize("at_s", [notary_witnesses.AT_S, 1 << 62], ids=["true", "clock ahead"])
async def test_after_a_restart_an_old_trail_is_behind_only_once_it_was_asked(
    desk: Desk, world: NotaryWorld, monkeypatch: pytest.MonkeyPatch, at_s: int
) -> None:
    monkeypatch.setattr(notary_witnesses, "AT_S", at_s)
    desk.acts()
    await desk.looks()
    desk.world.now += 3 * 3_600_000
    again = Watched(world, "gb-police")
    again.trail.see(desk.police.trail.seen() or pytest.fail("nothing was seen"))
    again.link.away = True
    report = TrailReport(
        watching=again.watching,
        acts=SqliteOwnActs(again.store.file),
        policy=lambda: world.policy,
        verifying=VERIFIER,
        clock=world.clock,
    )
    assert report.state() == State()
    await again.watching.step()
    started, desk.world.now = desk.world.now, desk.world.now + BEHIND_MS + MINUTE
    assert report.state().behind_since_ms == (T0 if at_s < 1 << 62 else started)


async def test_proofs_that_cannot_be_had_for_long_are_said(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given checkpoints that go on, and a notary that answers nothing else."""

    def away(_: Receipt) -> Receipt:
        raise Unavailable("PEER_AWAY", "the trail did not answer; retry later")

    desk.police.link.receipts_changed = away
    desk.acts()
    await desk.looks()
    await desk.waits(monkeypatch)
    assert banners(await desk.page("/")) == []
    desk.world.now += 4 * MINUTE + 1
    await desk.police.watching.step()

    (said,) = banners(await desk.page("/"))
    assert said.startswith("An act of your agency has waited 15 minutes for its proof.")
    assert "Runbook: NrmReceiptMissing (PEER_AWAY)." in said


async def test_a_gateway_that_has_verified_nothing_says_why(world: NotaryWorld) -> None:
    async with desk_at(world) as desk:
        await desk.police.watching.step()
        page = await desk.page("/trail")
    assert "Nothing was verified yet: nothing is published yet (TRAIL_EMPTY)." in page


async def test_pages_are_shown_also_when_the_trail_cannot_be_read() -> None:
    class Broken(QuietTrail):
        def state(self) -> State:
            raise Unavailable("STORE_UNAVAILABLE", "the store did not answer; retry later")

    async with browser_of(FakeGateway({CASE: [named("Amal")]}), Broken()) as browser:
        await browser.log_in()
        status, page = await browser.get(f"/cases/{CASE}")
        broken, error = await browser.get("/trail")

    assert (status, broken) == (200, 503)
    assert "Amal" in page
    for shown_page in (page, error):
        (said,) = banners(shown_page)
        assert said.startswith("What your gateway knows of the trail cannot be read (STORE_")


async def test_several_alarms_are_one_banner_that_begins_with_two_versions(desk: Desk) -> None:
    for code in ("FEED_WITHHELD", SPLIT_VIEW, "RECEIPT_MISSING", "FEED_WITHHELD"):
        number = len(desk.police.trail.alarms())
        statement = desk.world.acting.event().statement
        evidence = {"statement": statement}
        alarm = Alarm(code=code, about=f"number {number}", raised_ms=T0, evidence=evidence)
        desk.police.trail.alarm(alarm)

    (said,) = banners(await desk.page("/"))
    assert said.startswith("The trail was shown to your agency in two versions")
    assert said.count("Something was recorded as shown to your agency") == 1
    assert said.count("Tell your supervisor now") == 1
    trail = await desk.page("/trail")
    assert re.findall(r"<h3>(\d)\.", trail) == ["4", "3", "2", "1"]
    desk.police.trail.decide(4, "somebody: because")
    assert re.findall(r"<h3>(\d)\.", await desk.page("/trail")) == ["3", "2", "1", "4"]
