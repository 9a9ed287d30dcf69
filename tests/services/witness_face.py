"""A witness that serves on loopback, as any log meets it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from prometheus_client import CollectorRegistry

from adapters.metrics.witness import WitnessMetrics
from adapters.sqlite.witness_store import SqliteWitnessStore
from domain.trail.checkpoint import Checkpoint
from domain.trail.notes import Note, NoteSigning, Signature, VerifierKey
from domain.witness import AddCheckpoint, Confirming, WitnessStore
from services.http.health import Vitals
from services.http.witness import WitnessParts, witness_app
from services.serving import Faces, address_of, listen
from services.witness.witness import Witness, logs_of
from tests.witnessed import VERIFIER, Log, witness_signer

NOW = 1_700_000_000


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    media: str

    @property
    def lines(self) -> Sequence[Signature]:
        """The signature lines of an answer that has some."""
        return Note.decode(b"text\n\n" + self.body).signatures


@dataclass
class Serving:
    """A witness over a store, and who asks it."""

    store: WitnessStore
    keys: Sequence[VerifierKey] = (Log().vkey,)
    signers: Sequence[NoteSigning] = field(default_factory=lambda: [witness_signer()])
    confirming: Confirming | None = None
    address: str = ""
    _session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes | AddCheckpoint) -> Answer:
        data = body.encode() if isinstance(body, AddCheckpoint) else body
        return await self.ask("POST", "/add-checkpoint", data)

    async def ask(self, method: str, path: str, data: bytes = b"") -> Answer:
        assert self._session is not None
        async with self._session.request(method, self.address + path, data=data) as response:
            return Answer(response.status, await response.read(), response.content_type)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Serving"]:
        parts = made(self.store, self.keys, self.signers, self.confirming)
        faces, listener = Faces(), listen("127.0.0.1", 0)
        faces.serve(listener, witness_app(parts))
        self.address = address_of(listener)
        try:
            async with aiohttp.ClientSession() as self._session:
                yield self
        finally:
            await faces.close()


@asynccontextmanager
async def serving(
    keys: Sequence[VerifierKey] = (Log().vkey,),
    confirming: Confirming | None = None,
    signers: Sequence[NoteSigning] = (),
) -> AsyncIterator[Serving]:
    """Serve a witness with a new memory."""
    store = SqliteWitnessStore("")
    witness = Serving(store, keys, signers or [witness_signer()], confirming)
    async with witness.running():
        yield witness
    store.close()


def made(
    store: WitnessStore,
    keys: Sequence[VerifierKey],
    signers: Sequence[NoteSigning],
    confirming: Confirming | None = None,
) -> WitnessParts:
    """Return a witness, wired as its process is, with a clock that stands still."""
    logs, registry = logs_of(keys), CollectorRegistry()
    metrics = WitnessMetrics(registry, logs)
    witness = Witness(
        logs=logs,
        store=store,
        verifying=VERIFIER,
        signers=signers,
        clock=lambda: NOW * 1000,
        confirming=confirming,
        metrics=metrics,
    )
    vitals = Vitals(registry=registry, depends={})
    return WitnessParts(witness=witness, metrics=metrics, vitals=vitals)


def in_memory() -> tuple[Witness, SqliteWitnessStore]:
    """Return a witness that nobody serves, and its new memory."""
    store = SqliteWitnessStore("")
    return made(store, [Log().vkey], [witness_signer()]).witness, store


def newest(store: WitnessStore, log: Log) -> Checkpoint | None:
    found = store.newest(log.origin)
    return found.checkpoint if found else None
