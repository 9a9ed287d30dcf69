"""The list of cases, and one case, as a browser shows them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from domain.errors import HubError
from services.http import words
from services.http.console import PAGE
from tests.services.console.browser import REFER, Browser, FakeGateway, browser_of
from tests.services.console.documents import CASE, NAMELESS, OTHER, event, named, uid


async def test_the_list_says_who_what_when_and_what_waits(browser: Browser) -> None:
    _, page = await browser.get("/")

    assert "<bdi>Amal Example</bdi>" in page
    assert words.short(CASE) in page
    assert "3 events" in page
    assert "Referral sent" in page
    assert "3 May 2026, 10:02 UTC" in page
    assert "1 referral waits for your answer" in page
    assert "<b>2</b> waiting to be sent" in page
    assert "<b>1</b> refused" in page


async def test_agencies_are_called_by_their_names(browser: Browser) -> None:
    _, page = await browser.get(f"/cases/{CASE}")

    assert "<bdi>Our own</bdi>" in page
    assert "<bdi>Another</bdi>" in page
    assert f"<bdi>{OTHER}</bdi>" not in page


async def test_an_empty_list_says_what_will_come() -> None:
    async with browser_of(FakeGateway({})) as browser:
        await browser.log_in()
        _, page = await browser.get("/")

    assert "No cases yet" in page


async def test_older_cases_are_on_the_next_page() -> None:
    held = {uid(f"case {n}"): [named(f"P{n}")] for n in range(PAGE + 1)}
    async with browser_of(FakeGateway(held)) as browser:
        await browser.log_in()
        _, first = await browser.get("/")
        (link,) = re.findall(r'"(/\?before=\d+)"', first)
        _, second = await browser.get(link)

    assert "P0 " in first
    assert f"P{PAGE} " not in first
    assert f"P{PAGE} " in second
    assert "P0 " not in second


async def test_a_case_that_cannot_be_read_does_not_hide_the_others() -> None:
    class Half(FakeGateway):
        def case(self, case_id: str) -> Sequence[Mapping[str, Any]]:
            if case_id == uid("bad"):
                raise HubError("KEY_SUBSTITUTED", "a key is not the one committed to")
            return super().case(case_id)

    async with browser_of(Half({CASE: [named("Amal")], uid("bad"): []})) as browser:
        await browser.log_in()
        status, page = await browser.get("/")

    assert status == 200
    assert "Amal" in page
    assert "KEY_SUBSTITUTED" in page


async def test_markup_in_a_field_is_text() -> None:
    bad = "<script>alert(1)</script>"
    case = [named(bad), event("CaseOpened", {"reason": bad}, agency=bad)]
    async with browser_of(FakeGateway({CASE: case})) as browser:
        await browser.log_in()
        for path in ("/", f"/cases/{CASE}", REFER):
            _, page = await browser.get(path)
            assert "<script" not in page
            assert "&lt;script&gt;" in page


async def test_an_arabic_name_takes_its_own_direction() -> None:
    async with browser_of(FakeGateway({CASE: [named("أمل")]})) as browser:
        await browser.log_in()
        _, page = await browser.get(f"/cases/{CASE}")

    assert '<p dir="auto"><bdi>أمل</bdi></p>' in page
    assert "<bdi>أمل Example</bdi>" in page


async def test_what_is_not_shared_is_said_quietly() -> None:
    async with browser_of(FakeGateway({CASE: [NAMELESS]})) as browser:
        await browser.log_in()
        _, page = await browser.get(f"/cases/{CASE}")
        _, listed = await browser.get("/")

    assert "Identity (2): not shared with you" in page
    assert "Family (1): not shared with you" in page
    assert "alert" not in page
    assert "WITHHELD" not in page
    assert "NO_KEY" not in page
    assert "identity not shared with you" in listed


async def test_what_was_tampered_with_is_said_loudly() -> None:
    case = [event("CaseOpened", {}, shut={"reason": "BAD_TAG"})]
    async with browser_of(FakeGateway({CASE: case})) as browser:
        await browser.log_in()
        _, page = await browser.get(f"/cases/{CASE}")

    assert 'role="alert"' in page
    assert "BAD_TAG" in page
    assert "not shared with you (" not in page


async def test_a_case_of_others_does_not_exist(browser: Browser) -> None:
    status, page = await browser.get(f"/cases/{uid('none')}")

    assert status == 404
    assert "NO_SUCH_CASE" in page
