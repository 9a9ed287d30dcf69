"""Every gateway of a running mechanism proves what it did and got, and says what it cannot."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from adapters.http_links import HttpHubLink
from adapters.http_trail import HttpTrailLink
from domain.errors import Unavailable
from domain.messages import FeedPage
from domain.trail.statement import Kind, Statement
from services.cli import app
from services.gateway import deliveries
from services.gateway import trail as trail_module
from services.gateway.trail import Watching
from services.notary.tree import Tree
from tests.services import trail_checks as check
from tests.services.running import HEALTH, POLICE, SHELTER, World, consent, referral, running


@pytest.fixture
def withheld(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return names of events; the hub records that it disclosed them and hands none of them out."""
    whole, names = HttpHubLink.feed, set[str]()

    async def without(self: HttpHubLink, purpose: str, cursor: str, wait: float) -> FeedPage:
        page = await whole(self, purpose, cursor, wait)
        kept = tuple(i for i in page.items if i.event.type.rpartition(".")[2] not in names)
        if page.items and not kept:
            await asyncio.sleep(0.1)  # it says that it has nothing, and takes its time
        return replace(page, items=kept)

    monkeypatch.setattr(HttpHubLink, "feed", without)
    return names


@pytest_asyncio.fixture
async def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, withheld: set[str]
) -> AsyncIterator[World]:
    monkeypatch.setattr(trail_module, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(trail_module, "LAST_BACKOFF", 0.2)
    monkeypatch.setattr(deliveries, "EVERY_MS", 100)
    async with running(tmp_path) as world:
        yield world


def watching(world: World, agency: str) -> Watching:
    return world.mechanism.offices[agency].process.gateway.watching


def proven(world: World, agency: str) -> bool:
    """Return whether an agency has a receipt of all it did, and has confirmed all it got."""
    watch = watching(world, agency).watch
    waiting = ("receipts_waiting", "feed_entries_unproven", "confirmations_waiting")
    return not any(watch.trail.counts()[name] for name in waiting) and not (
        watch.trail.unconfirmed(1)
    )


def alarms(world: World) -> list[tuple[str, str, str]]:
    return [
        (agency, alarm.code, alarm.about)
        for agency in world.mechanism.offices
        for alarm in watching(world, agency).watch.trail.alarms()
    ]


async def referred(world: World, *categories: str) -> tuple[str, str]:
    """Return (case, consent id) of a case that police referred to the shelter."""
    case = await world.opened(POLICE)
    act = consent(SHELTER, *categories)
    await world.done(POLICE, case, "ConsentGiven", **act)
    await world.done(POLICE, case, "ReferralSent", **referral(SHELTER))
    return case, act["consent_id"]


def published(world: World) -> Tree:
    found = check.published(world.parts.settings.data / "notary" / "trail")
    assert found is not None
    return found


async def test_what_agencies_did_and_got_is_proven_and_confirmed(world: World) -> None:
    """Given a case that goes from agency to agency, when the trail has it, then nothing is open."""
    case, act = await referred(world, "IDENTITY", "PROTECTION")
    await world.quiet()
    await world.until(lambda: all(proven(world, agency) for agency in (POLICE, SHELTER)))
    await world.done(POLICE, case, "ConsentWithdrawn", consent_id=act, given_by="self", words="no")
    refused = await world.act(SHELTER, case, "ConsentGiven", **consent(HEALTH, "IDENTITY"))
    assert refused.status == "refused"
    await world.quiet()
    await world.until(lambda: all(proven(world, agency) for agency in world.mechanism.offices))

    assert alarms(world) == []
    status = await world.link(POLICE).status()
    assert status["receipts"] > 5
    assert (status["receipts_waiting"], status["trail_alarms"]) == (0, 0)
    said = [Statement.decode(e.statement) for _, e in check.entries(published(world))]
    last = [s for s in said if s.kind == Kind.ACTION][-1]
    tree = world.mechanism.trail.notary.store
    assert last.seen_size > 0
    assert tree.root_at(last.seen_size) == last.seen_root
    assert any(s.kind == Kind.RECEIPT for s in said)


async def test_a_feed_that_is_read_only_after_a_withdrawal_is_whole_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is shown by then is less than what was disclosed, and the trail has what was."""
    whole = HttpHubLink.feed

    async def closed(self: HttpHubLink, purpose: str, cursor: str, wait: float) -> FeedPage:
        if self._agency == SHELTER:
            raise Unavailable("PEER_AWAY", "the hub did not answer; retry later")
        return await whole(self, purpose, cursor, wait)

    with monkeypatch.context() as patch:
        patch.setattr(HttpHubLink, "feed", closed)
        case, act = await referred(world, "IDENTITY", "PROTECTION")
        withdrawal = {"consent_id": act, "given_by": "self", "words": "no"}
        await world.done(POLICE, case, "ConsentWithdrawn", **withdrawal)
        await world.until(lambda: world.mechanism.hub.hub.lag() == 0)
    await world.quiet()
    await world.until(lambda: proven(world, SHELTER) and published(world).size > 0)
    assert (await world.events(SHELTER, case))["PersonIdentityRecorded"]["categories"] == []
    assert alarms(world) == []


async def test_while_the_trail_is_away_everything_goes_on_and_nothing_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> Any:
        raise Unavailable("PEER_AWAY", "the trail did not answer; retry later")

    with monkeypatch.context() as patch:
        for name in ("file", "receipt", "head", "disclosed", "confirm"):
            patch.setattr(HttpTrailLink, name, away)
        case, _ = await referred(world, "IDENTITY")
        await world.until(lambda: watching(world, POLICE).codes.get("checkpoint") == "PEER_AWAY")
        await world.until(lambda: _has(world, SHELTER, case))
        assert not proven(world, POLICE)
    await world.until(lambda: proven(world, POLICE) and proven(world, SHELTER))
    assert alarms(world) == []


async def _has(world: World, agency: str, case: str) -> bool:
    return case in {c["case_id"] for c in await world.link(agency).cases(50)}


async def _got(world: World, agency: str, case: str, event: str) -> bool:
    return event in await world.events(agency, case)


async def test_an_entry_that_the_hub_keeps_back_is_seen_by_everybody_who_looks(
    world: World, withheld: set[str], tmp_path: Path
) -> None:
    """Given a hub that records a disclosure to the shelter and does not hand out its referral."""
    withheld.add("ReferralSent")
    case, _ = await referred(world, "IDENTITY")
    await world.until(lambda: alarms(world))

    (found,) = [a for a in alarms(world) if a[0] == SHELTER]
    assert found[1] == "FEED_WITHHELD"
    assert found[2].startswith(f"seat {SHELTER}/protection_support, lane ")
    address = world.mechanism.offices[SHELTER].address
    async with aiohttp.ClientSession() as session:
        ready = await (await session.get(f"{address}/ready")).json()
        metrics = await (await session.get(f"{address}/metrics")).text()
    assert ready["trail"]["alarms"] == {"FEED_WITHHELD": 1}
    assert 'nrm_gateway_trail_alarms{code="FEED_WITHHELD"} 1.0' in metrics
    assert (await world.link(SHELTER).status())["trail_alarms"] == 1

    data = ["--as", SHELTER, "--data", str(world.parts.settings.data)]
    assert "FEED_WITHHELD" in ran("status", *data)
    folder = tmp_path / "handed on"
    ran("export", *data, str(folder))
    assert found[2] in (folder / "alarm-1" / "alarm.txt").read_text("utf-8")
    assert {p.name for p in (folder / "alarm-1").iterdir()} == {
        "alarm.txt",
        "feed.epoch",
        "feed.map-proof",
        "feed.tlog-proof",
    }
    assert list((folder / "receipts").glob("*.tlog-proof")) == []
    assert "FOLDER" in ran("export", *data, str(folder), code=2)

    withheld.clear()
    ran("accept", *data, "1", "--by", "the coordinator", "--reason", "a fault, mended")
    assert "decided by the coordinator: a fault, mended" in ran("status", *data)
    assert "NO_SUCH_ALARM" in ran("accept", *data, "1", "--by", "x", "--reason", "y", code=2)
    await world.until(lambda: _got(world, SHELTER, case, "ReferralSent"))
    await world.until(lambda: proven(world, SHELTER))
    assert len(alarms(world)) == 1


async def test_a_page_that_comes_after_the_feed_was_set_back_is_not_taken(world: World) -> None:
    gateway = world.mechanism.offices[SHELTER].process.gateway
    seat, before = "protection_support", gateway.cursor("protection_support")
    page = FeedPage(items=(), cursor="further on")
    assert await gateway.inbox.take(seat, page, "from where it was before") == []
    assert gateway.cursor(seat) == before
    await gateway.inbox.take(seat, page, before)
    assert gateway.cursor(seat) == "further on"


def ran(*words: str, code: int = 0) -> str:
    """Return what `nrm-hub trail` printed, in a thread of its own event loop."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(CliRunner().invoke, app, ["trail", *words]).result()
    assert done.exit_code == code, done.output
    return done.output
