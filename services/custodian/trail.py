"""The trail as the custodian sees it: every checkpoint continues the newest that it has seen."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from domain.custody import SPLIT_VIEW, SeenLog
from domain.errors import NotAuthentic
from domain.trail.checkpoint import Checkpoint
from domain.trail.merkle import (
    Nodes,
    check_consistency,
    check_inclusion,
    consistency_proof,
    inclusion_proof,
)
from domain.trail.notes import NoteVerifying
from domain.trail.quorum import NONE, Policy, Witnessed, open_checkpoint

DEGRADED_MS = 60_000
"""Without a quorum for longer, the log's signature alone counts for a while."""
STOP_MS = 4 * 3_600_000
"""Without a quorum for longer, nothing new counts."""


class Tree(NamedTuple):
    """A tree of the log whose checkpoint held and contradicts nothing seen before."""

    checkpoint: Checkpoint
    witnessed: bool
    """Whether a quorum has cosigned it."""
    nodes: Nodes

    def check_entry(self, leaf_hash: bytes, index: int) -> None:
        """Raise `NotAuthentic` BAD_INCLUSION unless the leaf stands at `index`."""
        _, size, root = self.checkpoint
        check_inclusion(leaf_hash, index, size, inclusion_proof(index, size, self.nodes), root)


class SeenTrail:
    """One log under one policy, both pinned."""

    def __init__(
        self,
        policy: Callable[[], Policy],
        verifying: NoteVerifying,
        nodes: Callable[[int], Nodes],
        seen: SeenLog | None,
        clock: Callable[[], int],
    ) -> None:
        """`policy` raises `Refused` as long as none is pinned here; `clock` gives ms.

        `nodes` are those of the tree of a size, read from its tiles.
        """
        self._policy = policy
        self._verifying = verifying
        self._nodes = nodes
        self._clock = clock
        self.seen = seen
        self._newest: tuple[bytes, Tree] | None = None

    def open(self, note: bytes) -> Tree:
        """Return the tree of a signed checkpoint.

        Raises what `open_checkpoint` raises save QUORUM, and `NotAuthentic` SPLIT_VIEW for one
        that contradicts what was seen.
        """
        if self._newest is None or self._newest[0] != note:
            self._newest = note, self._opened(note)
        return self._newest[1]

    def begin(self, seen: SeenLog | None) -> None:
        """Take `seen` for what was seen, whatever it was before."""
        self.seen, self._newest = seen, None

    def counts(self, tree: Tree) -> bool:
        """Return whether a proof in this tree is enough now.

        Always with a quorum. With the log's signature alone, once the newest quorum is older
        than a minute, until it is older than four hours.
        """
        if tree.witnessed or self.seen is None or self.seen.quorum_ms is None:
            return tree.witnessed
        return DEGRADED_MS < self._clock() - self.seen.quorum_ms <= STOP_MS

    def _opened(self, note: bytes) -> Tree:
        witnessed, quorum = self._verified(note)
        checkpoint = witnessed.checkpoint
        tree = Tree(checkpoint, quorum, self._nodes(checkpoint.size))
        self._check_continues(checkpoint, tree.nodes)
        self._see(witnessed, note, quorum=quorum)
        return tree

    def _verified(self, note: bytes) -> tuple[Witnessed, bool]:
        """Return the checkpoint whose signatures held, and whether they are a quorum."""
        policy = self._policy()
        try:
            return open_checkpoint(note, policy, self._verifying), True
        except NotAuthentic as e:
            if e.code != "QUORUM":
                raise
        alone = policy._replace(quorum=NONE)
        return open_checkpoint(note, alone, self._verifying), False

    def _check_continues(self, new: Checkpoint, nodes: Nodes) -> None:
        seen = self.seen
        if seen is None or not min(seen.size, new.size):
            return
        small, large = sorted(((seen.size, seen.root), (new.size, new.root)))
        nodes = nodes if large[0] == new.size else self._nodes(seen.size)
        proof: Sequence[bytes] = consistency_proof(small[0], large[0], nodes)
        try:
            check_consistency(small[0], large[0], small[1], large[1], proof)
        except NotAuthentic:
            what = f"checkpoints of {seen.size} and {new.size} are of two logs"
            raise NotAuthentic(SPLIT_VIEW, what) from None

    def _see(self, new: Witnessed, note: bytes, *, quorum: bool) -> None:
        quorum_ms = self.seen.quorum_ms if self.seen else None
        if quorum and new.cosigned_s:
            quorum_ms = max(quorum_ms or 0, 1000 * min(new.cosigned_s.values()))
        _, size, root = new.checkpoint
        if self.seen is None or size >= self.seen.size:
            self.seen = SeenLog(size, root, note, quorum_ms)
        else:
            self.seen = self.seen._replace(quorum_ms=quorum_ms)
