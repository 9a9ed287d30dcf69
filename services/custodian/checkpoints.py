"""The checkpoints that the custodian takes: each continues the newest that it has seen.

Of two of which neither continues the other both are kept, as the proof of a split view, and no
further one is taken until somebody has decided.
"""

import logging
from collections.abc import Callable, Mapping

from domain.custody import SPLIT_VIEW, Custody, Split
from domain.errors import NotAuthentic
from services.custodian.tiles import Tiles
from services.custodian.trail import SeenTrail, Tree

log = logging.getLogger(__name__)


class Checkpoints:
    """One log, and what is remembered of it."""

    def __init__(
        self,
        *,
        custody: Custody,
        vkey: str,
        trail: SeenTrail,
        tiles: Tiles,
        clock: Callable[[], int],
    ) -> None:
        """`trail` begins with what `custody` has of the log of `vkey`; `clock` gives ms."""
        self._custody = custody
        self._vkey = vkey
        self._trail = trail
        self._tiles = tiles
        self._clock = clock
        self._kept = trail.seen

    @property
    def size(self) -> int:
        """Of the newest tree that was seen."""
        return self._trail.seen.size if self._trail.seen else 0

    @property
    def halted(self) -> bool:
        """Whether a split view waits for somebody to decide."""
        return any(not split.decided for split in self._custody.splits(self._vkey))

    def resume(self) -> bool:
        """Return whether somebody has decided for another log than was seen: all begins anew.

        `NotAuthentic` SPLIT_VIEW as long as nobody has decided.
        """
        if self.halted:
            raise NotAuthentic(SPLIT_VIEW, "decide with: nrm-hub custodian-accept")
        seen = self._custody.seen(self._vkey)
        if seen == self._kept:
            return False
        self._kept = seen
        self._trail.begin(seen)
        return True

    async def open(self, note: bytes) -> Tree:
        """Return the tree of a signed checkpoint; raises what `SeenTrail.open` raises."""
        try:
            return await self._tiles.having(lambda: self._trail.open(note))
        except NotAuthentic as e:
            if e.code != SPLIT_VIEW:
                raise
        try:  # again, with other tiles: a wrong one would halt every release
            return await self._tiles.having(lambda: self._trail.open(note))
        except NotAuthentic as e:
            if e.code == SPLIT_VIEW and self._trail.seen is not None:
                log.error("split view: %s; both notes are kept", e.message)  # noqa: TRY400 - says it all
                self.keep()  # who decides to stay with what was seen stays with all of it
                split = Split(self._trail.seen.note, note, self._clock())
                self._custody.split(self._vkey, split)
            raise

    def keep(self) -> None:
        """Make durable what was seen."""
        seen = self._trail.seen
        if seen is not None and seen != self._kept:
            self._custody.see(self._vkey, seen)
            self._kept = seen

    def says(self) -> Mapping[str, object]:
        """Return what /ready shows of the trail."""
        state = SPLIT_VIEW if self.halted else "UP"
        return {"trail": {"state": state, "seen_size": self.size}}
