"""The witnesses of the trail, asked side by side: a slow, wrong or dead one holds up nobody."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue

from domain.errors import HubError, NotAuthentic, Unavailable
from domain.notary import Stands, Witnessing
from domain.trail.checkpoint import Checkpoint, signed_at
from domain.trail.merkle import consistency_proof
from domain.trail.notes import NoteVerifying, Signature
from domain.trail.quorum import Policy
from services.notary.tree import Tree

Answers = SimpleQueue[tuple[str, Signature | None]]
log = logging.getLogger(__name__)


class _Asked:
    """One witness: what it was asked last, and what it answered."""

    def __init__(self, name: str, witness: Witnessing, verifying: NoteVerifying) -> None:
        self.name = name
        self.cosigned_s = 0
        self.code = ""
        self._witness = witness
        self._verifying = verifying
        self._size = 0
        self._thread: threading.Thread | None = None

    def ask(self, checkpoint: Checkpoint, note: bytes, tree: Tree, answers: Answers) -> bool:
        """Ask in a thread of its own, unless an older question is still open."""
        if self._thread is not None and self._thread.is_alive():
            return False

        def work() -> None:
            answers.put((self.name, self._answer(checkpoint, note, tree)))

        self._thread = threading.Thread(target=work, name=f"ask {self.name}", daemon=True)
        self._thread.start()
        return True

    def _answer(self, checkpoint: Checkpoint, note: bytes, tree: Tree) -> Signature | None:
        try:
            signature = self._cosigned(checkpoint, note, tree)
        except HubError as e:
            if self.code != e.code:
                log.warning("witness %s does not cosign: %s", self.name, e)
            self.code = e.code
            return None
        except Exception:
            log.exception("witness %s could not be asked", self.name)
            self.code = "WITNESS_FAILED"
            return None
        self.code = ""
        return signature

    def _cosigned(self, checkpoint: Checkpoint, note: bytes, tree: Tree) -> Signature:
        found = self._shown(note, tree)
        if isinstance(found, Stands):  # it tells once where it stands
            self._size = found.size
            found = self._shown(note, tree)
        if isinstance(found, Stands):
            raise Unavailable("WITNESS_MOVED", f"the witness stands at {found.size} now")
        key = self._witness.key
        for signature in found:
            if (signature.name, signature.key_id) == (key.name, key.id):
                time_s = signed_at(checkpoint, key, signature, self._verifying)
                if time_s:
                    self._size, self.cosigned_s = checkpoint.size, time_s
                    return signature
        raise NotAuthentic("WITNESS_SIGNATURE", "the answer has no cosignature that holds")

    def _shown(self, note: bytes, tree: Tree) -> Sequence[Signature] | Stands:
        old = self._size
        if old > tree.size:
            message = (
                f"it has cosigned a tree of {old}, and ours is {tree.size}: was a store restored?"
            )
            raise NotAuthentic("WITNESS_AHEAD", message)
        proof = consistency_proof(old, tree.size, tree.nodes) if old else []
        return self._witness.add_checkpoint(old, proof, note)


class Panel:
    """The witnesses of a policy."""

    def __init__(
        self,
        policy: Policy,
        witnesses: Mapping[str, Witnessing],
        verifying: NoteVerifying,
        seconds: float = 10.0,
    ) -> None:
        """`witnesses` by their names in the policy; `seconds` is the time to answer."""
        self._policy = policy
        self._asked = [_Asked(name, w, verifying) for name, w in witnesses.items()]
        self._seconds = seconds

    def cosign(self, checkpoint: Checkpoint, note: bytes, tree: Tree) -> list[Signature]:
        """Return cosignatures that are enough, as soon as they are there.

        `Unavailable` QUORUM_MISSING says which witnesses did not answer in time.
        """
        answers: Answers = SimpleQueue()
        found: dict[str, Signature] = {}
        until = time.monotonic() + self._seconds
        still_open = sum(a.ask(checkpoint, note, tree, answers) for a in self._asked)
        while still_open and not self._policy.satisfied(found):
            try:
                name, signature = answers.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                break
            still_open -= 1
            if signature is not None:
                found[name] = signature
        missing = self._policy.missing(found)
        if missing:
            raise Unavailable("QUORUM_MISSING", f"no cosignature from {missing}")
        return [found[a.name] for a in self._asked if a.name in found]

    @property
    def cosigned_s(self) -> Mapping[str, int]:
        """When each witness last cosigned, in seconds since 1970; 0 if it has not."""
        return {a.name: a.cosigned_s for a in self._asked}

    @property
    def codes(self) -> Mapping[str, str]:
        """Why each witness did not cosign when it was last asked; empty if it did."""
        return {a.name: a.code for a in self._asked}


Asking = Callable[[Checkpoint, bytes, Tree], Sequence[Signature]]
"""What publishing needs of a panel: `Panel.cosign`."""
