"""Given witnesses that end, the trail counts down for everybody to see, and nobody is left waiting.

Every part is a process of its own. What is a minute for them is moved by their clock.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from domain.errors import Unavailable
from services.bootstrap import COORDINATOR, Parts, Settings
from services.bootstrap.parts import TRUST
from services.bootstrap.trail_policy import ensure_policy
from services.bootstrap.witness import witness_signers
from services.demo.cast import CAST
from services.operating import add
from services.runtime import OPERATOR
from tests.failures.apart import LIMIT, Part
from tests.failures.wrong_clock import WrongClock
from tests.services.running import POLICE, SHELTER, Agencies, consent, referral

BODIES = ("neighbour",)
STOP_SECONDS = 4 * 3_600
MEMBERS = [member for member in CAST if member.id in {POLICE, SHELTER}]


class Mechanism:
    """A hub, its custodian, its notary with its witness, and two agencies, in processes."""

    def __init__(self, folder: Path, database: str) -> None:
        self.parts = Parts(Settings(data=folder / "data"))
        self.clock = WrongClock(folder / "clock")
        self._folder = folder
        self._env = {"NRM_DATA": str(folder / "data"), "NRM_DATABASE_URL": database}
        for member in (OPERATOR, *MEMBERS):
            self.parts.public_keys(member.id)
        (folder / "data" / TRUST).write_text(self.parts.own_keys().dumps(), "utf-8")

        self.hub, self.notary = self._part("hub"), self._part("notary")
        to_hub, to_trail = ("--hub", self.hub.address), ("--trail", self.notary.address)
        self.custodian = self._part("custodian", *to_hub, *to_trail)
        links = (*to_hub, *to_trail, "--custodian", self.custodian.address)
        self.gateways = {
            agency: self._part("gateway", agency, *links)
            for agency in (COORDINATOR, *(m.id for m in MEMBERS))
        }
        self.witnesses = {body: self._part("witness", body) for body in BODIES}
        projector = self._part("projector", "--source", "store")
        inner = [self.hub, self.notary, self.custodian, projector]
        self.all = [*inner, *self.gateways.values(), *self.witnesses.values()]
        ensure_policy(self.parts, {body: self._witness(body) for body in BODIES})

    def _part(self, *words: str) -> Part:
        made = Part(self._folder, words, self._env)
        made.clock = self.clock
        return made

    def _witness(self, body: str) -> str:
        key = witness_signers(self.parts, body, ml_dsa=False)[0].key.text
        return f"{key} {self.witnesses[body].address}"

    def start(self) -> None:
        for part in self.all:
            part.spawn()
        for part in self.all:
            part.wait()

    async def register(self) -> None:
        """Register every agency, once the coordinator's gateway is let in."""
        addresses = {"coordinator": self.gateways[COORDINATOR].address}
        for member in (OPERATOR, *MEMBERS):
            while True:
                try:
                    await add(self.parts, addresses, member)
                    break
                except Unavailable:
                    await asyncio.sleep(0.1)

    def trail(self) -> tuple[str, int]:
        """Return state and seconds left, as the notary's /ready shows them; it must be ready."""
        answer = self.notary.get("/ready")
        assert answer.status_code == 200, answer.text
        said = answer.json()["trail"]
        return said["state"], said["seconds_left"]

    def stop(self) -> None:
        for part in self.all:
            part.process.send(signal.SIGTERM)
        for part in self.all:
            part.process.end(signal.SIGTERM, signal.SIGKILL, seconds=LIMIT)


def metrics(part: Part) -> Mapping[str, float]:
    """Return the samples of a process, a label's value after the name."""
    families = text_string_to_metric_families(part.get("/metrics").text)
    samples = (sample for family in families for sample in family.samples)
    return {" ".join([s.name, *s.labels.values()]): s.value for s in samples}


@pytest_asyncio.fixture
async def mechanism(tmp_path: Path, database: str) -> AsyncIterator[Mechanism]:
    made = Mechanism(tmp_path, database)
    try:
        await asyncio.to_thread(made.start)
        await made.register()
        yield made
    finally:
        await asyncio.to_thread(made.stop)


@pytest_asyncio.fixture
async def agencies(mechanism: Mechanism) -> AsyncIterator[Agencies]:
    addresses = {m.id: mechanism.gateways[m.id].address for m in MEMBERS}
    made = Agencies(mechanism.parts, addresses)
    yield made
    await made.close()


def waits_or_went_out_alone(mechanism: Mechanism) -> bool:
    """Return whether the custodian has a release that no quorum covers."""
    shown = metrics(mechanism.custodian)
    names = "nrm_custodian_waiting_releases", "nrm_custodian_degraded_cases"
    return any(shown[name] for name in names)


async def referred(agencies: Agencies) -> str:
    """Refer a person to the shelter, which may know who it is; return the case."""
    case = await agencies.opened(POLICE)
    await agencies.done(POLICE, case, "ConsentGiven", **consent(SHELTER, "IDENTITY"))
    await agencies.done(POLICE, case, "ReferralSent", **referral(SHELTER))
    await true(lambda: _has(agencies, case))
    return case


async def _has(agencies: Agencies, case: str) -> bool:
    return case in {c["case_id"] for c in await agencies.link(SHELTER).cases(50)}


async def knows(agencies: Agencies, case: str) -> bool:
    """Return whether the shelter can read who the person is."""
    event = (await agencies.events(SHELTER, case)).get("PersonIdentityRecorded")
    return event is not None and bool(event["fields"].get("given_names"))


async def true(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT):
        while True:
            answer = holds()
            if await answer if asyncio.iscoroutine(answer) else answer:
                return
            await asyncio.sleep(0.1)


async def test_without_its_witnesses_a_trail_degrades_in_sight_and_comes_back(
    mechanism: Mechanism, agencies: Agencies
) -> None:
    first = await referred(agencies)
    await true(lambda: knows(agencies, first))
    await true(lambda: mechanism.trail() == ("published", STOP_SECONDS))

    # when the witnesses have ended: pending, and a key waits; nobody gets it before a minute
    for witness in mechanism.witnesses.values():
        await asyncio.to_thread(witness.process.end, signal.SIGTERM, seconds=LIMIT)
    second = await referred(agencies)
    await true(lambda: mechanism.trail()[0] != "published")
    assert not await knows(agencies, second) or mechanism.trail()[0] == "degraded"
    await true(lambda: waits_or_went_out_alone(mechanism))

    # when a minute has passed: degraded, with the countdown, and the log's word is enough
    mechanism.clock.set(0, seconds=61)
    await true(lambda: mechanism.trail()[0] == "degraded")
    assert mechanism.trail()[1] <= STOP_SECONDS - 60
    shown = metrics(mechanism.notary)
    assert shown["nrm_trail_state degraded"] == 1
    assert shown["nrm_trail_seconds_until_stop"] <= STOP_SECONDS - 60
    await true(lambda: "no quorum: the trail stops in" in mechanism.notary.said())
    await true(lambda: knows(agencies, second))
    assert metrics(mechanism.custodian)["nrm_custodian_degraded_cases"] > 0
    third = await referred(agencies)
    await true(lambda: knows(agencies, third))

    # when the witnesses are back: the countdown is over, and what was shown alone is seen again
    for witness in mechanism.witnesses.values():
        await asyncio.to_thread(witness.start, mechanism.clock)
    await true(lambda: mechanism.trail() == ("published", STOP_SECONDS))
    await true(lambda: metrics(mechanism.custodian)["nrm_custodian_degraded_cases"] == 0)
    assert [await knows(agencies, case) for case in (first, second, third)] == [True] * 3
    for gateway in mechanism.gateways.values():
        assert gateway.get("/ready").json()["trail"]["alarms"] == {}
