"""`nrm-hub custodian-accept`: what the custodian's people decide after a split view.

All of it is in the custodian's own store: it works whether the custodian runs or not.
"""

import asyncio
import base64
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from domain.custody import Custody, Split
from domain.errors import Malformed, Refused, Unavailable
from services.bootstrap.custodian import kept_custody
from services.cli.common import DATA, Data, do, parts_of
from services.custodian.deciding import checkpoint_of, decide, evidence


def custodian_accept(
    folder: Annotated[Path, typer.Argument(help="Folder for both signed checkpoints.")],
    follow: Annotated[
        str, typer.Option(help="Decide: go on from the checkpoint `seen` or `shown`.")
    ] = "",
    by: Annotated[str, typer.Option(help="Who decides it; this is kept.")] = "",
    reason: Annotated[str, typer.Option(help="Why; this is kept.")] = "",
    data: Data = DATA,
) -> None:
    """Show the custodian's split views and their proofs; with --follow, decide the open one."""
    do(asyncio.to_thread(_accept, folder, (follow, by, reason), data))


def _accept(folder: Path, said: tuple[str, str, str], data: Path) -> None:
    follow, by, reason = said
    if any(said) and not all(said):
        raise Malformed("DECISION", "to decide say --follow, --by and --reason; else none of them")
    parts = parts_of(data)
    with kept_custody(parts) as custody:
        vkey = parts.trust.log
        splits = custody.splits(vkey)
        if not splits:
            raise Refused("NO_SPLIT_VIEW", "the custodian has seen one log; nothing to decide")
        _write(folder, splits)
        if follow:
            decide(custody, vkey, f"{by}: {reason}", follow)
        _show(custody, vkey, folder)


def _write(folder: Path, splits: Sequence[Split]) -> None:
    try:
        for name, content in evidence(splits):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    except OSError as e:
        raise Unavailable("FOLDER", f"{folder} cannot be written: {e.strerror}") from e


def _show(custody: Custody, vkey: str, folder: Path) -> None:
    for number, split in enumerate(custody.splits(vkey), 1):
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(split.raised_ms / 1000))
        state = f"decided by {split.decided}" if split.decided else "OPEN: nothing new is released"
        print(f"split view {number}  {when}  {state}")
        for name, note in (("seen", split.seen), ("shown", split.shown)):
            _, size, root = checkpoint_of(note)
            print(f"  {name:6} size {size}  root {base64.b64encode(root).decode()}")
    seen = custody.seen(vkey)
    print(f"both checkpoints of each are in {folder}")
    print(f"the custodian goes on from size {seen.size if seen else 0}")
