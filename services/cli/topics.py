"""Topics, users and rights on Kafka: what is declared, what is there, and making it so."""

from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.common import DATA, FAILED, AsJson, Data, do, parts_of
from services.topics import Plan, as_json, into_files, shown

topics_app = typer.Typer(
    help="Topics, users and rights on Kafka, as the declaration has them.", no_args_is_help=True
)
HubAddress = Annotated[
    str,
    typer.Option(
        "--hub",
        envvar="NRM_HUB_URL",
        help="Hub whose registry names the seats; without it NRM_DATABASE_URL is asked.",
    ),
]
Into = Annotated[
    Path | None,
    typer.Option(help="Folder for the files of new users' passwords; DATA/kafka if not said."),
]


@topics_app.command()
def plan(hub: HubAddress = "", data: Data = DATA, json: AsJson = False) -> None:
    """Show what differs between the declaration and the cluster."""
    _print(_planned(data, hub), json=json)


@topics_app.command()
def check(hub: HubAddress = "", data: Data = DATA, json: AsJson = False) -> None:
    """Compare as plan does, and exit with 1 when anything differs."""
    found = _planned(data, hub)
    _print(found, json=json)
    if not found.agrees:
        raise typer.Exit(FAILED)


@topics_app.command()
def apply(hub: HubAddress = "", into: Into = None, data: Data = DATA, json: AsJson = False) -> None:
    """Make the cluster as declared and read everything back; nothing is ever deleted."""
    topics, folder = _topics(), into or data / "kafka"

    async def change() -> Plan:
        parts = parts_of(data)
        wanted = await topics.seats(parts, hub)
        done: Plan = topics.admin(parts).apply(wanted, into_files(folder))
        return done

    _print(do(change()), json=json, done=True)


@topics_app.command()
def rotate(
    user: Annotated[str, typer.Argument(help="Kafka user, such as nrm.gb.relay.")],
    hub: HubAddress = "",
    into: Into = None,
    data: Data = DATA,
) -> None:
    """Give a user a new password; the old one ends with the brokers' re-authentication time."""
    topics, folder = _topics(), into or data / "kafka"

    async def change() -> None:
        parts = parts_of(data)
        wanted = await topics.seats(parts, hub)
        topics.admin(parts).rotate(user, wanted, into_files(folder))

    do(change())
    print(f"{user} has a new password, in {folder}")


@topics_app.command()
def strimzi(
    cluster: Annotated[str, typer.Argument(help="Name of the Kafka resource.")],
    brokers: Annotated[int, typer.Option(help="How many brokers it has.")] = 3,
    hub: HubAddress = "",
    data: Data = DATA,
) -> None:
    """Print the declaration as KafkaTopic and KafkaUser manifests."""
    topics = _topics()

    async def make() -> str:
        parts = parts_of(data)
        text: str = topics.strimzi(parts, cluster, brokers, await topics.seats(parts, hub))
        return text

    print(do(make()), end="")


def _topics() -> Any:
    from services.bootstrap import topics  # noqa: PLC0415 - loads Kafka's client

    return topics


def _planned(data: Path, hub: str) -> Plan:
    topics = _topics()

    async def look() -> Plan:
        parts = parts_of(data)
        found: Plan = topics.admin(parts).plan(await topics.seats(parts, hub))
        return found

    return do(look())


def _print(plan: Plan, *, json: bool, done: bool = False) -> None:
    print(as_json(plan) if json else shown(plan, done=done))
