"""Where the files of a log stand, what is in them, and trees that are read from them."""

from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Malformed
from domain.trail.merkle import (
    Range,
    check_consistency,
    check_inclusion,
    consistency_proof,
    inclusion_proof,
    leaf,
    root,
)
from domain.trail.tiles import (
    WIDTH,
    Edge,
    Tile,
    TileNodes,
    body_path,
    decode_bodies,
    decode_entries,
    encode_bodies,
    encode_entries,
    entries_path,
    partial_tiles_of,
    places_of,
)
from tests.vectors import load

EXAMPLE = load("trail_tree")
LEAVES = [leaf(n.to_bytes(4, "big")) for n in range(70_000)]
SIZES = [0, 1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 70_000]
ENTRIES = st.lists(st.binary(max_size=600), min_size=1, max_size=WIDTH)


def by_definition(tile: Tile) -> bytes:
    """C2SP tlog-tiles word for word: hash i of tile n covers leaves (256n + i) * 256**L on."""
    span = 256**tile.level
    first = 256 * tile.number
    return b"".join(
        root(LEAVES[at * span : (at + 1) * span]) for at in range(first, first + tile.width)
    )


def base64(data: bytes) -> str:
    return b64encode(data).decode()


def files_of(size: int) -> dict[str, bytes]:
    """Return the hash tiles of the tree of `size` by their paths."""
    edge, filled = Edge().extend(LEAVES[:size])
    return {tile.path: data for tile, data in filled + edge.partial()}


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (Tile(0, 0).path, "tile/0/000"),
        (Tile(1, 1_234_067).path, "tile/1/x001/x234/067"),
        (Tile(0, 273, 112).path, "tile/0/273.p/112"),
        (entries_path(1_234_067), "tile/entries/x001/x234/067"),
        (entries_path(1000, 17), "tile/entries/x001/000.p/17"),
        (body_path(999), "body/999"),
        (body_path(1_000_000, 255), "body/x001/x000/000.p/255"),
    ],
)
def test_paths_are_those_of_tlog_tiles(path: str, wanted: str) -> None:
    assert path == wanted


def test_the_beginning_of_a_full_tile_stands_for_a_partial_one() -> None:
    assert places_of(Tile(0, 273, 112).path) == [
        ("tile/0/273.p/112", None),
        ("tile/0/273", 112 * 32),
    ]
    assert places_of(Tile(1, 5).path) == [("tile/1/005", None)]


def tiles_of(size: int) -> list[Tile]:
    """Return every tile of a tree, level by level, as C2SP tlog-tiles counts them."""
    hashes, tiles, level = size, list[Tile](), 0
    while hashes:
        whole, rest = divmod(hashes, WIDTH)
        tiles += [Tile(level, n) for n in range(whole)]
        tiles += [Tile(level, whole, rest)] if rest else []
        hashes, level = whole, level + 1
    return tiles


def test_a_tree_of_70_000_has_the_tiles_of_the_specification() -> None:
    tiles = tiles_of(70_000)
    assert [t for t in tiles if t.level == 0] == [Tile(0, n) for n in range(273)] + [
        Tile(0, 273, 112)
    ]
    assert [t for t in tiles if t.level] == [Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)]


@pytest.mark.parametrize("size", SIZES)
def test_every_tile_of_a_tree_is_written_as_defined(size: int) -> None:
    files = files_of(size)
    assert list(files) != [] or size == 0
    assert set(files) == {tile.path for tile in tiles_of(size)}
    assert list(partial_tiles_of(size)) == [t for t in tiles_of(size) if t.width < WIDTH]
    for tile in tiles_of(size)[-6:]:
        assert files[tile.path] == by_definition(tile)


@given(st.lists(st.integers(0, 1500), max_size=8))
def test_an_edge_is_the_same_however_the_leaves_came(parts: list[int]) -> None:
    edge, size = Edge(), 0
    files: dict[str, bytes] = {}
    for part in parts:
        edge, filled = edge.extend(LEAVES[size : size + part])
        files |= {tile.path: data for tile, data in filled}
        size += part
        assert edge.range == Range().extend(LEAVES[:size])
    files |= {tile.path: data for tile, data in edge.partial()}
    assert files == files_of(size)
    assert Edge.read(size, files.__getitem__) == edge


def test_the_worked_example_is_reproduced() -> None:
    leaf_hashes = [bytes.fromhex(found) for found in EXAMPLE["leaf_hashes"]]
    roots = {size: root(leaf_hashes[: int(size)]).hex() for size in ("3", "7")}
    [(tile, data)] = Edge().extend(leaf_hashes)[0].partial()
    nodes = TileNodes({tile.path: data}.__getitem__, 7)
    assert roots == EXAMPLE["roots"]
    assert (tile.path, sha256(data).hexdigest()) == ("tile/0/000.p/7", EXAMPLE["tile_0_sha256"])
    assert list(map(base64, inclusion_proof(0, 7, nodes))) == EXAMPLE["inclusion_0_7"]
    assert list(map(base64, consistency_proof(3, 7, nodes))) == EXAMPLE["consistency_3_7"]


@pytest.mark.parametrize("size", SIZES[1:])
def test_proofs_from_tiles_hold(size: int) -> None:
    nodes = TileNodes(files_of(size).__getitem__, size)
    root_hash = root(LEAVES[:size])
    for index in {0, size // 2, size - 1}:
        check_inclusion(LEAVES[index], index, size, inclusion_proof(index, size, nodes), root_hash)
    for size1 in {1, (size + 1) // 2, size}:
        proof = consistency_proof(size1, size, nodes)
        check_consistency(size1, size, root(LEAVES[:size1]), root_hash, proof)


def test_a_tile_is_read_once_for_many_proofs() -> None:
    files, asked = files_of(70_000), []

    def read(path: str) -> bytes:
        asked.append(path)
        return files[path]

    nodes = TileNodes(read, 70_000)
    for index in range(256, 512):
        inclusion_proof(index, 70_000, nodes)
    assert sorted(asked) == ["tile/0/001", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17"]


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + bytes(32)])
def test_a_tile_of_another_length_is_named(change: Callable[[bytes], bytes]) -> None:
    files = files_of(300) | {"tile/0/001.p/44": change(files_of(300)["tile/0/001.p/44"])}
    with pytest.raises(Malformed, match=r"TILE: tile/0/001\.p/44 is 1408 bytes, not"):
        TileNodes(files.__getitem__, 300)(0, 299)
    with pytest.raises(Malformed, match=r"TILE: tile/0/001\.p/44"):
        Edge.read(300, files.__getitem__)


@pytest.mark.parametrize(("level", "index"), [(0, 300), (2, 75), (8, 1), (9, 0), (16, 0)])
def test_a_node_that_is_not_complete_is_refused(level: int, index: int) -> None:
    with pytest.raises(Malformed, match="TILE: a tree of 300 has no node"):
        TileNodes(files_of(300).__getitem__, 300)(level, index)


@given(ENTRIES, st.integers(0, 10**9))
def test_bundles_give_back_what_was_put_in(entries: list[bytes], number: int) -> None:
    assert decode_entries(encode_entries(entries), number, len(entries)) == entries
    assert decode_bodies(encode_bodies(entries), number, len(entries)) == entries


def test_lengths_in_bundles_are_two_and_four_bytes() -> None:
    assert encode_entries([b"", b"ab"]).hex() == "0000" + "00026162"
    assert encode_bodies([b"", b"ab"]).hex() == "00000000" + "000000026162"


def test_an_entry_is_no_longer_than_its_length_can_say() -> None:
    assert len(encode_entries([bytes(65_535)])) == 65_537
    with pytest.raises(Malformed, match="BUNDLE"):
        encode_entries([b"", bytes(65_536)])
    assert len(encode_bodies([bytes(65_536)])) == 65_540


@given(ENTRIES, st.data())
def test_a_bundle_that_ends_early_or_late_is_named(
    entries: list[bytes], data: st.DataObject
) -> None:
    whole = encode_entries(entries)
    width = len(entries)
    cut = data.draw(st.integers(0, len(whole) - 1))
    for wrong in (whole[:cut], whole + b"\x00", whole + b"\x00\x00"):
        with pytest.raises(Malformed, match=r"BUNDLE: tile/entries/x001/000"):
            decode_entries(wrong, 1000, width)
    with pytest.raises(Malformed, match=r"BUNDLE: body/007"):
        decode_bodies(encode_bodies(entries)[:-1], 7, width)
