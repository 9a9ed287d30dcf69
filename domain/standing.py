"""One agency with its whole history, and its standing at any instant."""

from collections.abc import Iterator
from dataclasses import dataclass

from domain.consent import Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From `starts`, up to but not including `ends`, in ms; None while it lasts."""

    starts: int
    ends: int | None = None

    def holds(self, at_ms: int) -> bool:
        """Return whether the period covers the instant."""
        return self.starts <= at_ms and (self.ends is None or at_ms < self.ends)

    def meets(self, other: "Period") -> bool:
        """Return whether some instant is in both."""
        return (other.ends is None or self.starts < other.ends) and (
            self.ends is None or other.starts < self.ends
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Designation:
    """One role of an agency, for a time."""

    role: str
    purposes: frozenset[str]
    period: Period


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One pair of public keys of an agency and when it is, or was, the one in force."""

    agency: str
    signing_key: bytes
    opening_key: bytes
    period: Period


@dataclass(frozen=True, slots=True, kw_only=True)
class Agency:
    """One agency with its whole history."""

    id: str
    name: str
    country: str
    designations: tuple[Designation, ...] = ()
    keys: tuple[Key, ...] = ()
    """Oldest first; each ends where the next starts."""
    suspensions: tuple[Period, ...] = ()

    @property
    def suspended(self) -> bool:
        """Whether a suspension stands that nobody lifted."""
        return bool(self.suspensions) and self.suspensions[-1].ends is None

    def key(self, at_ms: int) -> Key | None:
        """Return the keys in force, if any."""
        return next((k for k in self.keys if k.period.holds(at_ms)), None)

    def standing(self, at_ms: int) -> Standing:
        """Return the agency at that instant; of one that is not active, nothing more is said."""
        roles = {d.role: d.purposes for d in self.designations if d.period.holds(at_ms)}
        suspended = [s for s in self.suspensions if s.holds(at_ms)]
        if not roles or suspended or self.key(at_ms) is None:
            return Standing(agency=self.id, active=False)
        return Standing(agency=self.id, active=True, country=self.country, roles=roles)

    def instants(self) -> Iterator[int]:
        """Return each instant at which time alone changes the standing or the key."""
        for designation in self.designations:
            yield designation.period.starts
            if designation.period.ends is not None:
                yield designation.period.ends
        for key in self.keys:
            yield key.period.starts
