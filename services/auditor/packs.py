"""The policy packs that an auditor judges by, and which of them was in force when.

A hub runs one pack, the one that it was started with, and lets in only actions that name it. So
what an action names says what the hub ran; when it should have, the packs' first days say.
"""

from bisect import bisect_right
from collections.abc import Collection, Mapping
from datetime import date

from domain.calendar import DAY_MS
from domain.errors import Malformed, Refused
from domain.policy import Policy
from services.auditor.instants import shown

_EPOCH = date(1970, 1, 1)


class Packs:
    """Packs of one country, each in force from its first day to the first day of the next."""

    def __init__(self, packs: Collection[Policy]) -> None:
        """Take them in any order; `Malformed` PACKS unless they follow one another."""
        self._packs = sorted(packs, key=_starts_ms)
        self._starts_ms = [_starts_ms(pack) for pack in self._packs]
        if not self._packs or len({pack.country for pack in self._packs}) > 1:
            raise Malformed("PACKS", "the packs must be of one country")
        if len(self.by_id) < len(self._packs):
            raise Malformed("PACKS", "two packs have one id; a change needs an id of its own")
        for one, other in zip(self._packs, self._packs[1:], strict=False):
            if one.valid_from == other.valid_from:
                message = f"{one.id} and {other.id} begin on one day: which was in force?"
                raise Malformed("PACKS", message)

    @property
    def by_id(self) -> Mapping[str, Policy]:
        """Every pack by its id, the first in force first."""
        return {pack.id: pack for pack in self._packs}

    @property
    def first(self) -> Policy:
        """The pack that was in force first."""
        return self._packs[0]

    def in_force(self, named: str, at_ms: int) -> Policy:
        """Return the pack in force for an action that names the pack `named`, recorded at `at_ms`.

        That is the newest one which has begun. On its first day the one before it still is in
        force where it is named: on that day the hub is started anew. `Refused` PACK_MISSING
        before the first pack.
        """
        begun = bisect_right(self._starts_ms, at_ms)
        if not begun:
            message = f"{self.first.id} begins after {shown(at_ms)}: give the pack before it too"
            raise Refused("PACK_MISSING", message)
        newest = self._packs[begun - 1]
        before = self._packs[begun - 2] if begun > 1 else newest
        on_its_first_day = at_ms < self._starts_ms[begun - 1] + DAY_MS
        return before if on_its_first_day and named == before.id else newest


def _starts_ms(pack: Policy) -> int:
    """Return when its first day begins by the clocks of its country, in ms since 1970 UTC."""
    days = (pack.valid_from - _EPOCH).days
    return days * DAY_MS - pack.calendar.utc_offset_minutes * 60_000
