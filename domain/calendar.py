"""Deadlines on civil dates: which days count, and the instant at which the last one ends.

Days are counted as numbers since 1970-01-01, so every instant has an answer.
"""

from dataclasses import dataclass

DAY_MS = 86_400_000
_THURSDAY = 3
"""Weekday of 1970-01-01; Monday is 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """One country's working days. A day that is neither weekend nor listed holiday is worked."""

    weekend: frozenset[int]
    """Weekdays off, Monday 0; at least one weekday is missing here."""
    holidays: frozenset[int]
    """Days off, as days since 1970-01-01."""
    utc_offset_minutes: int
    """What the country's clocks are ahead of UTC; one figure the whole year."""

    def works(self, day: int) -> bool:
        """Return whether `day` (days since 1970-01-01) is a working day."""
        return (day + _THURSDAY) % 7 not in self.weekend and day not in self.holidays

    def end(self, from_ms: int, days: int, *, working: bool) -> int:
        """Return the first instant (ms) after `days` days, the day of `from_ms` not counted.

        With `working`, only working days are counted.
        """
        shift = self.utc_offset_minutes * 60_000
        day = (from_ms + shift) // DAY_MS
        if not working:
            return (day + days + 1) * DAY_MS - shift
        while days:
            day += 1
            days -= self.works(day)
        return (day + 1) * DAY_MS - shift
