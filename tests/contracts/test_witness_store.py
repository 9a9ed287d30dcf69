"""The contract of `WitnessStore`."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from adapters.sqlite.witness_store import SqliteWitnessStore
from domain.errors import NotAuthentic
from domain.witness import Cosigned, OtherSize, WitnessStore
from tests.witnessed import Log

LOG, OTHER = Log(), Log("other.example/trail")


@pytest.fixture(params=["sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WitnessStore]:
    with closing(SqliteWitnessStore(str(tmp_path / "witness.db"))) as made:
        yield made


def cosigned(size: int, log: Log = LOG, *, replayed: bool = False) -> Cosigned:
    return Cosigned(checkpoint=log.checkpoint(size), note=log.note(size), replayed=replayed)


def test_nothing_is_remembered_of_a_log_never_cosigned(store: WitnessStore) -> None:
    assert store.newest(LOG.origin) is None


def test_the_newest_checkpoint_of_each_log_stays(store: WitnessStore) -> None:
    store.advance(0, cosigned(3))
    store.advance(0, cosigned(7, OTHER))
    store.advance(3, cosigned(5, replayed=True))
    assert store.newest(LOG.origin) == cosigned(5, replayed=True)
    assert store.newest(OTHER.origin) == cosigned(7, OTHER)


def test_the_same_checkpoint_may_be_cosigned_again(store: WitnessStore) -> None:
    for _ in range(3):
        store.advance(0, cosigned(0))
    store.advance(0, cosigned(3))
    store.advance(3, cosigned(3))
    assert store.newest(LOG.origin) == cosigned(3)


@pytest.mark.parametrize(("old", "size"), [(0, 4), (2, 4), (4, 5), (0, 0)])
def test_who_does_not_know_the_newest_size_is_told_it(
    store: WitnessStore, old: int, size: int
) -> None:
    store.advance(0, cosigned(3))
    with pytest.raises(OtherSize) as told:
        store.advance(old, cosigned(size))
    assert told.value.size == 3
    assert store.newest(LOG.origin) == cosigned(3)


def test_it_never_goes_back(store: WitnessStore) -> None:
    store.advance(0, cosigned(3))
    with pytest.raises(OtherSize):
        store.advance(3, cosigned(2))
    assert store.newest(LOG.origin) == cosigned(3)


def test_one_size_has_one_root(store: WitnessStore) -> None:
    store.advance(0, cosigned(3))
    with pytest.raises(NotAuthentic, match="TWO_ROOTS"):
        store.advance(3, cosigned(3, LOG.fork(1)))
    assert store.newest(LOG.origin) == cosigned(3)


def test_the_first_fork_of_a_log_is_kept(store: WitnessStore) -> None:
    assert store.forks() == {}
    store.keep_fork(LOG.origin, b"held", b"shown")
    store.keep_fork(LOG.origin, b"held later", b"shown later")
    assert store.forks() == {LOG.origin: (b"held", b"shown")}


def test_of_two_processes_that_advance_at_once_one_does(tmp_path: Path) -> None:
    """Each has the file open; a thread stands for the other process."""
    path = str(tmp_path / "witness.db")
    stores = [SqliteWitnessStore(path) for _ in range(2)]
    at_once, told = threading.Barrier(2), []

    def advance(store: SqliteWitnessStore, log: Log) -> None:
        at_once.wait()
        try:
            store.advance(0, cosigned(4, log))
        except OtherSize as e:
            told.append(e.size)

    threads = [
        threading.Thread(target=advance, args=(s, log))
        for s, log in zip(stores, [LOG, LOG.fork(2)], strict=True)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert told == [4]
    for s in stores:
        s.close()


def test_what_it_kept_is_there_after_it_was_opened_again(tmp_path: Path) -> None:
    path = str(tmp_path / "witness.db")
    with closing(SqliteWitnessStore(path)) as first:
        first.advance(0, cosigned(3, replayed=True))
    with closing(SqliteWitnessStore(path)) as again:
        assert again.newest(LOG.origin) == cosigned(3, replayed=True)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
