"""Which keys stand behind the actors of a trail, learned from the trail alone.

Keys of agencies come from the registry facts in its bodies, each approved by both registrars,
who are pinned like the operator. Whoever replays a trail asks nothing of a hub.
"""

from domain.errors import NotAuthentic
from domain.events import REGISTRY_STREAM
from domain.messages import Shown
from domain.ports import Language
from domain.standing import Key
from domain.trail.admission import Signer
from domain.trail.state import Item
from domain.trail.statement import actor_id, reader_id, stream_tag
from services.directory import Directory

_REGISTRY = stream_tag(REGISTRY_STREAM)


class TrailKeys:
    """`Keys` of a replay."""

    def __init__(self, language: Language, directory: Directory, operator: Key) -> None:
        """Pin the `operator`, and the registrars in an empty `directory`."""
        self._directory = directory
        self._types = {language.shape(t).number: t for t in language.types()}
        self._operator = Signer.of(operator)
        self._operator_id = actor_id(operator.signing_key)
        self._readers: dict[bytes, bytes] = {}
        """`reader_id` -> `actor_id` of the same key."""

    def signer(self, actor: bytes) -> Signer | None:
        """Return whose actor it is; None if no key is known."""
        if actor == self._operator_id:
            return self._operator
        writer = self._readers.get(actor, actor)
        key = self._directory.registry.key_of(writer)
        return Signer.of(key, reads=writer != actor) if key else None

    def learn(self, item: Item) -> None:
        """Take an accepted action; `Refused` when it is a registry fact that does not hold."""
        if item.said.stream != _REGISTRY:
            return
        if item.body is None or item.said.type not in self._types:
            raise NotAuthentic("REGISTRY_FACT", "the registry fact cannot be read")
        known = self._directory.registry.actors
        fact = Shown(
            type=self._types[item.said.type],
            record=item.body,
            statement=item.entry.statement,
            signature=item.entry.signature,
            recorded_ms=item.entry.recorded_ms,
        )
        self._directory.take(self._directory.seq + 1, fact)
        for actor in self._directory.registry.actors.keys() - known.keys():
            key = self._directory.registry.key_of(actor)
            if key is not None:
                self._readers[reader_id(key.signing_key)] = actor
