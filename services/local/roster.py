"""Which processes a mechanism on this machine has, and where each listens."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from services.bootstrap import COORDINATOR
from services.demo.cast import CAST, RAPPORTEUR
from services.own_trail import PLAIN, REPLAYING, WITNESSES

WORKERS = {
    "relay": ("relay",),
    "feed-relay": ("feed-relay",),
    "projector-1": ("projector",),
    "projector-2": ("projector",),
}
TRAIL = ("notary", *(f"witness-{body}" for body in WITNESSES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One process: its name, the words of its command, where it listens."""

    name: str
    words: Sequence[str]
    port: int
    database: bool = False
    """Whether it may see the hub's database."""
    user: str = ""
    """Kafka user; empty if it has no business there."""

    @property
    def place(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """Where it is reached."""
        return f"http://{self.place}"


def services_from(port: int) -> list[Service]:
    """Return every process, with ports from `port` on."""
    places = iter(range(port, port + 100))
    hubs = [
        Service(name=f"hub-{n}", words=("hub",), port=next(places), database=True) for n in (1, 2)
    ]
    at = [hub.address for hub in hubs]
    custodian = Service(name="custodian", words=("custodian", "--hub", at[0]), port=next(places))
    gateways = [
        Service(
            name=agency,
            words=("gateway", agency, "--hub", at[n % 2], "--custodian", custodian.address),
            port=next(places),
        )
        for n, agency in enumerate((COORDINATOR, *(m.id for m in CAST)))
    ]
    clocks = Service(
        name="clocks",
        words=("clocks", "--coordinator", gateways[0].address),
        port=next(places),
        database=True,
    )
    workers = [
        Service(
            name=name,
            words=words,
            port=next(places),
            database=True,
            user=f"nrm.gb.{words[0]}",
        )
        for name, words in WORKERS.items()
    ]
    notary = Service(name="notary", words=("notary",), port=next(places), database=True)
    watching = [
        replace(one, words=(*one.words, "--trail", notary.address))
        for one in (custodian, *gateways)
    ]
    return [*hubs, *watching, clocks, *workers, notary, *_witnesses(notary, places)]


def _witnesses(notary: Service, places: Iterator[int]) -> list[Service]:
    replay = ("--replay", f"{notary.address}/trail", "--agency", RAPPORTEUR)
    words = {PLAIN: (PLAIN,), REPLAYING: (REPLAYING, *replay)}
    return [
        Service(name=f"witness-{body}", words=("witness", *words[body]), port=next(places))
        for body in WITNESSES
    ]
