"""The console of a running gateway shows the trail that its gateway watches."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from adapters.notes import NoteVerifier
from domain.trail.entry import Entry
from domain.trail.merkle import leaf
from domain.trail.proof import Proof
from domain.trail.quorum import Policy
from domain.trail.statement import stream_tag
from services.gateway import trail as trail_module
from tests.services.running import POLICE, SHELTER, World, consent, running


@asynccontextmanager
async def logged_in(world: World, agency: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Log a browser in at an agency's console."""
    office = world.mechanism.offices[agency]
    address, _, code = office.login_address().partition("/login?code=")
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(address, cookie_jar=jar) as http:
        async with http.post("/login", data={"code": code}) as answer:
            assert answer.status == 200
        yield http


async def got(http: aiohttp.ClientSession, path: str) -> bytes:
    async with http.get(path) as answer:
        assert answer.status == 200
        return await answer.read()


async def test_a_case_worker_hands_an_auditor_the_proof_of_an_act(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a case at the police, when the trail has it, then its page gives number and proof."""
    monkeypatch.setattr(trail_module, "POLL_SECONDS", 0.05)
    async with running(tmp_path) as world, logged_in(world, POLICE) as http:
        case = await world.opened(POLICE)
        await world.done(POLICE, case, "ConsentGiven", **consent(SHELTER, "IDENTITY"))

        async def proven() -> str:
            page = (await got(http, f"/cases/{case}")).decode()
            return page if page.count("In the trail since") == 4 else ""

        page = await world.until(proven)
        found = re.search(r'entry <b>(\d+)</b> .*?href="([^"]*)/tlog-proof"', page)
        assert found is not None
        entry = await got(http, f"{found[2]}/entry")
        proof = Proof.decode(await got(http, f"{found[2]}/tlog-proof"))
        trail = (await got(http, "/trail")).decode()
        policy = Policy.parse((tmp_path / "policy").read_bytes())

    proof.check(leaf(entry), policy, NoteVerifier())
    assert proof.index == int(found[1])
    assert Entry.decode(entry).said.stream == stream_tag(case)
    assert "There is nothing to act on." in trail
    assert "Signed by custodian" in trail
    assert "Protection and support" in trail
    assert "Zorvina" in page
    assert "Zorvina" not in trail
