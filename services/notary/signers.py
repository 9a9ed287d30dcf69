"""Whose key stands behind an actor of the trail, as the registry says."""

from collections.abc import Callable

from domain.agency import Registry
from domain.standing import Key, Period
from domain.trail.admission import Signer
from domain.trail.statement import actor_id, reader_id


class Signers:
    """Looks actors up; what the registry knew once, it knows for good."""

    def __init__(self, registry: Callable[[], Registry], operator: Key, notary: bytes) -> None:
        """`operator` wrote the first facts of the registry; `notary` is the notary's public key."""
        self._registry = registry
        self._pinned = {actor_id(notary): Signer(notary, "", Period(starts=0))}
        self._pinned[actor_id(operator.signing_key)] = Signer.of(operator)
        self._version = -1
        self._known: dict[bytes, Signer] = {}

    def renew(self) -> None:
        """Learn what the registry has become."""
        registry = self._registry()
        if registry.version != self._version:
            keys = (key for agency in registry.agencies.values() for key in agency.keys)
            known = {k: v for key in keys for k, v in _signers(key).items()}
            self._known, self._version = known | self._pinned, registry.version

    def signer(self, actor: bytes) -> Signer | None:
        """Return whose actor it is, as of `renew`; None if no key is known."""
        return self._known.get(actor)


def _signers(key: Key) -> dict[bytes, Signer]:
    return {
        actor_id(key.signing_key): Signer.of(key),
        reader_id(key.signing_key): Signer.of(key, reads=True),
    }
