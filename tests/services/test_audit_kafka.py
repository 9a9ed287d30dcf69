"""The trail beside the log on Kafka: what one has and the other has not is found."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from adapters.kafka.log import KafkaLogReader
from adapters.kafka.names import Names
from domain import events as ev
from domain.errors import Corrupt
from domain.ports import Recorded, Refusal
from domain.publishing import Published
from domain.trail.entry import Entry
from domain.trail.statement import Kind
from services.auditor.report import Report
from services.auditor.verifying import verify
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from tests import agencies as a
from tests.adapters.kafka_log import LANGUAGE, broker_of, place, topic_of
from tests.builders import uid
from tests.servers import make_topics
from tests.trail import audited
from tests.trail.signed import SignedTrail, small_trail


@dataclass
class Listed:
    """A log as Kafka would give it, from lists."""

    shown: Sequence[Recorded]
    refused: Sequence[Refusal]

    def published(self) -> Published | None:
        return Published(
            incarnation=uid("store"),
            position=len(self.shown),
            digest=bytes(32),
            refusals=len(self.refused),
        )

    def events(self, _: Published) -> Iterable[Recorded]:
        return self.shown

    def refusals(self, _: Published) -> Iterable[Refusal]:
        return self.refused


def listed(trail: SignedTrail) -> Listed:
    """Return what the event store had when it wrote the trail's actions."""
    log, types = Listed([], []), {LANGUAGE.shape(t).number: t for t in LANGUAGE.types()}
    for number, (data, body) in enumerate(trail.leaves):
        if data[1] != Kind.ACTION:
            continue
        entry = Entry.decode(data)
        event_id = uid(f"fact {number}")
        common: dict[str, Any] = {
            "statement": entry.statement,
            "signature": entry.signature,
            "recorded_ms": entry.recorded_ms,
        }
        if entry.code:
            refusal = Refusal(
                event_id=event_id, code=entry.code, number=len(log.refused) + 1, **common
            )
            log.refused = [*log.refused, refusal]
        else:
            position = len(log.shown) + 1
            event = Recorded(
                position=position,
                event_id=event_id,
                case_id=ev.REGISTRY_STREAM,
                version=position,
                custody_seq=position,
                type=types.get(entry.said.type, ""),
                body=body,
                **common,
            )
            log.shown = [*log.shown, event]
    return log


@pytest.fixture(scope="module")
def trail() -> SignedTrail:
    return small_trail()


@pytest.fixture(scope="module")
def folder(trail: SignedTrail, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("trail")
    audited.write(made, trail)
    return made


def compared(folder: Path, trail: SignedTrail, log: Listed | KafkaLogReader) -> Report:
    with audited.tools() as tools:
        return verify(audited.source(folder), audited.own(trail), tools, None, log)


def test_the_same_actions_in_the_same_order_hold(folder: Path, trail: SignedTrail) -> None:
    report = compared(folder, trail, listed(trail))
    assert report.findings == []
    assert "7 events and 1 refusals on Kafka" in report.text()


def change(log: Listed, number: int, **parts: object) -> Listed:
    shown = list(log.shown)
    shown[number] = replace(shown[number], **parts)  # type: ignore[arg-type]
    return Listed(shown, log.refused)


@pytest.mark.parametrize(
    ("lie", "where", "what"),
    [
        (lambda log: change(log, 6, body=b"closed"), 6, "body"),
        (lambda log: change(log, 6, signature=bytes(64)), 6, "signature"),
        (lambda log: change(log, 6, recorded_ms=1), 6, "recorded_ms"),
        (lambda log: Listed([*log.shown[:3], *log.shown[4:]], log.refused), 3, "statement"),
        (lambda log: Listed([log.shown[1], *log.shown], log.refused), 0, "statement"),
        (lambda log: Listed(log.shown, [replace(log.refused[0], code="ALREADY_DONE")]), 8, "code"),
    ],
)
def test_what_differs_is_named_with_its_entry(
    folder: Path, trail: SignedTrail, lie: Callable[[Listed], Listed], where: int, what: str
) -> None:
    (found,) = compared(folder, trail, lie(listed(trail))).findings
    assert (found.check, found.index) == ("KAFKA", where)
    assert what in found.message


def test_the_newest_may_be_on_the_way_and_the_report_says_so(
    folder: Path, trail: SignedTrail
) -> None:
    log = listed(trail)
    behind = compared(folder, trail, Listed(log.shown[:-1], []))
    assert behind.findings == []
    assert "1 newest events are not on Kafka yet" in behind.notes
    assert "1 newest refusals are not on Kafka yet" in behind.notes
    more = replace(log.shown[-1], recorded_ms=trail.recorded_ms + 1)
    ahead = compared(folder, trail, Listed([*log.shown, more], log.refused))
    assert ahead.findings == []
    assert "1 newest events on Kafka are not in the trail yet" in ahead.notes


def test_what_was_late_for_more_than_a_minute_is_found(tmp_path: Path) -> None:
    trail = small_trail()
    log = listed(trail)
    trail.recorded_ms += 61_000
    trail.add(a.POLICE, body=b"later")
    trail.epoch()
    audited.write(tmp_path, trail)
    (found,) = compared(tmp_path, trail, Listed(log.shown[:-1], log.refused)).findings
    assert found.index == 6
    old = log.shown[-1]
    whole = listed(trail)
    (found,) = compared(tmp_path, trail, Listed([*whole.shown, old], whole.refused)).findings
    assert "is not in the trail" in found.message


def test_a_log_that_was_never_published_or_has_gaps_is_found(
    folder: Path, trail: SignedTrail
) -> None:
    class Silent(Listed):
        def published(self) -> None:
            return None

    class Torn(Listed):
        def events(self, _: Published) -> Iterable[Recorded]:
            raise Corrupt("LOG_GAP", "event 1 is missing")

    for log in (Silent([], []), Torn([], [])):
        assert audited.checks(compared(folder, trail, log)) == {"KAFKA"}


def test_a_trail_is_held_beside_a_real_broker(
    brokers: Brokers | GivenBrokers, hub_id: str, tmp_path: Path
) -> None:
    trail = SignedTrail()
    trail.agency(a.REFUGE)
    trail.agency(a.POLICE)
    trail.epoch()
    audited.write(tmp_path, trail)
    make_topics(brokers, Names(hub_id))
    topic, log = topic_of(brokers, hub_id), listed(trail)
    reader = KafkaLogReader(broker_of(brokers), Names(hub_id), LANGUAGE)
    topic.published()
    topic.publish(log.shown[:4], (), place(list(log.shown[:4])))
    behind = compared(tmp_path, trail, reader)
    assert behind.findings == []
    assert "2 newest events are not on Kafka yet" in behind.notes
    topic.publish(log.shown[4:], (), place(list(log.shown)))
    assert "6 events and 0 refusals" in compared(tmp_path, trail, reader).text()
    topic.close()
