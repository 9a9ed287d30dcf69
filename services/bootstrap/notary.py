"""The notary's wiring: beside the hub in one process, or as a process of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from adapters.file_lease import FileLease
from adapters.metrics.notary import NotaryMetrics
from adapters.notes import NoteVerifier
from adapters.sqlite.notary_store import SqliteNotaryStore
from adapters.trail_files import FolderTrailFiles
from domain.agency import Registry
from domain.errors import Unavailable
from domain.notary import NotaryStore
from domain.ports import EventStore
from domain.trail.checkpoint import Checkpoint
from domain.trail.quorum import Policy
from domain.trail.statement import actor_id
from services.bootstrap.anchoring import build_anchoring
from services.bootstrap.hub import event_store, feeds_of
from services.bootstrap.parts import COORDINATOR, CUSTODIAN, NOTARY, TRUST, Parts, now_ms
from services.bootstrap.trail_policy import POLICY, witness_policy, witnesses_of
from services.bootstrap.watching import vitals_of
from services.http.auth import TokenIssuer
from services.http.health import Ask, Vitals, in_thread, vital_endpoints
from services.http.openapi import application, post
from services.http.trail import TrailParts, trail_endpoints
from services.hub.feeds import StoreWorld
from services.notary.anchoring import Anchoring
from services.notary.countdown import Countdown
from services.notary.disclosing import Disclosing
from services.notary.intake import Intake
from services.notary.leading import Announcing, Leading, Sequencing
from services.notary.panel import Panel
from services.notary.proofs import Proofs
from services.notary.publishing import Publishing
from services.notary.readers import Readers
from services.notary.round import Notary
from services.notary.sequencer import Sequencer
from services.notary.shown import Shown
from services.notary.signers import Signers
from services.worker import Worker

SPACING = 0.5
"""Of an interval, between checkpoints: while there is a lot to do, not every tree is published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotaryProcess:
    """A notary: its two loops, and what its face shows."""

    sequencing: Worker
    publishing: Worker
    trail: TrailParts
    leading: Leading
    publisher: Publishing
    store: NotaryStore

    @property
    def state(self) -> str:
        """The state of the trail, or the reason code of what stopped it."""
        return self.leading.broken or self.publisher.countdown.state

    def says(self) -> dict[str, object]:
        """Return what /ready shows of the trail beside what it depends on."""
        left = round(self.publisher.countdown.seconds_left)
        return {"trail": {"state": self.state, "seconds_left": left}}


def trail_folder(parts: Parts) -> Path:
    """Return the folder of the trail's files."""
    return parts.folder(f"{NOTARY}/trail")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    """What the parts of a notary share."""

    parts: Parts
    folder: Path
    store: SqliteNotaryStore
    files: FolderTrailFiles
    shown: Shown


def build_notary(
    parts: Parts,
    tokens: TokenIssuer,
    registry: CollectorRegistry,
    addresses: Mapping[str, str] | None = None,
) -> NotaryProcess:
    """Return the notary; `addresses` are those of witnesses that the policy names without one."""
    own, data = _own(parts), witness_policy(parts)
    policy = Policy.parse(data)
    witnesses = witnesses_of(policy, addresses or {})
    panel, anchoring = Panel(policy, witnesses, NoteVerifier()), build_anchoring(parts, own.files)
    publisher = _publisher(own, panel, anchoring)
    notary = _notary(own, publisher.countdown)
    sequencer, leading = Sequencer(notary), _leading(own, publisher, data)

    def close() -> None:
        for witness in witnesses.values():
            witness.close()

    built = NotaryProcess(
        sequencing=Worker(Sequencing(leading, sequencer), leading.rest),
        publishing=Worker(Announcing(leading, publisher, close), leading.listen),
        trail=_face(own, tokens),
        leading=leading,
        publisher=publisher,
        store=own.store,
    )
    metrics = NotaryMetrics(registry)
    _watch(metrics, built, notary.events)
    metrics.watch_witnesses(lambda: panel.cosigned_s)
    metrics.watch_anchors(lambda: anchoring.overdue_seconds if anchoring else 0.0)
    metrics.watch_alarms(lambda: sequencer.alarms)
    return built


def _own(parts: Parts) -> _Own:
    folder, files = parts.folder(NOTARY), FolderTrailFiles(trail_folder(parts))
    store = SqliteNotaryStore(str(folder / "notary.db"))
    return _Own(parts=parts, folder=folder, store=store, files=files, shown=Shown(files))


def _publisher(own: _Own, panel: Panel, anchoring: Anchoring | None) -> Publishing:
    signer = own.parts.log_signer()

    def published(checkpoint: Checkpoint, note: bytes) -> None:
        own.shown.publish(checkpoint, note)
        if anchoring:
            anchoring.published(checkpoint, note)

    return Publishing(
        origin=signer.key.name,
        store=own.store,
        files=own.files,
        signers=[signer],
        cosign=panel.cosign,
        clock=now_ms,
        on_published=published,
        on_degraded=own.shown.degrade,
        spacing_ms=round(own.parts.settings.trail_seconds * SPACING * 1_000),
    )


def _leading(own: _Own, publisher: Publishing, policy: bytes) -> Leading:
    def begin() -> None:
        own.files.write(_own_copies(own.parts, policy))
        publisher.open()

    return Leading(FileLease(own.folder / "lease"), begin, own.parts.settings.trail_seconds)


def _watch(metrics: NotaryMetrics, built: NotaryProcess, events: EventStore) -> None:
    """Show how far the trail is, and its state."""
    store, publisher = built.store, built.publisher
    metrics.watch_tree(lambda: store.newest().tree.size, lambda: publisher.size)
    metrics.watch_sources(lambda: events.head() - store.newest().sources.position)
    metrics.watch_state(
        lambda: built.state,
        lambda: publisher.countdown.seconds_left,
        lambda: publisher.published_ms,
    )


def _own_copies(parts: Parts, policy: bytes) -> dict[str, bytes]:
    """Return what lies beside the log, so that its folder is all that an auditor needs."""
    pins = parts.settings.data / TRUST
    trust = pins.read_bytes() if pins.exists() else parts.trust.dumps().encode()
    vkey = f"{parts.log_signer().key.text}\n"
    return {"log.vkey": vkey.encode(), POLICY: policy, TRUST: trust}


def _face(own: _Own, tokens: TokenIssuer) -> TrailParts:
    store, files, known = own.store, own.files, _registry(own.parts)
    return TrailParts(
        files=files,
        size=lambda: store.newest().tree.size,
        proofs=Proofs(store, own.shown),
        intake=Intake(store, files, known, own.parts.signing.verify, now_ms),
        readers=Readers(known, now_ms),
        tokens=tokens,
        custodian=CUSTODIAN,
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


def _notary(own: _Own, countdown: Countdown) -> Notary:
    parts = own.parts
    # Connections of its own: what others have not committed yet must not come into the trail.
    events, feeds = event_store(parts), feeds_of(parts)
    seed, public = parts.secret(NOTARY, "signing"), parts.public_key(NOTARY)

    def sign(message: bytes) -> bytes:
        return parts.signing.sign(seed.reveal(), message)

    return Notary(
        events=events,
        store=own.store,
        files=own.files,
        disclosing=Disclosing(feeds, events, actor_id(public), sign, now_ms),
        signers=Signers(_registry(parts), parts.operator(), public),
        shown=own.shown,
        stopped=lambda: countdown.stopped,
    )


def _registry(parts: Parts) -> Callable[[], Registry]:
    world = StoreWorld(event_store(parts), parts.language, parts.world)
    return lambda: world().registry
