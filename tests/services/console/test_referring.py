"""A referral is sent after its sender was shown who will get what."""

import re

import pytest

from domain.errors import HubError, Refused, Unavailable
from domain.messages import Why
from domain.reasons import CODES
from domain.vocabulary import SEALED, Category
from services.http import forms, standing, words
from tests.services.console.browser import DRAFT, REFER, Browser, form_of, hidden
from tests.services.console.documents import CASE, ME, NOW, OTHER, event, uid


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
