"""Who may read what of the trail: agencies their own, oversight everything."""

from collections.abc import Callable, Mapping

from domain.agency import Registry
from domain.errors import Refused
from domain.feed import LANES
from domain.trail.heads import actor_key, feed_key
from domain.trail.statement import actor_id, reader_id
from domain.vocabulary import Purpose, Role

OVERSIGHT = frozenset({Role.NATIONAL_RAPPORTEUR, Role.AUDITOR})
"""Roles whose holders read entries and bodies: sealed bytes and no identity."""


class Readers:
    """Answers from the registry as it stands now."""

    def __init__(self, registry: Callable[[], Registry], clock: Callable[[], int]) -> None:
        """`clock` gives ms."""
        self._registry = registry
        self._clock = clock
        self._version = -1
        self._owners: Mapping[bytes, str] = {}

    def check_registered(self, agency: str) -> None:
        """Raise `Refused` AGENCY_NOT_ACTIVE unless the agency is registered and active now."""
        if not self._registry().standing(agency, self._clock()).active:
            raise Refused("AGENCY_NOT_ACTIVE", "the agency is not registered, designated, active")

    def check_overseer(self, agency: str) -> None:
        """Raise `Refused` NOT_OVERSIGHT unless the agency is designated to oversee."""
        if OVERSIGHT.isdisjoint(self._registry().standing(agency, self._clock()).roles):
            raise Refused("NOT_OVERSIGHT", "entries and bodies are for rapporteur and auditors")

    def check_head(self, agency: str, key: bytes) -> None:
        """Raise `Refused` when `key` is another agency's feed or chain; oversight may see all."""
        self.check_registered(agency)
        if self._owner(key) not in {None, agency}:
            self.check_overseer(agency)

    def _owner(self, key: bytes) -> str | None:
        """Return whose feed or chain a key of the map is; a stream is nobody's.

        Who names a stream knows its case, whose id is random.
        """
        registry = self._registry()
        if registry.version != self._version:
            self._owners = _owners(registry)
            self._version = registry.version
        return self._owners.get(key)


def _owners(registry: Registry) -> dict[bytes, str]:
    owners: dict[bytes, str] = {}
    for agency in registry.agencies.values():
        feeds = (feed_key(agency.id, p, lane) for p in Purpose for lane in range(LANES))
        names = (of(k.signing_key) for k in agency.keys for of in (actor_id, reader_id))
        owners |= dict.fromkeys([*feeds, *map(actor_key, names)], agency.id)
    return owners
