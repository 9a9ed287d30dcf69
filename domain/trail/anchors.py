"""Anchors: proof from outside of when a checkpoint was there, as RFC 3161 time-stamps.

Witnesses say when they saw a checkpoint; an authority that knows nothing of us says that its
bytes existed at a time. Beside the trail lie, for each size that was anchored, the checkpoint's
bytes and the authority's answer over them.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol, Self

from domain.errors import HubError, Malformed, NotAuthentic
from domain.trail.checkpoint import MAX_NUMBER, Checkpoint
from domain.trail.merkle import Nodes, check_consistency, consistency_proof
from domain.trail.notes import Note, from_base64, to_base64

ANCHOR = "ANCHOR"
INDEX = "anchors/index"
_LINE = re.compile("([1-9][0-9]{0,18}) ([1-9][0-9]{0,18})")


class Anchored(NamedTuple):
    """One line of the index: a size that was anchored, and when by the authority's clock."""

    size: int
    time_ms: int


class Stamped(NamedTuple):
    """An answer of an authority that holds."""

    answer: bytes
    """TimeStampResp (RFC 3161), DER."""
    time_ms: int


class StampChecking(Protocol):
    """Checks time-stamps under the certificates of an authority that somebody trusts."""

    def time_ms(self, answer: bytes, data: bytes) -> int:
        """Return when `data` existed; `NotAuthentic` TIMESTAMP says why the answer does not hold.

        The authority's certificate has to have been in force at that time, not today.
        """
        ...


class TimeStamping(Protocol):
    """An authority. It blocks for seconds at most."""

    def stamp(self, data: bytes) -> Stamped:
        """Return its time-stamp over `data`, checked.

        `Unavailable` TSA_AWAY when it does not answer in time or says no, `NotAuthentic` TIMESTAMP
        when its answer is about other bytes, another question, or by another key.
        """
        ...


class Anchor(NamedTuple):
    """A stamped checkpoint, and the proof that its tree begins a later one."""

    size: int
    checkpoint: bytes
    """The signed note as it was published: what is stamped."""
    answer: bytes
    proof: tuple[bytes, ...]
    """RFC 6962 consistency proof."""

    def check(self, later: Checkpoint) -> None:
        """Raise `NotAuthentic` ANCHOR unless it is the head of the tree that begins `later`.

        Its signatures do not count: that this tree was there is what the time-stamp says.
        """
        try:
            found = Checkpoint.parse(Note.decode(self.checkpoint).text)
            if (found.origin, found.size) != (later.origin, self.size):
                raise NotAuthentic(ANCHOR, "it is of another log or size")
            check_consistency(found.size, later.size, found.root, later.root, self.proof)
        except HubError as e:
            message = f"the checkpoint that was stamped at size {self.size}: {e.message}"
            raise NotAuthentic(ANCHOR, message) from e

    @property
    def proof_text(self) -> bytes:
        """The proof as a file: each hash in base64 on a line of its own."""
        return "".join(f"{to_base64(h)}\n" for h in self.proof).encode()

    @classmethod
    def of(cls, size: int, checkpoint: bytes, answer: bytes, proof_text: bytes) -> Self:
        """Return the anchor whose proof is in a file; `Malformed` ANCHOR if that is none."""
        try:
            *lines, end = proof_text.decode("ascii").split("\n")
            if end:
                raise ValueError
            proof = tuple(from_base64(line) for line in lines)
        except ValueError:
            message = f"the consistency proof at size {size} is not base64 in lines"
            raise Malformed(ANCHOR, message) from None
        return cls(size, checkpoint, answer, proof)

    @classmethod
    def under(
        cls, size: int, checkpoint: bytes, answer: bytes, later: Checkpoint, nodes: Nodes
    ) -> Self:
        """Return the anchor with its proof made from the nodes of the tree of `later`."""
        return cls(size, checkpoint, answer, tuple(consistency_proof(size, later.size, nodes)))


def paths(size: int) -> tuple[str, str]:
    """Return where the stamped checkpoint lies in a trail's folder, and the answer over it."""
    return f"anchors/{size}.checkpoint", f"anchors/{size}.tsr"


def encode_index(anchored: Sequence[Anchored]) -> bytes:
    """Return the file at `INDEX`: for each, size and time in ms since 1970 on a line."""
    return "".join(f"{size} {time_ms}\n" for size, time_ms in anchored).encode()


def decode_index(data: bytes | None) -> tuple[Anchored, ...]:
    """Return what the file lists, sizes going up; nothing if there is none.

    `Malformed` ANCHORS. The times are for looking things up; a time-stamp has its own.
    """
    found: list[Anchored] = []
    *lines, end = (data or b"").decode("ascii", "replace").split("\n")
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None or max(map(int, match.groups())) > MAX_NUMBER:
            raise _index("a line is not size and time")
        found.append(Anchored(int(match[1]), int(match[2])))
        if len(found) > 1 and found[-1].size <= found[-2].size:
            raise _index("its sizes do not go up")
    if end:
        raise _index("its last line is cut off")
    return tuple(found)


def covering(anchored: Sequence[Anchored], indexes: Sequence[int], size: int) -> list[int]:
    """Return the sizes of the first anchor over each of these entries, as far as there is one.

    Those of trees larger than `size` are passed over.
    """
    sizes = [a.size for a in anchored if a.size <= size]
    return sorted({min(s for s in sizes if s > i) for i in indexes if sizes and sizes[-1] > i})


def _index(why: str) -> Malformed:
    return Malformed("ANCHORS", f"{INDEX} cannot be read: {why}; mend it from the .tsr files")
