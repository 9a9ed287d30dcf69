"""What travels on which topic of a hub, in words for whoever reads it: headers, keys, schemas."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapters.kafka.declaration import DAY_MS, Declaration, Template
from adapters.kafka.feed_topics import FEED_HEADERS, MORE_HEADERS
from adapters.kafka.framing import LOG_HEADERS
from adapters.kafka.refusals import TYPE as REFUSAL
from domain.published import PublishedSchema
from domain.vocabulary import Purpose
from schemas.released import TRANSPORT

HEADERS = {
    "ce_specversion": "Version of CloudEvents: 1.0.",
    "ce_id": "Id of the event, or of the action that was refused.",
    "ce_source": "Id of the hub, such as nrm:gb.",
    "ce_type": "Avro full name of the value's schema.",
    "ce_sequence": "Decimal number from 1 without gaps: position in the log, or of the refusal.",
    "content-type": "Media type of the value: application/avro, behind the five framing bytes.",
    "nrm_entry": "Side row of the log, 374 bytes (docs/formats.md).",
    "nrm_seq": "Place in the feed: lane.seq, both decimal.",
    "nrm_categories": "Names of the categories shown, comma between; the others are withheld.",
    "nrm_basis": "Ids of acts and codes of legal bases that the entry rests on, space between.",
    "nrm_granted": "Names of the categories that the entry discloses, as the trail has it; no "
    "fewer than those shown. Missing in records of an earlier hub.",
    "nrm_statement": "What the acting agency signed, 286 bytes (docs/formats.md).",
    "nrm_signature": "Its Ed25519 signature, 64 bytes.",
    "nrm_recorded_ms": "When the hub recorded the event, in decimal milliseconds since 1970 UTC.",
    "nrm_supersedes": "Earlier seq of this lane that this entry replaces, if any.",
}
PARAMETERS: dict[str, dict[str, Any]] = {
    "hub": {
        "description": "The hub's id with a dot for its colon.",
        "examples": ["nrm.gb"],
    },
    "agency": {"description": "The seat's agency.", "examples": ["gb-shelter"]},
    "purpose": {"description": "The seat's purpose.", "enum": [p.value for p in Purpose]},
}
_FEED = (
    "What one seat may see. The principal is the agency, a dot and the purpose with hyphens for "
    "underscores; names of its consumer groups begin with the principal and a dot."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One kind of topic and what travels on it."""

    name: str
    said: str
    topic: Template
    replicas: int
    schemas: Sequence[PublishedSchema]
    headers: Sequence[str]
    key: str
    parameters: Sequence[str] = ("hub",)

    @property
    def address(self) -> str:
        """Return the topic's name, parameters in braces."""
        return ".".join(["{hub}", self.name, *(f"{{{p}}}" for p in self.parameters[1:])])


def channels_of(
    declaration: Declaration, schemas: Sequence[PublishedSchema]
) -> tuple[Channel, ...]:
    """Return the channels that others than the hub read, as the declaration has them."""
    events = [s for s in schemas if s.number < TRANSPORT]
    retention = {"retention.ms": str(declaration.retention_days * DAY_MS)}
    feed = replace(declaration.feed, config={**declaration.feed.config, **retention})
    copies = declaration.replication
    return (
        Channel(
            name="log",
            said="Every event.",
            topic=declaration.topics["log"],
            replicas=copies,
            schemas=events,
            headers=LOG_HEADERS,
            key="Id of the case; the nil UUID for registry facts, which are in every partition.",
        ),
        Channel(
            name="refusals",
            said="Every action that the rules refused.",
            topic=declaration.topics["refusals"],
            replicas=copies,
            schemas=[s for s in schemas if s.subject == REFUSAL],
            headers=[name for name in LOG_HEADERS if name != "nrm_entry"],
            key="Id of the action that was refused.",
        ),
        Channel(
            name="feed",
            said=_FEED,
            topic=feed,
            replicas=copies,
            schemas=events,
            headers=[*FEED_HEADERS, *MORE_HEADERS],
            key="Id of the event: a newer record of it replaces the older ones.",
            parameters=("hub", "agency", "purpose"),
        ),
    )
