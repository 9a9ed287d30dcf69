"""Ed25519 signatures of many statements, verified in worker processes."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Self

from adapters.signing import Ed25519Signing
from domain.errors import Unavailable
from domain.trail.replay import Claim
from domain.trail.statement import CONTEXT, SIZE

WORKERS = 2
_SIGNED = 32 + len(CONTEXT) + SIZE
"""Bytes of an Ed25519 public key and of what was signed with it."""
_ITEM = _SIGNED + 64
_FEW = 256
"""Statements for which no worker is started: two of them take a third of a second to come up."""


class SignaturePool:
    """Verifies batches beside the caller; to be used in a `with` block."""

    def __init__(self, workers: int = WORKERS) -> None:
        """Start no process before there is enough to do."""
        self._workers = workers
        self._done = 0
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers; what is under way is given up."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def submit(self, claims: Sequence[Claim]) -> Callable[[], bytes]:
        """Return what gives, when it is there, a byte for each signature: 1 if it holds, or 0."""
        data = b"".join([part for claim in claims for part in claim])
        self._done += len(claims)
        if self._done <= _FEW:
            found = holds(data)
            return lambda: found
        if self._pool is None:
            # "spawn": a forked child would have the parent's locks and not its threads.
            self._pool = ProcessPoolExecutor(self._workers, mp_context=get_context("spawn"))
        future = self._pool.submit(holds, data)

        def result() -> bytes:
            try:
                return future.result()
            except BrokenProcessPool as e:
                message = "a process that verifies signatures was ended; run the audit again"
                raise Unavailable("WORKER_ENDED", message) from e

        return result


def holds(data: bytes) -> bytes:
    """Say of each key, message and signature, one after the other in `data`, if it holds."""
    verify = Ed25519Signing().verify
    found = bytearray()
    for at in range(0, len(data), _ITEM):
        signed = at + _SIGNED
        found.append(verify(data[at : at + 32], data[at + 32 : signed], data[signed : at + _ITEM]))
    return bytes(found)
