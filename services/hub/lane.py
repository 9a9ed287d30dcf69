"""One lane of the projection: every eighth case, and the registry's facts between them.

A lane is complete by itself. What it holds in memory can be dropped at any time: the store
and the feeds have all of it.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from domain import events as ev
from domain.case import Case
from domain.errors import Corrupt
from domain.feed import Entry, Progress
from domain.fold import evolve
from domain.ports import EventStore, Feeds, Language, Recorded
from domain.vocabulary import Category, Seat
from services.hub.outlook import Outlook, Outlooks, routing
from services.hub.showing import Past, Showing

HELD_CASES = 250
"""Cases a lane holds with their timeline; the rest are read again when something happens."""


class Categories:
    """Which categories an event has something of: a matter of its type, save for keys."""

    def __init__(self, language: Language) -> None:
        """Ask `language` for each type once."""
        self._language = language
        self._masks: dict[str, int] = {}

    def mask(self, type: str, event: ev.CaseEvent) -> int:
        """Return the category mask of `event`."""
        if isinstance(event, ev.KeyEpochOpened):
            return sum(1 << category for category in {key.category for key in event.keys})
        if type not in self._masks:
            found = {category for _, category in self._language.shape(type).fields}
            self._masks[type] = sum(c.bit for c in found - {Category.ROUTING})
        return self._masks[type]


class Lane:
    """What is held of one lane, as of its progress."""

    def __init__(
        self,
        number: int,
        progress: Progress,
        heads: dict[Seat, int],
        *,
        store: EventStore,
        feeds: Feeds,
        language: Language,
        categories: Categories,
        outlooks: Outlooks,
    ) -> None:
        """Go on from `progress`, as the feeds have it, with the newest numbers of the seats."""
        self.number = number
        self.progress = progress
        self._heads = heads
        self._store = store
        self._feeds = feeds
        self._language = language
        self._categories = categories
        self._outlooks = outlooks
        self.outlook: Outlook = outlooks.upto(progress.position)
        self._cases: OrderedDict[str, Showing] = OrderedDict()

    def take(self, recorded: Recorded) -> Sequence[Entry]:
        """Take the next event of the lane and return the entries it brings about.

        `Corrupt`, and nothing changed, if it cannot be the next.
        """
        if recorded.case_id == ev.REGISTRY_STREAM:
            self.outlook = self._outlooks.after(self.outlook, recorded)
            return ()
        showing = self.showing(recorded)
        self._fold(showing, recorded)
        return showing.show(self.outlook, self._heads)

    def showing(self, recorded: Recorded) -> Showing:
        """Return the case of `recorded`, the next event of the lane, as it stands before it."""
        showing = self._cases.get(recorded.case_id)
        if showing is None:
            showing = self._cases[recorded.case_id] = self._load(recorded)
        self._cases.move_to_end(recorded.case_id)
        return showing

    def moved(self, progress: Progress) -> None:
        """Stand at `progress`, up to which the feeds are complete; hold no more than is allowed."""
        self.progress = progress
        while len(self._cases) > HELD_CASES:
            self._cases.popitem(last=False)

    def _fold(self, showing: Showing, recorded: Recorded) -> None:
        if recorded.version != showing.case.version + 1:
            message = f"version {recorded.version} of a case follows {showing.case.version}"
            raise Corrupt("VERSION_GAP", f"position {recorded.position}: {message}")
        event = routing(self._language, recorded)
        if isinstance(event, ev.RegistryEvent):
            raise Corrupt("REGISTRY_EVENT_IN_CASE", f"position {recorded.position}")
        categories = self._categories.mask(recorded.type, event)
        try:
            showing.case = evolve(showing.case, event, recorded.recorded_ms)
        except LookupError as e:  # the rules let no event in that speaks of what is not there
            raise Corrupt("EVENT_IMPOSSIBLE", f"position {recorded.position}") from e
        showing.timeline.append(Past(recorded.position, event, recorded.recorded_ms, categories))

    def _load(self, new: Recorded) -> Showing:
        """Read the case of `new`, which is not held, as it stood before it."""
        showing = Showing(self.number, Case(id=new.case_id))
        if new.version == 1:
            return showing
        for recorded in self._earlier(new):
            self._fold(showing, recorded)
        for entry in self._feeds.of_case(new.case_id):
            showing.remember(entry)
        return showing

    def _earlier(self, new: Recorded) -> Iterator[Recorded]:
        return (r for r in self._store.read_case(new.case_id) if r.version < new.version)
