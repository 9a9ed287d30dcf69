"""The demo: invented cases through every part over HTTP, then the checks of what was disclosed."""

import asyncio
import tempfile
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client.exposition import generate_latest
from rich.console import Console
from rich.progress import Progress

from domain.case import Case
from domain.messages import FeedItem
from domain.vocabulary import Category, Seat
from services.bootstrap import HubParts, Parts, Settings, build_hub, gateway_link, now_ms
from services.demo.cast import CAST
from services.demo.disclosed import Disclosed, count_disclosed
from services.demo.drive import GatewayClient, Played, drive
from services.demo.facts import read_facts
from services.demo.leaks import count_leaks
from services.demo.script import Story
from services.demo.stories import seeded, told
from services.demo.summary import Summary, as_json, failures, table
from services.logfile import log_to
from services.runtime import Mechanism

SETTLED_CHECK_SECONDS = 0.2
_PAGE = 1_000


class _Figures:
    """What is measured while the demo runs."""

    def __init__(self) -> None:
        self.feed_ms = array("d")
        self.withdrawal_ms = array("d")
        self.projecting = 0.0

    def projected(self, latencies: Iterable[float], seconds: float) -> None:
        """Note one step of the projector."""
        self.feed_ms.extend(latencies)
        self.projecting += seconds

    def withdrawn(self, latency: float) -> None:
        """Note one withdrawal."""
        self.withdrawal_ms.append(latency)


async def fill(mechanism: Mechanism, parts: Parts, cases: int, seed: int = 1) -> None:
    """Make `cases` invented cases in a running mechanism and wait until everybody has them."""
    await _play(mechanism, parts, seeded(seed, cases, now_ms()), lambda _: None)
    await settled(mechanism)


async def run_demo(
    *, cases: int, source: Path | None, data: Path | None, seed: int, as_json_line: bool
) -> bool:
    """Run the demo and print its summary; return whether every check holds."""
    if data is not None:
        return await _run(cases, source, data, seed, as_json_line=as_json_line)
    with tempfile.TemporaryDirectory(prefix="nrm-hub-demo-") as folder:
        return await _run(cases, source, Path(folder), seed, as_json_line=as_json_line)


async def _run(
    cases: int, source: Path | None, data: Path, seed: int, *, as_json_line: bool
) -> bool:
    log_to(data)
    parts, figures = Parts(Settings(data=data)), _Figures()
    stories, total = _stories(cases, source, seed)
    console = Console(stderr=True)
    started = time.perf_counter()
    async with Mechanism(parts, CAST) as mechanism:
        mechanism.on_projected, mechanism.on_withdrawn = figures.projected, figures.withdrawn
        with Progress(console=console, disable=not console.is_terminal) as progress:
            bar = progress.add_task("cases", total=total)
            played = await _play(
                mechanism, parts, stories, lambda p: progress.update(bar, completed=p.cases)
            )
            accepting = time.perf_counter() - started
            await settled(mechanism)
        (data / "logs" / "metrics.txt").write_bytes(generate_latest(mechanism.hub.hub.metrics))
        opened = sum(o.process.gateway.counts()["opened"] for o in mechanism.offices.values())
    console.print("Checking every feed and every file ...")
    # A hub opened anew over what was written: the checks see what anybody would see now.
    hub = build_hub(parts, "http://127.0.0.1")
    disclosed, sealed = _disclosed(hub, parts), _sealed(hub, parts)
    leaks = count_leaks([data / "hub", data / "custodian", data / "logs"])
    seconds = time.perf_counter() - started
    summary = Summary(
        cases=played.cases,
        actions=played.actions,
        refused=played.refused.total(),
        feed_entries=disclosed.feed_entries,
        fields_sealed=sealed,
        fields_opened=opened,
        fields_withheld=disclosed.fields_withheld,
        overdisclosed=disclosed.overdisclosed,
        leaks=leaks,
        accepted_per_s=played.accepted / accepting,
        projected_per_s=len(figures.feed_ms) / max(figures.projecting, 1e-9),
        feed_p50_ms=_quantile(figures.feed_ms, 0.5),
        feed_p99_ms=_quantile(figures.feed_ms, 0.99),
        withdrawal_p99_ms=_quantile(figures.withdrawal_ms, 0.99),
        seconds=seconds,
    )
    failed = failures(summary, played)
    console.print(table(summary, played, failed))
    if as_json_line:
        print(as_json(summary))  # noqa: T201 - the one line that the option asks for
    return not failed


def _stories(cases: int, source: Path | None, seed: int) -> tuple[Iterator[Story], int | None]:
    if source is None:
        return seeded(seed, cases, now_ms()), cases
    with source.open("rb") as file:
        rows = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b"")) - 1
    return told(read_facts(source), seed, now_ms()), rows


async def _play(
    mechanism: Mechanism, parts: Parts, stories: Iterable[Story], progress: Callable[[Played], None]
) -> Played:
    links = {i: gateway_link(parts, i, o.address) for i, o in mechanism.offices.items()}
    clients: dict[str, GatewayClient] = dict(links)
    try:
        return await drive(stories, clients, progress=progress)
    finally:
        for link in links.values():
            await link.close()


async def settled(mechanism: Mechanism) -> None:
    """Wait until every part has everything that was accepted."""
    while not all(_quiet(mechanism)):  # noqa: ASYNC110 - the parts are apart and share no event
        await asyncio.sleep(SETTLED_CHECK_SECONDS)


def _quiet(mechanism: Mechanism) -> Iterator[bool]:
    hub, custodian = mechanism.hub.hub, mechanism.custodian.custodian
    yield hub.lag() == 0
    yield custodian.position == mechanism.hub.store.head()
    yield not custodian.waiting
    for agency, office in mechanism.offices.items():
        gateway = office.process.gateway
        counts = gateway.counts()
        yield counts["queued"] == 0 and counts["deposits"] == 0
        yield not custodian.releases(agency, gateway.releases_seen, 1).items
        for purpose in office.member.purposes:
            yield not hub.feeds.page(Seat(agency, purpose), gateway.cursor(purpose), 1).items


def _served(hub: HubParts) -> Iterator[tuple[Seat, FeedItem]]:
    """Yield every entry of every feed as it is served now."""
    for member in CAST:
        for purpose in sorted(member.purposes):
            seat, cursor = Seat(member.id, purpose), ""
            while (page := hub.hub.feeds.page(seat, cursor)).items:
                yield from ((seat, item) for item in page.items)
                cursor = page.cursor


def _disclosed(hub: HubParts, parts: Parts) -> Disclosed:
    def case_of(case_id: str) -> Case:
        return hub.book.at(case_id, hub.store.heads([case_id])[case_id], hub.store).case

    return count_disclosed(
        _served(hub),
        language=parts.language,
        case_of=case_of,
        world=hub.hub.accepting.world,
        at=now_ms(),
    )


def _sealed(hub: HubParts, parts: Parts) -> int:
    """Return how many sealed fields the log holds."""
    total, position = 0, 0
    while found := hub.store.read_log(position, _PAGE):
        position = found[-1].position
        for recorded in found:
            fields = parts.language.shape(recorded.type).fields
            total += sum(c is not Category.ROUTING for _, c in fields)
    return total


def _quantile(values: "array[float]", q: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)] if ordered else 0.0
