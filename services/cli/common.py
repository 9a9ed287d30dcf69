"""What the commands share: options, exit codes, and errors as one line."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import uvloop
from rich.console import Console

from domain.errors import HubError, Malformed, Refused, Unavailable
from services.bootstrap import Parts, Settings, gateway_link

FAILED, REFUSED = 1, 2
ADDRESSES = "addresses.json"
DATA = Path("data")

T = TypeVar("T")
out = Console()

Data = Annotated[
    Path,
    typer.Option(
        "--data", envvar="NRM_DATA", help="Folder that holds every part's stores and keys."
    ),
]
As = Annotated[str, typer.Option("--as", help="Agency whose gateway is asked.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


async def with_gateway(data: Path, agency: str, ask: Any) -> Any:
    """Return what `ask` gets from the gateway of `agency`."""
    addresses = addresses_of(data)["gateways"]
    if agency not in addresses:
        known = ", ".join(addresses)
        raise Malformed("AGENCY_UNKNOWN", f"say --as with one of: {known}")
    parts = parts_of(data)
    if not parts.has_token(agency):  # one that is made here opens no gateway
        message = f"the token of the gateway of {agency} does not lie in {data}"
        raise Malformed("AGENCY_TOKEN", message)
    link = gateway_link(parts, agency, addresses[agency])
    try:
        return await ask(link)
    finally:
        await link.close()


def addresses_of(data: Path) -> Any:
    """Return where the parts that run over `data` are reached."""
    try:
        return json.loads((data / ADDRESSES).read_text("utf-8"))
    except FileNotFoundError as e:
        raise Unavailable("NOT_RUNNING", f"start one with: nrm-hub run --data {data}") from e


def parts_of(data: Path) -> Parts:
    """Return what every part shares, over `data` and the environment."""
    return Parts(Settings.from_env(data, os.environ))


def do(work: Coroutine[Any, Any, T]) -> T:
    """Run `work`; an error of ours becomes one line and an exit code."""
    try:
        return uvloop.run(work)
    except Refused as e:
        print(f"refused: {e}", file=sys.stderr)
        raise typer.Exit(REFUSED) from e
    except HubError as e:
        print(f"failed: {e}", file=sys.stderr)
        raise typer.Exit(FAILED) from e


def stopping() -> asyncio.Event:
    """Return what is set when the process is told to end."""
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    return stop
