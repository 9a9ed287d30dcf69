"""Two sequences that part and meet again: each fault is told once, in its place, at any length."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.trail.deliveries import Delivery
from services.auditor.expecting import Due
from services.auditor.matching import WINDOW, Difference, Matching, Told
from tests.agencies import sha
from tests.builders import CASE

LONG = 5 * WINDOW


def deliveries(events: Sequence[int]) -> list[Delivery]:
    """Return a feed that shows these events; one that comes again supersedes the last time."""
    found, newest = [], dict[int, int]()
    for seq, event in enumerate(events, 1):
        superseded = newest.get(event, 0)
        found.append(Delivery("a", "p", 0, seq, superseded, 1, sha(f"{event}"), "c"))
        newest[event] = seq
    return found


def compared(due: Sequence[Delivery], told: Sequence[Delivery], lag: int) -> list[Difference]:
    """Compare two feeds of which the disclosed one comes `lag` deliveries later."""
    matching, found = Matching(), list[Difference]()
    for n in range(max(len(due), len(told) + lag)):
        if n < len(due):
            found += matching.expect(Due(due[n], CASE, n, n, n))
        if 0 <= n - lag < len(told):
            found += matching.tell(Told(told[n - lag], CASE, n + LONG, n, n))
    found += matching.finish()
    assert matching.waiting == 0
    assert matching.matched == len(due) - sum(1 for one in found if one.due)
    return found


@given(st.lists(st.integers(0, 9), max_size=LONG), st.integers(0, 2 * WINDOW))
def test_what_is_as_it_is_due_has_no_difference(events: list[int], lag: int) -> None:
    assert compared(deliveries(events), deliveries(events), lag) == []


@given(
    st.integers(1, LONG), st.data(), st.integers(0, 2 * WINDOW), st.sampled_from(("left", "added"))
)
def test_one_delivery_left_out_or_added_is_one_difference(
    length: int, data: st.DataObject, lag: int, fault: str
) -> None:
    at = data.draw(st.integers(0, length - 1))
    events = list(range(length))
    other = [*events[:at], *events[at + 1 :]] if fault == "left" else [*events]
    if fault == "added":
        other.insert(at, -1)
    (found,) = compared(deliveries(events), deliveries(other), lag)
    assert found.parts == ()
    shown = found.shown.delivery
    assert shown.event == sha(f"{at if fault == 'left' else -1}")
    assert (found.told is None, found.due is None) == (fault == "left", fault == "added")


@given(st.integers(1, LONG), st.data(), st.integers(0, 2 * WINDOW))
def test_one_delivery_that_is_changed_is_one_difference(
    length: int, data: st.DataObject, lag: int
) -> None:
    at = data.draw(st.integers(0, length - 1))
    part = data.draw(st.sampled_from(("mask", "lane", "supersedes")))
    due = deliveries(range(length))
    changed: dict[str, Any] = {part: 9}
    told = [d._replace(**changed) if n == at else d for n, d in enumerate(due)]
    (found,) = compared(due, told, lag)
    assert found.parts == (part,)


@given(
    st.lists(st.integers(0, 30), max_size=150),
    st.lists(st.integers(0, 30), max_size=150),
    st.integers(0, 150),
)
def test_different_feeds_never_pass_and_every_delivery_is_accounted_for(
    events: list[int], others: list[int], lag: int
) -> None:
    due, told = deliveries(events), deliveries(others)
    found = compared(due, told, lag)
    assert bool(found) == (due != told)
    missing = sum(1 for one in found if one.told is None)
    extra = sum(1 for one in found if one.due is None)
    assert len(due) - missing == len(told) - extra
