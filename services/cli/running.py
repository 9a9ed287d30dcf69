"""The whole mechanism in one process, and the demonstration over it."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from domain import events as ev
from domain.errors import Unavailable
from services.bootstrap import Parts
from services.cli.common import (
    ADDRESSES,
    DATA,
    FAILED,
    AsJson,
    Data,
    do,
    out,
    parts_of,
    stopping,
)
from services.demo.cast import CAST
from services.logfile import log_to
from services.runtime import Mechanism


def run(
    data: Data = DATA,
    port: Annotated[int, typer.Option(help="First of the ports on loopback.")] = 8700,
    cases: Annotated[int, typer.Option(help="Invented cases to start a new folder with.")] = 12,
) -> None:
    """Run a whole mechanism in this process, for five invented agencies."""
    log_to(data)
    do(_run(data, port, cases))


async def _run(data: Path, port: int, cases: int) -> None:
    stop, working = stopping(), asyncio.create_task(_work(data, port, cases))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([working, stopped], return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        out.print("Stopping.")
        working.cancel()
    stopped.cancel()
    with suppress(asyncio.CancelledError):
        await working


async def _work(data: Path, port: int, cases: int) -> None:
    """Run the mechanism until cancelled; it may be still starting or making cases."""
    parts = parts_of(data)
    async with Mechanism(parts, CAST, port) as mechanism:
        addresses = {
            "hub": mechanism.hub_address,
            "custodian": mechanism.custodian_address,
            "coordinator": mechanism.operator_address,
            "gateways": {i: o.address for i, o in mechanism.offices.items()},
        }
        (data / ADDRESSES).write_text(json.dumps(addresses, indent=1), "utf-8")
        if cases and mechanism.hub.store.head() <= _registry_size(mechanism):
            await _fill(mechanism, parts, cases)
        _print_addresses(mechanism)
        await mechanism.failed.wait()
        raise Unavailable("PART_STOPPED", f"a part has stopped; see {data}/logs/nrm-hub.log")


def _registry_size(mechanism: Mechanism) -> int:
    return mechanism.hub.store.heads([ev.REGISTRY_STREAM]).get(ev.REGISTRY_STREAM, 0)


async def _fill(mechanism: Mechanism, parts: Parts, cases: int) -> None:
    from services.demo.demo import fill  # noqa: PLC0415 - the demo is loaded only when it runs

    out.print(f"Making {cases} invented cases ...")
    await fill(mechanism, parts, cases)


def _print_addresses(mechanism: Mechanism) -> None:
    out.print(f"\nHub        {mechanism.hub_address}/docs")
    out.print(f"Custodian  {mechanism.custodian_address}/docs")
    out.print("\nOne-time log-in for each gateway (works once, for 15 minutes):")
    for office in mechanism.offices.values():
        out.print(f"  {office.member.name:34}", office.login_address(), soft_wrap=True)
    out.print("\nStop with Ctrl-C. The data stay, and the next run goes on with them.")


def demo(
    cases: Annotated[int, typer.Option(help="How many invented cases.")] = 100,
    source: Annotated[
        Path | None, typer.Option("--input", help="CTDC-style CSV; a case a row.")
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Keep the stores here.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the invented cases.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Run invented cases through every part over HTTP, then check what was disclosed."""
    from services.demo.demo import run_demo  # noqa: PLC0415 - the demo is loaded only when it runs

    if not do(run_demo(cases=cases, source=source, data=data, seed=seed, as_json_line=as_json)):
        raise typer.Exit(FAILED)
