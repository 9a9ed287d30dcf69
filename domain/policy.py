"""Policy packs: what differs between countries, as dated data (docs/policy.md).

A pack is read whole or not at all: an unknown key, a wrong type or a word that is not in the
vocabulary is `Malformed` under a code POLICY_…, and the message names the key.
What a pack does not name is refused: an act without roles, a category without ceiling.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import get_args

from domain.calendar import Calendar
from domain.case import CUSTODY
from domain.consent import Basis, LegalBasis
from domain.errors import Malformed
from domain.events import CaseEvent, Event
from domain.strict_toml import Table
from domain.vocabulary import SEALED, Category, Purpose, Role, mask_of

DEADLINES = ("reasonable_grounds", "recovery", "reconsideration", "referral_answer")
"""The deadlines that every pack sets."""

RELATIONS = frozenset(
    {"case", "referral", "authority", "referrer", "recipient", "addressee", "statutory"}
)
"""The relations to an event that a pack may name; `domain.visibility` says what each means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """How long something may take."""

    days: int
    working: bool
    """Whether only working days count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One country's rules from one day on."""

    id: str
    """Stands in every event that was decided under it, such as gb-2026.1."""
    country: str
    """ISO 3166-1 alpha-2."""
    timezone: str
    """IANA name, for people; deadlines use the calendar's offset."""
    valid_from: date
    sources: tuple[str, ...]
    """Where the rules come from."""
    calendar: Calendar
    deadlines: Mapping[str, Deadline]
    acts: Mapping[str, frozenset[str]]
    """Event name -> roles that may record it; what is not listed nobody may record."""
    child_referral_needs_consent: bool
    """Whether a referral of a child into the mechanism waits for consent."""
    consent_max_days: int
    """Longest that an act of consent may last before it is renewed."""
    bases: Mapping[str, frozenset[str]]
    """Basis -> roles that may record an act on it; a basis that is not listed is not accepted."""
    ceilings: Mapping[tuple[str, str], int]
    """(role, purpose) -> mask of the categories that consent can open at most."""
    legal_bases: tuple[LegalBasis, ...]
    visibility: Mapping[str, frozenset[str]]
    """Event name -> relations that learn that such an event exists."""

    def due(self, name: str, from_ms: int) -> int:
        """Return the end of deadline `name` that runs from `from_ms`: the first instant too late.

        Both in ms since 1970 UTC. The day of `from_ms` is not counted (docs/policy.md).
        """
        deadline = self.deadlines[name]
        return self.calendar.end(from_ms, deadline.days, working=deadline.working)


def parse_policy(text: str) -> Policy:
    """Return the pack in TOML `text`; `Malformed` POLICY_… if anything in it is not understood."""
    top = Table.parse(text)
    children, consent = top.table("children"), top.table("consent")
    policy = Policy(
        id=top.take("id", str),
        country=top.take("country", str),
        timezone=top.take("timezone", str),
        valid_from=top.take("valid_from", date),
        sources=top.items("sources", str),
        calendar=_calendar(top.table("calendar")),
        deadlines=_deadlines(top.table("deadlines")),
        acts=_by_event(top.tables("acts"), "roles", _ROLES, _EVENTS),
        child_referral_needs_consent=children.take("referral_needs_consent", bool),
        consent_max_days=consent.number("max_days", 1, 366),
        bases=_bases(consent.table("bases")),
        ceilings=_ceilings(top.table("ceilings")),
        legal_bases=tuple(_legal_basis(t) for t in top.tables("legal_bases")),
        visibility=_by_event(top.tables("visibility"), "relations", RELATIONS, _CASE_EVENTS),
    )
    for table in (top, children, consent):
        table.close()
    return policy


_ROLES = frozenset(Role)
_PURPOSES = frozenset(Purpose)
_SEALED_NAMES = frozenset(c.name for c in SEALED)
_EVENTS = frozenset(e.__name__ for e in get_args(Event))
_CASE_EVENTS = frozenset(e.__name__ for e in get_args(CaseEvent))
_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_EPOCH = date(1970, 1, 1).toordinal()


def _calendar(table: Table) -> Calendar:
    weekend = table.words("weekend", _WEEK)
    if len(weekend) == len(_WEEK):
        raise Malformed("POLICY_RANGE", f"{table.at('weekend')} must leave a working day")
    calendar = Calendar(
        weekend=frozenset(map(_WEEK.index, weekend)),
        holidays=frozenset(d.toordinal() - _EPOCH for d in table.items("holidays", date)),
        utc_offset_minutes=table.number("utc_offset_minutes", -840, 840),
    )
    table.close()
    return calendar


def _deadlines(table: Table) -> dict[str, Deadline]:
    deadlines = {}
    for name in DEADLINES:
        entry = table.table(name)
        days = entry.number("days", 1, 3660)
        deadlines[name] = Deadline(days=days, working=entry.take("working", bool))
        entry.close()
    table.close()
    return deadlines


def _by_event(
    blocks: list[Table], key: str, words: Collection[str], events: Collection[str]
) -> dict[str, frozenset[str]]:
    """Read blocks of `key` and the events they hold for; an event stands in one block only."""
    found: dict[str, frozenset[str]] = {}
    for block in blocks:
        given = frozenset(block.words(key, words))
        for event in block.words("events", events):
            if event in found:
                raise Malformed("POLICY_TWICE", f"{block.at('events')}: {event} stands above too")
            found[event] = given
        block.close()
    return found


def _bases(table: Table) -> dict[str, frozenset[str]]:
    return {basis: frozenset(table.words(basis, _ROLES)) for basis in table.keys(frozenset(Basis))}


def _ceilings(table: Table) -> dict[tuple[str, str], int]:
    ceilings = {}
    for role in table.keys(_ROLES):
        entry = table.table(role)
        for purpose in entry.keys(_PURPOSES):
            mask = mask_of(entry.words(purpose, _SEALED_NAMES))
            _statistics_apart(entry.at(purpose), frozenset({purpose}), mask)
            ceilings[role, purpose] = mask
    return ceilings


def _legal_basis(table: Table) -> LegalBasis:
    basis = LegalBasis(
        code=table.take("code", str),
        # Only what the custodian follows too: both gates must see the law come true.
        when=table.word("when", CUSTODY | {"always", "child"}),
        role=table.word("role", _ROLES),
        purposes=frozenset(table.words("purposes", _PURPOSES)),
        categories=mask_of(table.words("categories", _SEALED_NAMES)),
        part_only=table.take("part_only", bool),
    )
    _statistics_apart(table.path, basis.purposes, basis.categories)
    table.close()
    return basis


def _statistics_apart(path: str, purposes: frozenset[str], mask: int) -> None:
    """Refuse monitoring to open more than STATISTICS, and another purpose to open STATISTICS."""
    only = Category.STATISTICS.bit
    for purpose in purposes:
        foreign = mask & ~only if purpose == Purpose.MONITORING else mask & only
        if foreign:
            raise Malformed("POLICY_STATISTICS", f"{path}: only monitoring opens STATISTICS, alone")
