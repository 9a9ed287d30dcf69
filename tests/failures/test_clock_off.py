"""Clocks a day ahead and a day back, of hubs and of workers: order and time never go back."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from domain.messages import FeedItem, FeedPage
from domain.vocabulary import Seat
from services.bootstrap import COORDINATOR, now_ms
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from tests.adapters.kafka_feeds import feed_of, read_all
from tests.adapters.kafka_log import broker_of
from tests.agencies import HOUR
from tests.failures import checks
from tests.failures.apart import WORKERS, Apart, Part, apart
from tests.failures.writing import Client, outcomes, register, writing
from tests.failures.wrong_clock import WrongClock

Servers = Brokers | GivenBrokers


@pytest.fixture
def one(brokers: Servers, database: str, hub_id: str, tmp_path: Path) -> Iterator[Apart]:
    with apart(tmp_path, hub_id, database, brokers) as made:
        yield made


@pytest.fixture
def clock(tmp_path: Path) -> WrongClock:
    return WrongClock(tmp_path / "clock")


def test_two_hubs_whose_clocks_are_days_apart_keep_one_order_and_time_never_goes_back(
    one: Apart, clock: WrongClock
) -> None:
    right, wrong = one.part("hub"), one.part("hub")
    right.start()
    wrong.start(clock)
    register(one, right)
    one.topics()
    one.started(*WORKERS)
    with writing(one, [right, wrong]) as load:
        load.more()
        for days in (-1, 1, -1, 0):
            clock.set(days)
            load.more(40)
        load.stop()
        assert {r.answer.status_code for r in load.refusals()} <= {401}  # while it was being set
        load.repeat(right)
        load.repeat(wrong)
        events = checks.log_is_what_was_answered(one, load)
    assert events[-1].recorded_ms > now_ms() + 23 * HOUR, "it stands still until ours is there"
    checks.kafka_has_the_log(one)
    assert checks.feeds_are_what_the_log_gives(one)
    checks.topics_have_the_feeds(one)


def test_a_hub_with_a_wrong_clock_takes_no_proof_and_gives_no_token_until_it_is_set_right(
    one: Apart, clock: WrongClock
) -> None:
    hub = one.part("hub")
    hub.start(clock)
    register(one, hub)
    client = Client(one, one.town.openers[0])
    proof = client.asks_for_token(hub)
    assert proof.status_code == 200
    token = proof.json()["access_token"]
    for days, code in ((1, "TOKEN_EXPIRED"), (-1, "TOKEN_AHEAD")):
        clock.set(days)
        refused = client.asks_for_token(hub)
        assert (refused.status_code, refused.json()["code"]) == (401, "ASSERTION")
        refused = client.get(hub, "/v1/registry", token)
        assert (refused.status_code, refused.json()["code"]) == (401, code)
    clock.set(0)
    assert client.get(hub, "/v1/registry", token).status_code == 200
    assert client.asks_for_token(hub).status_code == 200
    client.close()


@pytest.mark.parametrize("days", [-1, 1])
def test_workers_with_a_wrong_clock_leave_nothing_out_of_the_log_the_feeds_or_their_topics(
    one: Apart, clock: WrongClock, brokers: Servers, days: int
) -> None:
    (hub,) = one.started("hub")
    register(one, hub)
    one.topics()
    clock.set(days)
    for name in WORKERS:
        one.part(name).start(clock)
    with writing(one, [hub]) as load:
        load.more(60)
        load.stop()
        checks.log_is_what_was_answered(one, load)
    checks.kafka_has_the_log(one)
    feeds = checks.feeds_are_what_the_log_gives(one)
    checks.topics_have_the_feeds(one)
    for seat in feeds:
        assert _in_topic(one, seat) == _over_http(one, hub, seat)
        for record in read_all(broker_of(brokers), one.names.feed(seat)):
            assert abs(record.timestamp - now_ms()) < HOUR, "days are counted by the brokers"
    assert any(item.categories for item in _over_http(one, hub, _sheltered(one)))


def test_a_hub_whose_clock_is_a_day_back_knows_what_was_granted_and_who_was_suspended_today(
    one: Apart, clock: WrongClock
) -> None:
    right, wrong = one.part("hub"), one.part("hub")
    right.start()
    clock.set(-1)
    wrong.start(clock)
    register(one, right)
    one.part("projector", "--source", "store").start()
    with writing(one, [right]) as load:
        load.more(60)
        load.stop()
    checks.feeds_are_what_the_log_gives(one)
    seat = _sheltered(one)
    shown = _over_http(one, right, seat)
    assert any(item.categories for item in shown)
    assert _over_http(one, wrong, seat) == shown
    _suspend(one, right, seat.agency)
    client = Client(one, seat.agency)
    for hub in (right, wrong):
        answer = client.get(hub, f"/v1/feeds/{seat.purpose}")
        assert (answer.status_code, answer.json()["code"]) == (403, "AGENCY_NOT_ACTIVE")
    client.close()


def _suspend(one: Apart, hub: Part, agency: str) -> None:
    fact = one.town._fact("AgencySuspended", agency=agency, reason="other")  # noqa: SLF001 - a test's
    coordinator = Client(one, COORDINATOR)
    (outcome,) = outcomes(coordinator.send(hub, [fact]))
    coordinator.close()
    assert outcome.accepted, outcome


def _sheltered(one: Apart) -> Seat:
    return Seat(one.town.providers[0], "protection_support")


def _over_http(one: Apart, hub: Part, seat: Seat) -> list[FeedItem]:
    """Return the whole feed of a seat as `hub` shows it, by lane and number."""
    client, items, cursor = Client(one, seat.agency), list[FeedItem](), ""
    while True:
        answer = client.get(hub, f"/v1/feeds/{seat.purpose}?cursor={cursor}")
        assert answer.status_code == 200, answer.text
        page = msgspec.json.decode(answer.content, type=FeedPage)
        items, cursor = [*items, *page.items], page.cursor
        if not page.items:
            client.close()
            return sorted(items, key=lambda item: (item.lane, item.seq))


def _in_topic(one: Apart, seat: Seat) -> list[FeedItem]:
    assert one.brokers is not None
    items = [record.item for record in feed_of(one.brokers, one.hub_id, seat)]
    return sorted(items, key=lambda item: (item.lane, item.seq))
