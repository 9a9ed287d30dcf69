"""`nrm-hub trail`: what an agency knows of the trail, and what it decides about an alarm.

All of it is in the gateway's own store: it works whether the gateway runs or not, and asks
nobody.
"""

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import Malformed, Unavailable
from domain.gateway_trail import Alarm
from services.bootstrap.gateway import kept_trail
from services.cli.common import DATA, As, Data, do, parts_of
from services.gateway.deciding import decide, exported

trail_app = typer.Typer(
    help="What an agency's gateway knows of the trail: receipts, alarms, proofs.",
    no_args_is_help=True,
)


@trail_app.command("status")
def trail_status(agency: As, data: Data = DATA) -> None:
    """Show the newest checkpoint, how much is proven, and every alarm."""
    do(asyncio.to_thread(_status, agency, data))


@trail_app.command("export")
def trail_export(
    agency: As,
    folder: Annotated[Path, typer.Argument(help="New folder for the files.")],
    data: Data = DATA,
) -> None:
    """Write receipts, the newest checkpoint and the proofs of every alarm as files."""
    do(asyncio.to_thread(_export, agency, folder, data))


@trail_app.command("accept")
def trail_accept(
    agency: As,
    number: Annotated[int, typer.Argument(help="Number of the alarm.")],
    by: Annotated[str, typer.Option(help="Who decides it; this is kept.")],
    reason: Annotated[str, typer.Option(help="Why; this is kept.")],
    follow: Annotated[
        str,
        typer.Option(
            help="After a split view: go on from the checkpoint `seen` or `shown`."
            " After an alarm of a feed: go on from what the `trail` has of the lane."
        ),
    ] = "",
    data: Data = DATA,
) -> None:
    """Decide about an alarm: a feed's lane is read and compared anew, what arrived is kept.

    After a split view say which of the two logs to follow.
    """
    do(asyncio.to_thread(_accept, agency, number, (by, reason, follow), data))


def _status(agency: str, data: Path) -> None:
    with kept_trail(parts_of(data), agency) as trail:
        seen = trail.seen()
        print(f"{'newest checkpoint':24}{seen.size if seen else 'none'}")
        for name, count in trail.counts().items():
            print(f"{name.replace('_', ' '):24}{count}")
        for alarm in trail.alarms():
            print(_line(alarm))


def _export(agency: str, folder: Path, data: Path) -> None:
    with kept_trail(parts_of(data), agency) as trail:
        try:
            folder.mkdir(parents=True)
            for name, content in exported(trail):
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(content)
        except FileExistsError as e:
            raise Malformed("FOLDER", f"{folder} exists; give a new one") from e
        except OSError as e:
            raise Unavailable("FOLDER", f"{folder} cannot be written: {e.strerror}") from e
    print(f"receipts, checkpoint and proofs are in {folder}")


def _accept(agency: str, number: int, said: tuple[str, str, str], data: Path) -> None:
    by, reason, follow = said
    with kept_trail(parts_of(data), agency) as trail:
        decide(trail, number, f"{by}: {reason}", follow)
    print(f"alarm {number} is decided")


def _line(alarm: Alarm) -> str:
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(alarm.raised_ms / 1000))
    state = f"decided by {alarm.decided}" if alarm.decided else "OPEN"
    return f"alarm {alarm.number}  {when}  {alarm.code}  {alarm.about}  {state}"
