"""The log on Kafka: written once and in order by the relay, read whole by who rebuilds from it.

Every event is in its lane's partition, a fact of the registry in each of them.
"""

import json
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from heapq import merge
from itertools import groupby
from operator import attrgetter
from typing import Any

from adapters.kafka.client import Broker
from adapters.kafka.framing import LogFraming
from adapters.kafka.names import Names
from adapters.kafka.publisher import Outgoing, Publisher
from adapters.kafka.reading import Ends, ends_of, read
from adapters.kafka.refusals import RefusalFraming
from domain.errors import Corrupt, Malformed, Refused
from domain.feed import LANES, lanes_of
from domain.ports import Language, Recorded, Refusal
from domain.publishing import Published

RELAY = "relay"
"""The relay's name among the writers of a hub."""
_PLACE = f"{RELAY}/log".encode()
_EVERY = range(LANES)
_NEW_LOG = "restore the topic from a mirror, or give this hub a new log"


class KafkaLogTopic:
    """The `LogTopic` port over a publisher named `RELAY`."""

    def __init__(self, publisher: Publisher, language: Language, names: Names) -> None:
        """Reach nothing yet."""
        self._publisher = publisher
        self._names = names
        self._framing = LogFraming(language, names)
        self._refusals = RefusalFraming(names)

    def published(self) -> Published | None:
        """Return how far the log was published; None at the start.

        `Corrupt` LOG_LOST when log and position do not belong together.
        """
        published = _published(self._publisher.positions().get(_PLACE))
        ends = _ends(self._publisher.broker, self._names)
        if published is None:
            self._check_empty(ends)
        elif sum(ends[self._names.log].values()) < published.position:
            raise Corrupt("LOG_LOST", f"topic {self._names.log} lost records; {_NEW_LOG}")
        return published

    def publish(
        self, events: Sequence[Recorded], refusals: Sequence[Refusal], published: Published
    ) -> None:
        """Write all of it or nothing, the new place included; errors as the port says."""
        place = json.dumps(
            {
                "incarnation": published.incarnation,
                "position": published.position,
                "digest": published.digest.hex(),
                "refusals": published.refusals,
            }
        )
        self._publisher.publish(self._records(events, refusals), {_PLACE: place.encode()})

    def close(self) -> None:
        """Let go of Kafka."""
        self._publisher.close()

    def _records(
        self, events: Iterable[Recorded], refusals: Iterable[Refusal]
    ) -> Iterator[Outgoing]:
        topic, encode = self._names.log, self._framing.encode
        for event in events:
            framed = encode(event)
            for lane in lanes_of(event.case_id):
                yield Outgoing(topic, lane, *framed)
        for refusal in refusals:
            yield Outgoing(self._names.refusals, 0, *self._refusals.encode(refusal))

    def _check_empty(self, ends: Ends) -> None:
        """Refuse records without a place: the relay would write them all a second time."""
        for topic, of_topic in ends.items():
            for partition, end in of_topic.items():
                with closing(read(self._publisher.broker, topic, partition, end)) as records:
                    if next(records, None) is not None:
                        message = f"topic {self._names.position} does not say how far {topic} goes"
                        raise Corrupt("LOG_LOST", f"{message}; {_NEW_LOG}")


class KafkaLogReader:
    """The whole log of a hub, read from Kafka alone, up to what its relay had published."""

    def __init__(self, broker: Broker, names: Names, language: Language) -> None:
        """Reach nothing yet."""
        self._broker = broker
        self._names = names
        self._framing = LogFraming(language, names)
        self._refusals = RefusalFraming(names)

    def published(self) -> Published | None:
        """Return how far the log was published, without taking over from its relay."""
        newest: bytes | None = None
        topic = self._names.position
        for record in read(self._broker, topic, 0, ends_of(self._broker, [topic])[topic][0]):
            if record.key == _PLACE:
                newest = record.value
        return _published(newest)

    def events(self, published: Published) -> Iterator[Recorded]:
        """Yield every event up to `published` in the order of the log, each once.

        `Corrupt` LOG_GAP names a position that is missing, LOG_FORKED one that is there in two
        versions; what a record has wrong is `Corrupt` with topic, partition and offset.
        """
        ends = _ends(self._broker, self._names)[self._names.log]
        position = 0
        with ExitStack() as stack:
            lanes = [stack.enter_context(closing(self._lane(lane, ends[lane]))) for lane in _EVERY]
            merged = merge(*lanes, key=attrgetter("position"))
            for found, copies in groupby(merged, key=attrgetter("position")):
                if position == published.position:
                    return
                position += 1
                if found != position:
                    raise _gap("event", position)
                yield _one(list(copies))
        if position != published.position:
            raise _gap("event", position + 1)

    def refusals(self, published: Published) -> Iterator[Refusal]:
        """Yield every refusal up to `published`, in order; `Corrupt` as `events`."""
        topic, number = self._names.refusals, 0
        end = _ends(self._broker, self._names)[topic][0]
        with closing(self._in_order(topic, 0, end, self._refusals)) as found:
            for refusal in found:
                if number == published.refusals:
                    return
                number += 1
                if refusal.number != number:
                    raise _gap("refusal", number)
                yield refusal
        if number != published.refusals:
            raise _gap("refusal", number + 1)

    def _lane(self, lane: int, end: int) -> Generator[Recorded]:
        for event in self._in_order(self._names.log, lane, end, self._framing):
            if lane not in lanes_of(event.case_id):
                message = f"event {event.position} is in partition {lane}, which is not its lane"
                raise Corrupt("LOG_LANE", message)
            yield event

    def _in_order(self, topic: str, partition: int, end: int, framing: Any) -> Generator[Any]:
        """Yield what a partition holds; what is not after what was seen was seen before."""
        newest = 0
        with closing(read(self._broker, topic, partition, end)) as records:
            for record in records:
                try:
                    found = framing.decode(
                        record.key, record.value, record.headers, record.timestamp
                    )
                except Malformed as e:
                    where = f"topic {topic}, partition {partition}, offset {record.offset}"
                    raise Corrupt(e.code, f"{where}: {e.message}") from e
                place = found.position if isinstance(found, Recorded) else found.number
                if place > newest:
                    newest = place
                    yield found


def _one(copies: Sequence[Recorded]) -> Recorded:
    """Return the event that all `copies` are, of which every lane concerned has one."""
    first = copies[0]
    if any(copy != first for copy in copies):
        raise Corrupt("LOG_FORKED", f"event {first.position} differs between partitions")
    if len(copies) != len(lanes_of(first.case_id)):
        raise Corrupt("LOG_GAP", f"event {first.position} is missing in some partition of the log")
    return first


def _gap(what: str, place: int) -> Corrupt:
    message = f"{what} {place} is missing in the log; restore the topic from a mirror or backup"
    return Corrupt("LOG_GAP", message)


def _ends(broker: Broker, names: Names) -> Ends:
    """Return where the log and the refusals end; `Refused` TOPIC_PARTITIONS, TOPIC_MISSING."""
    ends = ends_of(broker, [names.log, names.refusals])
    if ends[names.log].keys() != set(_EVERY):
        raise Refused(
            "TOPIC_PARTITIONS",
            f"topic {names.log} has {len(ends[names.log])} partitions, not {LANES};"
            " make it anew with nrm-hub topics apply",
        )
    return ends


def _published(value: bytes | None) -> Published | None:
    if value is None:
        return None
    try:
        place = json.loads(value)
        return Published(
            incarnation=str(place["incarnation"]),
            position=int(place["position"]),
            digest=bytes.fromhex(place["digest"]),
            refusals=int(place["refusals"]),
        )
    except (ValueError, TypeError, KeyError, RecursionError) as e:
        raise Corrupt("LOG_POSITION", "the relay's position record is not one") from e
