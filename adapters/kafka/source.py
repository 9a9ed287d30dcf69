"""The log on Kafka, read by the members of one consumer group; see the port `LogSource`.

Where a lane goes on is said by the feeds' database, never by Kafka's committed offsets: those
are written for whoever watches the lag. What a record must be to be handed on is checked here;
a lane whose next record is not that stands still, and the others go on.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError, LogTruncationError, OffsetOutOfRangeError

from adapters.kafka.client import MAX_RECORD, Broker, ours
from adapters.kafka.framing import LogFraming
from adapters.kafka.names import Names
from adapters.kafka.preflight import Need, preflight
from domain.errors import Corrupt, Malformed, Refused
from domain.feed import LANES, Progress, lanes_of
from domain.lanes import Batch, LaneFigures, Stall
from domain.ports import Language, Recorded
from domain.trail.describes import check_describes_body

READERS = "projector"
"""What the group is called."""
LIMIT = 1_000
"""Records in one poll."""
STUCK_S = 60.0
"""Waiting for a lane that has records and gives none, after which the process is of no use."""
_LOOK_S = 5.0
"""How often the ends of the partitions are asked for."""
_ACKNOWLEDGE_S = 1.0
_READING = {
    "isolation_level": "read_committed",
    "enable_auto_commit": False,
    "auto_offset_reset": "none",  # an offset that Kafka does not have was lost
    "partition_assignment_strategy": [CooperativeStickyAssignor],
    "session_timeout_ms": 10_000,
    "heartbeat_interval_ms": 1_000,
    "max_partition_fetch_bytes": MAX_RECORD,
    "metrics_enabled": False,
}


class _Followed:
    """One lane of this member."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.end = offset
        self.waited = 0.0
        """Seconds of polls since it last moved, or since there was last nothing to do."""
        self.moved_at = monotonic()
        self.paused = False

    def see(self, offset: int, spent: float) -> None:
        """Take in where it stands after a poll that took so long."""
        if offset != self.offset or offset >= self.end or self.paused:
            self.offset, self.waited, self.moved_at = offset, 0.0, monotonic()
        else:
            self.waited += spent


class KafkaSource:
    """One member of the group of projectors."""

    def __init__(
        self,
        broker: Broker,
        names: Names,
        language: Language,
        *,
        instance: str | None = None,
        limit: int = LIMIT,
        stuck_s: float = STUCK_S,
    ) -> None:
        """Join the group at the first `poll`; errors as `LogSource.poll`.

        A process that is started again under the same `instance` gets its lanes back at once;
        without one, others wait for the time-out of one that died.
        """
        self._names = names
        self._framing = LogFraming(language, names)
        self._numbers = {t: language.shape(t).number for t in language.types()}
        self._limit = limit
        self._stuck_s = stuck_s
        self._lanes: dict[int, _Followed] = {}
        """Those that were placed; the others of this member give nothing yet."""
        self._looked_at = self._acknowledged_at = 0.0
        preflight(broker, [Need(topic=names.log, partitions=LANES)])
        with ours(f"read topic {names.log}"):
            options = {**broker.options(), **_READING}
            self._consumer = KafkaConsumer(
                group_id=names.group(READERS), group_instance_id=instance, **options
            )
            self._consumer.subscribe([names.log], listener=_Listener(self))

    def poll(self, seconds: float) -> Sequence[Batch]:
        """Return what has come for the lanes that were placed, after up to `seconds`."""
        started = monotonic()
        with ours(f"read topic {self._names.log}"):
            self._go_on_joining()
            try:
                found = self._consumer.poll(int(seconds * 1_000), max_records=self._limit)
            except (OffsetOutOfRangeError, LogTruncationError) as e:
                raise _lost(self._names.log) from e
            self._look(monotonic() - started)
        batches = [self._batch(part.partition, records) for part, records in found.items()]
        return [batch for batch in batches if batch.lane in self._lanes]

    def _go_on_joining(self) -> None:
        """Wait again for lanes that an earlier poll asked for and the client has forgotten."""
        coordinator = self._consumer._coordinator  # noqa: SLF001 - nothing else tells
        if coordinator.rejoining:
            coordinator.request_rejoin()

    def _look(self, spent: float) -> None:
        """Keep the figures, and end the process when a lane does not move though it could."""
        if monotonic() - self._looked_at > _LOOK_S and self._lanes:
            ends = self._consumer.end_offsets([self._part(n) for n in self._lanes])
            for part, end in ends.items():
                self._lanes[part.partition].end = end
            self._looked_at = monotonic()
        for n, lane in self._lanes.items():
            lane.see(self._consumer.position(self._part(n)), spent)
            if lane.waited > self._stuck_s:
                message = f"lane {n} gives nothing at offset {lane.offset}, of {lane.end}: restart"
                raise Refused("LANE_STUCK", message)

    def _batch(self, lane: int, records: Sequence[Any]) -> Batch:
        events: list[Recorded] = []
        offsets: list[int] = []
        for record in records:
            try:
                events.append(self._event(lane, record))
            except Malformed as e:
                stall = Stall(e.code, e.message, record.offset)
                reached = Progress(offset=record.offset)
                return Batch(
                    lane=lane, events=events, offsets=offsets, reached=reached, stall=stall
                )
            offsets.append(record.offset)
        reached = Progress(offset=records[-1].offset + 1)
        return Batch(lane=lane, events=events, offsets=offsets, reached=reached)

    def _event(self, lane: int, record: Any) -> Recorded:
        """Return the event in `record`; `Malformed` if it is not one of this lane.

        The signature is not checked: that takes longer than all the rest together, and readers
        and auditors do it. Only the hub's relay may write here.
        """
        event = self._framing.decode(record.key, record.value, record.headers, record.timestamp)
        number = self._numbers[event.type]
        check_describes_body(event.statement, number, event.body, event.case_id)
        if lane not in lanes_of(event.case_id):
            raise Malformed("RECORD_LANE", f"the record's case is not of lane {lane}")
        return event

    def lanes(self) -> frozenset[int]:
        """Return the lanes that are this member's now."""
        return frozenset(part.partition for part in self._consumer.assignment())

    def unplaced(self) -> frozenset[int]:
        """Return those of them that wait for `place`."""
        return self.lanes() - self._lanes.keys()

    def place(self, places: Mapping[int, Progress]) -> None:
        """Go on with these lanes from there."""
        parts = {self._part(n): progress.offset for n, progress in places.items()}
        with ours(f"read topic {self._names.log}"):
            ends = self._consumer.end_offsets(list(parts)) if parts else {}
        for part, offset in parts.items():
            if ends[part] < offset:
                raise _lost(part.topic)
            followed = self._lanes[part.partition] = _Followed(offset)
            followed.end = ends[part]
            self._consumer.seek(part, offset)
            self._consumer.resume(part)

    def pause(self, lanes: Collection[int]) -> None:
        """Give nothing more of these lanes until they are placed again."""
        for n in self._lanes.keys() & set(lanes):
            self._lanes[n].paused = True
            self._consumer.pause(self._part(n))

    def acknowledge(self, places: Mapping[int, Progress]) -> None:
        """Tell the group how far the lanes are, now and then; a loss of it costs nothing."""
        if monotonic() - self._acknowledged_at < _ACKNOWLEDGE_S:
            return
        self._acknowledged_at = monotonic()
        offsets = {
            self._part(n): OffsetAndMetadata(p.offset, "", -1)
            for n, p in places.items()
            if n in self._lanes
        }
        with suppress(KafkaError):
            self._consumer.commit_async(offsets)

    def figures(self) -> Mapping[int, LaneFigures]:
        """Return how each lane of this member is doing."""
        now = monotonic()
        return {
            n: LaneFigures(
                offset=lane.offset, lag=max(0, lane.end - lane.offset), moved_s=now - lane.moved_at
            )
            for n, lane in self._lanes.items()
        }

    def close(self) -> None:
        """Leave the group."""
        with suppress(KafkaError):
            self._consumer.close(autocommit=False, timeout_ms=5_000)

    def hold(self, parts: Collection[TopicPartition]) -> None:
        """Let nothing come from `parts`, which were just assigned, until they are placed."""
        for part in parts:
            self._consumer.seek(part, 0)  # some position, so that none is asked of Kafka
            self._consumer.pause(part)

    def let_go(self, parts: Collection[TopicPartition]) -> None:
        """Forget `parts`, which are another member's now."""
        for part in parts:
            self._lanes.pop(part.partition, None)

    def _part(self, lane: int) -> TopicPartition:
        return TopicPartition(self._names.log, lane)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # the library has no types
    """Hands lanes over; it is called inside `poll`."""

    def __init__(self, source: KafkaSource) -> None:
        self._source = source

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._source.let_go(assigned)
        self._source.hold(assigned)

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        self._source.let_go(revoked)


def _lost(topic: str) -> Corrupt:
    message = f"topic {topic} ends before what was read from it: it was made anew; rebuild"
    return Corrupt("LOG_LOST", message)
