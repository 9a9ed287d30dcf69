"""A round: what is new becomes leaves, ended by an EPOCH."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from domain.errors import Corrupt
from domain.notary import NotaryStore, Posted, Sources, TrailFiles
from domain.ports import EventStore, Recorded
from domain.trail.admission import SEEN, Problem, problems
from domain.trail.delivered import Feed
from domain.trail.entry import Entry
from domain.trail.merkle import leaf
from domain.trail.state import Item
from services.notary.disclosing import Disclosing
from services.notary.edge import Leaf
from services.notary.gathering import MOST_BYTES, gather
from services.notary.shown import Shown
from services.notary.signers import Signers
from services.notary.state import RunningState

LIMIT = 5_000
"""Events, and as many refusals, of one round."""
POSTED, POSTED_PAGE = 1_000, 20
"""What readers posted, of one round and of one question to the store; a body may have 2 MiB."""
STREAM = slice(4, 36)
"""Where a statement names its stream (docs/formats.md)."""
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


class _Made(NamedTuple):
    """An entry that may become the next leaf."""

    data: bytes
    item: Item


class Round:
    """The leaves of one round."""

    def __init__(self, notary: Notary, state: RunningState) -> None:
        """Begin after the newest leaf of `state`."""
        self._notary = notary
        self._state = state
        self.leaves: list[Leaf] = []
        self.dropped: list[int] = []
        """Numbers of the intake that do not hold any more."""
        self.alarms = 0
        """Entries that name a root which this log never had."""

    def gather(self, sources: Sources) -> tuple[Sources, bool]:
        """Enter what is new after `sources`; return how far it was read, and if there is more."""
        self._notary.disclosing.look()
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
        more = self._disclose(gathered.sources.position) or gathered.more
        intake, waiting = self._answer(sources.intake)
        return gathered.sources._replace(intake=intake), more or waiting

    def close(self) -> None:
        """End the round with the EPOCH."""
        data = self._state.epoch().encode()
        made = Leaf(data, b"", leaf(data))
        self.leaves.append(made)
        self._state.close(made.hash)

    def _disclose(self, position: int) -> bool:
        disclosing, feed = self._notary.disclosing, self._state.delivered.feed
        made, more = disclosing.disclose(
            position,
            lambda seat, lane: feed(Feed(*seat, lane)).size,
            *self._state.actor(disclosing.actor),
        )
        for one in made:
            self._recorded(self._made(one.statement, one.signature, one.body))
        return more

    def _answer(self, after: int) -> tuple[int, bool]:
        """Enter what readers posted after a number; return the last one's, and if there is more."""
        count = size = 0
        while count < POSTED and size < MOST_BYTES:
            page = self._notary.store.waiting(after, POSTED_PAGE)
            for posted in page:
                self._posted(posted)
            if len(page) < POSTED_PAGE:
                return page[-1].number if page else after, False
            after, count = page[-1].number, count + len(page)
            size += sum(len(posted.body) for posted in page)
        return after, True

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
