"""The feed relay over topics in memory: each entry once, fair, and nobody pays for another."""

from contextlib import closing, suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import Corrupt, Refused, Unavailable
from domain.feed import LANES, Cursor
from domain.publishing import FeedRecord
from domain.vocabulary import Seat
from services.hub import feed_relay
from services.hub.feed_pacing import LEAST, Beats, shares
from services.hub.feed_relay import RECORDS
from services.hub.feed_seats import LAST_RETRY_MS
from tests.adapters.kafka_feeds import POLICE, SHELTER
from tests.services.feed_memory import MemoryFeedTopics, MemoryTopics
from tests.services.feed_relays import (
    ByNumber,
    Clock,
    FilledFeeds,
    OneLease,
    Told,
    drain,
    record_of,
    relay,
)

HEALTH = Seat("gb-health", "health_care")
SEATS = (SHELTER, POLICE, HEALTH)


def in_order(records: list[FeedRecord]) -> list[FeedRecord]:
    return sorted(records, key=lambda r: (r.item.lane, r.item.seq))


def check_all(topics: MemoryTopics, feeds: FilledFeeds, *seats: Seat) -> None:
    """Each entry of the feeds is in its topic once, in order within its lane."""
    for seat in seats:
        found = topics.entries(seat)
        assert in_order(found) == [record_of(one) for one in feeds.all_of(seat)]
        for lane in range(LANES):
            seqs = [r.item.seq for r in found if r.item.lane == lane]
            assert all(a < b for a, b in pairwise(seqs))


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from(SEATS), st.integers(0, LANES - 1), st.integers(1, 40)),
        max_size=12,
    ),
    st.lists(st.sampled_from(["step", "away", "lost answer", "again"]), max_size=12),
)
def test_whatever_happens_each_entry_is_there_once_and_in_order(
    filled: list[tuple[Seat, int, int]], happens: list[str]
) -> None:
    topics, feeds = MemoryTopics(SEATS), FilledFeeds()
    running = relay(feeds, MemoryFeedTopics(topics))
    for (seat, lane, count), what in zip(filled, [*happens, *["step"] * 12], strict=False):
        feeds.fill(seat, count, lane)
        topics.away, topics.lost_answer = what == "away", what == "lost answer"
        if what == "again":
            running = relay(feeds, MemoryFeedTopics(topics))
        with suppress(Unavailable):
            drain(running)
        topics.away = topics.lost_answer = False
    drain(running)
    check_all(topics, feeds, *SEATS)


def test_without_the_lease_nothing_is_written() -> None:
    topics, feeds, lease = MemoryTopics(SEATS), FilledFeeds(), OneLease()
    lease.holder = "another relay"
    feeds.fill(SHELTER)
    running = relay(feeds, MemoryFeedTopics(topics), lease=lease.by("this one"))
    assert running.step() is False
    assert topics.written == []
    lease.holder = None
    drain(running)
    check_all(topics, feeds, SHELTER)


def test_a_lost_lease_stops_it_until_it_leads_again() -> None:
    topics, feeds, lease = MemoryTopics(SEATS), FilledFeeds(), OneLease()
    first = relay(feeds, MemoryFeedTopics(topics), lease=lease.by("first"))
    second = relay(feeds, MemoryFeedTopics(topics), lease=lease.by("second"))
    feeds.fill(SHELTER, 3)
    drain(first)
    lease.holder = "second"
    feeds.fill(SHELTER, 3)
    with pytest.raises(Unavailable, match="LEASE_LOST"):
        first.step()
    drain(second)
    assert first.step() is False
    second.close()
    feeds.fill(SHELTER, 3)
    drain(first)
    check_all(topics, feeds, SHELTER)


def test_who_was_fenced_ends() -> None:
    topics, feeds = MemoryTopics(SEATS), FilledFeeds()
    first, second = (relay(feeds, MemoryFeedTopics(topics)) for _ in range(2))
    feeds.fill(SHELTER, 2)
    drain(first)
    feeds.fill(SHELTER, 2)
    drain(second)
    feeds.fill(SHELTER, 2)
    with pytest.raises(Refused, match="FENCED"):
        drain(first)
    drain(second)
    check_all(topics, feeds, SHELTER)


def test_feeds_that_have_less_than_kafka_are_refused_until_they_have_come_up() -> None:
    topics, feeds = MemoryTopics(SEATS), FilledFeeds()
    feeds.fill(SHELTER, 5, lane=2)
    drain(relay(feeds, MemoryFeedTopics(topics)))
    restored = FilledFeeds()
    restored.fill(SHELTER, 4, lane=2)
    with pytest.raises(Refused, match="FEEDS_RESTORED") as refused:
        relay(restored, MemoryFeedTopics(topics)).step()
    assert "rebuild" in refused.value.message
    restored.fill(SHELTER, 2, lane=2)
    drain(relay(restored, MemoryFeedTopics(topics)))
    check_all(topics, restored, SHELTER)


def test_a_gap_in_a_feed_ends_it() -> None:
    topics, feeds = MemoryTopics(SEATS), FilledFeeds()
    running = relay(feeds, MemoryFeedTopics(topics))
    feeds.fill(SHELTER, 2)
    drain(running)
    topics.places[SHELTER] = Cursor()
    with pytest.raises(Corrupt, match="FEED_GAP"):
        drain(relay(Gapped(feeds), MemoryFeedTopics(topics)))


def Gapped(feeds: FilledFeeds) -> FilledFeeds:  # noqa: N802 - stands for a class of feeds
    """Return feeds that lack an entry."""
    gapped = FilledFeeds()
    gapped.write([e for e in feeds.all_of(SHELTER) if e.seq == 2], {})
    return gapped


def test_a_seat_that_has_no_topic_by_agreement_is_left_alone() -> None:
    topics, feeds, told = MemoryTopics({SHELTER}), FilledFeeds(), Told()
    feeds.fill(SHELTER)
    feeds.fill(POLICE)
    running = relay(
        feeds, MemoryFeedTopics(topics), wanted=lambda seat: seat == SHELTER, metrics=told
    )
    drain(running)
    assert (topics.entries(POLICE), told.apart, told.behind) == ([], {}, 0)
    check_all(topics, feeds, SHELTER)


def test_one_huge_backlog_holds_up_nobody() -> None:
    topics, feeds = MemoryTopics(SEATS), FilledFeeds()
    feeds.fill(POLICE, 20 * RECORDS)
    running = relay(feeds, MemoryFeedTopics(topics))
    running.step()
    for _ in range(5):
        feeds.fill(SHELTER, 3)
        running.step()
    drain(running)
    for transaction in topics.written[1:6]:
        assert len([r for r in transaction if r.seat == SHELTER]) == 3
        assert len(transaction) == RECORDS
    check_all(topics, feeds, SHELTER, POLICE)


@given(
    st.dictionaries(
        st.builds(Seat, st.uuids().map(str), st.just("monitoring")),
        st.integers(1, 10_000),
        max_size=40,
    ),
    st.integers(1, 600),
)
def test_shares_are_fair_and_use_the_room(behind: dict[Seat, int], room: int) -> None:
    found = shares(behind, room)
    assert sum(found.values()) == min(room, sum(behind[seat] for seat in found))
    assert list(found) == list(behind)[: len(found)]
    assert all(1 <= share <= behind[seat] for seat, share in found.items())
    short = [share for seat, share in found.items() if share < behind[seat]]
    assert max(found.values(), default=0) - min(short, default=0) <= 1 or not short
    if len(found) < len(behind):
        assert sum(min(behind[seat], LEAST) for seat in found) >= room


def test_every_seat_gets_its_turn_when_all_have_much() -> None:
    seats = [Seat(f"gb-agency-{n}", "monitoring") for n in range(35)]
    topics, feeds = MemoryTopics(seats), FilledFeeds()
    for seat in seats:
        feeds.fill(seat, 200)
    running = relay(feeds, MemoryFeedTopics(topics))
    drain(running)
    assert {r.seat for records in topics.written[:4] for r in records} == set(seats)
    check_all(topics, feeds, *seats)


def test_a_transaction_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_relay, "BYTES", 20_000)
    topics, feeds = MemoryTopics(SEATS), FilledFeeds()
    for seat in SEATS:
        feeds.fill(seat, 60)
    drain(relay(feeds, MemoryFeedTopics(topics)))
    sizes = [sum(len(r.item.event.record) for r in records) for records in topics.written]
    assert max(sizes) <= 20_000
    check_all(topics, feeds, *SEATS)


TROUBLES = {
    "no topic": "TOPIC_MISSING",
    "no right": "KAFKA_NOT_ALLOWED",
    "a record too large": "RECORD_TOO_LARGE",
}


def trouble(topics: MemoryTopics, what: str, seat: Seat) -> None:
    match what:
        case "no topic":
            topics.there.remove(seat)
        case "no right":
            topics.shut.add(seat)
        case _:
            topics.unfit.add(seat)


@pytest.mark.parametrize("what", TROUBLES)
@pytest.mark.parametrize("when", ["from the start", "while it runs"])
def test_a_seat_that_cannot_be_written_to_is_parked_and_the_others_go_on(
    what: str, when: str
) -> None:
    topics, feeds, told, clock = MemoryTopics(SEATS), FilledFeeds(), Told(), Clock()
    running = relay(feeds, MemoryFeedTopics(topics), metrics=told, clock=clock)
    if when == "while it runs":
        for seat in SEATS:
            feeds.fill(seat, 3)
        drain(running)
    trouble(topics, what, POLICE)
    for seat in SEATS:
        feeds.fill(seat, 10)
    drain(running)
    assert told.apart == {POLICE: TROUBLES[what]}
    assert told.behind == 10
    feeds.fill(SHELTER, 5)
    drain(running)
    check_all(topics, feeds, SHELTER, HEALTH)
    topics.there.add(POLICE)
    topics.shut.clear()
    topics.unfit.clear()
    clock.now += LAST_RETRY_MS
    drain(running)
    assert told.apart == {}
    check_all(topics, feeds, *SEATS)


def test_what_can_be_written_is_looked_at_once() -> None:
    topics, feeds = MemoryTopics(SEATS), FilledFeeds()
    running = relay(feeds, MemoryFeedTopics(topics))
    for _ in range(20):
        for seat in SEATS:
            feeds.fill(seat, 10)
        drain(running)
    assert topics.looks == 1


def test_a_parked_seat_is_tried_ever_less_often() -> None:
    topics, feeds, clock = MemoryTopics({SHELTER}), FilledFeeds(), Clock()
    tries: list[int] = []
    running = relay(feeds, Counting(topics, clock, tries), clock=clock)
    topics.unfit.add(SHELTER)
    feeds.fill(SHELTER)
    for _ in range(600):
        drain(running)
        clock.now += 1_000
    waits = [later - earlier for earlier, later in pairwise(tries)]
    assert waits == sorted(waits)
    assert waits[-1] == LAST_RETRY_MS


class Counting(MemoryFeedTopics):
    """Topics that note when somebody wrote to them."""

    def __init__(self, topics: MemoryTopics, clock: Clock, tries: list[int]) -> None:
        super().__init__(topics)
        self._clock = clock
        self._tries = tries

    def publish(self, *written: object) -> None:
        self._tries.append(self._clock.now)
        super().publish(*written)  # type: ignore[arg-type] # as they came


def test_many_that_cannot_be_written_to_leave_room_for_one_that_can() -> None:
    seats = [Seat(f"gb-agency-{n}", "monitoring") for n in range(30)]
    topics, feeds, clock = MemoryTopics({SHELTER, *seats}), FilledFeeds(), Clock()
    topics.unfit.update(seats)
    running = relay(feeds, MemoryFeedTopics(topics), clock=clock)
    for seat in seats:
        feeds.fill(seat)
    for _ in range(2):
        running.step()
    for seq in range(1, 6):
        feeds.fill(SHELTER)
        for _ in range(3):
            running.step()
        assert len(topics.entries(SHELTER)) == seq


def test_who_may_read_nothing_now_gets_only_what_takes_back() -> None:
    """A suspended agency's topic still loses what was withdrawn; nothing new comes in."""
    topics, feeds, told, clock = MemoryTopics(SEATS), FilledFeeds(), Told(), Clock()
    compose = ByNumber()
    running = relay(feeds, MemoryFeedTopics(topics), metrics=told, clock=clock, compose=compose)
    feeds.fill(POLICE, 2)
    feeds.fill(POLICE, 2, lane=1)
    drain(running)
    compose.shut[POLICE] = "AGENCY_NOT_ACTIVE"
    feeds.retract(POLICE, 1)
    feeds.fill(POLICE, 1)
    feeds.retract(POLICE, 2)
    feeds.fill(POLICE, 1, lane=1)
    feeds.retract(POLICE, 1, lane=1)
    feeds.fill(SHELTER)
    for _ in range(5):
        drain(running)
        clock.now += LAST_RETRY_MS
    arrived = [(r.item.lane, r.item.seq) for r in topics.entries(POLICE)[4:]]
    assert arrived == [(0, 3)]
    assert told.apart == {POLICE: "AGENCY_NOT_ACTIVE"}
    compose.shut.clear()
    clock.now += LAST_RETRY_MS
    drain(running)
    assert told.apart == {}
    check_all(topics, feeds, *SEATS)


EVERY, WINDOW = 10_000, 35_000


def test_after_a_retraction_heartbeats_come_until_it_must_be_compacted() -> None:
    topics, feeds, clock = MemoryTopics(SEATS), FilledFeeds(), Clock()
    beats = Beats(every_ms=EVERY, window_ms=WINDOW)
    running = relay(feeds, MemoryFeedTopics(topics), clock=clock, beats=beats)
    feeds.fill(SHELTER)
    feeds.fill(POLICE)
    drain(running)
    feeds.retract(SHELTER, 1)
    drain(running)
    started, came = clock.now, list[int]()
    while clock.now < started + 5 * WINDOW:
        clock.now += 1_000
        drain(running)
        came += [clock.now - started] * (len(topics.beats) - len(came))
    assert set(topics.beats) == {SHELTER}
    assert came == [10_000, 20_000, 30_000, 40_000]


def test_after_a_start_every_topic_is_beaten_for_a_window() -> None:
    """It does not know what the last one retracted."""
    topics, feeds, clock = MemoryTopics(SEATS), FilledFeeds(), Clock()
    for seat in SEATS:
        feeds.fill(seat)
    drain(relay(feeds, MemoryFeedTopics(topics), clock=clock))
    beats = Beats(every_ms=EVERY, window_ms=WINDOW)
    running = relay(feeds, MemoryFeedTopics(topics), clock=clock, beats=beats)
    for _ in range(10):
        drain(running)
        clock.now += EVERY
    assert sorted(topics.beats) == sorted(4 * SEATS)


def test_a_heartbeat_that_is_refused_costs_the_others_nothing() -> None:
    topics, feeds, told, clock = MemoryTopics(SEATS), FilledFeeds(), Told(), Clock()
    for seat in SEATS:
        feeds.fill(seat)
    drain(relay(feeds, MemoryFeedTopics(topics), clock=clock))
    beats = Beats(every_ms=EVERY, window_ms=WINDOW)
    running = relay(feeds, MemoryFeedTopics(topics), clock=clock, beats=beats, metrics=told)
    topics.shut.add(POLICE)
    for _ in range(4):
        drain(running)
        clock.now += EVERY
    assert told.apart == {POLICE: "KAFKA_NOT_ALLOWED"}
    assert {SHELTER, HEALTH} == set(topics.beats)
    topics.shut.clear()
    for _ in range(30):
        clock.now += EVERY
        drain(running)
    assert told.apart == {}
    assert POLICE in topics.beats


def test_it_gives_everything_back_at_the_end() -> None:
    topics, feeds, lease = MemoryTopics(SEATS), FilledFeeds(), OneLease()
    feeds.fill(SHELTER)
    with closing(relay(feeds, MemoryFeedTopics(topics), lease=lease.by("one"))) as running:
        drain(running)
    assert lease.holder is None
