"""Each part in a process of its own, over PostgreSQL and Kafka."""

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from domain.errors import Malformed
from services import apart
from services.bootstrap import Parts
from services.cli.common import DATA, Data, do, out, parts_of, stopping

Listen = Annotated[
    str, typer.Option("--listen", envvar="NRM_LISTEN", help="Where to serve HTTP, as host:port.")
]
HubAddress = Annotated[str, typer.Option("--hub", envvar="NRM_HUB_URL", help="The hub's address.")]
CustodianAddress = Annotated[
    str, typer.Option("--custodian", envvar="NRM_CUSTODIAN_URL", help="The custodian's address.")
]
Address = Annotated[
    str,
    typer.Option(
        "--address", envvar="NRM_ADDRESS", help="How clients reach it, if not as it listens."
    ),
]
Work = Callable[[Parts, asyncio.Event], Coroutine[Any, Any, None]]


def hub(listen: Listen, address: Address = "", data: Data = DATA) -> None:
    """Serve a hub: accept actions, serve feeds, registry and schemas. There may be several."""
    _serve(data, lambda p, stop: apart.run_hub(p, listen, address or _at(listen), stop=stop))


def custodian(listen: Listen, hub: HubAddress, address: Address = "", data: Data = DATA) -> None:
    """Serve the custodian: release keys on consent, take them back on withdrawal."""
    reached = address or _at(listen)
    _serve(data, lambda p, stop: apart.run_custodian(p, listen, reached, hub, stop=stop))


def gateway(
    agency: Annotated[str, typer.Argument(envvar="NRM_AGENCY", help="Whose gateway it is.")],
    listen: Listen,
    hub: HubAddress,
    custodian: CustodianAddress,
    data: Data = DATA,
) -> None:
    """Serve an agency's gateway: seal and sign, read and open, the console."""
    links = (hub, custodian)
    _serve(
        data,
        lambda p, stop: apart.run_gateway(p, agency, listen, links, stop=stop, greet=out.print),
    )


def relay(listen: Listen, data: Data = DATA) -> None:
    """Publish the event store to Kafka, in order, each event once."""
    _work(data, listen, "build_relay")


def feed_relay(listen: Listen, data: Data = DATA) -> None:
    """Publish every seat's feed to the seat's own topic."""
    _work(data, listen, "build_feed_relay")


def projector(
    listen: Listen,
    source: Annotated[str, typer.Option(help="Where to read the log: kafka or store.")] = "kafka",
    data: Data = DATA,
) -> None:
    """Project the log into feeds. There may be several; with Kafka they share its partitions."""
    if source not in {"kafka", "store"}:
        raise typer.BadParameter("--source is kafka or store")
    _work(data, listen, f"build_{source}_projector")


def clocks(
    listen: Listen,
    coordinator: Annotated[
        str,
        typer.Option(envvar="NRM_COORDINATOR_URL", help="Address of the coordinator's gateway."),
    ],
    data: Data = DATA,
) -> None:
    """Record what falls due, through the coordinator's gateway."""
    _serve(data, lambda p, stop: apart.run_clocks(p, listen, coordinator, stop=stop))


def trust(data: Data = DATA) -> None:
    """Print trust.json: the public keys that every part pins, from the keys that lie here."""
    print(parts_of(data).own_keys().dumps(), end="")


def rebuild(
    from_kafka: Annotated[
        bool,
        typer.Option("--from-kafka", help="First make the event store anew, from Kafka alone."),
    ] = False,
    data: Data = DATA,
) -> None:
    """Build the feeds anew beside the live ones, compare, and switch; readers notice nothing."""
    from services.bootstrap import workers  # noqa: PLC0415 - loads Kafka's client

    parts = parts_of(data)
    if from_kafka:
        do(asyncio.to_thread(lambda: _say(workers.restore(parts, _progress))))
    do(asyncio.to_thread(lambda: _say(workers.rebuild(parts, _progress))))


def skip(
    lane: Annotated[int, typer.Argument(help="Lane that stands still.")],
    offset: Annotated[int, typer.Argument(help="Offset of the record that nobody can take.")],
    by: Annotated[str, typer.Option(help="Who decides it; this is kept.")],
    reason: Annotated[str, typer.Option(help="Why; this is kept.")],
    data: Data = DATA,
) -> None:
    """Let a lane of the projection pass over one record on Kafka; what, who and why is kept."""
    from services.bootstrap import workers  # noqa: PLC0415 - loads Kafka's client

    parts = parts_of(data)
    made = do(asyncio.to_thread(workers.skip, parts, lane, offset, by=by, reason=reason))
    print(f"lane {made.lane} goes on after offset {made.offset}, SHA-256 {made.digest.hex()}")


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {total} events", end="", file=sys.stderr, flush=True)


def _say(found: object) -> None:
    print(found)


def _work(data: Path, listen: str, build: str) -> None:
    from services.bootstrap import workers  # noqa: PLC0415 - loads Kafka's client

    def work(parts: Parts, stop: asyncio.Event) -> Coroutine[Any, Any, None]:
        built = getattr(workers, build)(parts)
        return apart.run_worker(built.worker, built.app, listen, stop=stop)

    _serve(data, work)


def _serve(data: Path, work: Work) -> None:
    """Run one process until it is told to end; its log goes to standard error."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )

    async def run() -> None:
        await work(parts_of(data), stopping())

    do(run())


def _at(listen: str) -> str:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise Malformed("LISTEN", "say where to listen as host:port, such as 127.0.0.1:8700")
    return f"http://{host}:{port}"


processes = (
    hub,
    custodian,
    gateway,
    relay,
    feed_relay,
    projector,
    clocks,
    trust,
    rebuild,
    skip,
)
