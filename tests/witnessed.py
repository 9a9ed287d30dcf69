"""A log to be witnessed: leaves that mean nothing, signed checkpoints, true and false proofs."""

from dataclasses import dataclass
from hashlib import sha256

from adapters.notes import NoteVerifier, note_signer
from domain.secret import Secret
from domain.trail import merkle
from domain.trail.checkpoint import Checkpoint, sign, signed_at
from domain.trail.notes import Algorithm, Note, NoteSigning, Signature, VerifierKey
from domain.witness import AddCheckpoint
from tests.vectors import key

ORIGIN = "nrm.example/trail"
WITNESS = "witness.example/w1"
VERIFIER = NoteVerifier()


def leaf(number: int, branch: str = "") -> bytes:
    return merkle.leaf(f"{branch}{number}".encode())


@dataclass(frozen=True)
class Log:
    """A log of any size. Its forks have other leaves from `forked_at` on, and the same key."""

    origin: str = ORIGIN
    branch: str = ""
    forked_at: int = 0

    @property
    def signer(self) -> NoteSigning:
        return note_signer(self.origin, Algorithm.ED25519, Secret(key(f"log {self.origin}")))

    @property
    def vkey(self) -> VerifierKey:
        return self.signer.key

    def fork(self, at: int, branch: str = "other ") -> "Log":
        return Log(self.origin, branch, at)

    def leaves(self, size: int) -> list[bytes]:
        return [leaf(i, self.branch if i >= self.forked_at else "") for i in range(size)]

    def nodes(self, level: int, index: int) -> bytes:
        end = (index + 1) << level
        return merkle.root(self.leaves(end)[index << level :])

    def checkpoint(self, size: int) -> Checkpoint:
        return Checkpoint(self.origin, size, merkle.root(self.leaves(size)))

    def note(self, size: int) -> bytes:
        checkpoint = self.checkpoint(size)
        return Note(checkpoint.text, (sign(checkpoint, self.signer, 0),)).encode()

    def proof(self, old: int, size: int) -> tuple[bytes, ...]:
        return tuple(merkle.consistency_proof(old, size, self.nodes)) if old else ()

    def asks(self, old: int, size: int) -> AddCheckpoint:
        return AddCheckpoint(old, self.proof(old, size), self.note(size))


def witness_signer(
    name: str = WITNESS, algorithm: Algorithm = Algorithm.ED25519_COSIGNATURE
) -> NoteSigning:
    return note_signer(name, algorithm, Secret(key(f"witness {name}")))


def cosigned_at(checkpoint: Checkpoint, by: VerifierKey, line: Signature) -> int | None:
    """Return when the checkpoint was cosigned, in seconds; None if the signature fails."""
    return signed_at(checkpoint, by, line, VERIFIER)


def origin_hash(origin: str = ORIGIN) -> str:
    return sha256(origin.encode()).hexdigest()
