"""The wiring of what the coordinator does to a cluster of brokers."""

from adapters.kafka.admin import Admin
from adapters.kafka.declaration import Declaration, parse_declaration
from adapters.kafka.strimzi import manifests
from domain.agency import Registry
from domain.errors import Malformed
from domain.events import REGISTRY_STREAM
from domain.vocabulary import Seat
from services.bootstrap.hub import event_store
from services.bootstrap.parts import Parts, now_ms
from services.hub.casebook import RegistryBook
from services.operating import registry
from services.topics import seats_of


def declaration_of(parts: Parts) -> Declaration:
    """Return the declaration of topics, principals and rights."""
    path = parts.settings.topics
    try:
        return parse_declaration(path.read_text("utf-8"))
    except FileNotFoundError as e:
        raise Malformed("TOPICS_FILE", f"{path} is not there; name it with NRM_TOPICS") from e


def admin(parts: Parts) -> Admin:
    """Return the administrator of the hub's part of the cluster."""
    return Admin(parts.broker, parts.names, declaration_of(parts))


async def seats(parts: Parts, hub: str) -> tuple[Seat, ...]:
    """Return the seats in force, by the registry of the hub at `hub`, or of the database."""
    if hub:
        parts.require_trust()
        found, now = await registry(parts, {"hub": hub})
        return seats_of(found, now)
    return seats_of(_stored(parts), now_ms())


def strimzi(parts: Parts, cluster: str, brokers: int, seats: tuple[Seat, ...]) -> str:
    """Return the declaration as manifests for the Kafka called `cluster`."""
    return manifests(declaration_of(parts).expand(parts.names, brokers, seats), cluster)


def _stored(parts: Parts) -> Registry:
    if not parts.settings.database:
        raise Malformed("SEATS", "say whose registry names the seats: --hub or NRM_DATABASE_URL")
    store, book = event_store(parts), RegistryBook(parts.language)
    version = store.heads([REGISTRY_STREAM]).get(REGISTRY_STREAM, 0)
    return book.catch_up(version, store)
