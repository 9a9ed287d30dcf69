"""The sequencer: round after round, what is new becomes leaves, an EPOCH and a tree.

A round's files are durable before the store decides on its tree; the store decides before
anything is signed. So after a crash the notary goes on from the store, and what lies beyond
is written over. Rounds do not wait for witnesses, and one is gathered while the one before
is written: half of the work is the disk's.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from domain.errors import Unavailable
from domain.notary import Sequenced, Sources
from services.notary.edge import Rim
from services.notary.round import Notary, Round
from services.notary.state import RunningState

ROUNDS = 4
"""Of one step; only then may the notary be ended."""


class _Begun(NamedTuple):
    """Everything in memory that goes with the newest tree."""

    state: RunningState
    rim: Rim
    sources: Sources


class Sequencer:
    """Makes some rounds a step; a part of its own beside the publisher."""

    def __init__(self, notary: Notary) -> None:
        """Read nothing yet."""
        self._notary = notary
        self._begun: _Begun | None = None
        self.alarms = 0
        """Entries that name a root which this log never had."""
        self.on_tree: Callable[[], None] = lambda: None
        """Told, in another thread, that a tree has been decided on."""

    @property
    def sources(self) -> Sources:
        """How far the newest tree is."""
        return self._begun.sources if self._begun else self._notary.store.newest().sources

    def step(self) -> bool:
        """Make up to `ROUNDS` rounds, durable at the end; return whether there is more.

        `Unavailable` TRAIL_STOPPED after the quorum was missing for too long.
        """
        if self._notary.stopped():
            message = "no quorum for 4 h; mend the witnesses, then start the notary anew"
            raise Unavailable("TRAIL_STOPPED", message)
        begun, self._begun = self._begun or self._open(), None  # if this fails, it is read anew
        with ThreadPoolExecutor(1) as writer:
            self._begun, more = self._rounds(begun, writer)
        return more

    def _open(self) -> _Begun:
        """Take up where the store stands."""
        store, files = self._notary.store, self._notary.files
        newest, state = store.newest(), RunningState(store, files)
        self._notary.shown.open(newest.tree.size, store.heads(), store.feeds())
        return _Begun(state, Rim.read(newest.tree, files), newest.sources)

    def _rounds(self, begun: _Begun, writer: ThreadPoolExecutor) -> tuple[_Begun, bool]:
        """Make rounds, each written once the one before it is; return whether there is more."""
        written: Future[None] | None = None
        more = True
        for _ in range(ROUNDS):
            made = Round(self._notary, begun.state)
            try:
                sources, more = made.gather(begun.sources)
            except Unavailable:
                if written is not None:
                    written.result()
                if not made.leaves and not made.dropped:
                    self._begun = begun  # nothing was entered: it need not be read anew
                raise
            if made.leaves or made.dropped:
                begun, write = self._ended(begun, made, sources)
                if written is not None:
                    written.result()
                written = writer.submit(write)
            self.alarms += made.alarms
            if not more:
                break
        if written is not None:
            written.result()
        return begun, more

    def _ended(
        self, begun: _Begun, made: Round, sources: Sources
    ) -> tuple[_Begun, Callable[[], None]]:
        """End a round; return what goes on after it, and what writes it."""
        notary, state, old = self._notary, begun.state, begun.rim.tiles.size
        made.close()
        rim, files = begun.rim.extend(made.leaves)
        new = Sequenced(state.range, sources, state.recorded_ms)
        changes = state.changes(made.dropped)
        state.forget()

        def write() -> None:
            """Write the files, decide on the tree, and tell of it."""
            notary.files.write(files)
            notary.store.advance(old, new, changes)
            heads = list(changes.heads.items())
            notary.shown.advanced(new.tree.size, heads, changes.feeds)
            self.on_tree()

        return _Begun(state, rim, sources), write
