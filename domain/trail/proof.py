"""The proof that an entry is in the log (C2SP tlog-proof): a text that stands alone.

It is an agency's receipt: index, inclusion proof and the cosigned checkpoint, verbatim.
"""

from dataclasses import dataclass
from typing import Self

from domain.errors import Malformed
from domain.trail.checkpoint import from_decimal
from domain.trail.merkle import HASH_SIZE, check_inclusion
from domain.trail.notes import NoteVerifying, from_base64, to_base64
from domain.trail.quorum import Policy, Witnessed, open_checkpoint

_HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = "index "
_MAX_HASHES = 63
"""What a tree of less than 2**63 entries takes."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof as read: nothing in it holds before `check`."""

    index: int
    """Place of the entry in the log, from 0."""
    hashes: tuple[bytes, ...]
    """32 bytes each, the one beside the leaf first."""
    checkpoint: bytes
    """The signed note."""

    def encode(self) -> bytes:
        """Return the text, in UTF-8."""
        lines = (_HEADER, f"{_INDEX}{self.index}", *map(to_base64, self.hashes), "", "")
        return "\n".join(lines).encode() + self.checkpoint

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the proof in `data`, or raise `Malformed` PROOF. `encode` gives `data` again.

        A line `extra` is refused: nobody has signed it, so it is no evidence.
        """
        head, found, checkpoint = data.partition(b"\n\n")
        try:
            header, index, *hashes = head.decode("ascii").split("\n")
            proof = cls(_index(index), tuple(map(from_base64, hashes)), checkpoint)
        except ValueError:
            raise _malformed("it is a header, `index <n>` and hashes in base64") from None
        if header != _HEADER:
            raise _malformed(f"its first line is not {_HEADER}")
        if not found or len(hashes) > _MAX_HASHES or any(len(h) != HASH_SIZE for h in proof.hashes):
            raise _malformed(
                f"it has at most {_MAX_HASHES} hashes of {HASH_SIZE} bytes, then a note"
            )
        return proof

    def check(self, leaf_hash: bytes, policy: Policy, verifying: NoteVerifying) -> Witnessed:
        """Return the checkpoint under which the entry with this leaf hash stands at `index`.

        Raises what `open_checkpoint` raises, or `NotAuthentic` BAD_INCLUSION.
        """
        witnessed = open_checkpoint(self.checkpoint, policy, verifying)
        _, size, root = witnessed.checkpoint
        check_inclusion(leaf_hash, self.index, size, self.hashes, root)
        return witnessed


def _index(line: str) -> int:
    if not line.startswith(_INDEX):
        raise ValueError
    return from_decimal(line.removeprefix(_INDEX))


def _malformed(why: str) -> Malformed:
    return Malformed("PROOF", f"this is no proof of an entry: {why}")
