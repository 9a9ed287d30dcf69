"""Cases as the custodian follows them: folded from consent, referral and key events alone.

The numbers of a case have no gaps; where one is missing, the hub has left something out, and
nothing is believed of that case any more.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from domain import events as ev
from domain.case import Case
from domain.custody import Custody, KeyOfCase
from domain.fold import evolve
from domain.ports import Language
from domain.trail.statement import digest

HELD_CASES = 2_000


@dataclass(frozen=True, slots=True)
class _Followed:
    case: Case
    seq: int
    """Number of the newest event folded; the case is complete up to it."""
    openers: Mapping[bytes, tuple[KeyOfCase, ...]] = field(default_factory=dict)
    """Digest of the statement of each KeyEpochOpened -> the keys that it opened."""


class FollowedCases:
    """Folded cases by id, the most recently used ones held."""

    def __init__(self, custody: Custody, language: Language) -> None:
        """Read what `custody` keeps of the hub's log; it was checked when it came in."""
        self._custody = custody
        self._language = language
        self._cases: OrderedDict[str, _Followed] = OrderedDict()
        self.gaps: set[str] = set()
        """Cases in which the hub left out a number."""

    def case(self, case_id: str) -> Case:
        """Return the case up to its newest event, or up to the gap in its numbers."""
        return self._followed(case_id).case

    def openers(self, case_id: str) -> Mapping[bytes, tuple[KeyOfCase, ...]]:
        """Return the digest of the statement of each KeyEpochOpened -> the keys it opened."""
        return self._followed(case_id).openers

    def _followed(self, case_id: str) -> _Followed:
        followed = self._cases.get(case_id) or _Followed(Case(id=case_id), 0)
        for item in self._custody.followed(case_id, followed.seq):
            if item.seq != followed.seq + 1:
                self.gaps.add(case_id)
                break
            _, event = self._language.read(item.event.type, item.event.record)
            if isinstance(event, ev.RegistryEvent):
                break
            openers = followed.openers
            if isinstance(event, ev.KeyEpochOpened):
                opened = tuple((event.head.agency, k.category, k.epoch) for k in event.keys)
                openers = {**openers, digest(item.event.statement): opened}
            case = evolve(followed.case, event, item.event.recorded_ms)
            followed = _Followed(case, item.seq, openers)
        self._cases[case_id] = followed
        self._cases.move_to_end(case_id)
        if len(self._cases) > HELD_CASES:
            self._cases.popitem(last=False)
        return followed

    def forget(self) -> None:
        """Drop what is held; the store has the truth."""
        self._cases.clear()
