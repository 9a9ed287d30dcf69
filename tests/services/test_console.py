"""The staff console in a real server, asked as a browser would; the gateway behind it is a fake."""

import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import aiohttp
import pytest
import uvicorn
from starlette.applications import Starlette

from domain.errors import HubError, Refused, Unavailable
from domain.gateway import Command, Result
from domain.messages import Why, WhyQuestion
from domain.reasons import CODES
from domain.vocabulary import SEALED, Category, Purpose
from schemas import codes
from schemas.catalogue import sources
from schemas.language import AvroLanguage
from services.gateway.gateway import Gateway
from services.http import forms, standing, timeline, words
from services.http.console import PAGE, ConsoleGateway, console_routes
from services.http.forms import Draft
from services.http.login import CODE_MS, IDLE_MS, OneTimeLogin, Session
from tests.schemas import builders

NOW = 1_777_802_520_000
"""3 May 2026, 10:02 UTC."""
ISO = "2026-05-03T10:02:00.000Z"
LATER = "2026-11-03T10:02:00.000Z"
ME, OTHER = "shelter-north", "police-south"
LANGUAGE = AvroLanguage()


def uid(label: str) -> str:
    return str(uuid5(NAMESPACE_URL, label))


CASE = uid("case")


def event(
    type: str,
    fields: Mapping[str, Any],
    *,
    agency: str = OTHER,
    shut: Mapping[str, str] | None = None,
    basis: str = "",
    categories: Sequence[str] = (),
) -> dict[str, Any]:
    """Return an event as `Inbox.opened` does."""
    return {
        "number": 1,
        "event_id": uid(type),
        "case_id": CASE,
        "type": type,
        "agency": agency,
        "own": agency == ME,
        "recorded_ms": NOW,
        "occurred_at": ISO,
        "legal_basis": "consent",
        "categories": tuple(categories),
        "basis": basis,
        "fields": dict(fields),
        "shut": dict(shut or {}),
    }


def named(*given_names: str) -> dict[str, Any]:
    return event(
        "PersonIdentityRecorded",
        {"given_names": list(given_names), "family_names": ["Example"]},
        categories=["IDENTITY"],
        basis=uid("consent"),
    )


NAMELESS = event(
    "PersonIdentityRecorded",
    {},
    shut={"given_names": "WITHHELD", "family_names": "WITHHELD", "relatives": "NO_KEY"},
)


def sent(to: str = ME) -> dict[str, Any]:
    return event(
        "ReferralSent",
        {
            "referral_id": uid("referral"),
            "to": to,
            "purpose": "protection_support",
            "urgency": "urgent",
            "answer_due_at": LATER,
            "service": "accommodation",
            "reason": "Needs a place tonight",
        },
    )


def step(type: str) -> dict[str, Any]:
    return event(type, {"referral_id": uid("referral")}, agency=ME)


def given(label: str = "consent", until: str = LATER) -> dict[str, Any]:
    return event(
        "ConsentGiven",
        {
            "consent_id": uid(label),
            "referral_id": None,
            "recipient": {"agency": ME, "kind": None, "country": None},
            "purposes": ["protection_support"],
            "categories": ["IDENTITY", "CASEWORK"],
            "not_before": ISO,
            "not_after": until,
            "basis": "consent",
            "given_by": "self",
        },
    )


def withdrawn(consent_id: str | None) -> dict[str, Any]:
    return event("ConsentWithdrawn", {"consent_id": consent_id, "given_by": "self"})


@dataclass
class FakeGateway:
    """Holds cases in a dictionary and answers every command alike."""

    held: dict[str, list[dict[str, Any]]]
    status: str = "accepted"
    error: HubError | None = None
    """What `why` raises."""
    agency: str = ME
    commands: list[Command] = field(default_factory=list)
    asked: list[WhyQuestion] = field(default_factory=list)

    def cases(self, limit: int, before: int = 0) -> Sequence[tuple[int, str]]:
        numbered = [(len(self.held) - n, c) for n, c in enumerate(self.held)]
        return [(n, c) for n, c in numbered if not before or n < before][:limit]

    def case(self, case_id: str) -> Sequence[Mapping[str, Any]]:
        if case_id not in self.held:
            raise Refused("NO_SUCH_CASE", "there is no such case in which you have a part")
        return self.held[case_id]

    def counts(self) -> Mapping[str, int]:
        return {"queued": 2, "refused": 1, "alarms": 0}

    def agencies(self) -> Sequence[Mapping[str, Any]]:
        return [
            {"id": ME, "name": "Our own", "purposes": ["protection_support"]},
            {"id": OTHER, "name": "Another", "purposes": ["protection_support"]},
        ]

    async def why(self, asked: WhyQuestion) -> Why:
        if self.error:
            raise self.error
        self.asked.append(asked)
        permit = asked.category == "IDENTITY"
        code, act = ("P01", uid("consent")) if permit else ("D00", None)
        return Why(permit=permit, code=code, reason=CODES[code], rests_on=act, notice=False)

    async def submit(self, commands: Sequence[Command]) -> Sequence[Result]:
        self.commands += commands
        return [
            Result(
                command_id=c.command_id,
                event_id=uid("answer"),
                case_id=c.case_id or CASE,
                type=c.type,
                status=self.status,
                code="OUT_OF_ORDER" if self.status == "refused" else None,
                message="not possible now" if self.status == "refused" else None,
            )
            for c in commands
        ]


class Clock:
    now = NOW

    def __call__(self) -> int:
        return self.now


@dataclass
class Browser:
    """A browser with a cookie jar, and what stands behind the address it asks."""

    http: aiohttp.ClientSession
    root: str
    login: OneTimeLogin
    clock: Clock
    gateway: FakeGateway

    async def get(self, path: str) -> tuple[int, str]:
        async with self.http.get(self.root + path) as answer:
            return answer.status, await answer.text()

    async def post(self, path: str, **form: str) -> tuple[int, str]:
        async with self.http.post(self.root + path, data=form) as answer:
            return answer.status, await answer.text()

    async def log_in(self) -> None:
        status, _ = await self.post("/login", code=self.login.new_code())
        assert status == 200

    async def token(self) -> str:
        _, page = await self.get("/")
        return hidden(page)["csrf"]


def hidden(page: str) -> dict[str, str]:
    """Return the hidden fields of a page's forms; of a name used twice, the last."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
    return {name: unescape(value) for name, value in found}


def form_of(page: str, action: str) -> dict[str, str]:
    """Return the hidden fields of the first form that posts to `action`."""
    return hidden(page.split(f'action="{action}"', 1)[1].split("</form>", 1)[0])


@asynccontextmanager
async def browser_of(gateway: FakeGateway) -> AsyncIterator[Browser]:
    clock = Clock()
    login = OneTimeLogin(clock)
    app = Starlette(routes=console_routes(gateway, login, language=LANGUAGE, clock=clock))
    config = uvicorn.Config(app, log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        await server.startup([listening])
        jar = aiohttp.CookieJar(unsafe=True)
        root = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with aiohttp.ClientSession(cookie_jar=jar) as http:
            yield Browser(http, root, login, clock, gateway)
        for one in server.servers:
            one.close()
            await one.wait_closed()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    events = [named("Amal"), given(), sent()]
    async with browser_of(FakeGateway({CASE: events})) as one:
        await one.log_in()
        yield one


@pytest.fixture
async def stranger() -> AsyncIterator[Browser]:
    async with browser_of(FakeGateway({CASE: [named("Amal")]})) as one:
        yield one


DRAFT = {
    "to": OTHER,
    "purpose": "legal_aid",
    "service": "legal_advice",
    "urgency": "routine",
    "days": "3",
    "basis": "consent",
    "reason": "Wants to know her rights\r\nSoon",
}
REFER = f"/cases/{CASE}/refer"


# Who gets in.


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


# The list.


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


# One case.


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


@pytest.mark.parametrize(
    ("basis", "said"),
    [
        (uid("consent"), f"Shown by act of consent {words.short(uid('consent'))}"),
        ("GB.MSA.52", "Shown by legal basis GB.MSA.52"),
        (
            f"{uid('order')} GB.MSA.52",
            f"Shown by court order {words.short(uid('order'))}, legal basis GB.MSA.52",
        ),
        ("", ""),
    ],
)
def test_the_basis_of_what_is_shown_is_named(basis: str, said: str) -> None:
    shown = event("CaseOpened", {}, basis=basis)

    view = timeline.event_view(shown, {uid("order"): "court_order"}, lambda *_: None)

    assert view.basis == said


@pytest.mark.parametrize(
    ("code", "categories", "note"),
    [
        ("WITHHELD", [], "not shared with you"),
        ("NO_KEY", [], "not shared with you"),
        ("NO_KEY", ["HEALTH"], "shared, the key is on its way"),
        ("STALE", [], "not shared with you"),
        ("ERASED", [], "erased"),
    ],
)
def test_a_shut_field_says_why_without_a_code(
    code: str, categories: Sequence[str], note: str
) -> None:
    shut = event("NeedsAssessed", {}, shut={"health_needs": code}, categories=categories)

    view = timeline.event_view(shut, {}, lambda *_: Category.HEALTH)

    assert [(s.category, s.count, s.note) for s in view.shut] == [("Health", 1, note)]
    assert view.alarms == ()


@pytest.mark.parametrize(
    ("type", "name", "value", "said"),
    [
        ("NeedsAssessed", "review_due", None, ["Not said"]),
        ("SignalReceived", "immediate_danger", True, ["Yes"]),
        ("SignalReceived", "summary", "locked_in", ["locked_in"]),
        ("ReferralSent", "reason", "no_capacity", ["no_capacity"]),
        ("ReferralDeclined", "reason", "no_capacity", ["No capacity"]),
        ("ReferralDeclined", "reason", "x-new_code", ["New code"]),
        ("ReferralIntoNrmSubmitted", "exploitation", ["ForcedLabour"], ["Forced labour"]),
        ("ReferralIntoNrmSubmitted", "others_affected", 3, ["3"]),
        ("PersonIdentityRecorded", "other_names", [], ["None"]),
        ("PersonIdentityRecorded", "given_names", ["a_b", "c"], ["a_b", "c"]),
        ("RecoveryPeriodGranted", "ends_at", ISO, ["3 May 2026, 10:02 UTC"]),
        ("ReferralReceived", "referral_id", uid("r"), [uid("r")[-8:]]),
        ("ConsentGiven", "evidence", "AAAA", ["On file with the agency that recorded it"]),
    ],
)
def test_values_become_words_and_free_text_stays(
    type: str, name: str, value: object, said: list[str]
) -> None:
    lines = timeline.lines(type, name, value)

    assert [part.text for line in lines for part in line] == said


def test_the_parts_of_a_record_keep_their_names() -> None:
    paper = {"kind": "identity_card", "number": "X 1", "issuer": None}

    ((kind, number),) = timeline.lines("PersonIdentityRecorded", "documents", [paper])

    assert (kind.label, kind.text) == ("Kind", "Identity card")
    assert (number.label, number.text) == ("Number", "X 1")


@pytest.mark.parametrize("type", LANGUAGE.types())
def test_every_published_event_can_be_shown_open_and_shut(type: str) -> None:
    fields = {f.path: f for f in LANGUAGE.clear(type, builders.example(type))}
    routing = {p: f.value for p, f in fields.items() if f.category is Category.ROUTING}
    name = type.rpartition(".")[2]
    whole = LANGUAGE.opened(type, {p: f.value for p, f in fields.items()})
    part = LANGUAGE.opened(type, routing)
    shut = dict.fromkeys(fields.keys() - routing.keys(), "WITHHELD")

    documents = [event(name, _headless(whole)), event(name, _headless(part), shut=shut)]
    view = timeline.case_view(CASE, documents, ME, NOW, lambda *_: Category.HEALTH)

    assert len(view.events) in {0, 2}
    for one in view.events:
        assert all(part.text for f in one.fields for line in f.lines for part in line)
    if view.events:
        assert sum(s.count for s in view.events[1].shut) == len(shut)


def _headless(document: Mapping[str, Any]) -> dict[str, Any]:
    return {path: value for path, value in document.items() if path != "head"}


def test_a_correction_replaces_the_name_and_a_withheld_one_does_not() -> None:
    corrected = {**named("Amina"), "type": "PersonIdentityCorrected"}

    assert timeline.person([named("Amal"), corrected, NAMELESS]) == "Amina Example"
    assert timeline.person([NAMELESS]) is None


def test_key_events_are_no_news_for_a_case_worker() -> None:
    keys = event("KeyEpochOpened", {"keys": [], "reason": "initial"})

    view = timeline.case_view(CASE, [keys, sent()], ME, NOW, lambda *_: None)

    assert [e.title for e in view.events] == ["Referral sent"]


# What stands.


@pytest.mark.parametrize(
    ("steps", "received"),
    [
        ([], [False]),
        (["ReferralReceived"], [True]),
        (["ReferralAccepted"], []),
        (["ReferralReceived", "ReferralDeclined"], []),
        (["ReferralCancelled"], []),
        (["ReferralExpired"], []),
    ],
)
def test_a_referral_waits_until_it_is_answered(steps: list[str], received: list[bool]) -> None:
    found = standing.waiting([sent(), *map(step, steps)], ME, NOW)

    assert [w.received for w in found] == received


def test_a_referral_to_another_agency_does_not_wait_here() -> None:
    assert standing.waiting([sent(to="other")], ME, NOW) == ()


@pytest.mark.parametrize(
    ("more", "left"),
    [
        ([], ["consent", "second"]),
        ([withdrawn(uid("consent"))], ["second"]),
        ([withdrawn(None)], []),
        ([event("ConsentExpired", {"consent_id": uid("second")})], ["consent"]),
        ([given("third", until=ISO)], ["consent", "second"]),
        ([withdrawn(uid("a refusal"))], ["consent", "second"]),
    ],
)
def test_a_consent_stands_until_it_is_taken_back_or_over(
    more: list[dict[str, Any]], left: list[str]
) -> None:
    found = standing.consents([given(), given("second"), *more], NOW)

    assert [c.consent_id for c in found] == [uid(label) for label in left]


def test_a_consent_that_was_narrowed_and_renewed_says_what_is_left() -> None:
    scope = {"purposes": ["legal_aid"], "categories": ["LEGAL"]}
    narrowed = event("ConsentNarrowed", {"consent_id": uid("consent"), **scope})
    renewed = event("ConsentRenewed", {"consent_id": uid("consent"), "not_after": LATER})

    (act,) = standing.consents([given(until=ISO), narrowed, renewed], NOW)

    assert (act.purposes, act.categories) == ("Legal aid", "legal")
    assert act.until == "3 November 2026, 10:02 UTC"


# Answering and taking back.


@pytest.mark.parametrize(
    ("form", "type", "fields"),
    [
        ({"answer": "received"}, "ReferralReceived", {}),
        ({"answer": "accept"}, "ReferralAccepted", {}),
        (
            {"answer": "decline", "reason": "no_capacity"},
            "ReferralDeclined",
            {"reason": "no_capacity"},
        ),
    ],
)
async def test_a_waiting_referral_is_answered(
    browser: Browser, form: dict[str, str], type: str, fields: dict[str, str]
) -> None:
    _, page = await browser.get(f"/cases/{CASE}")
    action = f"/cases/{CASE}/answer"

    status, page = await browser.post(action, **{**form_of(page, action), **form})

    assert status == 200
    assert "The hub recorded it" in page
    (command,) = browser.gateway.commands
    assert (command.type, command.case_id) == (type, CASE)
    assert command.fields == {"referral_id": uid("referral"), **fields}


@pytest.mark.parametrize("form", [{"answer": "maybe"}, {"answer": "decline", "reason": ""}])
async def test_an_answer_that_is_none_is_not_submitted(
    browser: Browser, form: dict[str, str]
) -> None:
    _, page = await browser.get(f"/cases/{CASE}")

    status, _ = await browser.post(f"/cases/{CASE}/answer", **{**hidden(page), **form})

    assert status == 400
    assert browser.gateway.commands == []


async def test_a_consent_is_taken_back_on_the_case_page(browser: Browser) -> None:
    action = f"/cases/{CASE}/withdraw"
    _, page = await browser.get(f"/cases/{CASE}")

    await browser.post(action, **form_of(page, action), given_by="self", words=" لا ")

    (command,) = browser.gateway.commands
    assert command.type == "ConsentWithdrawn"
    assert command.fields == {"consent_id": uid("consent"), "given_by": "self", "words": "لا"}


async def test_a_form_sent_twice_is_one_command_and_a_changed_one_is_another(
    browser: Browser,
) -> None:
    action = f"/cases/{CASE}/answer"
    _, page = await browser.get(f"/cases/{CASE}")
    form = form_of(page, action)

    await browser.post(action, **form)
    await browser.post(action, **form)
    await browser.post(action, **{**form, "answer": "accept"})

    first, again, changed = (c.command_id for c in browser.gateway.commands)
    assert first == again
    assert first != changed


@pytest.mark.parametrize(
    ("status", "http", "said"),
    [
        ("refused", 422, "not possible now (OUT_OF_ORDER)"),
        ("queued", 202, "will be sent when the hub is back"),
    ],
)
async def test_what_became_of_it_is_a_sentence(
    browser: Browser, status: str, http: int, said: str
) -> None:
    browser.gateway.status = status
    action = f"/cases/{CASE}/answer"
    _, page = await browser.get(f"/cases/{CASE}")

    got, page = await browser.post(action, **form_of(page, action))

    assert got == http
    assert said in page


async def test_a_hostile_form_is_a_page_not_a_crash(browser: Browser) -> None:
    csrf = await browser.token()
    url = browser.root + f"/cases/{CASE}/answer"
    for body in (b"\xff=\xff", b"a&" * 60, b"a=" + b"x" * 70_000):
        async with browser.http.post(url, data=body) as answer:
            assert answer.status in {400, 413}
    status, page = await browser.post(
        f"/cases/{CASE}/answer", csrf=csrf, answer="accept", seed="not a uuid"
    )
    assert status == 400
    assert "FORM_INCOMPLETE" in page


# Referring.


async def test_a_referral_shows_who_will_get_what_before_it_is_sent(browser: Browser) -> None:
    csrf = await browser.token()

    status, page = await browser.post(REFER, csrf=csrf, **DRAFT)

    assert status == 200
    assert browser.gateway.commands == []
    seat = {(q.case_id, q.agency, q.purpose) for q in browser.gateway.asked}
    assert seat == {(CASE, OTHER, "legal_aid")}
    assert [q.category for q in browser.gateway.asked] == [c.name for c in SEALED]
    rows = re.findall(r'<th scope="row">(\w+)</th><td class="\w+">(\w+)</td><td>([^<]*)<', page)
    assert len(rows) == len(SEALED)
    said = f"A consent covers it. See consent {words.short(uid('consent'))}. (P01)"
    assert rows[0] == ("Identity", "Yes", said)
    assert rows[1] == ("Contact", "No", "Nothing permits it. (D00)")


async def test_after_the_preview_the_referral_is_sent_as_it_was_shown(browser: Browser) -> None:
    _, page = await browser.post(REFER, csrf=await browser.token(), **DRAFT)
    form = form_of(page, REFER + "/send")

    status, page = await browser.post(REFER + "/send", **form)
    await browser.post(REFER + "/send", **form)

    assert status == 200
    assert "Referral sent" in page
    command, again = browser.gateway.commands
    assert command == again
    assert (command.type, command.case_id, command.legal_basis) == ("ReferralSent", CASE, "consent")
    fields = dict(command.fields)
    assert fields.pop("answer_due_at") == NOW + 3 * forms.DAY_MS
    assert len(fields.pop("referral_id")) == 36
    assert fields == {
        "to": OTHER,
        "purpose": "legal_aid",
        "service": "legal_advice",
        "urgency": "routine",
        "reason": "Wants to know her rights\nSoon",
    }


async def test_a_referral_that_was_not_shown_is_shown_not_sent(browser: Browser) -> None:
    _, page = await browser.post(REFER, csrf=await browser.token(), **DRAFT)
    form = form_of(page, REFER + "/send")

    for changed in ({"to": "embassy"}, {"reason": "more"}, {"shown": ""}, {"seed": uid("other")}):
        _, page = await browser.post(REFER + "/send", **{**form, **changed})
        assert "Who will get what" in page

    assert browser.gateway.commands == []


@pytest.mark.parametrize(
    "gap",
    [
        *({name: ""} for name in DRAFT),
        {"to": ME},
        {"purpose": "marketing"},
        {"basis": "because"},
        {"days": "1000"},
        {"reason": "x" * 5000},
    ],
)
async def test_an_incomplete_referral_comes_back_with_what_it_lacks(
    browser: Browser, gap: dict[str, str]
) -> None:
    csrf = await browser.token()

    status, page = await browser.post(REFER, csrf=csrf, **{**DRAFT, **gap})

    assert status == 422
    assert 'role="alert"' in page
    assert browser.gateway.asked == []


async def test_a_draft_can_be_changed_without_typing_it_again(browser: Browser) -> None:
    _, page = await browser.post(REFER, csrf=await browser.token(), **DRAFT)

    form = hidden(page.rsplit("<form", 1)[1])
    status, page = await browser.post(REFER, **form)

    assert status == 200
    assert f'value="{OTHER}"' in page
    assert "Wants to know her rights\nSoon</textarea>" in page
    assert '<option value="legal_advice" selected>' in page


async def test_a_refused_referral_keeps_what_was_typed(browser: Browser) -> None:
    browser.gateway.status = "refused"
    _, page = await browser.post(REFER, csrf=await browser.token(), **DRAFT)

    status, page = await browser.post(REFER + "/send", **form_of(page, REFER + "/send"))

    assert status == 422
    assert "not possible now (OUT_OF_ORDER)" in page
    assert "Wants to know her rights" in page


def test_a_receiver_without_a_part_is_not_refused_by_the_preview() -> None:
    why = Why(permit=False, code="D12", reason=CODES["D12"], rests_on=None, notice=False)

    row = forms.why_view(Category.HEALTH, why, {})

    assert (row.category, row.shared) == ("Health", "Not yet")


def test_a_refusal_is_named_as_one() -> None:
    why = Why(permit=False, code="D05", reason=CODES["D05"], rests_on=uid("no"), notice=False)
    bases = standing.bases_of([event("ConsentRefused", {"consent_id": uid("no")})])

    row = forms.why_view(Category.HEALTH, why, bases)

    assert row.shared == "No"
    assert f"See refusal {words.short(uid('no'))}." in row.reason


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Refused("NO_SUCH_CASE", "there is no such case"), "tells nothing about this agency yet"),
        (Unavailable("HUB_AWAY", "the hub is away"), "without your having seen it"),
    ],
)
async def test_when_the_hub_gives_no_reason_the_preview_says_so(
    browser: Browser, error: HubError, said: str
) -> None:
    browser.gateway.error = error

    status, page = await browser.post(REFER, csrf=await browser.token(), **DRAFT)

    assert status == 200
    assert said in page
    assert "<table" not in page


# The words, against what is published.


@pytest.mark.parametrize("name", words.LISTS)
def test_the_choices_are_the_published_lists(name: str) -> None:
    assert words.LISTS[name] == {c: label.en for c, label in codes.lists()[name].items()}


def test_the_bases_and_purposes_are_known_to_the_mechanism() -> None:
    assert set(forms.BASES) <= set(codes.lists()["nrm:legal_basis"])
    assert set(words.PURPOSES) == set(Purpose)


COUNTRY_OR_LANGUAGE = ("iso:3166", "iso:639")


def coded_fields() -> set[tuple[str, str]]:
    """Return (event, name of the innermost field) of every coded text of a case event."""
    return {
        (type.rpartition(".")[2], [s for s in steps if s != "[]"][-1])
        for type in LANGUAGE.types()
        for _, steps, name in codes.coded(sources().full(type))
        if name not in COUNTRY_OR_LANGUAGE and steps[0] != "head"
    }


def test_every_coded_field_is_shown_as_words_and_no_free_text_is() -> None:
    published = coded_fields() | {("ConsentGiven", "categories")}

    unknown = {one for one in published if not words.is_code(*one)}
    reworded = {
        (type.rpartition(".")[2], path)
        for type in LANGUAGE.types()
        for path, _ in LANGUAGE.shape(type).fields
        if words.is_code(type.rpartition(".")[2], path)
    } - published

    assert unknown == set()
    assert {field for _, field in reworded} <= {"categories"}


@pytest.mark.parametrize(
    ("event_name", "said"),
    [
        ("ReferralSent", "Referral sent"),
        ("ReferralIntoNrmSubmitted", "Referral into NRM submitted"),
        ("SafeContactSet", "Safe contact set"),
    ],
)
def test_titles_are_the_names_of_the_events(event_name: str, said: str) -> None:
    assert words.title(event_name) == said


def test_a_draft_is_read_as_far_as_it_goes() -> None:
    assert forms.draft_of({"to": " x ", "csrf": "y"}) == Draft(
        to="x", purpose="", service="", urgency="", basis="", days="", reason=""
    )


def as_console(gateway: Gateway) -> ConsoleGateway:
    """The type checker holds the real gateway against what the console asks."""
    return gateway


CHECKED: Callable[[Gateway], ConsoleGateway] = as_console
