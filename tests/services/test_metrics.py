"""What a running mechanism shows of itself: every metric moves, and none tells on anybody."""

import re
from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from domain.messages import WhyQuestion
from domain.reasons import CODES
from domain.vocabulary import Category, Purpose
from tests.deploy.tools import promtool
from tests.metrics_page import documented
from tests.services.running import (
    POLICE,
    SHELTER,
    World,
    consent,
    identity,
    referral,
    running,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLANTED = "Xyqzorvblat"
Pages = tuple[Mapping[str, str], Mapping[str, str]]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with running(tmp_path_factory.mktemp("mechanism")) as world:
        yield world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pages(world: World) -> tuple[dict[str, str], dict[str, str]]:
    """Return every process's metrics before and after cases that use every part."""
    before = await scraped(world)
    await lived(world)
    return before, await scraped(world)


def addresses(world: World) -> dict[str, str]:
    mechanism = world.mechanism
    return {
        "hub": mechanism.hub_address,
        "custodian": mechanism.custodian_address,
        **{f"gateway {agency}": o.address for agency, o in mechanism.offices.items()},
    }


async def scraped(world: World) -> dict[str, str]:
    async with aiohttp.ClientSession() as session:
        found = {}
        for name, address in addresses(world).items():
            async with session.get(f"{address}/metrics") as answer:
                assert answer.status == 200
                found[name] = await answer.text()
        return found


async def lived(world: World) -> None:
    """Accept, refuse, refer, explain and withdraw, with names that must not come out."""
    case = await world.opened(POLICE, given=PLANTED, family=PLANTED)
    act = consent(SHELTER, "IDENTITY")
    await world.done(POLICE, case, "ConsentGiven", **act)
    await world.done(POLICE, case, "ReferralSent", **referral(SHELTER, reason=PLANTED))
    refused = await world.act(SHELTER, case, "CaseOpened", age_group="adult", reason="other")
    assert refused.status == "refused"
    await world.quiet()
    assert (await world.events(SHELTER, case))["PersonIdentityRecorded"]["fields"]
    asked = {"case_id": case, "agency": SHELTER, "purpose": "protection_support"}
    await world.link(POLICE).why(WhyQuestion(**asked, category="IDENTITY"))
    await world.link(POLICE).why(WhyQuestion(**asked, category="PROTECTION"))
    gone = {"consent_id": act["consent_id"], "given_by": "self", "words": PLANTED}
    await world.done(POLICE, case, "ConsentWithdrawn", **gone)
    await world.done(POLICE, case, "PersonIdentityRecorded", **identity(PLANTED, PLANTED))
    await world.quiet()


def samples(page: str) -> Samples:
    return {
        (s.name, frozenset(s.labels.items())): s.value
        for family in text_string_to_metric_families(page)
        for s in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return sum(v for (n, ls), v in found.items() if n == name and labels.items() <= set(ls))


async def test_every_metric_of_these_processes_is_documented_and_there(
    pages: Pages,
) -> None:
    _, after = pages
    for name, page in after.items():
        runs = {"hub": {"hub", "projector", "notary", "clocks"}}.get(name, {name.split()[0]})
        there = {f.name for f in text_string_to_metric_families(page) if f.name.startswith("nrm_")}
        assert there == {m.name for m in documented() if runs & m.processes}


@pytest.mark.parametrize(
    ("process", "name", "labels"),
    [
        ("hub", "nrm_actions_total", {"code": "ACCEPTED"}),
        ("hub", "nrm_actions_total", {"code": "ALREADY_DONE"}),
        ("hub", "nrm_commit_seconds_count", {}),
        ("hub", "nrm_commit_actions_sum", {}),
        ("hub", "nrm_store_events", {}),
        ("hub", "nrm_projection_seconds_count", {}),
        ("hub", "nrm_withdrawal_seconds_count", {"place": "feeds"}),
        ("hub", "nrm_fields_disclosed_total", {"category": "IDENTITY"}),
        ("hub", "nrm_fields_withheld_total", {"category": "IDENTITY"}),
        ("hub", "nrm_consent_decisions_total", {"code": "P01"}),
        ("hub", "nrm_consent_decisions_total", {"code": "D00"}),
        ("custodian", "nrm_custodian_keys_total", {"operation": "deposited"}),
        ("custodian", "nrm_custodian_keys_total", {"operation": "released"}),
        ("custodian", "nrm_custodian_keys_total", {"operation": "removed"}),
        ("custodian", "nrm_custodian_position_events", {}),
        ("custodian", "nrm_custodian_proof_wait_seconds_count", {}),
        ("custodian", "nrm_withdrawal_seconds_count", {"place": "keys"}),
    ],
)
async def test_what_happens_is_counted(
    pages: Pages,
    process: str,
    name: str,
    labels: dict[str, str],
) -> None:
    before, after = (samples(found[process]) for found in pages)
    assert value(after, name, **labels) > value(before, name, **labels)


async def test_everything_that_a_mechanism_needs_is_up_when_it_runs(
    pages: Pages,
) -> None:
    _, after = pages
    for name, page in after.items():
        up = {dict(ls)["dependency"]: v for (n, ls), v in samples(page).items() if "_up" in n}
        assert up, name
        assert set(up.values()) == {1.0}, (name, up)


async def test_no_label_tells_of_a_case_or_a_person(world: World, pages: Pages) -> None:
    _, after = pages
    agencies = {"gb-coordinator", *world.mechanism.offices}
    words = agencies | set(Purpose) | {c.name for c in Category} | CODES.keys()
    words |= {"hub", "custodian", "gateway", "store", "feeds", "accepting", "keys", "outbox"}
    words |= {"deposited", "released", "removed"}
    words |= {"published", "pending", "degraded", "stopped", "rapporteur"}
    events = {type.rpartition(".")[2] for type in world.parts.language.types()}
    for page in after.values():
        assert PLANTED not in page
        for (name, labels), _ in samples(page).items():
            for label, text in labels:
                event = label == "type" and text in events
                known = event or text in words or re.fullmatch(r"[A-Z]+(_[A-Z]+)*", text)
                number = label in {"le", "lane"} and re.fullmatch(r"[0-9.e+-]+|\+Inf", text)
                version = (name, label) == ("nrm_build_info", "version")
                assert known or number or version, (name, label, text)


async def test_names_and_texts_are_as_prometheus_wants_them(
    pages: Pages,
) -> None:
    for page in pages[1].values():
        promtool("check", "metrics", given=page)


async def test_a_reader_that_stays_away_is_seen_and_one_that_comes_back_too(world: World) -> None:
    case = await world.opened(POLICE)
    await world.done(POLICE, case, "ConsentGiven", **consent(SHELTER, "IDENTITY"))
    await world.quiet()
    waiting = world.mechanism.hub.hub.watching.readers.waiting
    assert {w.entries for seat, w in waiting().items() if seat.agency == SHELTER} == {0}

    office = world.mechanism.offices[SHELTER].process
    feed, link = office.links[0].feed, office.links[0]

    async def asleep(*_: object) -> object:
        await world.until(lambda: link.feed is feed)
        return await feed(*_)  # type: ignore[arg-type]

    link.feed = asleep  # type: ignore[method-assign,assignment]
    await world.done(POLICE, case, "ReferralSent", **referral(SHELTER))
    await world.until(lambda: any(w.entries for w in waiting().values()))
    (seat,) = (seat for seat, w in waiting().items() if w.entries)
    assert seat == (SHELTER, "protection_support")
    assert waiting()[seat].since_ms is not None

    link.feed = feed  # type: ignore[method-assign]
    await world.quiet()
    await world.until(lambda: not waiting()[seat].entries)
