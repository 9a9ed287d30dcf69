"""The auditor's questions about disclosures: what went to whom, and was it allowed."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import Malformed
from domain.vocabulary import Purpose, Seat
from services.auditor.disclosures import disclosures
from services.auditor.instants import instant
from services.auditor.opening import Tools
from services.auditor.reconciling import Asked
from services.auditor.report import Report
from services.auditor.who_saw import who_saw
from services.bootstrap import Settings
from services.bootstrap.auditor import own_copies
from services.bootstrap.challenging import challenged
from services.bootstrap.judging import judging
from services.cli.audit import (
    AsAuditor,
    PolicyFile,
    TrustFile,
    Where,
    answer,
    trail_at,
)
from services.cli.common import DATA, AsJson, Data, parts_of

_TIME = "ISO 8601 (UTC unless it says otherwise), or milliseconds since 1970 (13 digits)."


def check_disclosures(
    source: Where,
    seat: Annotated[str, typer.Option(help="Findings of one seat alone: AGENCY/PURPOSE.")] = "",
    since: Annotated[str, typer.Option("--from", help=f"Findings from then on. {_TIME}")] = "",
    until: Annotated[str, typer.Option("--to", help=f"Findings before then. {_TIME}")] = "",
    packs: Annotated[
        list[Path] | None,
        typer.Option(
            "--pack",
            help="Policy pack (TOML) of the rules; once for each that was in force over the time"
            " of the log. Without, the one that NRM_POLICY names.",
        ),
    ] = None,
    policy: PolicyFile = None,
    trust: TrustFile = None,
    agency: AsAuditor = "",
    data: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Judge every disclosure anew: what the rules did not allow, and what they gave and is not.

    An action names the policy pack that it was decided under. Each pack counts from its first day
    to the first day of the next; on that day itself the one before may still be named.
    """

    def work(tools: Tools) -> Report:
        asked = Asked(
            seat=_seat(seat) if seat else None,
            from_ms=instant(since) if since else None,
            to_ms=instant(until) if until else None,
        )
        trail, own = trail_at(source, agency, data), own_copies(policy, trust)
        with judging(Settings.from_env(data, os.environ), packs or ()) as rules:
            return disclosures(trail, own, tools, rules, asked)

    answer(work, as_json=as_json)


def show_who_saw(
    source: Where,
    case: Annotated[str, typer.Argument(help="Case id.")],
    at: Annotated[str, typer.Option("--at", help=f"Shown by then. {_TIME}")],
    policy: PolicyFile = None,
    trust: TrustFile = None,
    agency: AsAuditor = "",
    data: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Show who had been shown what of a case by an instant, on which basis, and who confirmed."""

    def work(tools: Tools) -> Report:
        trail, own = trail_at(source, agency, data), own_copies(policy, trust)
        return who_saw(trail, own, tools, case, instant(at))

    answer(work, as_json=as_json)


def challenge_trail(
    address: Annotated[str, typer.Argument(help="URL of a running trail (https://…/trail).")],
    case: Annotated[str, typer.Argument(help="Case id.")],
    agency: Annotated[
        str, typer.Option("--as", help="Registered agency that asks; its keys lie in --data.")
    ],
    policy: PolicyFile = None,
    wait: Annotated[
        float, typer.Option(min=1, help="Seconds to wait, at most, for the checkpoint.")
    ] = 120.0,
    data: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Sign a question about a case, and check that it stands at the end of a new checkpoint.

    It stays in the trail: who is audited sees that the case was asked about, when and by whom.
    """

    def work(_: Tools) -> Report:
        asked = challenged(parts_of(data), agency, address, case, policy=policy, seconds=wait)
        return asyncio.run(asked)

    answer(work, as_json=as_json)


def _seat(text: str) -> Seat:
    agency, slash, purpose = text.rpartition("/")
    if not slash or not agency or purpose not in set(Purpose):
        known = ", ".join(Purpose)
        raise Malformed("SEAT", f"a seat is AGENCY/PURPOSE, with a purpose of: {known}")
    return Seat(agency, purpose)


questions: dict[str, Callable[..., None]] = {
    "disclosures": check_disclosures,
    "who-saw": show_who_saw,
    "challenge": challenge_trail,
}
"""Name of a command below `audit` -> what it does."""
