"""However much is to be checked, it comes to an end, and others get their turn meanwhile."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.notes import NoteVerifier
from adapters.sqlite.custody import SqliteCustody
from domain.notary import StreamProof
from domain.trail import tiles as domain_tiles
from domain.trail.merkle import leaf
from domain.trail.quorum import NONE, Policy
from domain.trail.tiles import WIDTH, Edge
from services.custodian import tiles as tiles_module
from services.custodian.checkpoints import Checkpoints
from services.custodian.disclosures import Disclosures
from services.custodian.gate import Gate
from services.custodian.registry import REGISTRY, Fact
from services.custodian.tiles import Tiles
from services.custodian.trail import SeenTrail
from services.signals import Signals
from tests import agencies as a
from tests.agencies import sha
from tests.services.custodian_trail import Told, given
from tests.trail.signed import CASE, NOTARY, OPERATOR, SIGNING, public

TILES = 6


class Asking:
    """A gate that asks a notary about its trail, and what it asks for."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.fetched: list[str] = []
        self.shown: Sequence[Fact] = ()
        self.events = [sha(f"event {n}") for n in range(300)]
        edge, full = Edge().extend([leaf(data) for data, _ in told.leaves])
        self._files = {tile.path: data for tile, data in (*full, *edge.partial())}
        policy, tiles = Policy((told.log.vkey,), {}, {}, NONE), Tiles(self.file)
        trail = SeenTrail(lambda: policy, NoteVerifier(), tiles.nodes, None, lambda: 0)
        custodian: Any = SimpleNamespace(show_registry=self._show, key_events=lambda _: self.events)
        metrics: Any = SimpleNamespace(bad_proof=lambda: None)
        link: Any = self
        self.gate = Gate(
            custodian=custodian,
            link=link,
            checkpoints=Checkpoints(
                custody=SqliteCustody(""),
                vkey=told.log.vkey.text,
                trail=trail,
                tiles=tiles,
                clock=lambda: 0,
            ),
            disclosures=Disclosures(trail, public(NOTARY), SIGNING.verify),
            tiles=tiles,
            signals=Signals(),
            metrics=metrics,
        )

    async def file(self, path: str) -> bytes | None:
        self.fetched.append(path)
        assert len(self.fetched) < 20 * TILES, "it is fetched again and again"
        return self._files.get(path)

    async def registry(self, after: int) -> StreamProof:
        return self.told.stream(REGISTRY, after)

    async def disclosures(self, case_id: str, after: int) -> StreamProof:
        return self.told.page(case_id, after)

    def _show(self, facts: Sequence[Fact]) -> None:
        self.shown = facts


async def test_facts_in_more_tiles_than_are_held_are_all_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tiles_module, "CACHED", TILES)
    monkeypatch.setattr(domain_tiles, "_CACHED_TILES", TILES)
    told = Told()
    for _ in range(TILES + 2):
        told.add(OPERATOR, body=b"a fact", case_id="00000000-0000-0000-0000-000000000000")
        for number in range(WIDTH - 1):
            told.add(a.REFUGE, body=b"%d" % number)
    told.epoch()
    asking = Asking(told)
    await asking.gate._check_registry()  # noqa: SLF001 - its one step
    assert len(asking.shown) == TILES + 2


async def test_while_a_long_stream_is_checked_others_get_their_turn_and_nothing_is_checked_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = Told()
    for number in range(300):
        told.disclose(given(sha(f"event {number}"), a.REFUGE, number + 1))
    told.epoch()
    asking, turns = Asking(told), []
    shown = asyncio.create_task(asking.gate._shown(CASE))  # noqa: SLF001 - its one step
    while not shown.done():
        turns.append(len(asking.gate._disclosures._checked))  # noqa: SLF001
        await asyncio.sleep(0)
    found = shown.result()
    assert found is not None
    assert len(found.masks) == 300
    assert {100, 200} <= set(turns)
    monkeypatch.setattr(asking.gate._disclosures, "_verify", None)  # noqa: SLF001
    assert await asking.gate._shown(CASE) == found  # noqa: SLF001
