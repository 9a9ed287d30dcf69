"""The witness protocol (C2SP tlog-witness): what is asked of a witness and what it remembers.

A witness cosigns a checkpoint only if it continues the newest one that it cosigned for the same
log. So no log can show one history to some and another to others under that witness's name.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

from domain.errors import Conflict, Malformed
from domain.trail.checkpoint import Checkpoint, from_decimal
from domain.trail.merkle import HASH_SIZE
from domain.trail.notes import from_base64, to_base64

MAX_PROOF = 63
"""Hashes of a consistency proof."""
MAX_REQUEST = 64 * 1024
"""Bytes of a request: a proof, and a checkpoint with more ML-DSA signatures than logs have."""
_OLD = "old "


class AddCheckpoint(NamedTuple):
    """One request: cosign this checkpoint, which continues the one of size `old`."""

    old: int
    """Size of the newest checkpoint that the witness cosigned, as the asker believes; 0: none."""
    proof: tuple[bytes, ...]
    """RFC 6962 consistency proof between the two; empty when one of them is empty or both equal."""
    note: bytes
    """The checkpoint, signed by its log."""

    def encode(self) -> bytes:
        """Return the body of the request."""
        lines = [f"{_OLD}{self.old}", *map(to_base64, self.proof)]
        return "".join(line + "\n" for line in lines).encode() + b"\n" + self.note

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Return the request in `body`, or raise `Malformed` WITNESS_REQUEST; see `Note` on."""
        head, found, note = body.partition(b"\n\n")
        try:
            first, *hashes = head.decode("ascii").split("\n")
            if not found or not first.startswith(_OLD):
                raise ValueError
            old, proof = from_decimal(first.removeprefix(_OLD)), tuple(map(from_base64, hashes))
        except ValueError:
            raise _malformed(
                "`old` and a size, base64 lines, an empty line, a checkpoint"
            ) from None
        if len(proof) > MAX_PROOF or any(len(h) != HASH_SIZE for h in proof):
            raise _malformed(f"a proof is up to {MAX_PROOF} hashes of {HASH_SIZE} bytes")
        return cls(old, proof, note)


class OtherSize(Conflict):
    """The witness's newest checkpoint has another size than the request says."""

    def __init__(self, size: int) -> None:
        super().__init__("OTHER_SIZE", f"the newest cosigned checkpoint has size {size}")
        self.size = size


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigned:
    """A checkpoint that the witness cosigned."""

    checkpoint: Checkpoint
    note: bytes
    """With the signatures of the log and of the witness."""
    replayed: bool
    """Whether every entry up to it was replayed, with its signature."""


class WitnessStore(Protocol):
    """The newest cosigned checkpoint of each log. Never restored from a backup."""

    def newest(self, origin: str) -> Cosigned | None:
        """Return the newest checkpoint that was cosigned for a log."""
        ...

    def advance(self, old: int, cosigned: Cosigned) -> None:
        """Put `cosigned` in the place of its log's newest, durable when this returns.

        `OtherSize` when the newest has not size `old` (0: or there is none), `NotAuthentic`
        TWO_ROOTS when it has the same size and another root; nothing is changed then.
        """
        ...

    def keep_fork(self, origin: str, held: bytes, shown: bytes) -> None:
        """Keep two notes of a log with two roots for one size; the first two of each log stay."""
        ...

    def forks(self) -> dict[str, tuple[bytes, bytes]]:
        """Return what `keep_fork` kept, by origin: proof that the log shows two histories."""
        ...


class Confirming(Protocol):
    """Somebody who looks at the entries themselves before a checkpoint is cosigned."""

    async def confirm(self, checkpoint: Checkpoint) -> None:
        """Return once all entries under the checkpoint were found right.

        `Refused` with the check and the entry that is not, `Unavailable` when that is not known
        yet: ask again later.
        """
        ...


def _malformed(why: str) -> Malformed:
    return Malformed("WITNESS_REQUEST", f"this is no add-checkpoint request: it is {why}")
