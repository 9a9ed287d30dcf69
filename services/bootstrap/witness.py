"""The wiring of a witness: of its own keys, one store, and the trail if it replays it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from prometheus_client import CollectorRegistry

from adapters.metrics.witness import WitnessMetrics
from adapters.notes import NoteVerifier, note_signer
from adapters.sqlite.witness_store import SqliteWitnessStore
from adapters.state_file import PathStateFile
from adapters.trail_source import FolderSource, HttpSource
from domain.errors import Malformed, Refused, Unavailable
from domain.trail.notes import Algorithm, NoteSigning, VerifierKey
from domain.trail.replay import Kept, Replay
from domain.witness import Cosigned
from services.bootstrap.auditor import agency_token
from services.bootstrap.parts import Parts, now_ms
from services.bootstrap.watching import vitals_of
from services.http.health import Ask, in_thread
from services.http.witness import WitnessParts
from services.trail.keys import TrailKeys
from services.trail.source import Source, TrailReading
from services.witness.keeping import Keeping
from services.witness.progress import Progress
from services.witness.replaying import Replaying
from services.witness.witness import Witness, logs_of
from services.worker import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a witness watches, and how."""

    logs: Sequence[VerifierKey]
    """Keys of the logs; a log's origin is the name of its keys."""
    replay: str = ""
    """Folder or address of the trail of the one log, to replay it; empty for none."""
    agency: str = ""
    """As whom an address is asked for entries: an agency with an oversight role."""
    ml_dsa: bool = False
    """Whether it cosigns with ML-DSA-44 beside Ed25519."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessProcess:
    """A witness, and the replay that works beside it if there is one."""

    face: WitnessParts
    worker: Worker | None
    store: SqliteWitnessStore
    end: Callable[[], None]
    """Lets the replay wait for nothing any more."""


def build_witness(parts: Parts, body: str, watched: Watched) -> WitnessProcess:
    """Return the witness that `body` runs; `Malformed` WITNESS_LOGS if it has nothing to watch."""
    signers = witness_signers(parts, body, ml_dsa=watched.ml_dsa)
    logs = logs_of(watched.logs)
    if not logs or (watched.replay and len(logs) > 1):
        message = "name the file with the log's vkey; a replay is of one log alone"
        raise Malformed("WITNESS_LOGS", message)
    store = SqliteWitnessStore(str(parts.folder(_part(body)) / "witness.db"))
    registry = CollectorRegistry()
    metrics = WitnessMetrics(registry, logs)
    replaying = None
    if watched.replay:
        origin = next(iter(logs))
        replaying = _replaying(parts, body, origin, store.newest(origin), watched)
    worker = Worker(replaying, replaying.idle) if replaying else None
    witness = Witness(
        logs=logs,
        store=store,
        verifying=NoteVerifier(),
        signers=signers,
        clock=now_ms,
        confirming=replaying,
        metrics=metrics,
    )
    depends: dict[str, Ask] = {"store": in_thread(store.forks)}
    loops = {}
    if replaying and worker:
        metrics.watch_replay(
            lambda: replaying.tree.size,
            lambda: replaying.lag,
            lambda: replaying.alarms,
            lambda: replaying.finding.check if replaying.finding else "",
        )
        depends["replay"] = _replays(replaying, worker)
        loops["replay"] = lambda: worker.beat
    vitals = vitals_of("witness", registry, depends, loops)
    face = WitnessParts(witness=witness, metrics=metrics, vitals=vitals)
    end = replaying.end if replaying else lambda: None
    return WitnessProcess(face=face, worker=worker, store=store, end=end)


def witness_signers(parts: Parts, body: str, *, ml_dsa: bool) -> list[NoteSigning]:
    """Return what a body's witness cosigns with; keys are made at first use.

    `Refused` ALGORITHM_UNAVAILABLE when this build has no ML-DSA-44.
    """
    name = f"{body}.{parts.settings.hub_id.replace(':', '.')}/witness"
    secrets = {Algorithm.ED25519_COSIGNATURE: "cosigning"}
    if ml_dsa:
        secrets[Algorithm.ML_DSA_44_COSIGNATURE] = "cosigning-ml-dsa"
    return [note_signer(name, a, parts.secret(_part(body), s)) for a, s in secrets.items()]


def log_keys(files: Sequence[Path]) -> list[VerifierKey]:
    """Return the vkeys in `files`, one a line; `Malformed` VKEY names the file that has others."""
    keys = []
    for file in files:
        try:
            lines = file.read_text("utf-8").split()
            keys += [VerifierKey.parse(line) for line in lines]
        except (OSError, UnicodeDecodeError, Malformed) as e:
            raise Malformed("VKEY", f"{file} is no file of vkeys, one a line: {e}") from e
    return keys


def _part(body: str) -> str:
    if not body or "/" in body or body.startswith("."):
        raise Malformed(
            "WITNESS_BODY", "the body that runs a witness is a word, such as rapporteur"
        )
    return f"witnesses/{body}"


def _replaying(
    parts: Parts, body: str, origin: str, newest: Cosigned | None, watched: Watched
) -> Replaying:
    def begin(kept: Kept | None) -> Replay:
        keys = TrailKeys(parts.language, parts.directory(), parts.operator())
        return Replay(keys=keys, notary=parts.trust.notary, kept=kept)

    def progress(reading: TrailReading) -> Progress:
        return Progress(Source(reading), keeping, parts.signing.verify_all)

    file = PathStateFile(parts.folder(_part(body)) / "replay")
    keeping = Keeping(file, begin, origin, sha256(parts.trust.dumps().encode()).digest())
    if "://" not in watched.replay:
        return Replaying(progress(FolderSource(Path(watched.replay))), newest)
    if not parts.has_keys(watched.agency):
        message = "say --agency with one whose keys lie in the data folder and that may audit"
        raise Malformed("WITNESS_AGENCY", message)
    http = HttpSource(watched.replay, agency_token(parts, watched.agency, watched.replay))
    return Replaying(progress(http), newest, close=http.close)


def _replays(replaying: Replaying, worker: Worker) -> Ask:
    async def replays() -> None:
        if replaying.finding:
            raise Refused("REPLAY_FAILED", "an entry is not right; nothing is cosigned")
        if worker.waiting:
            raise Unavailable(worker.waiting, "the replay waits and tries again")

    return replays
