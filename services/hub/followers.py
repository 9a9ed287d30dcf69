"""What the custodian and every directory follow of the log: ROUTING fields only, numbered."""

from domain import events as ev
from domain.case import CUSTODY
from domain.messages import FollowedItem, FollowedPage
from domain.ports import EventStore, Language, Recorded
from services.hub.feeds import show

PAGE = 500


class Followers:
    """Reads the log for those who follow it."""

    def __init__(self, store: EventStore, language: Language) -> None:
        """Read `store`."""
        self._store = store
        self._language = language
        registry = {e.__name__ for e in ev.RegistryEvent.__args__}
        self._types = [t for t in language.types() if t.rpartition(".")[2] in CUSTODY | registry]

    def custody(self, after: int, limit: int = PAGE) -> FollowedPage:
        """Return the consent, key and registry events after log position `after`."""
        head = self._store.head()
        found = self._store.read_log(after, min(limit, PAGE), self._types)
        full = len(found) == min(limit, PAGE)
        position = found[-1].position if full else max(head, after)
        return FollowedPage(items=tuple(self._item(r) for r in found), position=position)

    def registry(self, after: int) -> FollowedPage:
        """Return the registry facts after fact number `after`."""
        found = self._store.read_case(ev.REGISTRY_STREAM, after)[:PAGE]
        seq = found[-1].version if found else after
        return FollowedPage(items=tuple(self._item(r) for r in found), position=seq)

    def _item(self, recorded: Recorded) -> FollowedItem:
        return FollowedItem(
            position=recorded.position,
            case_id=recorded.case_id,
            seq=recorded.custody_seq or 0,
            event=show(self._language, recorded, 0),
        )
