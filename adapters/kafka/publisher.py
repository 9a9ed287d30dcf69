"""Writes records and the relay's own place as one Kafka transaction, or nothing of it.

There is one writer of a name at a time: a newer one fences the older before it reads where
that one had come. After any error a producer is thrown away; the next one starts from Kafka.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from kafka import KafkaProducer, TopicPartition, errors

from adapters.kafka.client import MAX_RECORD, Broker, ours
from adapters.kafka.names import Names
from adapters.kafka.reading import ends_of, read
from domain.errors import Refused, Unavailable

BLOCK_MS = 10_000
"""A producer that waited longer does not find its broker again: it is thrown away."""
ABORT_MS = 1_000
"""Time to undo what was begun; what is not undone then, the next producer undoes."""
TRANSACTION_MS = 30_000
"""Kafka itself ends a transaction that a dead writer left open for so long."""
_WRITING = {
    "acks": "all",
    "max_block_ms": BLOCK_MS,
    "request_timeout_ms": BLOCK_MS,
    "delivery_timeout_ms": 2 * BLOCK_MS,
    "transaction_timeout_ms": TRANSACTION_MS,
    "max_request_size": MAX_RECORD,
    "batch_size": 1 << 18,
    "linger_ms": 1_000,  # nobody waits for it: the end of a transaction sends what is there
    "metrics_enabled": False,
}


MAX_HEADERS = 1 << 16
"""Room for a record's key and headers, which are far less."""


class Outgoing(NamedTuple):
    """One record on its way to a topic."""

    topic: str
    partition: int
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]
    timestamp_ms: int


class Publisher:
    """The one writer that is called `relay`, with its places in the hub's position topic."""

    def __init__(self, broker: Broker, names: Names, relay: str) -> None:
        """Reach nothing yet."""
        self.broker = broker
        self._names = names
        self._relay = relay
        self._producer: _Producer | None = None
        self._partitions: dict[str, frozenset[int]] = {}

    def positions(self) -> dict[bytes, bytes]:
        """Take over from any older writer, then return its places: key -> newest value.

        Keys begin with the relay's name and a slash. `Unavailable`, or `Refused` FENCED,
        KAFKA_NOT_ALLOWED or TOPIC_MISSING.
        """
        try:
            if self._producer is None:
                with ours(f"take over as {self._relay}"):
                    name = self._names.transactional(self._relay)
                    self._producer = _Producer(self.broker.options(), name)
                    self._producer.init_transactions()
            return self._newest()
        except BaseException:
            self.close()
            raise

    def publish(self, records: Iterable[Outgoing], positions: Mapping[bytes, bytes]) -> None:
        """Write `records` in order and `positions`, all or nothing.

        `Unavailable` when it may or may not have been written: `positions` tells. `Refused`
        FENCED when another writer took over, RECORD_TOO_LARGE, TOPIC_MISSING, KAFKA_NOT_ALLOWED.
        """
        producer = self._producer
        if producer is None:
            raise Unavailable("KAFKA_POSITION_UNREAD", "read the positions first, then publish")
        sent = list(records)
        try:
            self._check(sent)
            with ours(f"write as {self._relay}"):
                producer.write(sent, self._names.position, positions)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of Kafka; `positions` takes hold of it again."""
        producer, self._producer = self._producer, None
        self._partitions.clear()
        if producer is not None:
            producer.abandon()

    def _find(self, topics: set[str]) -> None:
        if unknown := topics - self._partitions.keys():
            ends = ends_of(self.broker, unknown)
            self._partitions |= {topic: frozenset(of_topic) for topic, of_topic in ends.items()}

    def _check(self, records: Sequence[Outgoing]) -> None:
        """Refuse a place that is not there before anything is sent."""
        places = {(record.topic, record.partition) for record in records}
        self._find({topic for topic, _ in places})
        for topic, partition in places:
            if partition not in self._partitions[topic]:
                message = f"topic {topic} has no partition {partition}; run nrm-hub topics check"
                raise Refused("TOPIC_PARTITIONS", message)

    def _newest(self) -> dict[bytes, bytes]:
        mine = f"{self._relay}/".encode()
        found: dict[bytes, bytes | None] = {}
        topic = self._names.position
        for record in read(self.broker, topic, 0, ends_of(self.broker, [topic])[topic][0]):
            if record.key is not None and record.key.startswith(mine):
                found[record.key] = record.value
        return {key: value for key, value in found.items() if value is not None}


class _Producer(KafkaProducer):  # type: ignore[misc] # the library has no types
    """The library's producer for one thing: a whole transaction within a bounded time."""

    def __init__(self, options: Mapping[str, Any], transactional_id: str) -> None:
        super().__init__(**options, **_WRITING, transactional_id=transactional_id)
        # A fenced producer would otherwise ask for an epoch of its own and fence the newer one.
        self._transaction_manager._supports_epoch_bump = lambda: False  # noqa: SLF001 - no option for it

    def write(
        self, records: Sequence[Outgoing], topic: str, positions: Mapping[bytes, bytes]
    ) -> None:
        """Send `records` and `positions` and commit; the client's errors."""
        try:
            self.begin_transaction()
            # All of them before the first record: so the client tells Kafka of them at once.
            at = {(topic, 0), *((r.topic, r.partition) for r in records)}
            for name, _ in at:  # else it asks for each by itself: 11 s for a hundred topics
                self._sender.add_topic(name)
            places = {place: self._place(*place) for place in at}
            futures = [self._take(places[r.topic, r.partition], r) for r in records]
            futures += [self.send(topic, v, key, partition=0) for key, v in positions.items()]
            self.flush(BLOCK_MS / 1_000)
            # A record that was given up for lost does not keep the client from committing.
            for future in futures:
                if not future.succeeded():
                    raise future.exception or errors.KafkaTimeoutError("a record was not sent")
            self._end(self._transaction_manager.begin_commit, BLOCK_MS)
        except errors.KafkaError as e:
            raise self._transaction_manager.last_error or e from e

    def _place(self, topic: str, partition: int) -> TopicPartition:
        """Take a partition into the transaction."""
        self.partitions_for(topic)
        part = TopicPartition(topic, partition)
        self._transaction_manager.maybe_add_partition_to_transaction(part)
        return part

    def _take(self, part: TopicPartition, record: Outgoing) -> Any:
        """Do what `send` does at its end: the checks before cost as much again, per record."""
        _, _, key, value, headers, at = record
        if len(value or b"") > MAX_RECORD - MAX_HEADERS:
            raise errors.MessageSizeTooLargeError(f"{len(value or b'')} bytes")
        future, full, _, _ = self._accumulator.append(part, at, key, value, headers)
        if full:  # a batch that is only begun waits for the flush in any case
            self._sender.wakeup()
        return future

    def abandon(self) -> None:
        """End at once; a transaction that is open is undone if Kafka answers."""
        with suppress(errors.KafkaError):
            self._end(self._transaction_manager.begin_abort, ABORT_MS)
        self._sender.force_close()
        with suppress(errors.KafkaError):
            self.close(timeout=1)
        self._closed = True  # also after a close that failed, or it is tried again at the end

    def _end(self, begin: Any, limit_ms: int) -> None:
        """Do as the library's commit and abort do, but do not wait for ever."""
        ended = begin()
        self._sender.wakeup()
        if not ended.wait(timeout_ms=limit_ms):
            raise errors.KafkaTimeoutError("the transaction did not end")
