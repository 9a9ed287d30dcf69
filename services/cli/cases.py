"""An agency's own side: act, look at a case, follow a feed."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from domain.errors import Malformed
from domain.gateway import Command, Result
from domain.messages import WhyQuestion
from services.cli.common import DATA, REFUSED, As, AsJson, Data, do, parts_of, with_gateway

case_app = typer.Typer(help="Look at a case as one agency has it.", no_args_is_help=True)
feed_app = typer.Typer(help="Follow an agency's feed.", no_args_is_help=True)


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
    result = do(with_gateway(data, agency, lambda link: link.submit([command])))[0]
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
    for case in do(with_gateway(data, agency, lambda link: link.cases(limit))):
        print(case["case_id"])


@case_app.command("show")
def case_show(
    case: str,
    agency: As,
    data: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Show every event of a case that the agency may see, opened as far as its keys go."""
    events = do(with_gateway(data, agency, lambda link: link.case(case)))
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

    async def ask(link: Any) -> Any:
        category = _category(data, field)
        return await link.why(
            WhyQuestion(case_id=case, agency=who, purpose=purpose, category=category)
        )

    why = do(with_gateway(data, agency, ask))
    rests = f" ({why.rests_on})" if why.rests_on else ""
    print(f"{'yes' if why.permit else 'no'}: {why.code} {why.reason}{rests}")
    if why.notice:
        print("The person is owed a notice of this disclosure.")


def _category(data: Path, field: str) -> str:
    event, _, path = field.rpartition(".")
    if not event:
        return field.upper()
    language = parts_of(data).language
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
    do(with_gateway(data, agency, lambda link: _follow(link, after, once=once)))


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
