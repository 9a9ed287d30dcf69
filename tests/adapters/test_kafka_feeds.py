"""Feed records to Kafka's form and back, and what a real broker does with what was retracted."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kafka.feed_topics import FEED_HEADERS, HEARTBEAT, FeedFraming
from adapters.kafka.framing import MOST, frame
from adapters.kafka.names import Names
from domain.errors import Malformed
from domain.feed import LANES
from domain.messages import FeedItem, Shown
from domain.publishing import FeedRecord
from domain.trail import statement
from domain.vocabulary import ALL_SEALED, names_of
from services.hub.feed_pacing import Beats
from services.local.brokers import Brokers
from tests.adapters.kafka_feeds import (
    LANGUAGE,
    SHELTER,
    entry,
    event_record,
    feed_of,
    topics_of,
)
from tests.servers import make_topics
from tests.services.feed_relays import FilledFeeds, drain, record_of, relay

FRAMING = FeedFraming(LANGUAGE, Names("nrm:gb"))
RECORD = entry(SHELTER, 5, "an event")
Headers = list[tuple[str, bytes | None]]


@st.composite
def records(draw: st.DrawFn) -> FeedRecord:
    event_id = str(draw(st.uuids()))
    type = draw(st.sampled_from(LANGUAGE.types()))
    mask = draw(st.integers(0, ALL_SEALED)) & ALL_SEALED
    seq = draw(st.integers(1, MOST))
    earlier = st.integers(1, seq - 1) if seq > 1 else st.none()
    shown = Shown(
        type=type,
        record=LANGUAGE.body(event_record(event_id, type).withhold(mask)),
        statement=draw(st.binary(min_size=statement.SIZE, max_size=statement.SIZE)),
        signature=draw(st.binary(min_size=64, max_size=64)),
        recorded_ms=draw(st.integers(0, MOST)),
    )
    item = FeedItem(
        lane=draw(st.integers(0, LANES - 1)),
        seq=seq,
        supersedes=draw(st.none() | earlier),
        categories=names_of(mask),
        granted=names_of(draw(st.integers(0, ALL_SEALED)) & ALL_SEALED | mask),
        basis=draw(st.text(st.characters(min_codepoint=32, max_codepoint=126))),
        event=shown,
    )
    return FeedRecord(seat=SHELTER, event_id=event_id, item=item)


@given(records())
def test_an_entry_comes_back_as_it_was(record: FeedRecord) -> None:
    assert FRAMING.decode(SHELTER, *FRAMING.encode(record)) == record


@given(records())
def test_the_value_is_the_record_behind_its_schema_number(record: FeedRecord) -> None:
    number = LANGUAGE.shape(record.item.event.type).number
    assert FRAMING.encode(record).value == frame(number, record.item.event.record)


def test_a_record_says_no_place_in_the_log() -> None:
    names = [name for name, _ in FRAMING.encode(RECORD).headers]
    assert names == [*FEED_HEADERS, "nrm_granted"]


def test_a_record_of_an_earlier_hub_grants_what_it_shows() -> None:
    key, value, headers = FRAMING.encode(RECORD)
    older = [header for header in headers if header[0] != "nrm_granted"]
    found = FRAMING.decode(SHELTER, key, value, older)
    assert found is not None
    assert found.item.granted == found.item.categories


def test_a_heartbeat_says_nothing() -> None:
    assert FRAMING.decode(SHELTER, HEARTBEAT, None, []) is None


@given(
    st.none() | st.binary(max_size=60),
    st.none() | st.binary(max_size=60),
    st.lists(
        st.tuples(
            st.sampled_from(FEED_HEADERS) | st.text(max_size=12), st.none() | st.binary(max_size=60)
        )
    ),
)
def test_foreign_bytes_are_malformed(
    key: bytes | None, value: bytes | None, headers: Headers
) -> None:
    if key == HEARTBEAT and value is None:
        return
    with pytest.raises(Malformed):
        FRAMING.decode(SHELTER, key, value, headers)


@given(st.data())
def test_a_damaged_record_is_malformed_or_another_record(data: st.DataObject) -> None:
    """A byte changed in a value, key or header never ends in anything but these two."""
    key, value, headers = FRAMING.encode(RECORD)
    parts = [key, value, *(said or b"" for _, said in headers)]
    which = data.draw(st.integers(0, len(parts) - 1))
    damaged = bytearray(parts[which])
    if not damaged:
        return
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    parts[which] = bytes(damaged)
    named = [(name, said) for (name, _), said in zip(headers, parts[2:], strict=True)]
    try:
        found = FRAMING.decode(SHELTER, parts[0], parts[1], named)
    except Malformed:
        return
    assert found is not None
    assert FRAMING.encode(found) == (parts[0], parts[1], named)


def without(name: str) -> Headers:
    return [h for h in FRAMING.encode(RECORD).headers if h[0] != name]


def saying(**changes: bytes) -> Headers:
    names = {name.replace("-", "_"): name for name in (*FEED_HEADERS, "nrm_supersedes")}
    said: dict[str, bytes | None] = dict(FRAMING.encode(RECORD).headers)
    return list((said | {names[n]: v for n, v in changes.items()}).items())


HOSTILE: Mapping[str, tuple[str, Headers]] = {
    "another hub's": ("RECORD_HEADERS", saying(ce_source=b"nrm:xa")),
    "another version of CloudEvents": ("RECORD_HEADERS", saying(ce_specversion=b"0.3")),
    "another type": ("RECORD_SCHEMA", saying(ce_type=b"nrm.v1.CaseOpened")),
    "another event's id": ("RECORD_KEY", saying(ce_id=b"00000000-0000-4000-8000-000000000000")),
    "a lane too many": ("RECORD_HEADERS", saying(nrm_seq=b"8.1")),
    "number nought": ("RECORD_HEADERS", saying(nrm_seq=b"0.0")),
    "a number too large": ("RECORD_HEADERS", saying(nrm_seq=b"0.9999999999999999999")),
    "superseding itself": ("RECORD_HEADERS", saying(nrm_supersedes=b"5")),
    "superseding nought": ("RECORD_HEADERS", saying(nrm_supersedes=b"0")),
    "categories in lower case": ("RECORD_HEADERS", saying(nrm_categories=b"identity")),
    "a comma too many": ("RECORD_HEADERS", saying(nrm_categories=b"IDENTITY,")),
    "a basis on two lines": ("RECORD_HEADERS", saying(nrm_basis=b"a\nb")),
    "a short statement": ("RECORD_HEADERS", saying(nrm_statement=b"short")),
    "a long signature": ("RECORD_HEADERS", saying(nrm_signature=bytes(65))),
    "a time that is none": ("RECORD_HEADERS", saying(nrm_recorded_ms=b"-1")),
    "a time too large": ("RECORD_HEADERS", saying(nrm_recorded_ms=b"9999999999999999999")),
    "a header twice": ("RECORD_HEADERS", [*saying(), ("nrm_seq", b"0.5")]),
    "a header of no value": ("RECORD_HEADERS", [*without("nrm_seq"), ("nrm_seq", None)]),
    **{f"no {name}": ("RECORD_HEADERS", without(name)) for name in FEED_HEADERS},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_record_that_does_not_hold_is_malformed(name: str) -> None:
    code, headers = HOSTILE[name]
    key, value, _ = FRAMING.encode(RECORD)
    with pytest.raises(Malformed) as refused:
        FRAMING.decode(SHELTER, key, value, headers)
    assert refused.value.code == code


def test_a_header_that_a_later_hub_adds_is_passed_over() -> None:
    key, value, headers = FRAMING.encode(RECORD)
    more: Headers = [*headers, ("nrm_later", b"something")]
    assert FRAMING.decode(SHELTER, key, value, more) == RECORD


EVERY_MS, WINDOW_MS = 1_000, 30_000
QUICK = {
    "segment.ms": "1000",
    "min.cleanable.dirty.ratio": "0.01",
    "max.compaction.lag.ms": "1000",
    "delete.retention.ms": "1000",
}


def on_disk(brokers: Brokers, topic: str) -> bytes:
    """Return every byte of the topic's segments, on whichever broker."""
    files = sorted(brokers.folder.glob(f"node*/data/{topic}-0/*.log"))
    return b"".join(read_if_there(file) for file in files)


def read_if_there(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:  # compacted away this moment
        return b""


@pytest.fixture
def own(brokers: Any) -> Brokers:
    if not isinstance(brokers, Brokers):
        pytest.skip("the segment files of brokers that somebody else runs are not to be read")
    return brokers


@pytest.mark.parametrize("then", ["it goes on", "it starts again"])
def test_what_was_retracted_is_gone_from_the_brokers_disks(
    own: Brokers, hub_id: str, then: str
) -> None:
    """The relay's own heartbeats see to it, also when it was the last one that retracted."""
    names = Names(hub_id)
    make_topics(own, names, [SHELTER], feed_configs=QUICK)
    feeds, beats = FilledFeeds(), Beats(every_ms=EVERY_MS, window_ms=WINDOW_MS)
    feeds.fill(SHELTER)
    [first] = feeds.all_of(SHELTER)
    sealed = event_record(record_of(first).event_id).fields[-1].value
    running = relay(feeds, topics_of(own, hub_id), beats=beats)
    drain(running)
    assert sealed in on_disk(own, names.feed(SHELTER))
    feeds.retract(SHELTER, 1)
    drain(running)
    if then == "it starts again":
        running.close()
        running = relay(feeds, topics_of(own, hub_id), beats=beats)
    with closing(running):
        limit = monotonic() + 120
        while sealed in on_disk(own, names.feed(SHELTER)):
            assert monotonic() < limit, "the retracted bytes are still there"
            running.step()
            sleep(0.05)
    feed = feed_of(own, hub_id, SHELTER)
    assert [(r.item.seq, r.item.supersedes, r.item.categories) for r in feed] == [(2, 1, ())]
