"""Given a trail, when the custodian reads what it proves of a case, nothing else passes."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.notes import NoteVerifier, note_signer
from domain.errors import HubError, NotAuthentic, Unavailable
from domain.notary import StreamProof
from domain.secret import Secret
from domain.trail.heads import Head, MapProof
from domain.trail.merkle import leaf
from domain.trail.notes import Algorithm
from domain.trail.proof import Proof
from domain.trail.quorum import Policy
from domain.trail.statement import digest, disclosure_stream
from domain.trail.tiles import TileNodes
from domain.vocabulary import Seat
from services.custodian.disclosures import Disclosures, Shown
from services.custodian.stream import Stream
from services.custodian.trail import STOP_MS, SeenTrail
from services.notary.tree import Tree
from tests.agencies import sha
from tests.builders import uid
from tests.services.custodian_trail import passed
from tests.services.notary_witnesses import AT_S, DeadWitness, GoodWitness
from tests.services.notary_world import SIGNING, NotaryWorld, public

CASE = uid("case")
MINUTE = 60_000
SHELTER, AUTHORITY = "gb-shelter", "gb-authority"
SEAT = Seat(SHELTER, "protection_support")
Pages = Sequence[StreamProof]


class Reader:
    """What the custodian has of a trail: pinned policy and key, and what it saw before."""

    def __init__(self, world: NotaryWorld, policy: Policy | None = None) -> None:
        self.world = world
        self.now = 1000 * AT_S
        pinned = policy or world.policy
        self.trail = SeenTrail(lambda: pinned, NoteVerifier(), self.nodes, None, lambda: self.now)
        self.notary = public("notary")

    def nodes(self, size: int) -> TileNodes:
        return Tree(self.world.files, size).nodes

    def shown(self, events: Sequence[bytes], pages: Pages = (), at_least: int = 0) -> Shown:
        asked, stream = pages or self.pages(), Stream()
        for page in asked:
            stream = stream.extended(CASE, page.entries)
        disclosures = Disclosures(self.trail, self.notary, SIGNING.verify)
        shown, checks = disclosures.shown(CASE, stream, asked[-1].head, events, at_least)
        passed(checks)
        return shown

    def pages(self, case: str = "case") -> list[StreamProof]:
        return [self.world.proofs.stream(disclosure_stream(uid(case)), 0)]


@pytest.fixture
def lazy() -> DeadWitness:
    witness = DeadWitness("lazy")
    witness.back = True
    return witness


@pytest.fixture
def world(tmp_path: Path, lazy: DeadWitness) -> Iterator[NotaryWorld]:
    with closing(NotaryWorld(tmp_path, [GoodWitness("one"), lazy])) as opened:
        yield opened


def disclosed(world: NotaryWorld, agency: str = SHELTER, **changes: Any) -> bytes:
    """Record an event and show it to an agency; return the digest of its statement."""
    event = world.acting.event(case=changes.get("case", "case"))
    (position,) = world.acting.record(event)
    world.acting.feed(agency, position, **changes)
    return digest(event.statement)


def test_what_was_disclosed_is_shown_with_its_seat_and_categories(world: NotaryWorld) -> None:
    first, second = disclosed(world), disclosed(world, AUTHORITY, mask=8)
    world.published()
    found = Reader(world).shown([first, second])
    assert found.masks == {
        (SEAT, first): 6,
        (Seat(AUTHORITY, "protection_support"), second): 8,
    }
    assert (found.size, found.witnessed) == (world.publishing.size, True)


def test_nothing_is_shown_of_a_case_of_which_nothing_was_disclosed(world: NotaryWorld) -> None:
    event = world.acting.event()
    world.acting.record(event)
    world.published()
    assert Reader(world).shown([digest(event.statement)]).masks == {}


def test_what_was_disclosed_of_other_events_and_cases_shows_nothing(world: NotaryWorld) -> None:
    other = disclosed(world, case="other")
    disclosed(world)
    world.published()
    reader = Reader(world)
    assert reader.shown([other]).masks == {}
    (own,), (others,) = reader.pages(), reader.pages("other")
    with pytest.raises(NotAuthentic, match="BAD_CHAIN"):
        reader.shown([other], [others])
    with pytest.raises(NotAuthentic, match="BAD_MAP_PROOF"):
        reader.shown([other], [replace(own, head=others.head)])


def test_the_newest_delivery_counts(world: NotaryWorld) -> None:
    event = world.acting.event()
    (position,) = world.acting.record(event)
    entry = world.acting.feed(SHELTER, position)
    world.published()
    reader = Reader(world)
    assert reader.shown([digest(event.statement)]).masks == {(SEAT, digest(event.statement)): 6}
    world.acting.feed(SHELTER, position, mask=2, supersedes=entry.seq)
    world.published()
    assert reader.shown([digest(event.statement)]).masks == {(SEAT, digest(event.statement)): 2}


def test_a_stream_without_its_newest_entry_is_not_whole(world: NotaryWorld) -> None:
    event = disclosed(world)
    world.published()
    early = Reader(world).pages()[0].entries
    disclosed(world)
    world.published()
    reader = Reader(world)
    with pytest.raises(NotAuthentic, match="BAD_CHAIN"):
        reader.shown([event], [replace(reader.pages()[0], entries=early)])


def test_an_entry_that_stands_elsewhere_in_the_log_is_not_in_it(world: NotaryWorld) -> None:
    event = disclosed(world)
    world.published()
    reader = Reader(world)
    (page,) = reader.pages()
    moved = replace(page.entries[0], index=page.entries[0].index + 1)
    with pytest.raises(NotAuthentic, match="BAD_INCLUSION"):
        reader.shown([event], [replace(page, entries=(moved,))])


def test_a_head_that_is_not_in_the_map_does_not_make_a_shorter_stream_whole(
    world: NotaryWorld,
) -> None:
    event = disclosed(world)
    world.published()
    disclosed(world)
    world.published()
    reader = Reader(world)
    (page,) = reader.pages()
    first = page.entries[0]
    claimed = MapProof.decode(page.head.map)._replace(head=Head(1, leaf(first.entry), first.index))
    short = replace(page, entries=(first,), head=replace(page.head, map=claimed.encode()))
    with pytest.raises(NotAuthentic, match="BAD_MAP_PROOF"):
        reader.shown([event], [short])


def test_an_older_map_of_heads_does_not_hide_what_came_after_it(world: NotaryWorld) -> None:
    event = world.acting.event()
    (position,) = world.acting.record(event)
    entry = world.acting.feed(SHELTER, position)
    world.published()
    reader = Reader(world)
    (old,) = reader.pages()
    world.acting.feed(SHELTER, position, mask=0, supersedes=entry.seq)
    world.published()
    at, tree = Proof.decode(old.head.proof.encode()).index, world.shown.published
    hiding = replace(old, head=replace(old.head, proof=tree.proof(at)))
    with pytest.raises(NotAuthentic, match="BAD_EPOCH"):
        reader.shown([digest(event.statement)], [hiding])


def test_a_disclosure_that_another_key_has_signed_is_none(world: NotaryWorld) -> None:
    event = disclosed(world)
    world.published()
    reader = Reader(world)
    reader.notary = public("another notary")
    with pytest.raises(NotAuthentic, match="DISCLOSURE_SIGNATURE"):
        reader.shown([event])


def test_another_log_proves_nothing(world: NotaryWorld) -> None:
    event = disclosed(world)
    world.published()
    pinned = note_signer("nrm.example/trail", Algorithm.ED25519, Secret(sha("another log"))).key
    reader = Reader(world, world.policy._replace(log_keys=(pinned,)))
    with pytest.raises(NotAuthentic, match="LOG_SIGNATURE"):
        reader.shown([event])


def test_a_log_with_two_faces_is_believed_once(world: NotaryWorld, tmp_path: Path) -> None:
    event = disclosed(world)
    world.published()
    reader = Reader(world)
    reader.shown([event])
    (tmp_path / "fork").mkdir()
    with closing(NotaryWorld(tmp_path / "fork", [GoodWitness("one"), GoodWitness("lazy")])) as fork:
        event = disclosed(fork, AUTHORITY)
        disclosed(fork)
        fork.published()
        reader.world = fork
        with pytest.raises(NotAuthentic, match="SPLIT_VIEW"):
            reader.shown([event])
        assert Reader(fork).shown([event]).masks, "by itself it holds"


def test_an_older_tree_than_was_seen_is_asked_for_again(world: NotaryWorld) -> None:
    event = disclosed(world)
    world.published()
    reader = Reader(world)
    old = reader.pages()
    disclosed(world)
    world.published()
    newest = reader.shown([event]).size
    with pytest.raises(Unavailable, match="TRAIL_BEHIND"):
        reader.shown([event], old, at_least=newest)


def test_without_a_quorum_nothing_new_counts_for_a_minute_then_the_log_alone_until_it_stops(
    world: NotaryWorld, lazy: DeadWitness
) -> None:
    first = disclosed(world)
    world.published()
    reader = Reader(world)
    reader.shown([first])
    lazy.back = False
    second = disclosed(world)
    for _ in range(2):  # a minute passes at the notary alone
        with pytest.raises(Unavailable, match="QUORUM_MISSING"):
            world.published()
        world.now += MINUTE + 1
    with pytest.raises(Unavailable, match="QUORUM_PENDING"):
        reader.shown([second])
    reader.now += MINUTE + 1
    found = reader.shown([second])
    assert (found.witnessed, found.masks) == (False, {(SEAT, second): 6})
    reader.now += STOP_MS
    with pytest.raises(Unavailable, match="QUORUM_PENDING"):
        reader.shown([second])
    lazy.back = True
    world.published()
    assert reader.shown([second]).witnessed


def test_a_log_that_never_had_a_quorum_does_not_count_alone(
    world: NotaryWorld, lazy: DeadWitness
) -> None:
    lazy.back = False
    event = disclosed(world)
    for _ in range(2):
        with pytest.raises(Unavailable, match="QUORUM_MISSING"):
            world.published()
        world.now += MINUTE + 1
    reader = Reader(world)
    reader.now += 10 * MINUTE
    with pytest.raises(Unavailable, match="QUORUM_PENDING"):
        reader.shown([event])


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NotaryWorld, list[bytes]]]:
    with closing(NotaryWorld(tmp_path_factory.mktemp("honest"))) as world:
        events = [disclosed(world), disclosed(world, AUTHORITY), disclosed(world)]
        world.published()
        yield world, events


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_proof_that_was_altered_anywhere_shows_nothing_else(
    honest: tuple[NotaryWorld, list[bytes]], data: st.DataObject
) -> None:
    world, events = honest
    reader = Reader(world)
    (page,) = reader.pages()
    true = reader.shown(events, [page])
    altered = data.draw(altered_pages(page))
    try:
        found = reader.shown(events, [altered])
    except HubError:
        return
    assert found == true, "what was altered is proven by something else"


@st.composite
def altered_pages(draw: st.DrawFn, page: StreamProof) -> StreamProof:
    part = draw(st.sampled_from(["epoch", "proof", "map", "entry", "body", "index"]))
    if part in {"epoch", "proof", "map"}:
        return replace(
            page, head=replace(page.head, **{part: flipped(draw, getattr(page.head, part))})
        )
    at = draw(st.integers(0, len(page.entries) - 1))
    item = page.entries[at]
    if part == "index":
        item = replace(item, index=draw(st.integers(0, 1 << 40)))
    else:
        item = replace(item, **{part: flipped(draw, getattr(item, part))})
    return replace(page, entries=(*page.entries[:at], item, *page.entries[at + 1 :]))


def flipped(draw: st.DrawFn, value: Any) -> Any:
    data = bytearray(value.encode() if isinstance(value, str) else value)
    at = draw(st.integers(0, len(data) - 1))
    data[at] ^= 1 << draw(st.integers(0, 6))
    return data.decode("utf-8", "replace") if isinstance(value, str) else bytes(data)
