"""How long an auditor takes over a log of a million entries: its tree, its chains, all of it."""

import random
import time
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from adapters.signature_pool import WORKERS, SignaturePool
from domain.trail.checkpoint import Checkpoint
from domain.trail.replay import Claim
from domain.trail.tiles import WIDTH
from services.auditor.opening import own_or_its
from services.auditor.report import Report
from services.auditor.tree import TreeCheck
from services.auditor.verifying import verify
from services.auditor.walking import Walk
from tests import agencies as a
from tests.bench.measuring import Measured, seconds
from tests.builders import uid
from tests.trail import audited
from tests.trail.signed import SIGNING, SignedTrail
from tests.vectors import key

ENTRIES = 1_000_000
EPOCH_EACH = 1_000
ACTIONS_A_CASE = 10
BODY = bytes(500)
_ACTORS = (a.CHARITY, a.POLICE, a.SHELTER, a.REFUGE, a.CLINIC)
_RAW_HASHES, _RAW_SIGNATURES = 500_000, 50_000
_HASHED = "hashing each entry and one node with hashlib, in the same run"
_VERIFIED = f"verifying as many signatures and nothing else in {WORKERS} processes, in the same run"


class _Log(NamedTuple):
    folder: TemporaryDirectory[str]
    trail: SignedTrail
    checkpoint: Checkpoint


@cache
def log() -> _Log:
    """Write the log once; it goes when the process ends."""
    folder, trail = TemporaryDirectory(prefix="nrm-bench-trail-"), SignedTrail()
    chance = random.Random(1)  # noqa: S311 - which case is acted in is no secret
    cases = [uid(f"case {number}") for number in range(ENTRIES // ACTIONS_A_CASE)]
    for actor in _ACTORS:
        trail.agency(actor)
    while trail.size < ENTRIES - 1:
        if trail.size % EPOCH_EACH == EPOCH_EACH - 1:
            trail.epoch()
        else:
            actor = _ACTORS[trail.size % len(_ACTORS)]
            trail.add(actor, body=BODY, case_id=chance.choice(cases))
    trail.epoch()
    audited.write(Path(folder.name), trail)
    trail.leaves.clear()
    return _Log(folder, trail, trail.checkpoint._replace(size=ENTRIES))


def tree(_: Path) -> Iterator[Measured]:
    """Time bundles and tiles against the root."""

    def work(report: Report) -> None:
        source = audited.source(Path(log().folder.name))
        check = TreeCheck(source, log().checkpoint, report, None)
        for _, entries in source.bundles(ENTRIES):
            check.take(entries)
        check.finish()

    yield _measured("audit_tree", work, _raw_hashing, _HASHED)


def chains(_: Path) -> Iterator[Measured]:
    """Time tree, chains, map and bodies, without the signatures."""

    def work(report: Report) -> None:
        source = audited.source(Path(log().folder.name))
        with audited.tools() as tools:
            trusted = own_or_its(source, audited.own(log().trail), report)
            replay = trusted.replay(tools.keys(trusted.trust))
            Walk(source, log().checkpoint, tools, report).go(replay, only=())

    yield _measured("audit_chains", work, _raw_hashing, _HASHED)


def full(_: Path) -> Iterator[Measured]:
    """Time everything, every signature included."""

    def work(report: Report) -> None:
        source = audited.source(Path(log().folder.name))
        with audited.tools() as tools:
            found = verify(source, audited.own(log().trail), tools)
            report.findings += found.findings

    yield _measured("audit_full", work, _raw_verifying, _VERIFIED)


def _measured(
    name: str, work: Callable[[Report], None], raw: Callable[[], float], against: str
) -> Measured:
    """Time `work` between two rounds of its baseline; it must find nothing."""
    log()
    report = Report(name)
    before = raw()
    value = seconds(lambda: work(report))
    base = (before + raw()) / 2
    if report.findings:
        raise RuntimeError(report.text())
    return Measured(name=name, value=value, unit="s", ratio=value / base, against=against)


def _raw_hashing() -> float:
    """Return how long it takes to hash every entry and as many nodes."""
    entry, pair = b"\0" + bytes(402), b"\1" + bytes(64)
    started = time.perf_counter()
    for _ in range(_RAW_HASHES):
        sha256(entry).digest()
        sha256(pair).digest()
    return (time.perf_counter() - started) * ENTRIES / _RAW_HASHES


def _raw_verifying() -> float:
    """Return how long the signatures of every entry take."""
    public, seed = SIGNING.public_key(key("bench")), key("bench")
    message = bytes(306)
    claims = [Claim(public, message, SIGNING.sign(seed, message))] * WIDTH
    with SignaturePool() as pool:
        for result in [pool.submit(claims) for _ in range(WORKERS + 2)]:
            result()  # the workers are up
        started = time.perf_counter()
        rounds = _RAW_SIGNATURES // WIDTH
        for result in [pool.submit(claims) for _ in range(rounds)]:
            result()
        return (time.perf_counter() - started) * ENTRIES / (rounds * WIDTH)
