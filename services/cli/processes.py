"""Each part in a process of its own, over PostgreSQL and Kafka."""

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import Malformed
from services import apart
from services.bootstrap import Parts
from services.bootstrap.parts import PINS
from services.cli.common import DATA, Data, T, do, out, parts_of, stopping
from services.trust import Trust

if TYPE_CHECKING:
    from services.bootstrap.workers import Working

Listen = Annotated[
    str, typer.Option("--listen", envvar="NRM_LISTEN", help="Where to serve HTTP, as host:port.")
]
HubAddress = Annotated[str, typer.Option("--hub", envvar="NRM_HUB_URL", help="The hub's address.")]
CustodianAddress = Annotated[
    str, typer.Option("--custodian", envvar="NRM_CUSTODIAN_URL", help="The custodian's address.")
]
TrailAddress = Annotated[
    str, typer.Option("--trail", envvar="NRM_TRAIL_URL", help="The notary's address.")
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


def custodian(
    listen: Listen,
    hub: HubAddress,
    trail: TrailAddress,
    address: Address = "",
    data: Data = DATA,
) -> None:
    """Serve the custodian: release keys on consent, take them back on withdrawal."""
    reached, links = address or _at(listen), (hub, trail)
    _serve(data, lambda p, stop: apart.run_custodian(p, listen, reached, links, stop=stop))


def gateway(
    agency: Annotated[str, typer.Argument(envvar="NRM_AGENCY", help="Whose gateway it is.")],
    listen: Listen,
    hub: HubAddress,
    custodian: CustodianAddress,
    trail: TrailAddress,
    data: Data = DATA,
) -> None:
    """Serve an agency's gateway: seal and sign, read and open, the console."""
    links = (hub, custodian, trail)
    _serve(
        data,
        lambda p, stop: apart.run_gateway(p, agency, listen, links, stop=stop, greet=out.print),
    )


def relay(listen: Listen, data: Data = DATA) -> None:
    """Publish the event store to Kafka, in order, each event once."""
    from services.bootstrap.workers import build_relay  # noqa: PLC0415 - loads Kafka's client

    _work(data, listen, build_relay)


def feed_relay(listen: Listen, data: Data = DATA) -> None:
    """Publish every seat's feed to the seat's own topic."""
    from services.bootstrap.workers import build_feed_relay  # noqa: PLC0415 - loads Kafka's client

    _work(data, listen, build_feed_relay)


def projector(
    listen: Listen,
    source: Annotated[str, typer.Option(help="Where to read the log: kafka or store.")] = "kafka",
    data: Data = DATA,
) -> None:
    """Project the log into feeds. There may be several; with Kafka they share its partitions."""
    from services.bootstrap import workers  # noqa: PLC0415 - loads Kafka's client

    builds = {"kafka": workers.build_kafka_projector, "store": workers.build_store_projector}
    if source not in builds:
        raise typer.BadParameter("--source is kafka or store")
    _work(data, listen, builds[source])


def notary(listen: Listen, address: Address = "", data: Data = DATA) -> None:
    """Keep the trail: sequence, have witnesses cosign, publish, and serve proofs."""
    reached = address or _at(listen)
    _serve(data, lambda p, stop: apart.run_notary(p, listen, reached, stop=stop))


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


def keys(
    part: Annotated[str, typer.Argument(help=f"One of {', '.join(PINS)}.")],
    data: Data = DATA,
) -> None:
    """Make the keys of a part that everybody pins, if there are none, and print its share."""
    print(_done(lambda: parts_of(data).share(part)), end="")


def trust(
    shares: Annotated[
        list[Path], typer.Argument(help="Files that `nrm-hub keys` printed, one of each part.")
    ],
    data: Data = DATA,
) -> None:
    """Print trust.json: the public keys that every part pins, joined from all bodies' shares."""

    def joined() -> Trust:
        return Trust.joined(parts_of(data).settings.hub_id, [_read(share) for share in shares])

    print(_done(joined).dumps(), end="")


def rebuild(
    from_kafka: Annotated[
        bool,
        typer.Option("--from-kafka", help="First make the event store anew, from Kafka alone."),
    ] = False,
    data: Data = DATA,
) -> None:
    """Build the feeds anew beside the live ones, compare, and switch; readers notice nothing."""
    from services.bootstrap import workers  # noqa: PLC0415 - loads Kafka's client

    parts = _done(lambda: parts_of(data))
    _done(parts.require_trust)
    if from_kafka:
        found = _done(lambda: workers.restore(parts, _progress))
        print(
            f"restored from Kafka: events={found.events} cases={found.cases}"
            f" refusals={found.refusals} store={found.incarnation}"
        )
    position = _done(lambda: workers.rebuild(parts, _progress))
    print(f"feeds rebuilt up to position {position} and switched; they are as they were")


def skip(
    lane: Annotated[int, typer.Argument(help="Lane that stands still.")],
    offset: Annotated[int, typer.Argument(help="Offset of the record that nobody can take.")],
    by: Annotated[str, typer.Option(help="Who decides it; this is kept.")],
    reason: Annotated[str, typer.Option(help="Why; this is kept.")],
    data: Data = DATA,
) -> None:
    """Let a lane of the projection pass over one record on Kafka; what, who and why is kept."""
    from services.bootstrap import workers  # noqa: PLC0415 - loads Kafka's client

    parts = _done(lambda: parts_of(data))
    made = _done(lambda: workers.skip(parts, lane, offset, by=by, reason=reason))
    print(f"lane {made.lane} goes on after offset {made.offset}, SHA-256 {made.digest.hex()}")


def _read(share: Path) -> bytes:
    try:
        return share.read_bytes()
    except OSError as e:
        raise Malformed("TRUST_SHARES", f"{share} cannot be read: {e.strerror}") from e


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {total} events", end="", file=sys.stderr, flush=True)


def _done(work: Callable[[], T]) -> T:
    """Return what `work` does in a thread; an error of ours becomes one line and an exit code."""
    return do(asyncio.to_thread(work))


def _work(data: Path, listen: str, build: "Callable[[Parts], Working]") -> None:
    def work(parts: Parts, stop: asyncio.Event) -> Coroutine[Any, Any, None]:
        built = build(parts)
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
        parts = parts_of(data)
        parts.require_trust()
        await work(parts, stopping())

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
    notary,
    clocks,
    keys,
    trust,
    rebuild,
    skip,
)
