"""A map of heads kept beside says of each claimed root whether it is its own."""

import pytest

from adapters import head_maps
from adapters.head_maps import HeadMaps
from domain.trail.heads import EMPTY_MAP, Head, HeadMap
from tests.vectors import key


@pytest.mark.parametrize("large", [0, 1_000])
def test_roots_are_judged_in_order_in_this_process_or_beside(
    large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_maps, "LARGE", large)
    heads, claims = HeadMap(), []
    for number in range(5):
        changes = [(key(f"{number} {i}"), Head(1, key("leaf"), i)) for i in range(number)]
        for name, head in changes:
            heads.set(name, head)
        claims.append((changes, heads.root()))
    with HeadMaps() as maps:
        for _ in range(2):  # a second log begins with an empty map
            maps.begin(100)
            said = [maps.submit(changes, root) for changes, root in claims]
            assert [answer() for answer in said] == [True] * 5
            assert not maps.submit([], EMPTY_MAP)()
