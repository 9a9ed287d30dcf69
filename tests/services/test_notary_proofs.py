"""Given a case's stream of any size, its proof comes in pages that whoever asks can take."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from adapters.http_disclosures import STREAM_BYTES
from domain.errors import Refused
from domain.notary import StreamProof
from domain.trail.statement import digest, disclosure_stream, stream_tag
from domain.vocabulary import Seat
from services.custodian.stream import Stream
from services.http.problems import json_response
from services.notary import disclosing, proofs
from services.notary.proofs import ENTRIES, PAGE_BYTES
from tests.builders import uid
from tests.services.notary_world import NotaryWorld

CASE = uid("case")
STREAM = disclosure_stream(CASE)
BASIS = "an act " * 8_000
"""56 KB."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[NotaryWorld]:
    with closing(NotaryWorld(tmp_path)) as opened:
        yield opened


def disclosed(world: NotaryWorld, *bases: str) -> list[bytes]:
    """Record an event for each basis, and show them in one DISCLOSURE; return their digests."""
    events = [world.acting.event() for _ in bases]
    for position, basis in zip(world.acting.record(*events), bases, strict=True):
        world.acting.feed("gb-shelter", position, basis=basis)
    world.published()
    return [digest(event.statement) for event in events]


def pages(world: NotaryWorld) -> list[StreamProof]:
    found = [world.proofs.stream(STREAM, 0)]
    while found[-1].entries:
        found.append(world.proofs.stream(STREAM, sum(len(p.entries) for p in found)))
    return found[:-1]


def test_a_case_whose_bodies_are_larger_than_a_page_is_read_page_by_page(
    world: NotaryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as after a withdrawal in a case of many events: each is disclosed anew at once."""
    monkeypatch.setattr(disclosing, "BODY_BYTES", 2 * PAGE_BYTES)
    sizes = (30, 30, 100, 30, 30)
    events = [event for size in sizes for event in disclosed(world, *[BASIS] * size)]
    found, stream = pages(world), Stream()
    assert [len(page.entries) for page in found] == [2, 1, 2]
    for page in found:
        size = sum(len(e.entry) + len(e.body) for e in page.entries)
        assert size <= PAGE_BYTES or len(page.entries) == 1
        assert len(json_response(page).body) <= STREAM_BYTES, "the custodian takes it"
        stream = stream.extended(CASE, page.entries)
    assert stream.length == len(sizes)
    assert stream.given.keys() == set(events)
    assert {seat for seats in stream.given.values() for seat in seats} == {
        Seat("gb-shelter", "protection_support")
    }


def test_a_page_and_a_list_of_indexes_have_so_many_entries_at_most(
    world: NotaryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        disclosed(world, "c-1")
    whole = world.proofs.indexes(STREAM, 0)
    assert len(whole) == 5 <= ENTRIES
    monkeypatch.setattr(proofs, "ENTRIES", 2)
    assert [len(page.entries) for page in pages(world)] == [2, 2, 1]
    assert [world.proofs.indexes(STREAM, after) for after in (0, 2, 4, 5)] == [
        whole[:2],
        whole[2:4],
        whole[4:],
        [],
    ]


def test_a_statement_is_looked_for_without_reading_its_stream(
    world: NotaryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any agency may ask, again and again; a case may have tens of thousands of entries."""
    world.acting.record(*(world.acting.event() for _ in range(20)))
    world.published()
    read, paths = world.files.read, list[str]()

    def noted(path: str) -> bytes | None:
        paths.append(path)
        return read(path)

    monkeypatch.setattr(world.files, "read", noted)
    with pytest.raises(Refused, match="NOT_IN_TRAIL"):
        world.proofs.receipt(stream_tag(CASE), bytes(32))
    assert paths == []
