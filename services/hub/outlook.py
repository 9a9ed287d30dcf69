"""The world as a lane has come to know it: the registry at one version, standings at an instant.

Lanes that stand at the same version share one; nothing in it depends on a lane.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import NamedTuple

from domain import events as ev
from domain.agency import Registry, evolve
from domain.audience import Audience
from domain.case import Case
from domain.consent import Standing
from domain.errors import Corrupt, Malformed
from domain.ports import EventStore, Language, Recorded
from domain.rules.world import World
from domain.visibility import home_purpose
from domain.vocabulary import Seat


class Member(NamedTuple):
    """An agency as it stands now."""

    standing: Standing
    home: str | None
    seats: tuple[Seat, ...]


class Looked(NamedTuple):
    """What an outlook finds of a case, while nothing that it depends on changes."""

    audience: Audience
    members: Mapping[str, Member]
    """The agencies that could see something."""
    parts: frozenset[str]
    until: int | None
    """First instant at which time alone changes it; None when it cannot."""
    state: tuple[object, ...]
    """All that it depends on in the case."""


class Outlook:
    """The world at one version of the registry."""

    def __init__(self, world: World) -> None:
        """Look at `world`."""
        self.world = world
        self.visibility = world.policy.visibility
        self._triggers = frozenset(basis.when for basis in world.policy.legal_bases)
        self._members: dict[str, Member] = {}
        self._since = 0
        self._until: int | None = 0

    def until(self, now: int) -> int | None:
        """Return the next instant at which time alone changes a standing; None if none does."""
        if now < self._since or past(self._until, now):
            self._members.clear()
            self._since, self._until = now, self.world.registry.next_change(now)
        return self._until

    def member(self, agency: str, now: int) -> Member:
        """Return how `agency` stands at `now`."""
        self.until(now)
        if agency not in self._members:
            standing = self.world.standing(agency, now)
            seats = tuple(Seat(agency, purpose) for purpose in standing.purposes)
            self._members[agency] = Member(standing, home_purpose(standing), seats)
        return self._members[agency]

    def look(self, case: Case, now: int, before: Looked | None) -> Looked:
        """Return who may see what of `case`: `before`, which this found earlier, if it holds.

        While it holds, no seat's stance to the case has changed either.
        """
        whole = case.consent_state()
        # Most of what happens in a case opens and closes nothing: no law names it.
        state = (
            whole.acts,
            whole.referrals,
            whole.parts,
            whole.guardians,
            whole.child,
            whole.restricted,
            whole.authority,
            whole.happened & self._triggers,
            case.referrer,
            tuple(case.referrals),
            tuple(case.ended_acts),
        )
        if before is not None and before.state == state and not past(before.until, now):
            return before
        members = {a: self.member(a, now) for a in self.world.readers(whole)}
        standings = {a: member.standing for a, member in members.items()}
        audience = self.world.compiled(whole, standings, now)
        changes = (audience.next_change, self.until(now))
        until = min((c for c in changes if c is not None), default=None)
        return Looked(audience, members, whole.parts, until, state)


def past(until: int | None, now: int) -> bool:
    """Return whether `until` has come."""
    return until is not None and now >= until


class Outlooks:
    """Every outlook that some lane stands at, folded once from the registry's facts."""

    def __init__(self, store: EventStore, language: Language, world: World) -> None:
        """Begin with the empty registry; `world` gives the policy."""
        self._store = store
        self._language = language
        self._first = Outlook(replace(world, registry=Registry()))
        self._known: dict[tuple[int, bytes], Outlook] = {}
        """(version, statement of the newest fact) -> outlook."""

    def upto(self, position: int) -> Outlook:
        """Return the outlook of a lane that stands at `position` of the log."""
        facts = self._store.read_case(ev.REGISTRY_STREAM)
        facts = [fact for fact in facts if fact.position <= position]
        if facts and (known := self._known.get(_key(facts[-1]))):
            return known
        outlook = self._first
        for fact in facts:
            outlook = self.after(outlook, fact)
        return outlook

    def after(self, outlook: Outlook, fact: Recorded) -> Outlook:
        """Return `outlook` after one more registry fact; `Corrupt` if that is none, or not next."""
        if fact.version != outlook.world.registry.version + 1:
            before = outlook.world.registry.version
            raise Corrupt("VERSION_GAP", f"registry fact {fact.version} follows {before}")
        key = _key(fact)
        if key not in self._known:
            event = routing(self._language, fact)
            if not isinstance(event, ev.RegistryEvent):
                raise Corrupt("CASE_EVENT_IN_REGISTRY", f"position {fact.position}")
            try:
                registry = evolve(outlook.world.registry, event, fact.recorded_ms)
            except ValueError as e:  # the rules let no such fact in
                raise Corrupt("EVENT_IMPOSSIBLE", f"position {fact.position}") from e
            self._known[key] = Outlook(replace(outlook.world, registry=registry))
        return self._known[key]

    def keep(self, outlooks: Collection[Outlook]) -> None:
        """Forget all but `outlooks`."""
        if len(self._known) > len(outlooks):
            held = set(map(id, outlooks))
            self._known = {k: o for k, o in self._known.items() if id(o) in held}


def _key(fact: Recorded) -> tuple[int, bytes]:
    return fact.version, fact.statement


def routing(language: Language, recorded: Recorded) -> ev.Event:
    """Return the event in `recorded`; `Corrupt` if it does not read or is another's."""
    try:
        event = language.routing(recorded.type, recorded.body)
    except Malformed as e:
        raise Corrupt("RECORD_UNREADABLE", f"position {recorded.position}: {e.code}") from e
    if event.head.event_id != recorded.event_id or event.head.case_id != recorded.case_id:
        raise Corrupt("RECORD_MISLABELLED", f"position {recorded.position}: the ids differ")
    return event
