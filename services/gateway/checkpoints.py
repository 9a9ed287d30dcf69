"""The newest checkpoint that an agency verified: only what continues it takes its place.

Of two checkpoints of which neither continues the other both are kept, as the proof of a split
view, and no further one is taken until somebody has decided.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple

from domain.errors import NotAuthentic, Refused, Unavailable
from domain.gateway_trail import SPLIT_VIEW, Alarm, GatewayTrail, Seen, TrailLink
from domain.notary import HeadProof, Receipt
from domain.trail.checkpoint import Checkpoint
from domain.trail.entry import Epoch
from domain.trail.heads import Head, MapProof
from domain.trail.merkle import (
    EMPTY_ROOT,
    check_consistency,
    check_inclusion,
    consistency_proof,
    leaf,
)
from domain.trail.notes import NoteVerifying
from domain.trail.proof import Proof
from domain.trail.quorum import NONE, Policy, Witnessed, open_checkpoint
from domain.trail.statement import Statement, digest
from domain.trail.tiles import TileNodes, places_of

log = logging.getLogger(__name__)


class Proven(NamedTuple):
    """A leaf that stands in the log."""

    at: int
    """Its place, from 0."""
    checkpoint: Checkpoint


class Checkpoints:
    """Follows the log under the pinned policy."""

    def __init__(
        self,
        *,
        link: TrailLink,
        trail: GatewayTrail,
        policy: Callable[[], Policy],
        verifying: NoteVerifying,
        clock: Callable[[], int],
    ) -> None:
        """`policy` raises `Refused` as long as none is pinned here; `clock` gives ms."""
        self._link = link
        self._trail = trail
        self._policy = policy
        self._verifying = verifying
        self._clock = clock
        self._seen = trail.seen()
        self._agreed: tuple[bytes, Witnessed] | None = None
        self._polled = b""
        self.witnessed_ms = 0
        """When enough witnesses had cosigned the newest checkpoint; when it was taken, if none has.

        Never later than it was taken: one clock that is ahead would keep silent how old it is.
        """

    def seen(self) -> tuple[int, bytes]:
        """Return size and root of the newest checkpoint, as statements name it."""
        return (self._seen.size, self._seen.root) if self._seen else (0, EMPTY_ROOT)

    @property
    def halted(self) -> bool:
        """Whether a split view waits for somebody to decide."""
        return any(a.code == SPLIT_VIEW and not a.decided for a in self._trail.alarms())

    async def poll(self) -> bool:
        """Take the published checkpoint; return whether it, or who cosigned it, is new.

        `NotAuthentic` SPLIT_VIEW when it contradicts the one seen; nothing is looked at after
        that.
        """
        if self.halted:
            raise NotAuthentic(SPLIT_VIEW, "decide with: nrm-hub trail accept")
        if (kept := self._trail.seen()) != self._seen:  # somebody has decided
            self._seen, self._agreed = kept, None
        note = await self._link.file("checkpoint")
        if note is None:
            raise Unavailable("TRAIL_EMPTY", "no checkpoint is published yet")
        await self.agree(note, newest=True)
        new, self._polled = note != self._polled, note
        return new

    async def agree(self, note: bytes, *, newest: bool = False) -> Witnessed:
        """Return the checkpoint in `note`, which is of the log that was seen so far.

        If it is newer it is the newest seen from now on; one shown as the `newest` must not be
        older. Raises what `open_checkpoint` raises; `NotAuthentic` SPLIT_VIEW, an alarm, when it
        contradicts the one seen: for that the log's signature is enough, whoever cosigned.
        """
        if self._agreed is not None and self._agreed[0] == note:
            return self._agreed[1]
        policy, seen = self._policy(), self._seen
        found = open_checkpoint(note, policy._replace(quorum=NONE), self._verifying)
        new = found.checkpoint
        if seen is not None and seen.size:
            if newest and new.size < seen.size:
                raise self._split(note, f"the log went back from {seen.size} to {new.size}")
            await self._compare(seen, new, note)
        if missing := policy.missing(found.cosigned_s):
            raise NotAuthentic("QUORUM", f"too few witnesses have cosigned: missing {missing}")
        if seen is None or new.size >= seen.size:
            self._seen = Seen(new.size, new.root, note)
            self._trail.see(self._seen)
            reached_s, now = policy.reached(found.cosigned_s), self._clock()
            self.witnessed_ms = now if reached_s is None else min(1000 * reached_s, now)
            self._agreed = note, found
        return found

    async def proven(self, data: bytes, proof: str) -> Proven:
        """Return where the leaf `data` stands; `NotAuthentic` or `Malformed` if it does not."""
        read = Proof.decode(proof.encode())
        checkpoint = (await self.agree(read.checkpoint)).checkpoint
        check_inclusion(leaf(data), read.index, checkpoint.size, read.hashes, checkpoint.root)
        return Proven(read.index, checkpoint)

    async def receipt(self, statement: bytes) -> Receipt | None:
        """Return what the trail shows of a statement, not checked; None as long as it has none."""
        said = Statement.decode(statement)
        try:
            return await self._link.receipt(said.stream, digest(statement))
        except Refused as e:
            if e.code != "NOT_IN_TRAIL":
                raise
            return None

    async def head(self, key: bytes) -> tuple[Head | None, HeadProof]:
        """Return what a key of the map of heads has under a checkpoint, if anything; its proof."""
        found = await self._link.head(key)
        at = await self.proven(found.epoch, found.proof)
        epoch, way = Epoch.decode(found.epoch), MapProof.decode(found.map)
        if not at.at == epoch.covered == at.checkpoint.size - 1 or way.key != key:
            raise NotAuthentic("BAD_MAP_PROOF", "the proof is not of this key or checkpoint")
        way.check(epoch.map_root)
        return way.head, found

    async def _compare(self, seen: Seen, new: Checkpoint, note: bytes) -> None:
        old = Checkpoint(new.origin, seen.size, seen.root)
        first, second = sorted((old, new), key=lambda c: c.size)
        try:
            proof = await self._proof(first.size, second.size)
            check_consistency(first.size, second.size, first.root, second.root, proof)
        except NotAuthentic:
            what = f"checkpoints of {old.size} and {new.size} are of two logs"
            raise self._split(note, what) from None

    def _split(self, note: bytes, what: str) -> NotAuthentic:
        evidence = {"seen.checkpoint": self._seen.note if self._seen else b""}
        alarm = Alarm(
            code=SPLIT_VIEW,
            about=about_again(self._trail, SPLIT_VIEW, what),
            raised_ms=self._clock(),
            evidence=evidence | {"shown.checkpoint": note},
        )
        if self._trail.alarm(alarm):
            log.error("split view: %s; both notes are kept", what)
        return NotAuthentic(SPLIT_VIEW, what)

    async def _proof(self, old: int, new: int) -> list[bytes]:
        """Return the consistency proof that the log's hash tiles give."""
        if not old:
            raise NotAuthentic("BAD_CONSISTENCY", "an empty log after one that was not")
        tiles: dict[str, bytes] = {}
        while True:
            try:
                return consistency_proof(old, new, TileNodes(tiles.__getitem__, new))
            except KeyError as missing:
                path = str(missing.args[0])
            tiles[path] = await self._tile(path)

    async def _tile(self, path: str) -> bytes:
        """Return a tile; once it is full the log may have removed the partial one."""
        for place, size in places_of(path):
            data = await self._link.file(place)
            if data is not None:
                return data[:size]
        raise Unavailable("TRAIL_TILE", f"the log does not show {path}; ask again")


def about_again(trail: GatewayTrail, code: str, what: str) -> str:
    """Return what an alarm is about; what is found once more after a decision is another."""
    decided = (a for a in trail.alarms() if a.code == code and a.decided)
    before = [a.number for a in decided if a.about.partition("; ")[0] == what]
    return f"{what}; again after alarm {before[-1]}" if before else what
