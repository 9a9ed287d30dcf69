"""Given sequenced trees, when witnesses cosign or do not, the trail is published or counts down."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.notes import NoteVerifier
from domain.errors import Corrupt, Unavailable
from domain.feed import lane_of
from domain.trail.checkpoint import Checkpoint
from domain.trail.heads import MapProof, feed_key, stream_key
from domain.trail.merkle import Range
from domain.trail.notes import Note
from domain.trail.proof import Proof
from domain.trail.quorum import Witnessed, open_checkpoint
from domain.trail.statement import stream_tag
from domain.trail.tiles import WIDTH
from services.notary.countdown import State
from services.notary.shown import Changed, Ranges
from tests.builders import uid
from tests.services import trail_checks as check
from tests.services.notary_witnesses import DeadWitness, GoodWitness
from tests.services.notary_world import NotaryWorld

MINUTE, HOUR = 60_000, 3_600_000
STREAM = stream_tag(uid("case"))
Opens = Callable[[], NotaryWorld]


@pytest.fixture
def lazy() -> DeadWitness:
    """Return a witness that is away until the test calls it back."""
    return DeadWitness("lazy")


@pytest.fixture
def opens(tmp_path: Path, lazy: DeadWitness) -> Iterator[Opens]:
    """Return what opens the one notary, as a process that starts anew does."""
    opened: list[NotaryWorld] = []

    def open_one() -> NotaryWorld:
        opened.append(NotaryWorld(tmp_path, [GoodWitness("one"), lazy]))
        opened[-1].publishing.open()
        if len(opened) > 1:
            opened[-1].acting = opened[0].acting
        return opened[-1]

    yield open_one
    for world in opened:
        world.close()


@pytest.fixture
def world(opens: Opens) -> NotaryWorld:
    return opens()


def recorded(world: NotaryWorld) -> None:
    world.acting.record(world.acting.event())
    world.sequenced()


def shown(world: NotaryWorld) -> Witnessed | None:
    note = world.files.read("checkpoint")
    return None if note is None else open_checkpoint(note, world.policy, NoteVerifier())


def state(world: NotaryWorld) -> State:
    return world.publishing.countdown.state


def asked_in_vain(world: NotaryWorld) -> None:
    with pytest.raises(Unavailable, match=r"QUORUM_MISSING: .*lazy"):
        world.publishing.step()


def test_a_tree_is_published_once_its_quorum_is_there(
    world: NotaryWorld, lazy: DeadWitness
) -> None:
    recorded(world)
    asked_in_vain(world)
    assert shown(world) is None
    assert state(world) is State.PENDING
    lazy.back = True
    assert world.publishing.step()
    found = shown(world)
    assert found is not None
    assert found.checkpoint.size == 2
    assert found.cosigned_s.keys() == {"one", "lazy"}
    assert state(world) is State.PUBLISHED


def test_sequencing_goes_on_while_a_quorum_is_missing_and_the_newest_tree_is_published(
    world: NotaryWorld, lazy: DeadWitness
) -> None:
    for _ in range(3):
        recorded(world)
        asked_in_vain(world)
    lazy.back = True
    world.publishing.step()
    found = shown(world)
    assert found is not None
    assert found.checkpoint.size == 6
    assert lazy.asked == [6]


def test_without_a_quorum_it_is_pending_then_degraded_then_stops(world: NotaryWorld) -> None:
    recorded(world)
    countdown = world.publishing.countdown
    asked_in_vain(world)
    assert (state(world), countdown.seconds_left) == (State.PENDING, 4 * 3600)
    world.now += MINUTE + 1
    asked_in_vain(world)
    assert state(world) is State.DEGRADED
    recorded(world)  # and goes on
    world.now += 3 * HOUR
    asked_in_vain(world)
    assert state(world) is State.DEGRADED
    assert 3400 < countdown.seconds_left < 3600
    world.now += HOUR
    assert state(world) is State.STOPPED
    assert countdown.seconds_left == 0
    with pytest.raises(Unavailable, match="TRAIL_STOPPED"):
        world.sequencer.step()


def test_the_log_says_each_minute_how_long_it_goes_on(
    world: NotaryWorld, caplog: pytest.LogCaptureFixture
) -> None:
    recorded(world)
    for _ in range(48):  # it asks every five seconds
        asked_in_vain(world)
        world.now += 5_000
    said = [m for m in caplog.messages if m.startswith("no quorum")]
    assert said == [f"no quorum: the trail stops in {4 * 3600 - s} s" for s in (65, 125, 185)]


def test_what_has_stopped_does_not_go_on_by_itself(world: NotaryWorld, lazy: DeadWitness) -> None:
    recorded(world)
    asked_in_vain(world)
    world.now += 5 * HOUR
    assert world.publishing.countdown.stopped
    lazy.back = True
    assert not world.publishing.step()
    assert shown(world) is None


def test_started_anew_by_an_operator_it_goes_on(opens: Opens, lazy: DeadWitness) -> None:
    world = opens()
    recorded(world)
    asked_in_vain(world)
    world.now += 5 * HOUR
    assert world.publishing.countdown.stopped
    lazy.back = True
    again = opens()
    recorded(again)
    assert again.publishing.step()
    assert again.replayed().findings == []


def test_a_quorum_in_time_ends_the_countdown(world: NotaryWorld, lazy: DeadWitness) -> None:
    recorded(world)
    asked_in_vain(world)
    world.now += 3 * HOUR
    lazy.back = True
    world.publishing.step()
    assert world.publishing.countdown.seconds_left == 4 * 3600


def test_checkpoints_keep_their_distance(
    world: NotaryWorld, lazy: DeadWitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.publishing, "_spacing_ms", 500)
    lazy.back = True
    world.now += 500
    recorded(world)
    assert world.publishing.step()
    world.now += 499
    recorded(world)
    assert not world.publishing.step()
    world.now += 1
    assert world.publishing.step()
    assert lazy.asked == [2, 4]


def test_an_idle_trail_is_cosigned_again_each_minute(world: NotaryWorld, lazy: DeadWitness) -> None:
    lazy.back = True
    recorded(world)
    assert world.publishing.step()
    assert not world.publishing.step()
    world.now += MINUTE
    assert world.publishing.step()
    assert lazy.asked == [2, 2]


def test_an_idle_trail_counts_down_too_when_its_witnesses_are_away(
    world: NotaryWorld, lazy: DeadWitness
) -> None:
    lazy.back = True
    recorded(world)
    world.publishing.step()
    lazy.back = False
    world.now += MINUTE
    asked_in_vain(world)
    world.now += MINUTE + 1
    assert state(world) is State.DEGRADED


def test_a_published_checkpoint_that_the_store_does_not_know_is_not_gone_on_from(
    opens: Opens, lazy: DeadWitness, tmp_path: Path
) -> None:
    lazy.back = True
    world = opens()
    recorded(world)
    world.publishing.step()
    world.close()
    for file in tmp_path.glob("notary.db*"):
        file.unlink()
    with pytest.raises(Corrupt, match="TRAIL_FORKED"):
        opens()


def test_partial_tiles_are_there_until_the_full_one_is_published(
    world: NotaryWorld, lazy: DeadWitness, tmp_path: Path
) -> None:
    lazy.back = True
    recorded(world)
    world.publishing.step()
    assert world.files.read("tile/0/000.p/2") is not None
    world.acting.record(*(world.acting.event() for _ in range(WIDTH)))
    world.sequenced()
    assert world.files.read("tile/0/000.p/2") is not None, "it is what is published"
    world.publishing.step()
    for gone in ("tile/0/000.p/2", "tile/entries/000.p/2", "body/000.p/2"):
        assert world.files.read(gone) is None
    assert check.published(tmp_path / "trail", world.policy) is not None


def test_proofs_are_under_what_is_published_while_sequencing_runs_ahead(
    world: NotaryWorld, lazy: DeadWitness
) -> None:
    lazy.back = True
    recorded(world)
    world.publishing.step()
    lazy.back = False
    recorded(world)  # not published
    found = MapProof.decode(world.proofs.head(stream_key(STREAM)).map)
    assert found.head is not None
    assert found.head.length == 1
    lazy.back = True
    world.publishing.step()
    found = MapProof.decode(world.proofs.head(stream_key(STREAM)).map)
    assert found.head is not None
    assert found.head.length == 2


def test_while_degraded_what_the_log_alone_has_signed_proves_disclosures(
    world: NotaryWorld, lazy: DeadWitness
) -> None:
    def disclosed() -> tuple[int, int]:
        """Return in how large a tree the disclosures are proven, and by how many signatures."""
        proof = Proof.decode(world.proofs.stream(STREAM, 0).head.proof.encode())
        note = Note.decode(proof.checkpoint)
        return Checkpoint.parse(note.text).size, len(note.signatures)

    lazy.back = True
    recorded(world)
    world.publishing.step()
    lazy.back = False
    recorded(world)
    asked_in_vain(world)
    assert disclosed() == (2, 3)
    world.now += MINUTE + 1
    asked_in_vain(world)
    assert disclosed() == (4, 1)
    with pytest.raises(Unavailable, match="TRAIL_PENDING"):
        world.proofs.head(stream_key(STREAM))
    lazy.back = True
    world.publishing.step()
    assert disclosed() == (4, 3)


def test_a_tree_that_is_published_before_its_changes_are_shown_is_proven_too(
    world: NotaryWorld, lazy: DeadWitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    lazy.back = True
    recorded(world)
    world.publishing.step()
    advanced = world.shown.advanced

    def late(size: int, changed: list[Changed], feeds: Ranges) -> None:
        world.publishing.step()  # in its own thread it may come first
        advanced(size, changed, feeds)

    monkeypatch.setattr(world.shown, "advanced", late)
    recorded(world)
    found = MapProof.decode(world.proofs.head(stream_key(STREAM)).map)
    assert found.head is not None
    assert found.head.length == 2


def test_a_feed_s_range_is_that_of_the_map_whatever_is_sequenced_meanwhile(
    opens: Opens, lazy: DeadWitness
) -> None:
    def fed(world: NotaryWorld) -> None:
        (position,) = world.acting.record(world.acting.event())
        world.acting.feed("gb-shelter", position)
        world.sequenced()

    def is_of_the_map(world: NotaryWorld, length: int) -> bool:
        key = feed_key("gb-shelter", "protection_support", lane_of(uid("case")))
        proof = world.proofs.head(key)
        found = MapProof.decode(proof.map).head
        return found is not None and (length, Range(length, proof.nodes).root) == found[:2]

    lazy.back = True
    world = opens()
    for _ in range(3):
        fed(world)
    world.publishing.step()
    assert is_of_the_map(world, 3)
    fed(world)
    assert is_of_the_map(world, 3)
    again = opens()
    again.sequenced()
    again.publishing.step()
    assert is_of_the_map(again, 4)


def test_just_after_a_start_the_map_waits_for_the_newest_tree(
    opens: Opens, lazy: DeadWitness
) -> None:
    lazy.back = True
    world = opens()
    recorded(world)
    world.publishing.step()
    recorded(world)
    again = opens()
    again.sequenced()
    with pytest.raises(Unavailable, match="TRAIL_PENDING"):
        again.proofs.head(stream_key(STREAM))
    again.publishing.step()
    assert again.proofs.head(stream_key(STREAM)).map.startswith("nrm-map-proof@v1")
