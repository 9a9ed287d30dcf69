"""Whether a checkpoint is cosigned (C2SP tlog-witness), and the one moment in which it is.

A request changes nothing before the compare-and-swap of the store, and no signature leaves
before that is durable. So whatever ends the process in between, and however many ask at once,
no log has two roots of one size, or a smaller tree, under this witness's name.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Protocol

from domain.errors import Malformed, NotAuthentic, Refused
from domain.trail.checkpoint import Checkpoint, sign, signed_at
from domain.trail.merkle import EMPTY_ROOT, check_consistency
from domain.trail.notes import Note, NoteSigning, NoteVerifying, Signature, VerifierKey
from domain.witness import AddCheckpoint, Confirming, Cosigned, OtherSize, WitnessStore

log = logging.getLogger(__name__)


class Metrics(Protocol):
    """What a witness tells of what it does."""

    def cosigned(self, checkpoint: Checkpoint, at_s: int) -> None:
        """Note the newest checkpoint of a log and when it was cosigned, in s since 1970."""
        ...

    def forked(self, origin: str) -> None:
        """Note that a log has signed two roots of one size."""
        ...

    def answered(self, code: str) -> None:
        """Count one answer: COSIGNED or the reason code."""
        ...


class Witness:
    """Cosigns for the logs that it knows."""

    def __init__(
        self,
        *,
        logs: Mapping[str, Sequence[VerifierKey]],
        store: WitnessStore,
        verifying: NoteVerifying,
        signers: Sequence[NoteSigning],
        clock: Callable[[], int],
        confirming: Confirming | None,
        metrics: Metrics,
    ) -> None:
        """Know `logs` (origin -> keys, of which one has to sign); `clock` gives ms since 1970.

        With `confirming` nothing is cosigned before it has looked at the entries.
        """
        self._logs = logs
        self._store = store
        self._verifying = verifying
        self._signers = signers
        self._clock = clock
        self._confirming = confirming
        self._metrics = metrics
        for origin in store.forks():
            metrics.forked(origin)

    @property
    def keys(self) -> Sequence[VerifierKey]:
        """The keys with which it cosigns."""
        return [signer.key for signer in self._signers]

    async def add_checkpoint(self, asked: AddCheckpoint) -> Sequence[Signature]:
        """Return the cosignatures of a checkpoint that continues the newest one of its log.

        `Refused` UNKNOWN_LOG; `Malformed` for what is no checkpoint or smaller than `old`;
        `NotAuthentic` LOG_SIGNATURE, BAD_CONSISTENCY, TWO_ROOTS; `OtherSize` says from which
        size to prove; and what `Confirming` says.
        """
        checkpoint, by_log = self._opened(asked.note)
        if asked.old > checkpoint.size:
            raise Malformed("OLD_SIZE", "a tree does not grow to a smaller size")
        newest = self._store.newest(checkpoint.origin)
        self._check_continues(asked, checkpoint, newest)
        if self._confirming is not None:
            await self._confirming.confirm(checkpoint)
        now = self._clock() // 1000
        made = [sign(checkpoint, signer, now) for signer in self._signers]
        cosigned = Cosigned(
            checkpoint=checkpoint,
            note=Note(checkpoint.text, (*by_log, *made)).encode(),
            replayed=self._confirming is not None,
        )
        self._store.advance(asked.old, cosigned)
        self._metrics.cosigned(checkpoint, now)
        return made

    def newest(self, origin_hash: str) -> bytes:
        """Return the newest cosigned checkpoint of the log; `Refused` UNKNOWN_LOG without one.

        `origin_hash` is the SHA-256 of its origin in lower-case hex.
        """
        origins = {sha256(o.encode()).hexdigest(): o for o in self._logs}
        found = self._store.newest(origins.get(origin_hash, ""))
        if found is None:
            raise Refused("UNKNOWN_LOG", "no checkpoint of such a log was cosigned here")
        return found.note

    def _opened(self, note: bytes) -> tuple[Checkpoint, Sequence[Signature]]:
        """Return the checkpoint in `note` and the signatures of its log, which hold."""
        read = Note.decode(note)
        checkpoint = Checkpoint.parse(read.text)
        keys = self._logs.get(checkpoint.origin)
        if keys is None:
            raise Refused("UNKNOWN_LOG", "this witness was not told of a log of this origin")
        signed = read.signed_by(keys)
        if not signed or any(not self._holds(checkpoint, *one) for one in signed):
            raise NotAuthentic("LOG_SIGNATURE", "no signature of the log, or one that fails")
        return checkpoint, [signature for _, signature in signed]

    def _holds(self, checkpoint: Checkpoint, key: VerifierKey, signature: Signature) -> bool:
        return signed_at(checkpoint, key, signature, self._verifying) is not None

    def _check_continues(
        self, asked: AddCheckpoint, checkpoint: Checkpoint, newest: Cosigned | None
    ) -> None:
        origin, size, root = newest.checkpoint if newest else Checkpoint("", 0, EMPTY_ROOT)
        forked = checkpoint.size == size and checkpoint.root != root
        if forked and newest:
            self._keep(origin, newest.note, asked.note)
        if asked.old != size:
            raise OtherSize(size)
        if forked:
            raise NotAuthentic("TWO_ROOTS", "the log has signed another root of this size before")
        if size:
            check_consistency(size, checkpoint.size, root, checkpoint.root, asked.proof)
        elif asked.proof:
            raise NotAuthentic("BAD_CONSISTENCY", "nothing is to be proved about an empty tree")

    def _keep(self, origin: str, held: bytes, shown: bytes) -> None:
        """Keep the proof that a log has signed two roots for one size."""
        self._store.keep_fork(origin, held, shown)
        self._metrics.forked(origin)
        log.error("a log has signed two roots of one size; both notes are kept")


def logs_of(keys: Iterable[VerifierKey]) -> dict[str, list[VerifierKey]]:
    """Return the keys by the log that they sign for, whose origin is their name."""
    logs: dict[str, list[VerifierKey]] = {}
    for key in keys:
        logs.setdefault(key.name, []).append(key)
    return logs
