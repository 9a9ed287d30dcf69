"""Who gets into the console, and what every page forbids."""

import pytest

from services.http.login import CODE_MS, IDLE_MS, OneTimeLogin, Session
from tests.services.console.browser import DRAFT, REFER, Browser, Clock, form_of
from tests.services.console.documents import CASE, ME, uid


async def test_a_code_works_once(stranger: Browser) -> None:
    code = stranger.login.new_code()

    status, page = await stranger.post("/login", code=code)
    stranger.http.cookie_jar.clear()
    again, _ = await stranger.post("/login", code=code)

    assert (status, again) == (200, 401)
    assert "Amal" in page


async def test_looking_at_a_login_link_does_not_use_it_up(stranger: Browser) -> None:
    code = stranger.login.new_code()

    status, page = await stranger.get(f"/login?code={code}")
    assert status == 200
    status, _ = await stranger.post("/login", code=form_of(page, "/login")["code"])
    assert status == 200


def test_a_code_is_too_old_after_fifteen_minutes() -> None:
    clock = Clock()
    login = OneTimeLogin(clock)
    early, late = login.new_code(), login.new_code()

    clock.now += CODE_MS - 1
    assert login.redeem(early) is not None
    clock.now += 1
    assert login.redeem(late) is None


def test_a_session_ends_when_it_is_idle_and_not_before() -> None:
    clock = Clock()
    login = OneTimeLogin(clock)
    session_id = login.redeem(login.new_code()) or ""

    for _ in range(3):
        clock.now += IDLE_MS - 1
        assert login.session(session_id) is not None
    clock.now += IDLE_MS
    assert login.session(session_id) is None
    assert login.session(session_id) is None


def test_a_mark_holds_for_its_session_and_its_words_only() -> None:
    one, other = Session(b"one" * 11), Session(b"other" * 7)
    mark = one.mark("a", "b")

    assert one.made(mark, "a", "b")
    assert not one.made(mark, "ab", "")
    assert not other.made(mark, "a", "b")
    assert not one.made("é", "a", "b")


@pytest.mark.parametrize("path", ["/", f"/cases/{CASE}", REFER, f"/cases/{uid('none')}"])
async def test_without_a_session_every_page_is_the_same_refusal(
    stranger: Browser, path: str
) -> None:
    status, page = await stranger.get(path)

    assert status == 401
    assert "Ask for a new log-in link" in page
    assert "Amal" not in page
    assert ME not in page


async def test_without_a_session_nothing_is_submitted(stranger: Browser) -> None:
    status, _ = await stranger.post(f"/cases/{CASE}/withdraw", consent_id=uid("consent"))

    assert status == 401
    assert stranger.gateway.commands == []


async def test_logging_out_ends_the_session(browser: Browser) -> None:
    await browser.post("/logout", csrf=await browser.token())

    status, _ = await browser.get("/")

    assert status == 401


async def test_the_cookie_is_kept_from_scripts_and_other_sites(stranger: Browser) -> None:
    code = stranger.login.new_code()
    url = stranger.root + "/login"
    async with stranger.http.post(url, data={"code": code}, allow_redirects=False) as answer:
        said = answer.headers["Set-Cookie"].lower()

    assert "httponly" in said
    assert "samesite=strict" in said
    assert "path=/" in said


@pytest.mark.parametrize(
    "path", ["/", f"/cases/{CASE}", f"/cases/{uid('none')}", "/login", "/?before=x"]
)
async def test_every_page_forbids_framing_foreign_sources_and_caching(
    browser: Browser, path: str
) -> None:
    async with browser.http.get(browser.root + path) as answer:
        headers = answer.headers
        page = await answer.text()

    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self'" in policy
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "<script" not in page
    assert "style=" not in page
    assert '<html lang="en">' in page


async def test_the_stylesheet_is_served(stranger: Browser) -> None:
    status, sheet = await stranger.get("/static/console.css")

    assert status == 200
    assert "url(" not in sheet


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
@pytest.mark.parametrize("path", ["answer", "withdraw", "refer", "refer/send"])
async def test_a_form_without_its_token_is_refused(browser: Browser, path: str, token: str) -> None:
    status, page = await browser.post(f"/cases/{CASE}/{path}", csrf=token, **DRAFT)

    assert status == 403
    assert "FORM_STALE" in page
    assert browser.gateway.commands == []
