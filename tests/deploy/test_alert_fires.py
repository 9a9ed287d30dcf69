"""A real Prometheus scrapes a real mechanism, and an alert fires and goes out again."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from services.hub.projector import Step
from services.local.processes import free_ports
from tests.deploy.test_prometheus import PROMETHEUS, panels
from tests.deploy.tools import program
from tests.services.running import POLICE, SHELTER, World, running

LIMIT = 120
"""Seconds for what is over in a few."""
Query = Callable[..., Any]


@asynccontextmanager
async def watched(world: World, folder: Path) -> AsyncIterator[Query]:
    """Run Prometheus over the mechanism, with our rules made quick; yield what asks its API."""
    hurried = re.sub(r"\bfor: \w+", "for: 1s", (PROMETHEUS / "alerts.yaml").read_text("utf-8"))
    (folder / "alerts.yaml").write_text(hurried.replace("[2m]", "[3s]"), "utf-8")
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration(world)), "utf-8")
    (port,) = free_ports(1)
    arguments = [
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    with subprocess.Popen([program("prometheus"), *arguments]) as process:  # noqa: S603, ASYNC220
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

                async def ask(path: str, **parameters: str) -> Any:
                    try:
                        async with session.get(f"/api/v1/{path}", params=parameters) as answer:
                            if answer.status == 503:
                                return None  # it is still reading its own files
                            document = await answer.json()
                    except aiohttp.ClientConnectionError:
                        return None  # it is still starting
                    assert document["status"] == "success", document
                    return document["data"]

                yield ask
        finally:
            process.terminate()


def configuration(world: World) -> dict[str, Any]:
    """Return our configuration with the addresses of this mechanism, scraped without pause."""
    mechanism = world.mechanism
    addresses = {
        "nrm-hub": mechanism.hub_address,
        "nrm-custodian": mechanism.custodian_address,
        "nrm-gateway": mechanism.offices[SHELTER].address,
    }
    config: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))
    config["global"] = dict.fromkeys(("scrape_interval", "evaluation_interval"), "500ms")
    config["global"]["scrape_timeout"] = "500ms"
    del config["alerting"]
    config["scrape_configs"] = [
        {"job_name": job, "static_configs": [{"targets": [address.removeprefix("http://")]}]}
        for job, address in addresses.items()
    ]
    return config


async def test_a_projector_that_stops_raises_the_alert_and_one_that_goes_on_ends_it(
    tmp_path: Path,
) -> None:
    async with (
        asyncio.timeout(LIMIT),
        running(tmp_path / "data") as world,
        watched(world, tmp_path) as ask,
    ):

        async def firing() -> set[str]:
            found = await ask("alerts")
            alerts = found["alerts"] if found else []
            return {a["labels"]["alertname"] for a in alerts if a["state"] == "firing"}

        async def scraped() -> bool:
            found = await ask("targets", state="active")
            return bool(found) and [t["health"] for t in found["activeTargets"]] == ["up"] * 3

        async def seen(expression: str) -> list[Any]:
            found = await ask("query", query=expression)
            return list(found["result"]) if found else []

        await world.until(scraped)
        await world.opened(POLICE)
        await world.quiet()
        await world.until(lambda: seen("nrm_projection_lag_events == 0"))
        assert not {a for a in await firing() if a.startswith("NrmProjection")}

        projector = world.mechanism.hub.projector
        step = projector.step
        projector.step = lambda *_: Step((), frozenset())  # type: ignore[method-assign]
        await world.opened(POLICE)

        async def alarmed() -> bool:
            return "NrmProjectionStopped" in await firing()

        await world.until(alarmed)
        projector.step = step  # type: ignore[method-assign]
        await world.quiet()

        async def calm() -> bool:
            return not await alarmed()

        await world.until(calm)

        for panel in panels().values():
            for target in panel["targets"]:
                await ask("query", query=target["expr"])
        for expression in (
            "sum(nrm_build_info)",
            "max(nrm_store_events)",
            "nrm_feed_waiting_entries",
        ):
            assert await seen(expression), expression
