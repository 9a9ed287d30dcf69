"""Given a notary that once sent a wrong tile, when it sends the right one the proof holds."""

from collections.abc import Callable

import pytest

from domain.errors import HubError, Malformed, NotAuthentic
from domain.trail.merkle import check_inclusion, inclusion_proof
from services.custodian.tiles import Tiles
from tests.services.gateway_trail import LogLink
from tests.witnessed import Log

LOG, SIZE = Log(), 300
TILE = "tile/0/000"


def proven(tiles: Tiles) -> None:
    proof = inclusion_proof(7, SIZE, tiles.nodes(SIZE))
    check_inclusion(LOG.leaves(SIZE)[7], 7, SIZE, proof, LOG.checkpoint(SIZE).root)


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lambda tile: tile[:-1], Malformed),
        (lambda tile: tile + bytes(1 << 18), Malformed),
        (lambda tile: tile[32:] + tile[:32], NotAuthentic),
    ],
    ids=["cut off", "too long", "others' hashes"],
)
async def test_a_wrong_tile_is_not_kept(
    damage: Callable[[bytes], bytes], kind: type[HubError]
) -> None:
    link = LogLink()
    link.show(LOG, SIZE)
    right = link.files[TILE]
    link.files[TILE] = damage(right)
    tiles = Tiles(link.file)
    with pytest.raises(kind):
        await tiles.having(lambda: proven(tiles))
    link.files[TILE] = right
    await tiles.having(lambda: proven(tiles))
    asked = list(link.asked)
    await tiles.having(lambda: proven(tiles))
    assert link.asked == asked, "what was right is kept"
