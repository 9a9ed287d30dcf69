"""An auditor goes on along the right edge of a tree of any size."""

from functools import cache

import pytest

from domain.trail.checkpoint import Checkpoint
from domain.trail.merkle import Range, leaf
from domain.trail.tiles import WIDTH, Edge
from services.auditor.report import Report
from services.auditor.tree import TreeCheck
from services.trail.source import Source

SIZES = [
    (255, 256),
    (256, 257),
    (511, 513),
    (65_535, 65_537),
    (65_536, 65_536),
    (65_536, 70_000),
    (65_600, 131_400),
]


def entry(index: int) -> bytes:
    return b"entry %d" % index


@cache
def leaves() -> list[bytes]:
    return [leaf(entry(index)) for index in range(SIZES[-1][1])]


class Tiles:
    """The hash tiles of a log, in memory; partial ones of its newest size alone."""

    name = "memory"

    def __init__(self, size: int) -> None:
        edge, filled = Edge().extend(leaves()[:size])
        self.files = {tile.path: data for tile, data in (*filled, *edge.partial())}
        self.checkpoint = Checkpoint("log.example", size, edge.range.root)
        self.asked: list[str] = []

    def read(self, path: str, most: int) -> bytes | None:
        self.asked.append(path)
        return self.files.get(path)


def gone_on(tiles: Tiles, before: int) -> Report:
    """Verify the tree from `before` entries on."""
    tree, report = Range().extend(leaves()[:before]), Report("a tree")
    earlier = Checkpoint("log.example", before, tree.root)
    check = TreeCheck(Source(tiles), tiles.checkpoint, report, earlier)
    if check.begin(tree):
        size = tiles.checkpoint.size
        for first in range(before // WIDTH * WIDTH, size, WIDTH):
            check.take([entry(index) for index in range(first, min(first + WIDTH, size))])
        check.finish()
    return report


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_from_any_size_to_any_other_it_comes_to_the_root(before: int, after: int) -> None:
    report = gone_on(Tiles(after), before)
    assert report.findings == []
    assert [check.check for check in report.checks] == ["CONSISTENCY", "TREE"]


@pytest.mark.parametrize(("before", "after"), SIZES[2:5])
def test_a_tile_that_it_goes_on_from_and_that_is_wrong_or_missing_is_found(
    before: int, after: int
) -> None:
    tiles = Tiles(after)
    gone_on(tiles, before)
    for path in set(tiles.asked):
        whole = tiles.files.pop(path)
        assert {f.check for f in gone_on(tiles, before).findings} & {"CONSISTENCY", "TILE"}
        tiles.files[path] = bytes((whole[0] ^ 1,)) + whole[1:]
        assert {f.check for f in gone_on(tiles, before).findings} & {"CONSISTENCY", "TILE"}
        tiles.files[path] = whole
