"""`notary`: 200,000 actions sequenced, durable and under a published checkpoint.

The actions have bodies as a town's agencies seal them, and valid chains of 100 actors.
"""

import asyncio
import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle, islice, pairwise
from pathlib import Path
from uuid import UUID, uuid4

from adapters.file_lease import FileLease
from adapters.signing import Ed25519Signing
from domain.agency import Registry
from domain.ports import EventStore, Recorded
from domain.standing import Agency, Key, Period
from domain.trail.merkle import EMPTY_ROOT
from domain.trail.statement import (
    ZEROS,
    Statement,
    actor_id,
    digest,
    signed_bytes,
    stream_tag,
)
from services.bootstrap import Parts, Settings, now_ms
from services.bootstrap.notary import SPACING
from services.notary.leading import Announcing, Leading, Sequencing
from services.notary.signers import Signers
from services.worker import Worker
from tests.bench.cases import CASE_ACTIONS, mixed
from tests.bench.measuring import Measured
from tests.bench.town import Town
from tests.services import trail_checks as check
from tests.services.notary_world import OPERATOR, NotaryWorld, public

ENTRIES = 200_000
CASES = 100
"""Whole cases whose sealed bodies are used in turn."""
ACTORS = 100
APPENDED = 1_000
PUBLISH_SECONDS = 1.0
POLL_SECONDS = 0.1
"""Seldom, for the loop that asks takes the interpreter from those that work."""
TESSERA_BATCH = 2_048
TESSERA = (
    f"Tessera 1.0.4 on POSIX in batches of {TESSERA_BATCH}: random entries of 402 bytes,"
    " without chains, map and bodies, a checkpoint a second"
)
_SIGNING = Ed25519Signing()


def notary(folder: Path) -> Iterator[Measured]:
    """Both loops of a notary over a log that is there already, up to its last checkpoint."""
    signers = Signers(_registry, OPERATOR, public("notary"))
    spacing = round(PUBLISH_SECONDS * SPACING * 1_000)
    with closing(NotaryWorld(folder, signers=signers, spacing_ms=spacing)) as world:
        _write(world.events, Parts(Settings(data=folder / "parts")))
        seconds, longest = asyncio.run(_published(world))
        tree = check.published(folder / "trail", world.policy)
        if tree is None or tree.size < ENTRIES:
            raise RuntimeError("the published tree has not every entry")
    yield Measured(
        name="notary_checkpoint_gap",
        value=longest,
        unit="s",
        ratio=longest / PUBLISH_SECONDS,
        against="one second: the longest time from one published checkpoint to the next",
    )
    baseline = _tessera(folder / "tessera")
    if baseline is not None:
        rate = ENTRIES / seconds
        yield Measured(
            name="notary", value=rate, unit="entries/s", ratio=rate / baseline, against=TESSERA
        )


async def _published(world: NotaryWorld) -> tuple[float, float]:
    """Return how long it took to publish everything, and the longest time without a checkpoint."""
    leading = Leading(FileLease(world.folder / "lease"), world.publishing.open, PUBLISH_SECONDS)
    workers = (
        Worker(Sequencing(leading, world.sequencer), leading.rest),
        Worker(Announcing(leading, world.publishing, lambda: None), leading.listen),
    )
    stop, times = asyncio.Event(), [time.perf_counter()]
    publish = world.files.publish

    def noted(checkpoint: bytes) -> None:
        publish(checkpoint)
        times.append(time.perf_counter())

    world.files.publish = noted  # type: ignore[method-assign]
    working = [asyncio.create_task(worker.run(stop)) for worker in workers]
    while world.publishing.size < (newest := world.store.newest()).tree.size or (
        newest.sources.position < ENTRIES
    ):
        await asyncio.sleep(POLL_SECONDS)
        if leading.broken:
            raise RuntimeError(f"the trail has stopped: {leading.broken}")
    stop.set()
    leading.end()
    await asyncio.gather(*working)
    return times[-1] - times[0], max(b - a for a, b in pairwise(times))


def _write(events: EventStore, parts: Parts) -> None:
    """Append `ENTRIES` actions of `ACTORS` in turn, 11 a case."""
    sent = mixed(Town(parts, 10, 10), CASES)
    bodies = cycle([(a.type, a.record, Statement.decode(a.statement)) for _, a in sent])
    heads, began = [(0, ZEROS)] * ACTORS, now_ms()
    rows: list[Recorded] = []
    for number, (type, body, said) in enumerate(islice(bodies, ENTRIES)):
        if number % CASE_ACTIONS == 0:
            case_id = str(uuid4())
        who, now = number % ACTORS, began + number // 3
        seq, prev = heads[who]
        statement = said._replace(
            stream=stream_tag(case_id),
            after=ZEROS,
            actor=actor_id(_public(who)),
            actor_seq=seq,
            actor_prev=prev,
            payload=hashlib.sha256(body).digest(),
            seen_size=0,
            seen_root=EMPTY_ROOT,
        ).encode()
        heads[who] = seq + 1, digest(statement)
        rows.append(
            Recorded(
                position=0,
                event_id=str(UUID(int=number)),
                case_id=case_id,
                version=number % CASE_ACTIONS + 1,
                type=type,
                body=body,
                statement=statement,
                signature=_SIGNING.sign(_seed(who), signed_bytes(statement)),
                recorded_ms=now,
            )
        )
        if len(rows) == APPENDED:
            with events.appending() as transaction:
                transaction.append(rows, [])
            rows = []


def _seed(who: int) -> bytes:
    return hashlib.sha256(f"bench actor {who}".encode()).digest()


_KEYS = [_SIGNING.public_key(_seed(who)) for who in range(ACTORS)]


def _public(who: int) -> bytes:
    return _KEYS[who]


def _registry() -> Registry:
    forever = Period(starts=0)
    agencies = {}
    for who in range(ACTORS):
        key = Key(agency=f"gb-{who}", signing_key=_public(who), opening_key=b"", period=forever)
        agencies[key.agency] = Agency(id=key.agency, name="", country="GB", keys=(key,))
    return Registry(version=1, agencies=agencies)


def _tessera(folder: Path) -> float | None:
    """Return entries a second of Tessera; without Go, say so: nobody takes it for measured."""
    go = shutil.which("go")
    if go is None:
        sys.stderr.write("NOT MEASURED: notary against Tessera; go is not on the PATH\n")
        return None
    folder.mkdir()
    program = str(folder / "program")
    build = [go, "build", "-buildvcs=false", "-mod=readonly", "-o", program, "."]
    subprocess.run(build, cwd=Path(__file__).with_name("tessera"), check=True)
    run = [program, str(folder / "log"), str(ENTRIES), "402", str(TESSERA_BATCH)]
    done = subprocess.run(run, check=True, capture_output=True, text=True)
    return ENTRIES / float(done.stdout)
