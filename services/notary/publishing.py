"""Publishing: the newest tree is signed, shown to the witnesses, and put out once they are enough.

Only a tree that the store has decided on is ever signed. Sequencing goes on meanwhile; the
newest tree is the one that is shown next.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

from domain.errors import Corrupt, Unavailable
from domain.notary import NotaryStore, TrailFiles
from domain.trail.checkpoint import Checkpoint, sign
from domain.trail.notes import Note, NoteSigning
from domain.trail.tiles import WIDTH, Tile, body_path, entries_path
from services.notary.countdown import Countdown, State
from services.notary.panel import Asking
from services.notary.tree import Tree

FRESH_MS = 60_000
"""How often an idle trail is cosigned again, so that its freshness shows."""
SAY_MS = 60_000
"""How often the log says that the countdown runs."""
log = logging.getLogger(__name__)


class Publishing:
    """Puts out checkpoints; a part of its own beside the sequencer."""

    def __init__(
        self,
        *,
        origin: str,
        store: NotaryStore,
        files: TrailFiles,
        signers: Sequence[NoteSigning],
        cosign: Asking,
        clock: Callable[[], int],
        on_published: Callable[[Checkpoint, bytes], None],
        on_degraded: Callable[[Checkpoint, bytes], None],
        spacing_ms: int = 0,
    ) -> None:
        """`signers` are the log's own keys; `clock` gives ms, `spacing_ms` lie between checkpoints.

        `on_degraded` is told what no quorum has cosigned for more than a minute.
        """
        self._origin = origin
        self._store = store
        self._files = files
        self._signers = signers
        self._cosign = cosign
        self._clock = clock
        self._on_published = on_published
        self._on_degraded = on_degraded
        self._spacing_ms = spacing_ms
        self.countdown = Countdown(clock)
        self.size = 0
        """Of the published tree."""
        self._due_ms = self._say_ms = 0
        self.published_ms: int | None = None
        """When this process published last, or when it began."""

    def open(self) -> None:
        """Go on from what is published; `Corrupt` TRAIL_FORKED when the store does not know it."""
        self._due_ms = self.published_ms = self._clock()
        data = self._files.read("checkpoint")
        if data is None:
            return
        found = Checkpoint.parse(Note.decode(data).text)
        if found.origin != self._origin or self._store.root_at(found.size) != found.root:
            message = "the published checkpoint is none of this store: it was restored or mixed up"
            raise Corrupt("TRAIL_FORKED", message)
        self.size = found.size
        self._on_published(found, data)

    def step(self) -> bool:
        """Publish the newest tree if it is time; `Unavailable` QUORUM_MISSING if it cannot be."""
        tree = self._store.newest().tree
        if not self._due(tree.size) or self.countdown.stopped:
            return False
        self.countdown.begin()
        checkpoint = Checkpoint(self._origin, tree.size, tree.root)
        own = self._signed(checkpoint)
        try:
            cosigned = self._cosign(checkpoint, own.encode(), Tree(self._files, tree.size))
        except Unavailable:
            self._say()
            if self.countdown.state is State.DEGRADED:
                self._on_degraded(checkpoint, own.encode())
            raise
        note = own._replace(signatures=(*own.signatures, *cosigned)).encode()
        self._files.publish(note)
        if self.countdown.state is State.DEGRADED:
            log.warning("the trail has its quorum again")
        self.countdown.clear()
        before, self.size, self.published_ms = self.size, tree.size, self._clock()
        self._due_ms = self.published_ms + FRESH_MS
        self._on_published(checkpoint, note)
        self._files.remove(_outgrown(self._store.sizes(before, tree.size), tree.size))
        return True

    def _due(self, size: int) -> bool:
        now = self._clock()
        if size > self.size:
            return now - (self.published_ms or 0) >= self._spacing_ms
        return size > 0 and now >= self._due_ms

    def _signed(self, checkpoint: Checkpoint) -> Note:
        """Return the checkpoint with the log's signatures."""
        time_s = self._clock() // 1000
        own = tuple(sign(checkpoint, signer, time_s) for signer in self._signers)
        return Note(checkpoint.text, own)

    def _say(self) -> None:
        state, now = self.countdown.state, self._clock()
        if state is State.STOPPED:
            log.error("the trail has stopped: no quorum for 4 h; mend it and start the notary anew")
        elif state is State.DEGRADED and now >= self._say_ms:
            self._say_ms = now + SAY_MS
            log.warning("no quorum: the trail stops in %d s", self.countdown.seconds_left)


def _outgrown(ends: Iterable[int], size: int) -> list[str]:
    """Return the folders of partial tiles and bundles that the tree of `size` has in full.

    `ends` are the sizes of the trees before it: where one ended, there are partial files.
    """
    found: dict[str, None] = {}
    for end in ends:
        for level, span in enumerate(_spans(size)):
            number = end // span
            if end % span >= span // WIDTH and number < size // span:
                found[Tile(level, number).path] = None
                if level == 0:
                    found |= dict.fromkeys((entries_path(number), body_path(number)))
    return [f"{path}.p" for path in found]


def _spans(size: int) -> Iterator[int]:
    """Yield, level by level, how many leaves a full tile is over, as far as there is one."""
    span = WIDTH
    while span <= size:
        yield span
        span *= WIDTH
