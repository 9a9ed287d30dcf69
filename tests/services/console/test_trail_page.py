"""Who may see what of the trail, and in which words."""

import re

import pytest

from domain.gateway_trail import SPLIT_VIEW, Alarm
from services.gateway.trail_report import BEHIND_MS
from services.http import words
from tests.services.console.browser import FakeGateway, browser_of
from tests.services.console.trail_desk import (
    MINUTE,
    OTHERS,
    PAGES,
    ROOT,
    THEN,
    Desk,
    banners,
)
from tests.services.gateway_trail import PURPOSE, disclosed
from tests.services.notary_world import T0


async def test_when_all_is_well_no_page_has_a_banner(desk: Desk) -> None:
    desk.acts()
    await desk.looks()

    for path in PAGES:
        assert banners(await desk.page(path)) == [], path
    trail = await desk.page("/trail")
    assert "There is nothing to act on." in trail
    assert "<dt>Proven in the trail</dt><dd>1</dd>" in trail
    assert "<dt>Waiting for proof</dt><dd>0</dd>" in trail
    assert f"<dt>Signed by one</dt><dd>{THEN}</dd>" in trail
    assert f"<dt>Signed by two</dt><dd>{THEN}</dd>" in trail
    assert "Amal" not in trail


async def test_the_trail_is_a_link_on_every_page(desk: Desk) -> None:
    for path in PAGES:
        assert '<a href="/trail"' in await desk.page(path)
    assert '<a href="/trail" aria-current="page">' in await desk.page("/trail")


async def test_how_much_of_each_feed_is_proven_is_said(desk: Desk) -> None:
    desk.police.deliveries.purposes.add(PURPOSE)
    desk.police.took(*disclosed(desk.world, "gb-police", 2))
    await desk.looks()
    desk.police.took(*disclosed(desk.world, "gb-police"))

    assert (
        f"<dd>3 received, 2 proven whole; the newest of these came {THEN}</dd>"
        in await desk.page("/trail")
    )


async def test_without_a_session_the_trail_is_the_same_refusal_as_every_page(desk: Desk) -> None:
    act = desk.acts()
    await desk.looks()
    desk.police.trail.alarm(Alarm(code="FEED_WITHHELD", about="seat x", raised_ms=T0))
    desk.browser.http.cookie_jar.clear()

    acts = f"/trail/acts/{act.event_id}"
    for path in ("/trail", "/trail/alarms/1", f"{acts}/entry", f"{acts}/tlog-proof"):
        status, page = await desk.browser.get(path)
        assert status == 401
        assert "Ask for a new log-in link" in page
        assert "seat x" not in page
        assert "alert" not in page
        assert 'href="/trail"' not in page


async def test_a_session_of_another_agencys_console_opens_nothing(desk: Desk) -> None:
    desk.browser.http.cookie_jar.clear()
    async with browser_of(FakeGateway({})) as elsewhere:
        await elsewhere.log_in()
        (cookie,) = elsewhere.http.cookie_jar
    desk.browser.http.cookie_jar.update_cookies({cookie.key: cookie.value})

    assert (await desk.browser.get("/trail"))[0] == 401


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"/trail/acts/{OTHERS['event_id']}/entry", "NO_SUCH_PROOF"),
        (f"/trail/acts/{OTHERS['event_id']}/tlog-proof", "NO_SUCH_PROOF"),
        ("/trail/alarms/7", "NO_SUCH_ALARM"),
        (f"/trail/alarms/{'9' * 40}", "NO_SUCH_ALARM"),
    ],
)
async def test_what_is_not_this_agencys_does_not_exist(desk: Desk, path: str, code: str) -> None:
    status, page = await desk.browser.get(path)

    assert status == 404
    assert code in page


async def test_an_act_that_waits_has_no_proof_to_take(desk: Desk) -> None:
    act = desk.acts()

    status, page = await desk.browser.get(f"/trail/acts/{act.event_id}/entry")

    assert (status, "NO_SUCH_PROOF" in page) == (404, True)


async def test_hostile_text_in_an_alarm_is_text(desk: Desk) -> None:
    bad = "<script>alert(1)</script>"
    desk.police.trail.alarm(Alarm(code=bad, about=bad, raised_ms=T0, evidence={bad: b"x"}))
    desk.police.trail.alarm(Alarm(code="OTHER", about="two", raised_ms=T0))
    desk.police.trail.decide(2, bad)

    for path in PAGES:
        page = await desk.page(path)
        assert "<script" not in page
        assert len(banners(page)) == 1
    trail = await desk.page("/trail")
    assert trail.count("&lt;script&gt;") == 3  # code, what it is about, who decided
    assert "The trail contradicts what your agency saw or did." in trail


def test_every_alarm_that_a_gateway_raises_is_said_in_words() -> None:
    sources = "".join(p.read_text("utf-8") for p in (ROOT / "services" / "gateway").glob("*.py"))
    raised = set(re.findall(r'_alarm\(\s*"([A-Z_]+)"', sources)) | {SPLIT_VIEW}

    assert raised == set(words.TRAIL_ALARMS)


def test_every_section_of_the_runbook_that_is_named_is_there() -> None:
    source = (ROOT / "services" / "http" / "trail_view.py").read_text("utf-8")
    runbook = (ROOT / "docs" / "runbook.md").read_text("utf-8")

    named = set(re.findall(r"\bNrm[A-Z]\w+", source))
    assert len(named) == 4
    assert named <= set(re.findall(r"^### (\w+)$", runbook, re.MULTILINE))


def test_the_console_warns_when_the_alert_rules_do() -> None:
    rules = (ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text("utf-8")

    for metric in ("nrm_gateway_checkpoint_age_seconds", "nrm_gateway_receipt_age_seconds"):
        assert f"expr: {metric} > {BEHIND_MS // 1000}\n" in rules


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (59_999, "0 minutes"),
        (60_000, "1 minute"),
        (119 * MINUTE, "119 minutes"),
        (120 * MINUTE, "2 hours"),
        (47 * 60 * MINUTE, "47 hours"),
        (48 * 60 * MINUTE, "2 days"),
    ],
)
def test_how_long_something_lasts_is_said_in_large_units(ms: int, said: str) -> None:
    assert words.lasting(ms) == said
