"""How each own act stands in the trail, on the page of its case."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from domain.notary import Receipt
from domain.trail.entry import Entry
from domain.trail.merkle import leaf
from domain.trail.proof import Proof
from services.gateway.deciding import decide
from tests.services import notary_witnesses
from tests.services.console.documents import CASE, ME
from tests.services.console.trail_desk import PAGES, THEN, Desk, banners
from tests.services.gateway_trail import (
    VERIFIER,
)
from tests.services.notary_world import T0


async def test_a_proven_act_says_since_when_and_under_which_number(desk: Desk) -> None:
    first, second = desk.acts(), desk.acts()
    await desk.looks()

    for act, place in ((first, 0), (second, 1)):
        said = f"In the trail since {THEN} · entry {place} · for an auditor: proof, entry"
        assert await desk.line_of(act) == said
    page = await desk.page(f"/cases/{CASE}")
    assert page.count('<p class="trail') == 2  # the act of the other agency has no such line


async def test_the_proof_of_an_act_can_be_taken_away_and_holds(desk: Desk) -> None:
    desk.acts()
    act = desk.acts()
    await desk.looks()
    links = re.findall(r'href="(/trail/acts/[^"]*)"', await desk.page(f"/cases/{CASE}"))
    found = {}
    for link in links:
        async with desk.browser.http.get(desk.browser.root + link) as answer:
            assert answer.status == 200
            found[answer.headers["Content-Disposition"]] = await answer.read()

    assert len(links) == 4
    entry = found['attachment; filename="1.entry"']
    proof = Proof.decode(found['attachment; filename="1.tlog-proof"'])
    assert Entry.decode(entry).statement == act.statement
    assert proof.check(leaf(entry), desk.world.policy, VERIFIER).checkpoint.size == 3
    assert proof.index == 1


async def test_what_is_not_in_the_trail_yet_waits(desk: Desk) -> None:
    desk.acts()
    await desk.looks()
    act = desk.acts()

    assert await desk.line_of(act) == "Waiting for the trail"
    assert "<dt>Waiting for proof</dt><dd>1</dd>" in await desk.page("/trail")
    assert banners(await desk.page("/")) == []


async def test_an_act_that_the_trail_goes_on_without_is_for_the_supervisor(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an act that the hub answered and left out, when checkpoints go on without it."""
    act = desk.acts(recorded=False)
    desk.world.acting.record(desk.world.acting.event("gb-shelter"))
    await desk.looks()
    await desk.waits(monkeypatch)

    assert await desk.line_of(act) == (
        "Not in the trail after 11 minutes: tell your supervisor (alarm 1)"
    )
    for path in PAGES:
        (said,) = banners(await desk.page(path))
        assert said.startswith("An act of your agency that the hub answered is not in the trail.")
        assert "Tell your supervisor now" in said
        assert "Runbook: NrmTrailAlarm." in said
    trail = await desk.page("/trail")
    assert '<dt>Of these overdue</dt><dd class="bad">1</dd>' in trail
    assert f'Case opened, case <a href="/cases/{act.event_id}">' in trail
    assert f"nrm-hub trail accept --as {ME} 1 --by NAME --reason TEXT</span>" in trail


async def test_a_decided_alarm_is_no_banner_and_stays_on_its_page(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    act = desk.acts(recorded=False)
    desk.world.acting.record(desk.world.acting.event("gb-shelter"))
    await desk.looks()
    await desk.waits(monkeypatch)
    decide(desk.police.trail, 1, "the coordinator: a fault, mended")

    assert banners(await desk.page("/")) == []
    assert await desk.line_of(act) == "Not proven in the trail; alarm 1 was decided"
    trail = await desk.page("/trail")
    assert "Decided by <bdi>the coordinator: a fault, mended</bdi>" in trail
    assert "<dt>Of these overdue</dt><dd>0</dd>" in trail


async def test_an_act_that_the_trail_has_otherwise_says_so(desk: Desk) -> None:
    def refused(receipt: Receipt) -> Receipt:
        entry = Entry.decode(receipt.entry)._replace(code="CONSENT_MISSING")
        return replace(receipt, entry=entry.encode())

    desk.police.link.receipts_changed = refused
    act = desk.acts()
    await desk.looks()

    assert await desk.line_of(act) == (
        "In the trail otherwise than your agency did it: tell your supervisor (alarm 1)"
    )


async def test_a_witness_whose_clock_is_far_ahead_dates_nothing_into_the_future(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notary_witnesses, "AT_S", 1 << 62)
    act = desk.acts()
    await desk.looks()

    assert (await desk.line_of(act)).startswith(f"In the trail since {THEN} · entry 0")
    assert f"<dt>Signed by one</dt><dd>{THEN}</dd>" in await desk.page("/trail")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda first, _: _altered(first), "BAD_INCLUSION"),
        (lambda _, second: second, "RECEIPT_DIFFERS"),
        (lambda first, _: replace(first, proof="x"), "PROOF"),
    ],
)
async def test_a_proof_that_no_longer_holds_is_not_shown_as_one(
    desk: Desk, change: Callable[[Receipt, Receipt], Receipt], code: str
) -> None:
    """Given a gateway's file in which somebody put something else in the place of a proof."""
    act, _ = desk.acts(), desk.acts()
    await desk.looks()
    (number, first), (_, second) = desk.police.trail.receipts(0, 9)
    desk.police.trail.prove(number, change(first, second))

    said = f"Its proof cannot be verified ({code}): tell your supervisor"
    assert await desk.line_of(act) == said


def _altered(receipt: Receipt) -> Receipt:
    entry = Entry.decode(receipt.entry)._replace(recorded_ms=T0 - 1)
    return replace(receipt, entry=entry.encode())
