"""Given witnesses that are good, slow, wrong or dead, a checkpoint gets what the policy asks."""

import re
from collections.abc import Sequence

import pytest

from adapters.notes import NoteVerifier
from adapters.trail_files import FolderTrailFiles
from domain.errors import Unavailable
from domain.trail.checkpoint import Checkpoint, sign
from domain.trail.merkle import Range, leaf
from domain.trail.notes import Note
from domain.trail.quorum import Policy
from services.notary.edge import Leaf, Rim
from services.notary.panel import Panel
from services.notary.tree import Tree
from tests.services.notary_witnesses import (
    LOG,
    BrokenWitness,
    DeadWitness,
    GoodWitness,
    RolledForward,
    SlowWitness,
    WrongWitness,
)

NAMES = ("one", "two", "three")


@pytest.fixture
def files(tmp_path: object) -> FolderTrailFiles:
    return FolderTrailFiles(tmp_path)  # type: ignore[arg-type]


def policy(witnesses: Sequence[GoodWitness], needed: str) -> Policy:
    lines = [f"log {LOG.key.text}"]
    lines += [f"witness {w.key.name} {w.key.text}" for w in witnesses]
    lines += [
        f"group quorate {needed} {' '.join(w.key.name for w in witnesses)}",
        "quorum quorate",
        "",
    ]
    return Policy.parse("\n".join(lines).encode())


def panel(witnesses: Sequence[GoodWitness], needed: str, seconds: float = 60) -> Panel:
    named = {w.key.name: w for w in witnesses}
    return Panel(policy(witnesses, needed), named, NoteVerifier(), seconds)


def shown(files: FolderTrailFiles, size: int) -> tuple[Checkpoint, bytes, Tree]:
    """Write a log of `size` and return what a witness is asked about it."""
    data = [f"entry {i}".encode() for i in range(size)]
    leaves = [Leaf(d, b"", leaf(d)) for d in data]
    files.write(Rim().extend(leaves)[1])
    tree = Range().extend([one.hash for one in leaves])
    checkpoint = Checkpoint(LOG.key.name, size, tree.root)
    note = Note(checkpoint.text, (sign(checkpoint, LOG, 0),))
    return checkpoint, note.encode(), Tree(files, size)


def test_all_cosign_tree_after_tree(files: FolderTrailFiles) -> None:
    witnesses = [GoodWitness(name) for name in NAMES]
    asked = panel(witnesses, "all")
    for size in (1, 7, 300, 300, 70_000):
        signed = asked.cosign(*shown(files, size))
        assert [s.name for s in signed] == list(NAMES)
    assert set(asked.codes.values()) == {""}


def test_a_witness_that_knows_the_log_already_is_asked_from_where_it_stands(
    files: FolderTrailFiles,
) -> None:
    witness = GoodWitness("one")
    panel([witness], "all").cosign(*shown(files, 5))
    after_restart = panel([witness], "all")
    assert after_restart.cosign(*shown(files, 9))
    assert witness.held.size == 9


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (DeadWitness("three"), "WITNESS_AWAY"),
        (WrongWitness("three"), "WITNESS_SIGNATURE"),
        (BrokenWitness("three"), "WITNESS_FAILED"),
        (RolledForward("three"), "WITNESS_AHEAD"),
    ],
    ids=["dead", "wrong", "broken", "ahead"],
)
def test_one_bad_witness_counts_as_missing_and_is_named(
    files: FolderTrailFiles, bad: GoodWitness, code: str
) -> None:
    good = [GoodWitness("one"), GoodWitness("two")]
    needs_all = panel([*good, bad], "all")
    with pytest.raises(Unavailable, match=re.compile("QUORUM_MISSING.*three")):
        needs_all.cosign(*shown(files, 5))
    assert needs_all.codes == {"one": "", "two": "", "three": code}
    assert len(panel([*good, bad], "2").cosign(*shown(files, 5))) == 2


def test_a_slow_witness_holds_up_nobody(files: FolderTrailFiles) -> None:
    slow = SlowWitness("three")
    asked = panel([GoodWitness("one"), GoodWitness("two"), slow], "2")
    for size in (5, 6, 7):
        assert len(asked.cosign(*shown(files, size))) == 2
    assert slow.asked == [], "it is not asked again while it has not answered"
    slow.let.set()


def test_without_the_slow_one_there_is_no_quorum_if_all_must_sign(files: FolderTrailFiles) -> None:
    slow = SlowWitness("three")
    asked = panel([GoodWitness("one"), GoodWitness("two"), slow], "all", seconds=0.05)
    with pytest.raises(Unavailable, match=re.compile("QUORUM_MISSING.*three")):
        asked.cosign(*shown(files, 5))
    slow.let.set()


def test_when_each_cosigned_last_is_known(files: FolderTrailFiles) -> None:
    asked = panel([GoodWitness("one"), DeadWitness("two")], "1")
    asked.cosign(*shown(files, 5))
    assert asked.cosigned_s["one"] > 0
    assert asked.cosigned_s["two"] == 0
