"""A topic for every seat: the entries of its feed, the newest of an event in place of the older.

A record's key is its event's id, so compaction removes what a newer entry supersedes. A
heartbeat says nothing: it rolls the segment that compaction would otherwise never look at.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from adapters.kafka.client import ours
from adapters.kafka.framing import (
    CONTENT_TYPE,
    MOST,
    SPECVERSION,
    EventTypes,
    Headers,
    check_signed,
    source,
    uuid_text,
)
from adapters.kafka.names import Names
from adapters.kafka.preflight import connected
from adapters.kafka.publisher import Outgoing, Publisher
from domain.errors import Corrupt, Malformed
from domain.feed import LANES, Cursor
from domain.messages import FeedItem, Shown
from domain.ports import Language
from domain.publishing import FeedRecord
from domain.vocabulary import Seat

RELAY = "feeds"
"""What the feed relay is called in transactional ids and positions."""
HEARTBEAT = b"heartbeat"
FEED_HEADERS = (
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "content-type",
    "nrm_seq",
    "nrm_categories",
    "nrm_basis",
    "nrm_statement",
    "nrm_signature",
    "nrm_recorded_ms",
)
"""The headers of every feed record, in this order."""
MORE_HEADERS = ("nrm_granted", "nrm_supersedes")
"""Those that may follow. A hub of before said `nrm_granted` of no record."""
_PLACE = re.compile(rb"([0-7])\.([1-9][0-9]{0,18})")
_NUMBER = re.compile(rb"[1-9][0-9]{0,18}")
_TIME = re.compile(rb"0|[1-9][0-9]{0,18}")
_CATEGORIES = re.compile(rb"(?:[A-Z]+(?:,[A-Z]+)*)?")
_BASIS = re.compile(rb"[\x20-\x7e]*")


class FramedEntry(NamedTuple):
    """An entry as Kafka carries it.

    Its time on Kafka is when it was published: a topic is kept for so many days, and what a
    grant opens of the past must not be too old to be read.
    """

    key: bytes
    value: bytes
    headers: Headers


class FeedFraming:
    """Turns entries of feeds into Kafka's records and back, for one hub."""

    def __init__(self, language: Language, names: Names) -> None:
        """Look up every event type of `language` once."""
        self._language = language
        self._types = EventTypes(language)
        self._source = ("ce_source", source(names))

    def encode(self, record: FeedRecord) -> FramedEntry:
        """Return the record as Kafka carries it; `Malformed` when something has not its size."""
        item, event_id = record.item, record.event_id.encode()
        event = item.event
        check_signed(event.statement, event.signature, "RECORD_HEADERS")
        value = self._types.framed(event.type, event.record)
        headers = [
            SPECVERSION,
            ("ce_id", event_id),
            self._source,
            self._types.headers[event.type],
            CONTENT_TYPE,
            ("nrm_seq", b"%d.%d" % (item.lane, item.seq)),
            ("nrm_categories", _joined(item.categories)),
            ("nrm_basis", item.basis.encode()),
            ("nrm_statement", event.statement),
            ("nrm_signature", event.signature),
            ("nrm_recorded_ms", b"%d" % event.recorded_ms),
            ("nrm_granted", _joined(item.granted)),
        ]
        if item.supersedes is not None:
            headers.append(("nrm_supersedes", b"%d" % item.supersedes))
        return FramedEntry(event_id, value, headers)

    def decode(
        self,
        seat: Seat,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
    ) -> FeedRecord | None:
        """Return what a record of the topic of `seat` says; None for a heartbeat.

        `Malformed` says what is wrong: RECORD_FRAMING, RECORD_SCHEMA, RECORD_HEADERS, RECORD_KEY
        or a code of the language. Signatures are the reader's to check.
        """
        if key == HEARTBEAT and value is None:
            return None
        type, body = self._types.unframed(value)
        said = self._headers(headers, type)
        event_id = uuid_text(key, "RECORD_KEY")
        _, event = self._language.read(type, body)
        if said["ce_id"] != key or event.head.event_id != event_id:
            raise Malformed("RECORD_KEY", "key, ce_id and the event do not name the same event")
        shown = Shown(
            type=type,
            record=body,
            statement=said["nrm_statement"],
            signature=said["nrm_signature"],
            recorded_ms=_recorded_ms(said),
        )
        return FeedRecord(seat=seat, event_id=event_id, item=_item(said, shown))

    def _headers(self, headers: Sequence[tuple[str, bytes | None]], type: str) -> dict[str, bytes]:
        """Return the headers by name; names that a later hub may add are passed over."""
        said = {name: value for name, value in headers if value is not None}
        if len(said) != len(headers) or not said.keys() >= set(FEED_HEADERS):
            raise Malformed("RECORD_HEADERS", f"each once: {', '.join(FEED_HEADERS)}")
        due = dict([SPECVERSION, CONTENT_TYPE, self._source])
        if any(said[name] != value for name, value in due.items()):
            raise Malformed("RECORD_HEADERS", "the record is not of this hub's feeds")
        if said["ce_type"] != type.encode():
            raise Malformed("RECORD_SCHEMA", "ce_type is not the type that the value is framed as")
        check_signed(said["nrm_statement"], said["nrm_signature"], "RECORD_HEADERS")
        return said


@cache
def _joined(names: tuple[str, ...]) -> bytes:
    return ",".join(names).encode()


@cache
def _names(joined: bytes) -> tuple[str, ...]:
    if not _CATEGORIES.fullmatch(joined):
        message = "nrm_categories and nrm_granted are names with commas"
        raise Malformed("RECORD_HEADERS", message)
    return tuple(joined.decode().split(",")) if joined else ()


def _recorded_ms(said: Mapping[str, bytes]) -> int:
    number = said["nrm_recorded_ms"]
    if not _TIME.fullmatch(number) or int(number) > MOST:
        raise Malformed("RECORD_HEADERS", "nrm_recorded_ms is a decimal number of milliseconds")
    return int(number)


def _item(said: Mapping[str, bytes], shown: Shown) -> FeedItem:
    place = _PLACE.fullmatch(said["nrm_seq"])
    older = said.get("nrm_supersedes")
    names, basis = said["nrm_categories"], said["nrm_basis"]
    granted = said.get("nrm_granted", names)
    if place is None or (older is not None and not _NUMBER.fullmatch(older)):
        raise Malformed("RECORD_HEADERS", "nrm_seq is lane.seq, nrm_supersedes a number from 1")
    if not _BASIS.fullmatch(basis):
        raise Malformed("RECORD_HEADERS", "nrm_basis is ASCII")
    lane, seq, supersedes = int(place[1]), int(place[2]), int(older) if older else None
    if lane >= LANES or seq > MOST or (supersedes is not None and supersedes >= seq):
        raise Malformed("RECORD_HEADERS", "an entry supersedes an earlier one of its lane")
    return FeedItem(
        lane=lane,
        seq=seq,
        supersedes=supersedes,
        categories=_names(names),
        granted=_names(granted),
        basis=basis.decode(),
        event=shown,
    )


class KafkaFeedTopics:
    """See the ports `FeedTopics` and `BeatenTopics`."""

    def __init__(
        self, publisher: Publisher, names: Names, language: Language, clock: Callable[[], int]
    ) -> None:
        """Write through `publisher`, which is called `RELAY`."""
        self._publisher = publisher
        self._names = names
        self._framing = FeedFraming(language, names)
        self._clock = clock

    def published(self) -> Mapping[Seat, Cursor]:
        """Return how far each seat's feed was published, after taking over."""
        return dict(_place(key, value) for key, value in self._publisher.positions().items())

    def publish(self, records: Sequence[FeedRecord], published: Mapping[Seat, Cursor]) -> None:
        """Write the records and the new places in one transaction."""
        outgoing = [self._outgoing(record) for record in records]
        places = {_key(seat): cursor.encode().encode() for seat, cursor in published.items()}
        self._publisher.publish(outgoing, places)

    def beat(self, seats: Collection[Seat]) -> None:
        """Write a heartbeat into each seat's topic, now by the clock: older ones roll nothing."""
        now = self._clock()
        self._publisher.publish(
            [Outgoing(self._names.feed(seat), 0, HEARTBEAT, None, [], now) for seat in seats], {}
        )

    def unready(self, seats: Collection[Seat]) -> Mapping[Seat, str]:
        """Return the seats whose topic is not there or not to be written, with the reason code."""
        named = {self._names.feed(seat): seat for seat in seats}
        with connected(self._publisher.broker) as client, ours("look at the feed topics"):
            described = client.describe_topics(list(named))
        codes = {named[topic["name"]]: _unready(topic) for topic in described}
        return {seat: code for seat, code in codes.items() if code is not None}

    def close(self) -> None:
        """Let go of Kafka."""
        self._publisher.close()

    def _outgoing(self, record: FeedRecord) -> Outgoing:
        topic, now = self._names.feed(record.seat), self._clock()
        return Outgoing(topic, 0, *self._framing.encode(record), now)


def _unready(topic: Mapping[str, Any]) -> str | None:
    if topic["error_code"] or not topic["partitions"]:
        return "TOPIC_MISSING"
    return None if "WRITE" in topic["authorized_operations"] else "KAFKA_NOT_ALLOWED"


def _key(seat: Seat) -> bytes:
    return f"{RELAY}/{seat.agency}.{seat.purpose}".encode()


def _place(key: bytes, value: bytes) -> tuple[Seat, Cursor]:
    try:
        agency, _, purpose = key.decode("ascii").removeprefix(f"{RELAY}/").rpartition(".")
        return Seat(agency, purpose), Cursor.decode(value.decode("ascii"))
    except (UnicodeDecodeError, Malformed) as e:
        message = "a place of the feed relay cannot be read: find out who wrote it, then start anew"
        raise Corrupt("POSITION_UNREADABLE", message) from e
