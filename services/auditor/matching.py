"""One lane of one seat's feed: the deliveries that are due beside those that were disclosed.

Both are gapless sequences. Where they part, what was left out or added shifts every number
behind it; the comparison goes on with the shifted numbers, so that one fault is told once.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import islice
from typing import NamedTuple

from domain.trail.deliveries import Delivery
from services.auditor.expecting import Due

WINDOW = 64
"""Deliveries that are looked at on each side to find where the two go on together."""


class Told(NamedTuple):
    """A delivery as a DISCLOSURE lists it."""

    delivery: Delivery
    case_id: str
    """The case in whose stream it stands; empty if the log has no such case."""
    entry: int
    """The DISCLOSURE, by its place in the log."""
    ms: int
    """The notary's time when it was signed."""
    position: int
    """How many accepted actions stood before it."""


class Difference(NamedTuple):
    """Where a feed is not what the rules give."""

    due: Due | None
    """None: it was disclosed and nothing like it is due."""
    told: Told | None
    """None: it is due and was not disclosed."""
    parts: tuple[str, ...] = ()
    """What differs if both are there; `early` alone if it was disclosed before it was due."""

    @property
    def shown(self) -> Told | Due:
        """The delivery as it was disclosed, or as it is due if it was not."""
        shown = self.told or self.due
        if shown is None:
            raise ValueError("a difference is about a delivery")
        return shown


class Matching:
    """One lane of one seat's feed, as far as the log was taken."""

    def __init__(self) -> None:
        """Start with the empty feed."""
        self._due: deque[Due] = deque()
        self._told: deque[Told] = deque()
        self._next = 1
        """Number of the first of `_due`, as if nothing had been left out or added."""
        self._shift = 0
        """What is added to such a number now."""
        self._starts: list[int] = []
        self._shifts: list[int] = []
        """From which such number on which shift holds; empty while all is well."""
        self.matched = 0
        """Deliveries that are as they are due."""

    @property
    def waiting(self) -> int:
        """Deliveries that have no counterpart yet."""
        return len(self._due) + len(self._told)

    def expect(self, due: Due) -> Iterator[Difference]:
        """Take the next delivery that is due; yield what is wrong."""
        self._due.append(due)
        return self._settle() if self._told else iter(())

    def tell(self, told: Told) -> Iterator[Difference]:
        """Take the next delivery that was disclosed; yield what is wrong."""
        self._told.append(told)
        return self._settle() if self._due else iter(())

    def finish(self) -> Iterator[Difference]:
        """Say that nothing more comes; yield what is wrong with the rest."""
        yield from self._settle(whole=True)
        while self._due:
            yield self._left_out()
        while self._told:
            yield self._added()

    def _settle(self, *, whole: bool = False) -> Iterator[Difference]:
        due, told = self._due, self._told
        while due and told:
            parts = self._parts(due[0], told[0])
            if not parts:
                self.matched += 1
                yield from self._pair(())
            elif whole or len(told) >= WINDOW:
                yield from self._part(parts)
            else:
                return

    def _part(self, parts: tuple[str, ...]) -> Iterator[Difference]:
        """Take what stands before the place where both go on together."""
        ours = [_content(one.delivery) for one in islice(self._due, WINDOW)]
        theirs = [_content(one.delivery) for one in islice(self._told, WINDOW)]
        matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
        _, _, left, _, more = matcher.get_opcodes()[0]
        if ours[0] == theirs[0]:
            yield from self._pair(parts)
            return
        while left and more and self._due[0].delivery.event == self._told[0].delivery.event:
            yield from self._pair(self._parts(self._due[0], self._told[0]))
            left, more = left - 1, more - 1
        for _ in range(left):
            yield self._left_out()
        for _ in range(more):
            yield self._added()

    def _pair(self, parts: tuple[str, ...]) -> Iterator[Difference]:
        due, told = self._due.popleft(), self._told.popleft()
        if "seq" in parts:
            self._shifted(told.delivery.seq - self._number(due.delivery.seq))
        self._next += 1
        if parts:
            yield Difference(due, told, parts)
        elif told.entry < due.entry:
            yield Difference(due, told, ("early",))

    def _left_out(self) -> Difference:
        due = self._due.popleft()
        self._next += 1
        self._shifted(-1)
        return Difference(due, None)

    def _added(self) -> Difference:
        self._shifted(1)
        return Difference(None, self._told.popleft())

    def _shifted(self, by: int) -> None:
        self._shift += by
        self._starts.append(self._next)
        self._shifts.append(self._shift)

    def _parts(self, due: Due, told: Told) -> tuple[str, ...]:
        """Return what differs between the two."""
        one, other = due.delivery, told.delivery
        if self._starts:
            numbers = self._number(one.seq), self._number(one.supersedes)
            one = one._replace(seq=numbers[0], supersedes=numbers[1])
        if one == other and due.case_id == told.case_id:
            return ()
        differs = [name for name in one._fields if getattr(one, name) != getattr(other, name)]
        return (*differs, *(["case"] if due.case_id != told.case_id else []))

    def _number(self, seq: int) -> int:
        place = bisect_right(self._starts, seq)
        return seq + self._shifts[place - 1] if place else seq


def _content(delivery: Delivery) -> tuple[bytes, int, str]:
    return delivery.event, delivery.mask, delivery.basis
