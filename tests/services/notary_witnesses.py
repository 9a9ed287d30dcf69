"""Witnesses of the notary's tests: they sign for real, and answer as they are told."""

import threading
from collections.abc import Sequence

from adapters.notes import note_signer
from domain.errors import Unavailable
from domain.notary import Stands
from domain.secret import Secret
from domain.trail.checkpoint import Checkpoint, sign
from domain.trail.merkle import check_consistency
from domain.trail.notes import Algorithm, Note, Signature, VerifierKey
from tests.agencies import sha

LOG = note_signer("nrm.example/trail", Algorithm.ED25519, Secret(sha("log")))
AT_S = 1_700_000_000


class GoodWitness:
    """Cosigns whatever continues what it cosigned last."""

    def __init__(self, name: str) -> None:
        self._signer = note_signer(name, Algorithm.ED25519_COSIGNATURE, Secret(sha(name)))
        self.held = Checkpoint("", 0, b"")
        self.asked: list[int] = []
        """Sizes that it was shown."""

    @property
    def key(self) -> VerifierKey:
        return self._signer.key

    def add_checkpoint(
        self, old_size: int, proof: Sequence[bytes], note: bytes
    ) -> Sequence[Signature] | Stands:
        checkpoint = Checkpoint.parse(Note.decode(note).text)
        self.asked.append(checkpoint.size)
        if old_size != self.held.size:
            return Stands(self.held.size)
        if old_size:
            roots = self.held.root, checkpoint.root
            check_consistency(old_size, checkpoint.size, *roots, proof)
        self.held = checkpoint
        return [sign(checkpoint, self._signer, AT_S)]


class DeadWitness(GoodWitness):
    """Is away until it is `back`."""

    back = False

    def add_checkpoint(
        self, old_size: int, proof: Sequence[bytes], note: bytes
    ) -> Sequence[Signature] | Stands:
        if not self.back:
            raise Unavailable("WITNESS_AWAY", "it did not answer in time; retry later")
        return super().add_checkpoint(old_size, proof, note)


class SlowWitness(GoodWitness):
    """Answers only once it is `let` to."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.let = threading.Event()

    def add_checkpoint(
        self, old_size: int, proof: Sequence[bytes], note: bytes
    ) -> Sequence[Signature] | Stands:
        self.let.wait()
        return super().add_checkpoint(old_size, proof, note)


class WrongWitness(GoodWitness):
    """Signs another tree than it was shown."""

    def add_checkpoint(
        self, old_size: int, proof: Sequence[bytes], note: bytes
    ) -> Sequence[Signature] | Stands:
        shown = Checkpoint.parse(Note.decode(note).text)
        return [sign(shown._replace(root=sha("another")), self._signer, AT_S)]


class BrokenWitness(GoodWitness):
    """Fails in a way that nobody foresaw."""

    def add_checkpoint(
        self, old_size: int, proof: Sequence[bytes], note: bytes
    ) -> Sequence[Signature] | Stands:
        raise RuntimeError("invented")


class RolledForward(GoodWitness):
    """Holds a larger tree than the log has."""

    def add_checkpoint(
        self, old_size: int, proof: Sequence[bytes], note: bytes
    ) -> Sequence[Signature] | Stands:
        return Stands(1_000_000)
