"""What must hold of every trail in a folder, read as an auditor reads it: from its files alone."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from adapters.notes import NoteVerifier
from adapters.trail_files import FolderTrailFiles
from domain.feed import Entry as FeedEntry
from domain.ports import Recorded, Refusal
from domain.trail.deliveries import deliveries_of
from domain.trail.entry import Entry, Epoch, read
from domain.trail.merkle import Range, leaf
from domain.trail.quorum import Policy, open_checkpoint
from domain.trail.statement import Kind
from domain.vocabulary import Seat
from services.notary.tree import Tree


def published(folder: Path, policy: Policy | None = None) -> Tree | None:
    """Return the published tree in a trail's folder, its root made anew from its entries.

    None as long as nothing is published. A signature, quorum or root that does not hold raises.
    """
    files = FolderTrailFiles(folder)
    note = files.read("checkpoint")
    if note is None:
        return None
    policy = policy or Policy.parse(files.read("policy") or b"")
    checkpoint = open_checkpoint(note, policy, NoteVerifier()).checkpoint
    tree = Tree(files, checkpoint.size)
    leaves = [leaf(tree.entry(i)) for i in range(tree.size)]
    assert Range().extend(leaves).root == checkpoint.root
    for index in {0, tree.size // 2, tree.size - 1}:
        tree.inclusion(index)  # from the tiles
    return tree


def entries(tree: Tree) -> list[tuple[int, Entry]]:
    """Return index and entry of everything that is no EPOCH."""
    found = [(i, read(tree.entry(i))) for i in range(tree.size)]
    return [(i, e) for i, e in found if not isinstance(e, Epoch)]


def has_all(tree: Tree | None, events: Iterable[Recorded], refusals: Iterable[Refusal]) -> bool:
    """Return whether the tree has every event with its body and every refusal; each just once."""
    if tree is None:
        return False
    found = entries(tree)
    actions = Counter((e.statement, e.code) for _, e in found if e.said.kind == Kind.ACTION)
    assert set(actions.values()) <= {1}, "an action stands twice"
    wanted = {(e.statement, "") for e in events} | {(r.statement, r.code) for r in refusals}
    bodies = {e.statement: tree.body(i) for i, e in found}
    assert all(bodies[e.statement] == e.body for e in events if e.statement in bodies)
    return actions.keys() == wanted


def has_fed(tree: Tree | None, feeds: Mapping[Seat, Sequence[FeedEntry]]) -> bool:
    """Return whether every entry of every feed was disclosed; each just once."""
    if tree is None:
        return False
    found = [e for e in entries(tree) if e[1].said.kind == Kind.DISCLOSURE]
    listed = [d for i, _ in found for d in deliveries_of(tree.body(i))]
    places = Counter(d.place for d in listed)
    assert set(places.values()) <= {1}, "a delivery stands twice"
    wanted = {(*e.seat, e.lane, e.seq): e for of_seat in feeds.values() for e in of_seat}
    assert all((d.mask, d.basis) == (wanted[d.place].mask, wanted[d.place].basis) for d in listed)
    return places.keys() == wanted.keys()
