"""The contract of `Notices`: what other processes wrote wakes up who waits."""

import time
from collections.abc import Iterator
from contextlib import closing
from threading import Timer

import psycopg
import pytest

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.feeds import PostgresFeeds
from adapters.postgres.notices import PostgresNotices
from domain.errors import Unavailable
from domain.feed import Entry, Progress
from domain.vocabulary import Seat
from tests.builders import CASE
from tests.contracts.making import recorded

SEAT = Seat("shelter", "protection_support")


@pytest.fixture
def notices(database: str) -> Iterator[PostgresNotices]:
    with closing(PostgresNotices(database)) as opened:
        opened.wait(0)  # listens from here on
        yield opened


def append(database: str) -> None:
    with closing(PostgresEventStore(database)) as store, store.appending() as tx:
        tx.append([recorded("event 1")], [])


def project(database: str) -> None:
    entry = Entry(seat=SEAT, lane=0, seq=1, position=1, case_id=CASE, mask=2, basis="act-1")
    with closing(PostgresFeeds(database)) as feeds:
        feeds.write([entry], {0: (feeds.progress()[0], Progress(1))})


def test_an_append_is_news_of_the_log(database: str, notices: PostgresNotices) -> None:
    append(database)
    assert notices.wait(30) == {"log"}


def test_what_was_written_into_a_feed_is_news_for_its_seat(
    database: str, notices: PostgresNotices
) -> None:
    project(database)
    assert notices.wait(30) == {SEAT}


def test_who_waits_is_woken_before_the_time_is_up(database: str, notices: PostgresNotices) -> None:
    writer = Timer(0.2, append, [database])
    started = time.monotonic()
    writer.start()
    assert notices.wait(300) == {"log"}
    assert time.monotonic() - started < 200
    writer.join()


def test_nothing_new_is_no_news(notices: PostgresNotices) -> None:
    assert notices.wait(0.05) == frozenset()


def test_what_is_written_beside_the_live_feeds_is_no_news(
    database: str, notices: PostgresNotices
) -> None:
    entry = Entry(seat=SEAT, lane=0, seq=1, position=1, case_id=CASE, mask=2, basis="act-1")
    with closing(PostgresFeeds(database)) as feeds:
        beside = feeds.beside()
        beside.write([entry], {0: (beside.progress()[0], Progress(1))})
    assert notices.wait(0.2) == frozenset()


def test_who_was_cut_off_is_told_and_can_listen_again(
    database: str, notices: PostgresNotices
) -> None:
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(Unavailable, match="STORE_UNAVAILABLE"):
        notices.wait(30)
    assert notices.wait(0) == frozenset()
    append(database)
    assert notices.wait(30) == {"log"}


def test_however_many_seats_have_news_they_are_all_told(
    database: str, notices: PostgresNotices
) -> None:
    seats = [Seat(f"ag\tency \N{SNOWMAN} {n} " + n * "x", "investigation") for n in range(600)]
    entries = [
        Entry(seat=seat, lane=0, seq=1, position=1, case_id=CASE, mask=2, basis="act-1")
        for seat in seats
    ]
    with closing(PostgresFeeds(database)) as feeds:
        feeds.write(entries, {0: (feeds.progress()[0], Progress(1))})
    heard: set[str | Seat] = set()
    while heard != set(seats):
        news = notices.wait(30)
        assert news, "nothing came any more"
        heard |= news
