"""Given a notary that is killed at any step, the trail goes on as if it had not been.

Killed with SIGKILL in a process of its own over real stores, then started again. Whatever was
ever signed or published has one root for each size, and everything stands in the trail once.
"""

import json
import random
import signal
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import pytest

from domain.feed import Entry as FeedEntry
from domain.ports import Recorded, Refusal
from domain.trail.tiles import WIDTH
from domain.vocabulary import Seat
from tests.services import notary_child as child
from tests.services import trail_checks as check
from tests.services.notary_world import AGENCIES, NotaryWorld

ROUNDS = 40
ACROSS = {"file 5 written", "partial tiles removed"}
"""Steps that are there only when a tile fills up."""


def one_root_a_size(file: Path) -> int:
    """Check what was written down of signed or published trees; return how many sizes it has."""
    roots = defaultdict[int, set[str]](set)
    for line in file.read_text().splitlines():
        size, root = json.loads(line)
        roots[size].add(root)
    assert [size for size, found in roots.items() if len(found) > 1] == []
    return len(roots)


@pytest.mark.timeout(600)
def test_killed_at_every_step_the_trail_has_one_root_a_size_and_everything_once(
    tmp_path: Path,
) -> None:
    chance = random.Random(7)  # noqa: S311 - which step, not which key
    killed = dict.fromkeys(child.STEPS, 0)
    events, refusals = list[Recorded](), list[Refusal]()
    fed = defaultdict[Seat, list[FeedEntry]](list)
    with closing(NotaryWorld(tmp_path)) as world:
        acting = world.acting
        for number in range(ROUNDS):
            step = child.STEPS[number % len(child.STEPS)]
            for _ in range(WIDTH if step in ACROSS else chance.randint(15, 40)):
                acting.now += chance.randint(0, 1)
                agency, case = chance.choice(AGENCIES), f"case {chance.randint(0, 4)}"
                if chance.random() < 0.2:
                    refusals.append(acting.refusal(agency, case))
                    acting.record(refusals[-1])
                else:
                    events.append(acting.event(agency, case))
                    (position,) = acting.record(events[-1])
                    entry = acting.feed(chance.choice(AGENCIES), position, case)
                    fed[entry.seat].append(entry)
            code = child.run(tmp_path, step)
            assert code in {0, -signal.SIGKILL}
            killed[step] += code == -signal.SIGKILL
            tree = check.published(tmp_path / "trail", world.policy)
            if tree is not None:
                check.has_fed(tree, fed)  # what is published holds at any moment
        assert child.run(tmp_path) == 0, "not killed any more"
        tree = check.published(tmp_path / "trail", world.policy)
        assert check.has_all(tree, events, refusals)
        assert check.has_fed(tree, fed)
        assert world.replayed().findings == []
    assert sum(killed.values()) >= 30, killed
    assert all(killed.values()), killed
    assert one_root_a_size(tmp_path / child.SIGNED) > 10
    assert one_root_a_size(tmp_path / child.PUBLISHED) > 5
