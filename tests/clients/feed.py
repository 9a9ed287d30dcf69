"""A seat's feed on a real broker, as the hub's own relay writes it, and what it must say.

Every released event is in it three times: shown whole, in part, and with everything withheld.
"""

from base64 import b64decode
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.kafka.admin import Admin
from adapters.kafka.declaration import parse_declaration
from adapters.kafka.feed_topics import RELAY, KafkaFeedTopics
from adapters.kafka.names import Names, principal_of
from adapters.kafka.publisher import Publisher
from domain.feed import Cursor
from domain.messages import FeedItem, Shown
from domain.publishing import FeedRecord
from domain.record import Field
from domain.secret import Secret
from domain.vocabulary import ALL_SEALED, Category, Seat, names_of
from schemas.language import AvroLanguage
from services.bootstrap import now_ms
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from tests.adapters.kafka_log import broker_of
from tests.contracts.making import statement
from tests.schemas import golden

LANGUAGE = AvroLanguage()
RECORDED_MS = now_ms()
"""What is older than the feed's retention is gone at once."""
MASKS = (ALL_SEALED, Category.CONTACT.bit | Category.CASEWORK.bit | Category.IDENTITY.bit, 0)
"""What is shown of each event: everything, some, nothing."""
DECLARATION = Path(__file__).parents[2] / "deploy" / "kafka" / "topics.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """The topic of a seat, its principal, and the entries in it, a heartbeat behind them."""

    bootstrap: str
    topic: str
    user: str
    password: str
    entries: Sequence[FeedRecord]

    @property
    def count(self) -> int:
        """Return the number of records, the heartbeat included."""
        return len(self.entries) + 1

    def group(self, reader: str) -> str:
        """Return a consumer group that the seat may use."""
        return f"{self.user}.{reader}"


def publish(brokers: Brokers | GivenBrokers, hub_id: str) -> Feed:
    """Provision a hub with one seat and write its feed, as the hub's own processes do."""
    names, passwords = Names(hub_id), dict[str, Secret]()
    declaration = parse_declaration(DECLARATION.read_text("utf-8"))
    # A principal is the seat's alone, whatever the hub: brokers that are shared keep it.
    seat = Seat(f"gb-{hub_id.rpartition(':')[2]}", "protection_support")
    Admin(broker_of(brokers), names, declaration).apply([seat], passwords.__setitem__)
    entries = [
        _entry(seat, name, seq, mask)
        for seq, (mask, name) in enumerate(
            ((m, t) for m in MASKS for t in LANGUAGE.types()), start=1
        )
    ]
    publisher = Publisher(broker_of(brokers), names, RELAY)
    with closing(KafkaFeedTopics(publisher, names, LANGUAGE, lambda: RECORDED_MS)) as topics:
        topics.published()
        topics.publish(entries, {seat: Cursor().past(0, len(entries))})
        topics.beat([seat])
    user = principal_of(seat)
    return Feed(
        bootstrap=brokers.bootstrap,
        topic=names.feed(seat),
        user=user,
        password=passwords[user].reveal().decode(),
        entries=entries,
    )


def _entry(seat: Seat, type: str, seq: int, mask: int) -> FeedRecord:
    kept = golden.read(type)
    event_id = kept["values"]["head"]["event_id"]
    record = LANGUAGE.record(type, b64decode(kept["body"])).withhold(mask)
    shown = Shown(
        type=type,
        record=LANGUAGE.body(record),
        statement=statement(event_id),
        signature=bytes(range(64)),
        recorded_ms=RECORDED_MS,
    )
    item = FeedItem(
        lane=0,
        seq=seq,
        supersedes=None if mask == ALL_SEALED else seq - len(LANGUAGE.types()),
        categories=names_of(mask),
        granted=names_of(ALL_SEALED),
        basis="act-1 GB.LAW" if mask else "",
        event=shown,
    )
    return FeedRecord(seat=seat, event_id=event_id, item=item)


def values_of(entry: FeedRecord, *, branches: bool) -> dict[str, Any]:
    """Return what our own language reads in an entry: ROUTING values, and bytes in base64.

    With `branches`, sealed and withheld bytes go by the name of their branch in the union; many
    clients drop it, and there the length tells (docs/language.md).
    """
    event = entry.item.event
    record = LANGUAGE.record(event.type, event.record)
    clear = golden.read(event.type)["values"]
    return {
        f.path: clear[f.path]
        if f.category is Category.ROUTING
        else _branch(f)
        if branches
        else golden.text(f.value)
        for f in record.fields
    }


def _branch(field: Field) -> dict[str, str]:
    return {"nrm.v1.Withheld" if field.withheld else "bytes": golden.text(field.value)}


def headers_of(entry: FeedRecord, hub_id: str) -> dict[str, bytes]:
    """Return the headers that a client must find on an entry, in their order."""
    item = entry.item
    said = {
        "ce_specversion": b"1.0",
        "ce_id": entry.event_id.encode(),
        "ce_source": hub_id.encode(),
        "ce_type": item.event.type.encode(),
        "content-type": b"application/avro",
        "nrm_seq": b"0.%d" % item.seq,
        "nrm_categories": ",".join(item.categories).encode(),
        "nrm_basis": item.basis.encode(),
        "nrm_statement": item.event.statement,
        "nrm_signature": item.event.signature,
        "nrm_recorded_ms": b"%d" % item.event.recorded_ms,
        "nrm_granted": ",".join(item.granted).encode(),
    }
    return said if item.supersedes is None else said | {"nrm_supersedes": b"%d" % item.supersedes}
