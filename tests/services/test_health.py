"""Health and readiness tell the truth, in bounded time, about whatever hangs, breaks or is away."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from adapters.kafka.client import Broker
from adapters.metrics import ProcessMetrics
from adapters.metrics.asked import asked_value
from domain.errors import Unavailable
from domain.secret import Secret
from services.bootstrap import Parts, Settings, build_gateway
from services.bootstrap.watching import kafka_answers, vitals_of
from services.http import health
from services.http.health import Ask, Vitals, health_app, in_thread
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from services.serving import Faces, address_of, end, listen
from tests.services.running import POLICE, running

SECRET = "postgresql://user:hunter2-planted@host/db"  # noqa: S105 - it must not come out
LIMIT = 30.0
"""Seconds, far above what is promised and below what a hang would take."""


@asynccontextmanager
async def served(
    depends: dict[str, Ask], loops: dict[str, Callable[[], float]] | None = None
) -> AsyncIterator[Callable[[str], Any]]:
    """Serve a process without other routes; yield what asks it: path -> (status, document)."""
    vitals = vitals_of("relay", CollectorRegistry(), depends, loops)
    listener, faces = listen("127.0.0.1", 0), Faces()
    faces.serve(listener, health_app("nrm-hub relay", vitals))
    async with aiohttp.ClientSession() as session:

        async def ask(path: str) -> tuple[int, Any]:
            async with session.get(address_of(listener) + path) as answer:
                json = answer.content_type == "application/json"
                return answer.status, await (answer.json() if json else answer.text())

        yield ask
    await faces.close()


async def until(ask: Callable[[str], Any], path: str, wanted: int) -> Any:
    """Ask until the status is the one wanted; return what is said then."""
    async with asyncio.timeout(LIMIT):
        while True:
            status, said = await ask(path)
            if status == wanted:
                return said
            await asyncio.sleep(0.05)


async def up() -> None:
    return None


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for what hangs only a moment."""
    monkeypatch.setattr(health, "ANSWER_SECONDS", 0.2)


async def test_a_process_whose_parts_answer_is_up_and_ready() -> None:
    async with served({"store": up, "kafka": in_thread(int)}) as ask:
        assert await ask("/health") == (200, {"status": "up"})
        said = {"status": "ready", "dependencies": {"store": "UP", "kafka": "UP"}}
        assert await ask("/ready") == (200, said)


async def test_what_is_away_is_named_with_its_reason_code_and_without_its_message() -> None:
    def away() -> None:
        raise Unavailable("STORE_UNAVAILABLE", SECRET)

    async with served({"store": in_thread(away), "kafka": up}) as ask:
        status, document = await ask("/ready")
        assert (status, document["status"]) == (503, "not ready")
        assert document["dependencies"] == {"store": "STORE_UNAVAILABLE", "kafka": "UP"}
        _, metrics = await ask("/metrics")
        assert 'nrm_dependency_up{dependency="store"} 0.0' in metrics
        assert 'nrm_dependency_up{dependency="kafka"} 1.0' in metrics


async def test_a_check_that_breaks_says_so_and_nothing_of_what_broke() -> None:
    async def breaks() -> None:
        raise ConnectionError(SECRET)

    async with served({"store": breaks}) as ask:
        status, document = await ask("/ready")
        assert (status, document["dependencies"]) == (503, {"store": "CHECK_FAILED"})
        assert "planted" not in (await ask("/metrics"))[1]


async def test_what_hangs_is_late_and_is_asked_once_however_often_somebody_looks() -> None:
    asked, answer = 0, threading.Event()

    def hangs() -> None:
        nonlocal asked
        asked += 1
        answer.wait(LIMIT)

    async with served({"store": in_thread(hangs), "kafka": up}) as ask:
        started = time.monotonic()
        answers = await asyncio.gather(*(ask("/ready") for _ in range(5)))
        for status, document in answers:
            assert (status, document["dependencies"]) == (503, {"store": "LATE", "kafka": "UP"})
        assert time.monotonic() - started < LIMIT
        assert (await ask("/health"))[0] == 200
        assert 'nrm_dependency_up{dependency="store"} 0.0' in (await ask("/metrics"))[1]
        assert asked == 1
        answer.set()
        await until(ask, "/ready", 200)


async def test_a_loop_that_no_longer_goes_round_is_stuck() -> None:
    beats = {"relay": time.monotonic(), "beat": time.monotonic()}
    loops: dict[str, Callable[[], float]] = {n: lambda n=n: beats[n] for n in beats}  # type: ignore[misc]
    async with served({}, loops) as ask:
        assert (await ask("/health"))[0] == 200
        beats["relay"] -= health.STUCK_SECONDS + 1
        assert await ask("/health") == (503, {"status": "stuck", "loops": {"relay": "STUCK"}})
        page = (await ask("/metrics"))[1]
        (line,) = [s for s in page.splitlines() if s.startswith('nrm_loop_idle_seconds{loop="rel')]
        assert float(line.split()[1]) > health.STUCK_SECONDS


async def test_a_scrape_that_hangs_is_refused_and_not_begun_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "SCRAPE_SECONDS", 0.4)
    asked, answer, registry = 0, threading.Event(), CollectorRegistry()

    def hangs() -> float:
        nonlocal asked
        asked += 1
        answer.wait(LIMIT)
        return 1.0

    asked_value(registry, "nrm_planted", "Planted.", hangs)
    vitals = Vitals(registry=registry, depends={})
    assert [await vitals.scrape() for _ in range(3)] == [None, None, None]
    assert asked == 1
    answer.set()
    async with asyncio.timeout(LIMIT):
        while True:
            if (page := await vitals.scrape()) is not None:
                break
    assert b"nrm_planted 1.0" in page


async def test_a_store_that_is_away_leaves_the_other_metrics_in_the_scrape() -> None:
    registry = CollectorRegistry()

    def away() -> float:
        raise Unavailable("STORE_UNAVAILABLE", "planted")

    asked_value(registry, "nrm_away", "Planted.", away)
    ProcessMetrics(registry, "relay")
    page = await Vitals(registry=registry, depends={}).scrape()
    assert page is not None
    assert b"nrm_build_info{" in page
    assert b"\nnrm_away " not in page


async def test_a_hub_without_its_store_is_up_and_not_ready(tmp_path: Path) -> None:
    async with running(tmp_path) as world, aiohttp.ClientSession() as session:

        async def ask(path: str) -> tuple[int, str]:
            async with session.get(world.mechanism.hub_address + path) as answer:
                return answer.status, await answer.text()

        assert (await ask("/ready"))[0] == 200
        world.mechanism.hub.feeds.close()  # type: ignore[attr-defined] # a file has no other way
        text = await until(ask, "/ready", 503)
        assert '"store":"UP"' in text
        assert '"feeds":"STORE_UNAVAILABLE"' in text
        assert (await ask("/health"))[0] == 200


async def test_a_gateway_whose_hub_and_custodian_are_away_names_both(tmp_path: Path) -> None:
    closed = listen("127.0.0.1", 0)
    nowhere = address_of(closed)
    closed.close()
    process = build_gateway(Parts(Settings(data=tmp_path)), POLICE, nowhere, nowhere)
    async with asyncio.timeout(LIMIT):
        states = await process.vitals.ask()
    for link in process.links:
        await link.close()
    away = {name: code for name, code in states.items() if code}
    assert away.keys() == {"hub", "custodian"}
    assert set(away.values()) <= {"PEER_AWAY", "LATE"}


async def test_brokers_that_let_us_in_are_up_and_those_that_do_not_are_not(
    brokers: Brokers | GivenBrokers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "ANSWER_SECONDS", LIMIT)

    async def states(**changes: Any) -> dict[str, str]:
        known = Broker(
            bootstrap=brokers.bootstrap,
            user=brokers.admin_user,
            password=Secret(brokers.admin_password.encode()),
            ca=brokers.ca,
        )
        settings = Settings(data=tmp_path, kafka=replace(known, **changes))
        ask = kafka_answers(Parts(settings))
        return dict(await vitals_of("relay", CollectorRegistry(), {"kafka": ask}).ask())

    assert await states() == {"kafka": ""}
    assert await states(bootstrap="127.0.0.1:1") == {"kafka": "KAFKA_UNAVAILABLE"}
    if brokers.admin_user:
        wrong = Secret(b"invented")
        assert await states(password=wrong) == {"kafka": "KAFKA_UNAVAILABLE"}


async def test_the_end_of_a_process_does_not_wait_for_what_hangs() -> None:
    asked, answer = threading.Event(), threading.Event()

    def hangs() -> None:
        asked.set()
        answer.wait(LIMIT)

    vitals = Vitals(registry=CollectorRegistry(), depends={"store": in_thread(hangs)})
    started = time.monotonic()
    await vitals.ask()
    assert asked.is_set()
    await end([t for t in asyncio.all_tasks() if t is not asyncio.current_task()])
    assert time.monotonic() - started < LIMIT
    answer.set()
