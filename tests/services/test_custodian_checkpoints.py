"""The custodian takes what continues the checkpoint it saw; between two logs people decide."""

import pytest

from adapters.notes import NoteVerifier
from adapters.sqlite.custody import SqliteCustody
from domain.custody import SPLIT_VIEW, SeenLog, Split
from domain.errors import HubError, Malformed, NotAuthentic, Refused, Unavailable
from domain.trail.quorum import NONE, Policy
from services.custodian.checkpoints import Checkpoints
from services.custodian.deciding import decide, evidence
from services.custodian.tiles import Tiles
from services.custodian.trail import SeenTrail
from tests.services.gateway_trail import LogLink
from tests.witnessed import Log

LOG = Log()
FORK = LOG.fork(at=5)
NOW = 1_700_000_000_000


class Custodian:
    """What a custodian has of a log; made anew over the same store, it goes on after a restart."""

    def __init__(self, custody: SqliteCustody | None = None) -> None:
        self.custody = custody or SqliteCustody("")
        self.link = LogLink()
        self.vkey = LOG.vkey.text
        policy, tiles = Policy((LOG.vkey,), {}, {}, NONE), Tiles(self.link.file)
        seen = self.custody.seen(self.vkey)
        trail = SeenTrail(lambda: policy, NoteVerifier(), tiles.nodes, seen, lambda: NOW)
        self.checkpoints = Checkpoints(
            custody=self.custody, vkey=self.vkey, trail=trail, tiles=tiles, clock=lambda: NOW
        )

    async def shown(self, log: Log, size: int) -> int:
        """Return how large a tree was seen once the log was shown at this size."""
        self.link.show(log, max(size, self.checkpoints.size))
        self.checkpoints.resume()
        await self.checkpoints.open(log.note(size))
        self.checkpoints.keep()
        return self.checkpoints.size

    async def split(self, seen: int = 7, shown: int = 9) -> None:
        """See the log, and then its fork."""
        await self.shown(LOG, seen)
        with pytest.raises(NotAuthentic, match=SPLIT_VIEW):
            await self.shown(FORK, shown)


async def refusal_of(custodian: Custodian, log: Log, size: int) -> HubError:
    with pytest.raises(HubError) as caught:
        await custodian.shown(log, size)
    return caught.value


@pytest.mark.parametrize(("seen", "shown"), [(7, 9), (7, 7), (9, 7)])
async def test_of_two_logs_both_notes_are_kept(seen: int, shown: int) -> None:
    custodian = Custodian()
    await custodian.split(seen, shown)
    notes = LOG.note(seen), FORK.note(shown)
    assert custodian.custody.splits(custodian.vkey) == [Split(*notes, NOW)]
    assert custodian.checkpoints.size == seen
    assert dict(evidence(custodian.custody.splits(custodian.vkey))) == {
        "split-1/seen.checkpoint": notes[0],
        "split-1/shown.checkpoint": notes[1],
    }


async def test_until_somebody_has_decided_no_checkpoint_is_taken_after_a_restart_neither() -> None:
    custodian = Custodian()
    await custodian.split()
    for one in (custodian, Custodian(custodian.custody)):
        assert (await refusal_of(one, LOG, 8)).code == SPLIT_VIEW
        assert one.checkpoints.says() == {"trail": {"state": SPLIT_VIEW, "seen_size": 7}}


async def test_a_log_that_went_back_is_none_to_go_on_with() -> None:
    """Given a notary without the tree that was seen, nothing is taken, and nobody blamed."""
    custodian = Custodian()
    await custodian.shown(LOG, 9)
    custodian.link.show(LOG, 7)
    with pytest.raises(Unavailable, match="TRAIL_TILE"):
        await custodian.checkpoints.open(LOG.note(7))
    assert not custodian.checkpoints.halted
    assert await custodian.shown(LOG, 12) == 12


async def test_who_stays_with_what_was_seen_takes_what_continues_it_and_nothing_else() -> None:
    custodian = Custodian()
    await custodian.split()
    decide(custodian.custody, custodian.vkey, "head: their copy was old", "seen")
    assert not custodian.checkpoints.resume()
    assert await custodian.shown(LOG, 9) == 9
    assert (await refusal_of(custodian, FORK, 12)).code == SPLIT_VIEW
    said = [split.decided for split in custodian.custody.splits(custodian.vkey)]
    assert said == ["head: their copy was old", ""], "it is a split view again"


async def test_who_stays_with_what_was_seen_stays_with_all_of_it_after_a_restart_too() -> None:
    """Given a tree that was only just seen when another was shown; both continue an older one."""
    custodian = Custodian()
    await custodian.shown(LOG, 4)
    custodian.link.show(LOG, 7)
    await custodian.checkpoints.open(LOG.note(7))
    custodian.link.show(FORK, 9)
    with pytest.raises(NotAuthentic, match=SPLIT_VIEW):
        await custodian.checkpoints.open(FORK.note(9))
    again = Custodian(custodian.custody)
    decide(again.custody, again.vkey, "head: their copy was old", "seen")
    assert (await refusal_of(again, FORK, 12)).code == SPLIT_VIEW


@pytest.mark.parametrize("shown", [6, 9])
async def test_who_follows_what_was_shown_begins_anew_from_there(shown: int) -> None:
    custodian = Custodian()
    await custodian.split(shown=shown)
    decide(custodian.custody, custodian.vkey, "head: the other was a copy", "shown")
    seen = custodian.custody.seen(custodian.vkey)
    assert seen == SeenLog(shown, FORK.checkpoint(shown).root, FORK.note(shown), None)
    assert custodian.checkpoints.resume(), "what was read before is of another log"
    assert not custodian.checkpoints.resume()
    assert await custodian.shown(FORK, 12) == 12
    assert (await refusal_of(custodian, LOG, 12)).code == SPLIT_VIEW


async def test_where_nothing_waits_nothing_is_decided() -> None:
    custodian = Custodian()
    await custodian.shown(LOG, 7)
    with pytest.raises(Refused, match="NO_SPLIT_VIEW"):
        decide(custodian.custody, custodian.vkey, "head: why not", "shown")
    with pytest.raises(NotAuthentic, match=SPLIT_VIEW):
        await custodian.shown(FORK, 9)
    with pytest.raises(Malformed, match="FOLLOW"):
        decide(custodian.custody, custodian.vkey, "head: both", "both")
    assert custodian.checkpoints.halted


async def test_a_tile_that_was_wrong_once_makes_no_split_view() -> None:
    custodian = Custodian()
    await custodian.shown(LOG, 7)
    custodian.link.show(LOG, 9)
    right = custodian.link.file
    wrong = [FORK.leaves(9)]

    async def file(path: str) -> bytes | None:
        return b"".join(wrong.pop()) if wrong else await right(path)

    tiles = custodian.checkpoints._tiles  # noqa: SLF001 - the test stands between
    tiles._file = file  # noqa: SLF001
    await custodian.checkpoints.open(LOG.note(9))
    assert not wrong
    assert not custodian.checkpoints.halted
