"""The trail of a mechanism in one process: the notary and its two witnesses.

They meet over loopback HTTP, as they do when each runs by itself. Whatever befalls them, the
hub goes on accepting: a referral must not be lost because a witness is.
"""

import asyncio
import logging
import socket
import sys
from collections.abc import Mapping

from domain.trail.notes import VerifierKey
from services.bootstrap import Parts
from services.bootstrap.hub import HubParts
from services.bootstrap.notary import build_notary, trail_folder
from services.bootstrap.trail_policy import ensure_policy
from services.bootstrap.witness import Watched, build_witness, witness_signers
from services.http.witness import witness_app
from services.serving import Faces, address_of
from services.worker import Worker

WITNESSES = PLAIN, REPLAYING = "custodian", "rapporteur"
"""The bodies whose witnesses must both cosign; the second looks at every entry first."""
SWITCH_SECONDS = 0.001
"""For so long at most a thread keeps the interpreter while the event loop wants it."""
log = logging.getLogger(__name__)


class OwnTrail:
    """Notary and witnesses; started before the hub serves, stopped before anything else."""

    def __init__(self, parts: Parts, hub: HubParts, sockets: Mapping[str, socket.socket]) -> None:
        """Serve the witness of each body at its socket."""
        keys = [VerifierKey.parse(parts.trust.log)]
        replay = str(trail_folder(parts))
        self._sockets = sockets
        self.witnesses = {
            PLAIN: build_witness(parts, PLAIN, Watched(logs=keys)),
            REPLAYING: build_witness(parts, REPLAYING, Watched(logs=keys, replay=replay)),
        }
        cosigning = {n: witness_signers(parts, n, ml_dsa=False)[0].key.text for n in WITNESSES}
        ensure_policy(parts, cosigning)
        addresses = {name: address_of(place) for name, place in sockets.items()}
        self.notary = build_notary(parts, hub.hub.tokens, hub.hub.metrics, addresses)
        hub.hub.vitals.says = self.notary.says
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, faces: Faces) -> None:
        """Serve the witnesses and let the notary work."""
        sys.setswitchinterval(SWITCH_SECONDS)
        workers = [self.notary.sequencing, self.notary.publishing]
        for name, witness in self.witnesses.items():
            faces.serve(self._sockets[name], witness_app(witness.face))
            workers += [witness.worker] if witness.worker else []
        self._tasks = [asyncio.create_task(_work(worker, self._stop)) for worker in workers]

    async def stop(self) -> None:
        """Let every loop end its round."""
        self._stop.set()
        self.notary.leading.end()
        for witness in self.witnesses.values():
            witness.end()
        await asyncio.gather(*self._tasks)
        for witness in self.witnesses.values():
            witness.store.close()


async def _work(worker: Worker, stop: asyncio.Event) -> None:
    try:
        await worker.run(stop)
    except Exception:
        log.exception("a part of the trail has stopped")
