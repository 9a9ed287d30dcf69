"""Given what was recorded and disclosed, when rounds are made, the trail has it once, in order."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Conflict, Corrupt, Unavailable
from domain.feed import LANES
from domain.notary import Changes, Sequenced
from domain.ports import Recorded, Refusal
from domain.trail.entry import Epoch, read
from domain.trail.heads import Head, feed_key
from domain.trail.merkle import Range
from domain.trail.statement import Kind, actor_id, disclosure_stream
from services.notary import disclosing, sequencer, state
from services.notary import round as rounds
from services.notary.gathering import READ
from services.notary.tree import Tree
from tests.agencies import sha
from tests.builders import uid
from tests.services import trail_checks as check
from tests.services.notary_world import AGENCIES, T0, NotaryWorld, public


@pytest.fixture
def world(tmp_path: Path) -> Iterator[NotaryWorld]:
    with closing(NotaryWorld(tmp_path)) as world:
        yield world


@pytest.fixture
def small_rounds(world: NotaryWorld, monkeypatch: pytest.MonkeyPatch) -> NotaryWorld:
    """Return a notary that takes little in a round, and one round a step."""
    monkeypatch.setattr(rounds, "LIMIT", READ)
    monkeypatch.setattr(sequencer, "ROUNDS", 1)
    return world


def test_an_empty_hub_makes_no_tree(world: NotaryWorld) -> None:
    assert not world.sequencer.step()
    assert not world.publishing.step()
    assert world.store.newest() == Sequenced()
    assert world.files.read("checkpoint") is None


def test_events_and_refusals_stand_in_the_trail_in_their_order(world: NotaryWorld) -> None:
    acting = world.acting
    first, refused = acting.event(), acting.refusal()
    acting.now += 1
    second = acting.event("gb-shelter")
    acting.record(first, refused)
    acting.record(second)
    world.published()
    assert world.statements() == [first.statement, refused.statement, second.statement]
    tree = check.published(world.folder / "trail", world.policy)
    assert check.has_all(tree, [first, second], [refused])
    assert world.replayed().findings == []


def test_within_one_millisecond_the_actors_numbers_decide(world: NotaryWorld) -> None:
    acting = world.acting
    police: list[Recorded | Refusal] = []
    police += [acting.refusal(), acting.event(), acting.refusal(), acting.event()]
    shelter = acting.event("gb-shelter"), acting.refusal("gb-shelter")
    acting.record(police[0], police[1], shelter[0], police[2], shelter[1], police[3])
    world.published()
    assert world.replayed().findings == []
    of_police = [s for s in world.statements() if s[68:100] == actor_id(public("gb-police"))]
    assert of_police == [one.statement for one in police]


def test_each_tree_ends_with_an_epoch_over_all_before_it(world: NotaryWorld) -> None:
    sizes = []
    for _ in range(3):
        world.acting.record(world.acting.event(), world.acting.event())
        world.sequenced()
        sizes.append(world.store.newest().tree.size)
    assert sizes == [3, 6, 9]
    for size in sizes:
        epoch = read(Tree(world.files, 9).entry(size - 1))
        assert isinstance(epoch, Epoch)
        assert epoch.covered == size - 1
    assert world.replayed().findings == []


def test_when_nothing_is_new_no_tree_is_made(world: NotaryWorld) -> None:
    world.acting.record(world.acting.event())
    world.sequenced()
    newest = world.store.newest()
    world.sequenced()
    assert world.store.newest() == newest


def test_what_was_disclosed_is_one_signed_entry_a_case_and_round(world: NotaryWorld) -> None:
    acting = world.acting
    positions = acting.record(acting.event(case="a"), acting.event(case="b"))
    fed = [
        acting.feed("gb-shelter", positions[0], "a"),
        acting.feed("gb-authority", positions[0], "a"),
        acting.feed("gb-shelter", positions[1], "b"),
    ]
    world.published()
    assert world.replayed().findings == []
    for case, count in (("a", 1), ("b", 1)):
        assert len(world.store.streamed(disclosure_stream(uid(case)))) == count
    tree = check.published(world.folder / "trail", world.policy)
    assert check.has_fed(tree, {e.seat: [f for f in fed if f.seat == e.seat] for e in fed})


def test_what_one_entry_cannot_hold_of_a_case_is_told_in_several(world: NotaryWorld) -> None:
    acting, many_acts = world.acting, " ".join(uid(f"act {n}") for n in range(1_500))
    (position,) = acting.record(acting.event())
    fed = [acting.feed("gb-shelter", position, basis=many_acts) for _ in range(50)]
    world.published()
    bodies = [e.body for e in world.proofs.stream(disclosure_stream(uid("case")), 0).entries]
    assert len(bodies) > 1
    assert max(map(len, bodies)) < disclosing.BODY_BYTES + 2 * len(many_acts)
    tree = check.published(world.folder / "trail", world.policy)
    assert check.has_fed(tree, {fed[0].seat: fed})
    assert world.replayed().findings == []


@pytest.mark.parametrize("noted", [0, 1], ids=["nothing", "one entry"])
def test_what_a_feed_got_while_events_were_read_is_disclosed_after_what_brought_it_about(
    world: NotaryWorld, monkeypatch: pytest.MonkeyPatch, noted: int
) -> None:
    """As a retraction: the feed shows an old event, and a newer one is why."""
    acting, read_log = world.acting, world.events.read_log
    (position,) = acting.record(acting.event())
    for _ in range(noted):
        acting.feed("gb-shelter", position)

    def read(after: int, limit: int) -> Sequence[Recorded]:
        found = read_log(after, limit)
        if sum(acting.fed.values()) == noted:
            acting.record(acting.event())
            acting.feed("gb-shelter", position)
        return found

    monkeypatch.setattr(world.events, "read_log", read)
    world.sequenced()
    first = [Kind.ACTION, *noted * [Kind.DISCLOSURE]]
    assert kinds(world) == first
    world.sequenced()
    assert kinds(world) == [*first, Kind.ACTION, Kind.DISCLOSURE]
    assert world.replayed().findings == []


def test_nothing_is_disclosed_before_what_was_recorded_by_then_is_entered(
    small_rounds: NotaryWorld,
) -> None:
    world, acting = small_rounds, small_rounds.acting
    positions = acting.record(*(acting.event() for _ in range(READ + 10)))
    acting.feed("gb-shelter", positions[0])
    assert world.sequencer.step()
    assert set(kinds(world)) == {Kind.ACTION}
    world.sequenced()
    assert kinds(world)[-2:] == [Kind.ACTION, Kind.DISCLOSURE]


def test_what_a_feed_got_while_the_store_was_looked_at_is_disclosed_after_what_brought_it_about(
    small_rounds: NotaryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given as many events as a round takes, the one that came meanwhile is not among them."""
    world, acting, head = small_rounds, small_rounds.acting, small_rounds.events.head
    positions = acting.record(*(acting.event() for _ in range(READ)))

    def looked() -> int:
        found = head()
        if not acting.fed:
            acting.record(acting.event())
            acting.feed("gb-shelter", positions[0])
        return found

    monkeypatch.setattr(world.events, "head", looked)
    world.sequencer.step()
    assert set(kinds(world)) == {Kind.ACTION}
    world.sequenced()
    assert kinds(world)[-2:] == [Kind.ACTION, Kind.DISCLOSURE]


def test_events_that_never_end_hold_no_disclosure_up(small_rounds: NotaryWorld) -> None:
    world, acting = small_rounds, small_rounds.acting
    (position,) = acting.record(acting.event())
    acting.feed("gb-shelter", position)
    for _ in range(3):
        acting.record(*(acting.event() for _ in range(READ + 1)))
        assert world.sequencer.step(), "more was recorded than a round takes"
    assert Kind.DISCLOSURE in kinds(world)
    assert world.replayed().findings == []


def test_a_lane_with_more_than_its_share_of_a_round_is_disclosed_without_a_pause(
    world: NotaryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a grant opens the past of one case: no other lane has anything."""
    monkeypatch.setattr(disclosing, "MOST", 2 * LANES)
    acting, count = world.acting, 6
    (position,) = acting.record(acting.event())
    entries = [acting.feed("gb-shelter", position) for _ in range(count)]
    world.sequenced()
    head = world.sequencer_state().heads.get(feed_key(*entries[0].seat, entries[0].lane))
    assert head is not None
    assert head.length == count


def test_a_feed_that_has_less_than_was_noted_holds_nothing_up(
    world: NotaryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that is rebuilt in the meantime."""
    acting = world.acting
    positions = acting.record(acting.event(), acting.event())
    fed = acting.feed("gb-shelter", positions[0])
    with monkeypatch.context() as patched:
        patched.setattr(world.feeds, "heads", lambda: {(fed.seat, fed.lane): 9})
        world.sequenced()
    acting.feed("gb-shelter", positions[1])
    world.sequenced()
    assert kinds(world) == [Kind.ACTION, Kind.ACTION, Kind.DISCLOSURE, Kind.DISCLOSURE]


def kinds(world: NotaryWorld) -> list[int]:
    return [statement[1] for statement in world.statements()]


def test_the_map_says_how_long_each_feed_is(world: NotaryWorld) -> None:
    acting = world.acting
    positions = acting.record(acting.event(), acting.event(), acting.event())
    entries = [acting.feed("gb-shelter", p) for p in positions]
    world.published()
    key = feed_key(*entries[0].seat, entries[0].lane)
    head = world.sequencer_state().heads.get(key)
    assert isinstance(head, Head)
    assert head.length == 3


@pytest.mark.parametrize("in_one_step", [1, 2, 4])
def test_more_than_a_round_takes_is_taken_in_the_next(
    small_rounds: NotaryWorld, monkeypatch: pytest.MonkeyPatch, in_one_step: int
) -> None:
    world = small_rounds
    monkeypatch.setattr(sequencer, "ROUNDS", in_one_step)
    events = [world.acting.event(AGENCIES[i % 3]) for i in range(2 * READ + 10)]
    world.acting.record(*events)
    assert world.sequencer.step() == (in_one_step < 3)
    world.published()
    assert world.statements() == [e.statement for e in events]
    assert world.replayed().findings == []


def test_of_each_tree_it_is_told_while_the_step_goes_on(
    small_rounds: NotaryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, told = small_rounds, list[int]()
    monkeypatch.setattr(sequencer, "ROUNDS", 3)
    world.acting.record(*(world.acting.event() for _ in range(2 * READ + 10)))
    world.sequencer.on_tree = lambda: told.append(world.store.newest().sources.position)
    world.sequencer.step()
    assert told == [READ, 2 * READ, 2 * READ + 10]


def test_a_restart_goes_on_where_the_store_stands(world: NotaryWorld, tmp_path: Path) -> None:
    acting = world.acting
    (position,) = acting.record(acting.event())
    acting.feed("gb-shelter", position)
    world.published()
    with closing(NotaryWorld(tmp_path)) as again:
        again.acting = acting
        acting.record(acting.event(), acting.refusal())
        acting.feed("gb-shelter", position)
        again.published()
        assert again.replayed().findings == []
        assert again.store.newest().tree.size == 7


def test_files_beyond_the_newest_tree_are_written_over(world: NotaryWorld) -> None:
    acting = world.acting
    acting.record(acting.event())
    world.sequenced()
    world.files.write({"tile/0/000.p/4": b"from a round that came to nothing"})
    acting.record(acting.event())
    world.published()
    assert check.published(world.folder / "trail", world.policy) is not None


def test_a_round_whose_tree_another_notary_took_is_refused(world: NotaryWorld) -> None:
    world.acting.record(world.acting.event())
    world.sequenced()
    other = Sequenced(Range().extend([sha(f"other {i}") for i in range(9)]))
    world.acting.record(world.acting.event())
    world.store.advance(2, other, Changes())
    with pytest.raises(Conflict, match="TREE_MOVED"):
        world.sequencer.step()
    assert world.store.newest().tree == other.tree


@pytest.mark.parametrize("rounds_before", [0, 2])
def test_a_disk_that_fails_leaves_the_tree_as_it_was(
    world: NotaryWorld, monkeypatch: pytest.MonkeyPatch, rounds_before: int
) -> None:
    events = [world.acting.event() for _ in range(rounds_before + 1)]
    for event in events[:-1]:
        world.acting.record(event)
        world.sequenced()
    before = world.store.newest()
    world.acting.record(events[-1])
    with monkeypatch.context() as patched:
        patched.setattr(world.files, "write", full_disk)
        with pytest.raises(Unavailable, match="TRAIL_FILES"):
            world.sequencer.step()
    assert world.store.newest() == before
    world.published()
    assert world.statements() == [event.statement for event in events]
    assert world.replayed().findings == []


def test_a_disk_that_fails_while_the_next_round_is_gathered_loses_nothing(
    small_rounds: NotaryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, write, written = small_rounds, small_rounds.files.write, list[object]()
    monkeypatch.setattr(sequencer, "ROUNDS", 3)
    events = [world.acting.event() for _ in range(2 * READ + 10)]
    world.acting.record(*events)

    def fails_second(files: Mapping[str, bytes]) -> None:
        written.append(files)
        full_disk(files) if len(written) == 2 else write(files)

    with monkeypatch.context() as patched:
        patched.setattr(world.files, "write", fails_second)
        with pytest.raises(Unavailable, match="TRAIL_FILES"):
            world.sequencer.step()
    assert world.store.newest().sources.position == READ, "the first round stands"
    world.published()
    assert world.statements() == [e.statement for e in events]
    assert world.replayed().findings == []


@pytest.mark.parametrize("in_one_step", [1, 3])
def test_while_what_is_read_is_away_the_state_is_kept_and_not_read_anew(
    small_rounds: NotaryWorld, monkeypatch: pytest.MonkeyPatch, in_one_step: int
) -> None:
    """A store that is away for an hour is tried every few seconds; the state may be large."""
    world, read_log = small_rounds, small_rounds.events.read_log
    monkeypatch.setattr(sequencer, "ROUNDS", in_one_step)
    events = [world.acting.event() for _ in range(READ + 10)]
    world.acting.record(*events)
    assert world.sequencer.step() == (in_one_step == 1)
    more = [world.acting.event() for _ in range(2 * READ)]
    world.acting.record(*more)

    def away(after: int, limit: int) -> Sequence[Recorded]:
        if after > READ + 10:
            raise Unavailable("STORE_UNAVAILABLE", "the store did not answer; retry later")
        return read_log(after, limit)

    monkeypatch.setattr(world.store, "heads", None)
    with monkeypatch.context() as patched:
        patched.setattr(world.events, "read_log", away)
        for _ in range(3):
            with pytest.raises(Unavailable, match="STORE_UNAVAILABLE"):
                world.sequenced()
    world.sequenced()
    assert world.statements() == [e.statement for e in (*events, *more)]


def full_disk(_: object) -> None:
    raise Unavailable("TRAIL_FILES", "the trail's disk answered No space left on device")


def test_a_gap_in_an_actors_numbers_stops_the_trail(world: NotaryWorld) -> None:
    world.acting.event()  # signed, and lost before it was recorded
    world.acting.record(world.acting.event())
    with pytest.raises(Corrupt, match="TRAIL_ORDER"):
        world.sequencer.step()
    assert world.store.newest() == Sequenced()


def test_a_statement_that_does_not_follow_its_actors_last_stops_the_trail(
    world: NotaryWorld,
) -> None:
    world.acting.record(world.acting.event(), world.acting.event(actor_prev=sha("another")))
    with pytest.raises(Corrupt, match="TRAIL_ADMISSION: entry 1, ACTOR_CHAIN"):
        world.sequencer.step()


@pytest.mark.parametrize("size", [7, 2**64 - 1], ids=["any", "larger than the store's numbers"])
def test_an_action_that_has_seen_another_log_is_entered_and_told(
    world: NotaryWorld, size: int
) -> None:
    world.acting.record(world.acting.event(seen_size=size, seen_root=sha("another log")))
    world.sequenced()
    world.acting.record(world.acting.event())
    world.sequenced()
    assert world.sequencer.alarms == 1, "what it never saw is not held against it later"
    assert [f.check for f in world.replayed().alarms] == ["SEEN"]


@pytest.mark.parametrize("later", [0, 5], ids=["the newest", "one that is held no longer"])
def test_a_root_that_the_log_had_may_be_seen(
    world: NotaryWorld, monkeypatch: pytest.MonkeyPatch, later: int
) -> None:
    monkeypatch.setattr(state, "ROOTS", 2)
    world.acting.record(world.acting.event())
    world.published()
    tree = world.store.newest().tree
    for _ in range(later):
        world.acting.record(world.acting.event())
        world.published()
    world.acting.record(world.acting.event(seen_size=tree.size, seen_root=tree.root))
    world.published()
    assert world.sequencer.alarms == 0
    assert world.replayed().findings == []


def test_what_is_held_of_roots_does_not_grow_with_the_log(
    world: NotaryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "ROOTS", 2)
    for _ in range(5):
        world.acting.record(world.acting.event())
        world.sequenced()
    begun = world.sequencer._begun  # noqa: SLF001 - what it holds is not to be seen from outside
    assert begun is not None
    assert sorted(begun.state.checkpoints) == [8, 10]


def test_files_that_are_not_those_of_the_store_are_not_gone_on_from(
    world: NotaryWorld, tmp_path: Path
) -> None:
    world.acting.record(world.acting.event())
    world.sequenced()
    world.files.write({"tile/0/000.p/2": bytes(64)})
    with (
        closing(NotaryWorld(tmp_path)) as again,
        pytest.raises(Corrupt, match="TRAIL_FILES_DIFFER"),
    ):
        again.sequencer.step()


def test_after_the_quorum_was_missing_too_long_no_round_is_made(world: NotaryWorld) -> None:
    world.publishing.countdown.begin()
    world.now += 4 * 3_600_000
    world.acting.record(world.acting.event())
    with pytest.raises(Unavailable, match="TRAIL_STOPPED"):
        world.sequencer.step()
    assert world.store.newest() == Sequenced()


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(AGENCIES),
            st.booleans(),  # refused?
            st.integers(0, 1),  # a millisecond later?
            st.sampled_from(("record", "record", "sequence")),
        ),
        max_size=25,
    )
)
def test_whatever_order_things_are_recorded_in_the_trail_replays(
    steps: list[tuple[str, bool, int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with closing(NotaryWorld(tmp_path_factory.mktemp("notary"))) as world:
        acting, recorded = world.acting, list[Recorded | Refusal]()
        acting.now = T0
        for agency, refused, later, what in steps:
            acting.now += later
            one = acting.refusal(agency) if refused else acting.event(agency)
            acting.record(one)
            recorded.append(one)
            if what == "sequence":
                world.sequenced()
        world.sequenced()
        assert world.replayed().findings == []
        assert sorted(world.statements()) == sorted(one.statement for one in recorded)
