"""The sequencer: round after round, what is new becomes leaves, an EPOCH and a tree.

A round's files are durable before the store decides on its tree; the store decides before
anything is signed. So after a crash the notary goes on from the store, and what lies beyond
is written over. Rounds do not wait for witnesses.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from domain.errors import Corrupt, Unavailable
from domain.feed import Heads
from domain.notary import NotaryStore, Posted, Sequenced, Sources, TrailFiles
from domain.ports import EventStore, Recorded
from domain.trail.admission import Problem, problems
from domain.trail.delivered import Feed
from domain.trail.entry import Entry
from domain.trail.merkle import leaf
from domain.trail.state import Item
from services.notary.disclosing import Disclosing
from services.notary.edge import Leaf, Rim
from services.notary.gathering import gather
from services.notary.shown import Shown
from services.notary.signers import Signers
from services.notary.state import RunningState

LIMIT = 5_000
"""Events, and as many refusals, of one round."""
POSTED = 1_000
STREAM = slice(4, 36)
"""Where a statement names its stream (docs/formats.md)."""
SEEN = "SEEN"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notary:
    """What the sequencer works with."""

    events: EventStore
    store: NotaryStore
    files: TrailFiles
    disclosing: Disclosing
    signers: Signers
    shown: Shown
    stopped: Callable[[], bool]
    """Whether the quorum has been missing for too long."""


class _Begun(NamedTuple):
    """Everything in memory that goes with the newest tree."""

    state: RunningState
    rim: Rim
    sources: Sources


class _Made(NamedTuple):
    """An entry that may become the next leaf."""

    data: bytes
    item: Item


class Sequencer:
    """Makes one round a step; a part of its own beside the publisher."""

    def __init__(self, notary: Notary) -> None:
        """Read nothing yet."""
        self._notary = notary
        self._begun: _Begun | None = None
        self.alarms = 0
        """Entries that name a root which this log never had."""

    @property
    def sources(self) -> Sources:
        """How far the newest tree is."""
        return self._begun.sources if self._begun else self._notary.store.newest().sources

    def step(self) -> bool:
        """Make one round; return whether there is more than it took.

        `Unavailable` TRAIL_STOPPED after the quorum was missing for too long.
        """
        if self._notary.stopped():
            message = "no quorum for 4 h; mend the witnesses, then start the notary anew"
            raise Unavailable("TRAIL_STOPPED", message)
        begun, self._begun = self._begun or self._open(), None  # if this fails, it is read anew
        made = _Round(self._notary, begun.state)
        sources, more = made.gather(begun.sources)
        if made.leaves or made.dropped:
            begun = self._end(begun, made, sources)
        self._begun = begun
        self.alarms += made.alarms
        return more

    def _open(self) -> _Begun:
        """Take up where the store stands."""
        store, files = self._notary.store, self._notary.files
        newest, state = store.newest(), RunningState(store, files)
        self._notary.shown.open(newest.tree.size, store.heads())
        return _Begun(state, Rim.read(newest.tree, files), newest.sources)

    def _end(self, begun: _Begun, made: "_Round", sources: Sources) -> _Begun:
        """Write the round, decide on its tree, and show it to the publisher."""
        notary, state, old = self._notary, begun.state, begun.rim.tiles.size
        made.close()
        rim, files = begun.rim.extend(made.leaves)
        notary.files.write(files)
        changes = state.changes(made.dropped)
        notary.store.advance(old, Sequenced(state.range, sources, state.recorded_ms), changes)
        notary.shown.advanced(state.size, list(changes.heads.items()))
        state.forget()
        return _Begun(state, rim, sources)


class _Round:
    """The leaves of one round."""

    def __init__(self, notary: Notary, state: RunningState) -> None:
        self._notary = notary
        self._state = state
        self.leaves: list[Leaf] = []
        self.dropped: list[int] = []
        self.alarms = 0

    def gather(self, sources: Sources) -> tuple[Sources, bool]:
        """Enter what is new after `sources`; return how far it was read, and if there is more.

        What stands in a feed was brought about by an event that the store had before. So the
        feeds are looked at first, and nothing of them is disclosed before all events are entered.
        """
        fed = self._notary.disclosing.heads()
        gathered = gather(
            self._notary.events, sources, lambda actor: self._state.actor(actor)[0], LIMIT
        )
        self._notary.signers.renew()
        digests = {}
        for one in gathered.taken:
            body, code = (one.body, "") if isinstance(one, Recorded) else (b"", one.code)
            made = self._made(one.statement, one.signature, body, one.recorded_ms, code)
            self._recorded(made)
            if isinstance(one, Recorded):
                digests[one.position] = made.item.digest
                self._state.know(one.case_id)
        self._notary.disclosing.remember(digests)
        more = gathered.more or self._disclose(fed)
        posted = self._notary.store.waiting(sources.intake, POSTED)
        for answer in posted:
            self._posted(answer)
        intake = posted[-1].number if posted else sources.intake
        found = gathered.sources._replace(intake=intake)
        return found, more or len(posted) == POSTED

    def close(self) -> None:
        """End the round with the EPOCH."""
        data = self._state.epoch().encode()
        made = Leaf(data, b"", leaf(data))
        self.leaves.append(made)
        self._state.close(made.hash)

    def _disclose(self, fed: Heads) -> bool:
        disclosing, feed = self._notary.disclosing, self._state.delivered.feed
        made, more = disclosing.disclose(
            fed,
            lambda seat, lane: feed(Feed(*seat, lane)).size,
            *self._state.actor(disclosing.actor),
        )
        for one in made:
            self._recorded(self._made(one.statement, one.signature, one.body))
        return more

    def _recorded(self, made: _Made) -> None:
        """Enter what the hub recorded; `Corrupt` TRAIL_ADMISSION when the log cannot take it."""
        for problem in self._problems(made.item):
            if problem.check != SEEN:
                message = f"entry {self._state.size}, {problem.check}: {problem.message}"
                raise Corrupt("TRAIL_ADMISSION", message)
            # The hub has accepted it, and what an agency says that it saw is evidence.
            log.error("entry %d has seen another log: %s", self._state.size, problem.message)
            self.alarms += 1
        self._enter(made)

    def _posted(self, posted: Posted) -> None:
        """Enter what a reader posted, unless it does not hold any more."""
        made = self._made(posted.statement, posted.signature, posted.body)
        found = self._problems(made.item)
        if found:
            log.warning("intake %d is not admitted: %s", posted.number, found[0].check)
            self.dropped.append(posted.number)
        else:
            self._enter(made)

    def _problems(self, item: Item) -> list[Problem]:
        signer = self._notary.signers.signer(item.said.actor)
        return problems(self._state, item, signer, self._notary.disclosing.actor)

    def _made(
        self,
        statement: bytes,
        signature: bytes,
        body: bytes,
        recorded_ms: int | None = None,
        code: str = "",
    ) -> _Made:
        """Return the entry of a statement as the next leaf; the log's own time if it has none."""
        time_ms = self._state.recorded_ms if recorded_ms is None else recorded_ms
        place = self._state.stream(statement[STREAM])
        entry = Entry(statement, *place, time_ms, signature, code)
        data = entry.encode()
        return _Made(data, Item(data, entry, body))

    def _enter(self, made: _Made) -> None:
        data, item = made
        self.leaves.append(Leaf(data, item.body or b"", item.leaf))
        self._state.add(item)
