"""The notary's wiring: beside the hub in one process, or as a process of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from adapters.file_lease import FileLease
from adapters.http_witness import HttpWitness
from adapters.metrics.notary import NotaryMetrics
from adapters.notes import NoteVerifier
from adapters.sqlite.notary_store import SqliteNotaryStore
from adapters.trail_files import FolderTrailFiles
from domain.agency import Registry
from domain.errors import Refused, Unavailable
from domain.notary import NotaryStore
from domain.trail.checkpoint import Checkpoint
from domain.trail.quorum import Policy
from domain.trail.statement import actor_id
from services.bootstrap.anchoring import build_anchoring
from services.bootstrap.hub import event_store, feeds_of
from services.bootstrap.parts import COORDINATOR, CUSTODIAN, NOTARY, TRUST, Parts, now_ms
from services.bootstrap.watching import vitals_of
from services.http.auth import TokenIssuer
from services.http.health import Ask, Vitals, in_thread, vital_endpoints
from services.http.openapi import application, post
from services.http.trail import TrailParts, trail_endpoints
from services.hub.feeds import StoreWorld
from services.notary.disclosing import Disclosing
from services.notary.intake import Intake
from services.notary.leading import Announcing, Leading, Sequencing
from services.notary.panel import Panel
from services.notary.proofs import Proofs
from services.notary.publishing import Publishing
from services.notary.readers import Readers
from services.notary.sequencer import Notary, Sequencer
from services.notary.shown import Shown
from services.notary.signers import Signers
from services.worker import Worker

POLICY = "policy"
"""The policy of witnesses, in the data folder beside trust.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotaryProcess:
    """A notary: its two loops, and what its face shows."""

    sequencing: Worker
    publishing: Worker
    trail: TrailParts
    leading: Leading
    publisher: Publishing
    store: NotaryStore

    def says(self) -> dict[str, object]:
        """Return what /ready shows of the trail beside what it depends on."""
        countdown = self.publisher.countdown
        state = self.leading.broken or countdown.state
        return {"trail": {"state": state, "seconds_left": round(countdown.seconds_left)}}


def trail_folder(parts: Parts) -> Path:
    """Return the folder of the trail's files."""
    return parts.folder(f"{NOTARY}/trail")


def policy_of(parts: Parts) -> bytes:
    """Return the policy of witnesses that lies here; `Refused` POLICY_MISSING if none does."""
    path = parts.settings.data / POLICY
    if not path.exists():
        message = f"{path} is missing: agree on the witnesses first (docs/operating.md)"
        raise Refused("POLICY_MISSING", message)
    return path.read_bytes()


def ensure_policy(parts: Parts, witnesses: Mapping[str, str]) -> None:
    """Write the policy of a mechanism on one machine, if there is none: all must cosign.

    `witnesses` are by name their vkeys, each followed by a space and its URL if it has one.
    """
    path = parts.settings.data / POLICY
    if not path.exists():
        lines = [f"log {parts.trust.log}"]
        lines += [f"witness {name} {key}" for name, key in witnesses.items()]
        lines += [f"group all-of-them all {' '.join(witnesses)}", "quorum all-of-them", ""]
        FolderTrailFiles(path.parent).write({POLICY: "\n".join(lines).encode()})


def build_notary(
    parts: Parts,
    tokens: TokenIssuer,
    registry: CollectorRegistry,
    addresses: Mapping[str, str] | None = None,
) -> NotaryProcess:
    """Return the notary; `addresses` are those of witnesses that the policy names without one."""
    signer, data = parts.log_signer(), policy_of(parts)
    policy = Policy.parse(data)
    witnesses = _witnesses(policy, addresses or {})
    folder = parts.folder(NOTARY)
    store, files = (
        SqliteNotaryStore(str(folder / "notary.db")),
        FolderTrailFiles(trail_folder(parts)),
    )
    panel, shown = Panel(policy, witnesses, NoteVerifier()), Shown(files)
    anchoring = build_anchoring(parts, files)

    def published(checkpoint: Checkpoint, note: bytes) -> None:
        shown.publish(checkpoint, note)
        if anchoring:
            anchoring.published(checkpoint, note)

    publisher = Publishing(
        origin=signer.key.name,
        store=store,
        files=files,
        signers=[signer],
        cosign=panel.cosign,
        clock=now_ms,
        on_published=published,
        on_degraded=shown.degrade,
    )
    notary = _notary(parts, store, files, shown, lambda: publisher.countdown.stopped)
    sequencer = Sequencer(notary)

    def begin() -> None:
        trust = parts.settings.data / TRUST
        own = {"log.vkey": f"{signer.key.text}\n".encode(), "policy": data}
        own[TRUST] = trust.read_bytes() if trust.exists() else parts.trust.dumps().encode()
        files.write(own)
        publisher.open()

    leading = Leading(FileLease(folder / "lease"), begin, parts.settings.trail_seconds)

    def close() -> None:
        for witness in witnesses.values():
            witness.close()

    known = _registry(parts)
    trail = TrailParts(
        files=files,
        proofs=Proofs(store, shown),
        intake=Intake(store, files, known, parts.signing.verify, now_ms),
        readers=Readers(known, now_ms),
        tokens=tokens,
        custodian=CUSTODIAN,
    )
    metrics = NotaryMetrics(registry)
    metrics.watch_tree(lambda: store.newest().tree.size, lambda: publisher.size)
    metrics.watch_sources(lambda: notary.events.head() - store.newest().sources.position)
    metrics.watch_witnesses(lambda: panel.cosigned_s)
    metrics.watch_state(
        lambda: leading.broken or publisher.countdown.state,
        lambda: publisher.countdown.seconds_left,
        lambda: publisher.published_ms,
    )
    metrics.watch_anchors(lambda: anchoring.overdue_seconds if anchoring else 0.0)
    metrics.watch_alarms(lambda: sequencer.alarms)
    return NotaryProcess(
        sequencing=Worker(Sequencing(leading, sequencer), leading.rest),
        publishing=Worker(Announcing(leading, publisher, close), leading.listen),
        trail=trail,
        leading=leading,
        publisher=publisher,
        store=store,
    )


def build_notary_apart(parts: Parts, address: str) -> tuple[NotaryProcess, FastAPI]:
    """Return the notary of a process of its own, reached at `address`, and its face."""
    known, registry = _registry(parts), CollectorRegistry()
    pinned = {COORDINATOR: parts.trust.operator, CUSTODIAN: parts.trust.custodian}

    def key_of(agency: str) -> bytes | None:
        return known().signing_key(agency, now_ms()) or pinned.get(agency)

    tokens = TokenIssuer(address, key_of, now_ms)
    built = build_notary(parts, tokens, registry)
    vitals = notary_vitals(built, registry)
    app = application(
        "nrm-hub notary",
        [
            post("/oauth/token", tokens.token, None, dict[str, Any], public=True),
            *trail_endpoints(built.trail),
            *vital_endpoints(vitals),
        ],
    )
    return built, app


def notary_vitals(built: NotaryProcess, registry: CollectorRegistry) -> Vitals:
    """Return the vitals of a notary: not ready when it has stopped or its stores are away."""
    sequencing, publishing = built.sequencing, built.publishing

    async def works() -> None:
        if sequencing.waiting:
            raise Unavailable(sequencing.waiting, "the notary waits and tries again")

    depends: dict[str, Ask] = {"work": works, "store": in_thread(built.store.newest)}
    loops = {"sequencing": lambda: sequencing.beat, "publishing": lambda: publishing.beat}
    vitals = vitals_of("notary", registry, depends, loops)
    vitals.says = built.says
    return vitals


def _notary(
    parts: Parts,
    store: SqliteNotaryStore,
    files: FolderTrailFiles,
    shown: Shown,
    stopped: Callable[[], bool],
) -> Notary:
    # Connections of its own: what others have not committed yet must not come into the trail.
    events, feeds = event_store(parts), feeds_of(parts)
    seed, public = parts.secret(NOTARY, "signing"), parts.public_key(NOTARY)

    def sign(message: bytes) -> bytes:
        return parts.signing.sign(seed.reveal(), message)

    return Notary(
        events=events,
        store=store,
        files=files,
        disclosing=Disclosing(feeds, events, actor_id(public), sign, now_ms),
        signers=Signers(_registry(parts), parts.operator(), public),
        shown=shown,
        stopped=stopped,
    )


def _registry(parts: Parts) -> Callable[[], Registry]:
    world = StoreWorld(event_store(parts), parts.language, parts.world)
    return lambda: world().registry


def _witnesses(policy: Policy, addresses: Mapping[str, str]) -> dict[str, HttpWitness]:
    found = {}
    for name, witness in policy.witnesses.items():
        address = witness.url or addresses.get(name)
        if address is None:
            message = f"the policy gives no URL for witness {name}; add it to its line"
            raise Refused("WITNESS_URL", message)
        found[name] = HttpWitness(address, witness.key, NoteVerifier())
    return found
