"""A case worker answers referrals and takes consents back."""

import pytest

from tests.services.console.browser import Browser, form_of, hidden
from tests.services.console.documents import CASE, uid


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
