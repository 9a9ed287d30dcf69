"""Folded cases, kept in bounded memory and never older than the log says.

Every reader of cases in one process (accepting, feeds, projector) shares the fold; a case
that is not held, or is behind the version asked for, is read from the store.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain import events as ev
from domain.agency import Registry
from domain.agency import evolve as evolve_registry
from domain.case import Case
from domain.errors import Corrupt, Malformed
from domain.fold import evolve
from domain.ports import Language, Recorded
from domain.trail import statement

HELD_CASES = 8_000
"""Cases held folded; about 6 kB each."""


@dataclass(frozen=True, slots=True)
class Known:
    """A folded case and the digests of its statements, by which `after` is checked."""

    case: Case
    digests: frozenset[bytes] = frozenset()


class ReadsCases(Protocol):
    """The part of the store that a fold needs."""

    def read_case(self, case_id: str, after: int = 0) -> Sequence[Recorded]:
        """Return the events of a case after version `after`, oldest first."""
        ...


class CaseBook:
    """Folded cases by id, the most recently used ones held."""

    def __init__(self, language: Language, held: int = HELD_CASES) -> None:
        """Hold at most `held` cases."""
        self._language = language
        self._held = held
        self._known: OrderedDict[str, Known] = OrderedDict()

    def at(self, case_id: str, version: int, store: ReadsCases) -> Known:
        """Return the case folded to exactly `version` or later, reading what is missing."""
        known = self._known.get(case_id) or Known(Case(id=case_id))
        if known.case.version < version:
            for recorded in store.read_case(case_id, known.case.version):
                known = self.fold(known, recorded)
            if known.case.version < version:
                raise Corrupt(
                    "STREAM_SHORT", f"a stream has {known.case.version} events, not {version}"
                )
        self.keep(known)
        return known

    def fold(self, known: Known, recorded: Recorded) -> Known:
        """Return `known` after one more recorded event."""
        if recorded.version != known.case.version + 1:
            raise Corrupt("STREAM_GAP", f"version {recorded.version} follows {known.case.version}")
        event = recorded_event(self._language, recorded)
        if isinstance(event, ev.RegistryEvent):
            raise Corrupt("REGISTRY_EVENT_IN_CASE", f"position {recorded.position}")
        return Known(
            evolve(known.case, event, recorded.recorded_ms),
            known.digests | {statement.digest(recorded.statement)},
        )

    def keep(self, known: Known) -> None:
        """Hold `known` in place of what was held of the case."""
        self._known[known.case.id] = known
        self._known.move_to_end(known.case.id)
        if len(self._known) > self._held:
            self._known.popitem(last=False)


def recorded_event(language: Language, recorded: Recorded) -> ev.Event:
    """Return the event in `recorded`; what was accepted once and does not read now is `Corrupt`."""
    try:
        return language.routing(recorded.type, recorded.body)
    except Malformed as e:
        raise Corrupt("RECORD_UNREADABLE", f"position {recorded.position}: {e.code}") from e


class RegistryBook:
    """The folded registry of agencies, brought up to the store's version on demand."""

    def __init__(self, language: Language) -> None:
        """Start with an empty registry."""
        self._language = language
        self.registry = Registry()
        self.version = 0

    def catch_up(self, version: int, store: ReadsCases) -> Registry:
        """Return the registry folded to `version` or later."""
        if self.version < version:
            for recorded in store.read_case(ev.REGISTRY_STREAM, self.version):
                self.fold(recorded)
        return self.registry

    def fold(self, recorded: Recorded) -> None:
        """Fold one more recorded registry event."""
        event = recorded_event(self._language, recorded)
        if not isinstance(event, ev.RegistryEvent):
            raise Corrupt("CASE_EVENT_IN_REGISTRY", f"position {recorded.position}")
        self.registry = evolve_registry(self.registry, event, recorded.recorded_ms)
        self.version = recorded.version
