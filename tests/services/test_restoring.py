"""The store made anew from Kafka's records: all of it as it was, or a refusal that says where."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from adapters.sqlite.event_store import SqliteEventStore
from domain import events as ev
from domain.errors import Corrupt, Refused
from domain.ports import Recorded, Refusal
from domain.publishing import Published, event_digest
from services.bootstrap import COORDINATOR, Parts, Settings
from services.hub.restoring import Restored, Restoring
from tests.bench.cases import WrittenCase, mixed
from tests.bench.ledger import put, running, writer
from tests.bench.town import Town
from tests.services.cluster_checks import log_of


@dataclass
class Kept:
    """A log as Kafka might hold it."""

    told: Published | None
    log: list[Recorded]
    refused: list[Refusal]

    def published(self) -> Published | None:
        return self.told

    def events(self, published: Published) -> Iterable[Recorded]:
        return self.log

    def refusals(self, published: Published) -> Iterable[Refusal]:
        return self.refused


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return Parts(Settings(data=tmp_path_factory.mktemp("mechanism")))


@pytest.fixture(scope="module")
def town(parts: Parts) -> Town:
    return Town(parts, 2, 2)


@pytest.fixture(scope="module")
def lost(parts: Parts, town: Town, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A store of real actions, refused ones among them, that is lost afterwards."""
    path = tmp_path_factory.mktemp("lost") / "events.db"
    with closing(SqliteEventStore(str(path))) as store:
        asyncio.run(written(town, store))
        events, refusals = log_of(store)
        assert refusals
        published = Published(
            incarnation=store.incarnation(),
            position=len(events),
            digest=event_digest(events[-1]),
            refusals=len(refusals),
        )
    return Kept(published, events, refusals)


async def written(town: Town, store: SqliteEventStore) -> None:
    async with running(writer(town, store)) as accepting:
        await put(accepting, ((COORDINATOR, fact) for fact in town.facts()))
        await put(accepting, mixed(town, 6))
        opener = town.openers[0]
        case = WrittenCase(town, opener, town.providers[0])
        for step in case.opening():
            for agency, action in step:
                await accepting.submit([action], agency)
        outcome = await accepting.submit([action for _, action in case.open()], opener)
        assert not outcome[-1].accepted


def restored(parts: Parts, kept: Kept, store: SqliteEventStore) -> Restored:
    restoring = Restoring(
        reader=kept,
        store=store,
        directory=parts.directory(),
        operator=parts.operator(),
        verify=parts.signing.verify,
        progress=lambda *_: None,
    )
    return restoring.run()


def test_everything_comes_back_as_it_was(parts: Parts, lost: Kept, tmp_path: Path) -> None:
    with closing(SqliteEventStore(str(tmp_path / "events.db"))) as store:
        found = restored(parts, lost, store)
        assert log_of(store) == (lost.log, lost.refused)
        assert lost.told is not None
        assert store.incarnation() == lost.told.incarnation == found.incarnation
    assert (found.events, found.refusals) == (len(lost.log), len(lost.refused))
    assert found.cases == len({e.case_id for e in lost.log} - {ev.REGISTRY_STREAM})


def forged(kept: Kept) -> Kept:
    log = list(kept.log)
    log[-1] = replace(log[-1], signature=bytes(64))
    return replace(kept, log=log)


def of_other_bytes(kept: Kept) -> Kept:
    log = list(kept.log)
    log[-1] = replace(log[-1], body=log[-2].body, type=log[-2].type)
    return replace(kept, log=log)


def without_a_fact(kept: Kept) -> Kept:
    return replace(kept, log=[replace(e, position=n) for n, e in enumerate(kept.log[1:], 1)])


def without_the_end(kept: Kept) -> Kept:
    return replace(kept, log=kept.log[:-1])


def in_another_case(kept: Kept) -> Kept:
    log = list(kept.log)
    log[-1] = replace(log[-1], case_id="00000000-0000-4000-8000-000000000001", version=1)
    return replace(kept, log=log)


def with_a_gap_in_a_case(kept: Kept) -> Kept:
    last = kept.log[-1]
    assert last.version > 1
    return replace(kept, log=[*kept.log[:-1], replace(last, version=last.version + 1)])


def without_a_refusal(kept: Kept) -> Kept:
    return replace(kept, refused=kept.refused[:-1])


def with_a_forged_refusal(kept: Kept) -> Kept:
    wrong = replace(kept.refused[-1], signature=bytes(64))
    return replace(kept, refused=[*kept.refused[:-1], wrong])


@pytest.mark.parametrize(
    ("spoiled", "code"),
    [
        (forged, "LOG_NOT_AUTHENTIC"),
        (of_other_bytes, "LOG_NOT_AUTHENTIC"),
        (without_a_fact, "LOG_NOT_AUTHENTIC"),
        (in_another_case, "LOG_NOT_AUTHENTIC"),
        (with_a_gap_in_a_case, "LOG_NOT_AUTHENTIC"),
        (without_the_end, "LOG_SHORT"),
        (without_a_refusal, "LOG_SHORT"),
        (with_a_forged_refusal, "LOG_NOT_AUTHENTIC"),
    ],
)
def test_a_log_that_is_not_all_of_it_is_refused(
    parts: Parts, lost: Kept, tmp_path: Path, spoiled: Callable[[Kept], Kept], code: str
) -> None:
    with (
        closing(SqliteEventStore(str(tmp_path / "events.db"))) as store,
        pytest.raises(Corrupt) as refused,
    ):
        restored(parts, spoiled(lost), store)
    assert refused.value.code == code


def test_a_log_in_which_nothing_was_published_gives_nothing(parts: Parts, tmp_path: Path) -> None:
    with (
        closing(SqliteEventStore(str(tmp_path / "events.db"))) as store,
        pytest.raises(Refused, match="LOG_EMPTY"),
    ):
        restored(parts, Kept(None, [], []), store)


def test_a_store_that_holds_anything_is_not_written_over(
    parts: Parts, lost: Kept, tmp_path: Path
) -> None:
    with closing(SqliteEventStore(str(tmp_path / "events.db"))) as store:
        restored(parts, lost, store)
        with pytest.raises(Refused, match="STORE_NOT_EMPTY"):
            restored(parts, lost, store)
