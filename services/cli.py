"""Command line: parse, call one use case, print, and exit with a code that says what happened.

0 done · 1 something failed, or a check did not hold · 2 the rules refused
"""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import uuid4

import typer
import uvloop
from rich.console import Console

from domain import events as ev
from domain.errors import HubError, Malformed, Refused, Unavailable
from domain.gateway import Command, Result
from domain.messages import WhyQuestion
from services.bootstrap import Parts, Settings, gateway_link
from services.demo.cast import CAST
from services.members import Member
from services.runtime import Mechanism

FAILED, REFUSED = 1, 2
ADDRESSES = "addresses.json"

T = TypeVar("T")
app = typer.Typer(
    help="Exchange of referrals between the agencies of a National Referral Mechanism.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
case_app = typer.Typer(help="Look at a case as one agency has it.", no_args_is_help=True)
feed_app = typer.Typer(help="Follow an agency's feed.", no_args_is_help=True)
agency_app = typer.Typer(help="The registry of agencies.", no_args_is_help=True)
app.add_typer(case_app, name="case")
app.add_typer(feed_app, name="feed")
app.add_typer(agency_app, name="agency")
out = Console()

Data = Annotated[
    Path, typer.Option("--data", help="Folder that holds every part's stores and keys.")
]
As = Annotated[str, typer.Option("--as", help="Agency whose gateway is asked.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
DATA = Path("data")


@app.command()
def run(
    data: Data = DATA,
    port: Annotated[int, typer.Option(help="First of the ports on loopback.")] = 8700,
    cases: Annotated[int, typer.Option(help="Invented cases to start a new folder with.")] = 12,
) -> None:
    """Run a whole mechanism in this process, for five invented agencies."""
    _log_to(data)
    _do(_run(data, port, cases))


async def _run(data: Path, port: int, cases: int) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    parts = _parts(data)
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
        ends = [asyncio.create_task(e.wait()) for e in (stop, mechanism.failed)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        out.print("Stopping.")
        if mechanism.failed.is_set():
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


@app.command()
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

    if not _do(run_demo(cases=cases, source=source, data=data, seed=seed, as_json_line=as_json)):
        raise typer.Exit(FAILED)


@app.command()
def act(
    type: Annotated[str, typer.Argument(help="Event, such as ReferralSent.")],
    fields: Annotated[
        list[str] | None,
        typer.Argument(help="name=value; a value that is JSON is taken as JSON; @file reads one."),
    ] = None,
    agency: As = "",
    case: Annotated[str | None, typer.Option(help="Case id; without it a new case.")] = None,
    basis: Annotated[str, typer.Option(help="Legal basis acted on.")] = "consent",
    data: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Record one event as an agency: sealed, signed and sent by its gateway."""
    command = Command(
        command_id=str(uuid4()),
        type=type,
        case_id=case,
        fields=_fields(fields or []),
        legal_basis=basis,
    )
    result = _do(_with_gateway(data, agency, lambda link: link.submit([command])))[0]
    _print_result(result, as_json=as_json)
    if result.status == "refused":
        raise typer.Exit(REFUSED)


def _print_result(result: Result, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(result)))
    elif result.status == "refused":
        print(f"refused: {result.code}: {result.message}", file=sys.stderr)
    else:
        print(f"{result.status} {result.type}\ncase  {result.case_id}\nevent {result.event_id}")


@case_app.command("list")
def case_list(agency: As, data: Data = DATA, limit: int = 20) -> None:
    """List the agency's cases, the newest first."""
    for case in _do(_with_gateway(data, agency, lambda link: link.cases(limit))):
        print(case["case_id"])


@case_app.command("show")
def case_show(
    case: str,
    agency: As,
    data: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Show every event of a case that the agency may see, opened as far as its keys go."""
    events = _do(_with_gateway(data, agency, lambda link: link.case(case)))
    if as_json:
        print(json.dumps(events, ensure_ascii=False))
        return
    for event in events:
        _print_event(event)


@case_app.command("why")
def case_why(
    case: str,
    seat: Annotated[str, typer.Option(help="agency/purpose")],
    field: Annotated[
        str, typer.Option(help="Category, or Event.field such as ReferralSent.reason.")
    ],
    agency: As,
    data: Data = DATA,
) -> None:
    """Say whether a seat may see a field of the case now, and why."""
    who, _, purpose = seat.partition("/")
    asked = WhyQuestion(case_id=case, agency=who, purpose=purpose, category=_category(data, field))
    why = _do(_with_gateway(data, agency, lambda link: link.why(asked)))
    rests = f" ({why.rests_on})" if why.rests_on else ""
    print(f"{'yes' if why.permit else 'no'}: {why.code} {why.reason}{rests}")
    if why.notice:
        print("The person is owed a notice of this disclosure.")


def _category(data: Path, field: str) -> str:
    event, _, path = field.rpartition(".")
    if not event:
        return field.upper()
    language = _parts(data).language
    for name, category in language.shape(language.newest(event)).fields:
        if name == path:
            return category.name
    raise Malformed("FIELD_UNKNOWN", "the event has no such field")


@feed_app.command("follow")
def feed_follow(
    agency: As,
    data: Data = DATA,
    after: Annotated[int, typer.Option(help="Number of the last event seen.")] = 0,
    once: Annotated[bool, typer.Option(help="Stop when nothing new is there.")] = False,
) -> None:
    """Print what arrives at an agency, opened, as it arrives."""
    _do(_with_gateway(data, agency, lambda link: _follow(link, after, once=once)))


async def _follow(link: Any, after: int, *, once: bool) -> None:
    while True:
        events = await link.events(after, 0 if once else 20)
        for event in events:
            _print_event(event)
            after = event["number"]
        if once and not events:
            return


def _print_event(event: dict[str, Any]) -> None:
    if event["type"] == "KeyEpochOpened":
        return  # of no use to a reader; `--json` has it
    when = datetime.fromtimestamp(event["recorded_ms"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    print(f"#{event['number']} {when} {event['type']} by {event['agency']} case {event['case_id']}")
    for name, value in event["fields"].items():
        print(f"    {name}: {json.dumps(value, ensure_ascii=False)}")
    if event["shut"]:
        print(f"    not shared: {', '.join(event['shut'])}")
    if event["basis"]:
        print(f"    shown by: {event['basis']}")


@agency_app.command("list")
def agency_list(data: Data = DATA) -> None:
    """List the registered agencies with roles, purposes and key fingerprints."""
    registry, now = _do(_registry(data))
    for agency in registry.agencies.values():
        standing, key = agency.standing(now), agency.key(now)
        print(
            f"{agency.id}  {agency.name} ({agency.country})", "" if standing.active else "INACTIVE"
        )
        for role, purposes in standing.roles.items():
            print(f"    {role}: {', '.join(sorted(purposes)) or 'no purposes'}")
        if key:
            print(f"    signing key SHA-256 {sha256(key.signing_key).hexdigest()}")


@agency_app.command("suspend")
def agency_suspend(agency: str, reason: str, data: Data = DATA) -> None:
    """Suspend an agency: from now on it may neither act nor read."""
    _record(data, "AgencySuspended", {"agency": agency, "reason": reason})


@agency_app.command("reinstate")
def agency_reinstate(agency: str, data: Data = DATA) -> None:
    """Let a suspended agency act and read again."""
    _record(data, "AgencyReinstated", {"agency": agency})


@agency_app.command("add")
def agency_add(
    agency: str,
    name: str,
    role: Annotated[list[str], typer.Option(help="role:purpose,purpose")],
    country: str = "GB",
    data: Data = DATA,
) -> None:
    """Register and designate an agency with new keys, with both registrars' signatures."""
    from services.operating import add  # noqa: PLC0415 - only the coordinator's commands need it

    roles = {r.partition(":")[0]: tuple(r.partition(":")[2].split(",")) for r in role}
    member = Member(id=agency, name=name, country=country, roles=roles)
    _do(add(_parts(data), _addresses(data), member))
    print(f"{agency} is registered; its keys lie in {data}/gateways/{agency}/keys.")
    print("Start nrm-hub run again to open its gateway.")


def _record(data: Path, fact: str, facts: dict[str, Any]) -> None:
    from services.operating import record  # noqa: PLC0415 - only the coordinator's commands need it

    _do(record(_parts(data), _addresses(data), fact, facts))
    print(f"recorded {fact} {facts['agency']}")


async def _registry(data: Path) -> tuple[Any, int]:
    from services.operating import registry  # noqa: PLC0415 - only the coordinator's commands need it

    return await registry(_parts(data), _addresses(data))


async def _with_gateway(data: Path, agency: str, ask: Any) -> Any:
    addresses = _addresses(data)["gateways"]
    if agency not in addresses:
        known = ", ".join(addresses)
        raise Malformed("AGENCY_UNKNOWN", f"say --as with one of: {known}")
    link = gateway_link(_parts(data), agency, addresses[agency])
    try:
        return await ask(link)
    finally:
        await link.close()


def _addresses(data: Path) -> Any:
    try:
        return json.loads((data / ADDRESSES).read_text("utf-8"))
    except FileNotFoundError as e:
        raise Unavailable("NOT_RUNNING", f"start one with: nrm-hub run --data {data}") from e


def _parts(data: Path) -> Parts:
    return Parts(Settings.from_env(data, os.environ))


def _fields(given: list[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals:
            raise Malformed("FIELD_FORM", "give fields as name=value")
        if value.startswith("@"):
            value = Path(value[1:]).read_text("utf-8")
        try:
            fields[name] = json.loads(value)
        except ValueError:
            fields[name] = value
    return fields


def _log_to(data: Path) -> None:
    folder = data / "logs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    logging.basicConfig(
        filename=folder / "nrm-hub.log",
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )


def _do(work: Coroutine[Any, Any, T]) -> T:
    """Run `work`; an error of ours becomes one line and an exit code."""
    try:
        return uvloop.run(work)
    except Refused as e:
        print(f"refused: {e}", file=sys.stderr)
        raise typer.Exit(REFUSED) from e
    except HubError as e:
        print(f"failed: {e}", file=sys.stderr)
        raise typer.Exit(FAILED) from e


def main() -> None:
    """Run the command line; what it writes is for its owner alone."""
    os.umask(0o077)
    app()
