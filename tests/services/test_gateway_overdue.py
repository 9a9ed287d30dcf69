"""Only checkpoints that came make something overdue; a trail that was away does not."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.overdue import LIMIT_MS, STEP_MS, Overdue

MINUTES = LIMIT_MS // STEP_MS


def test_what_each_minute_s_checkpoint_is_without_is_missing_after_the_limit() -> None:
    overdue = Overdue()
    found = [overdue.missed("entry", minute * STEP_MS) for minute in range(MINUTES + 1)]
    assert found == [False] * MINUTES + [True]


def test_what_was_found_is_waited_for_anew() -> None:
    overdue = Overdue()
    for minute in range(MINUTES):
        overdue.missed("entry", minute * STEP_MS)
    overdue.found("entry")
    assert not overdue.missed("entry", MINUTES * STEP_MS)


@given(st.lists(st.integers(0, 10 * LIMIT_MS), min_size=2, max_size=30))
def test_a_pause_counts_as_one_step_and_time_never_goes_back(times: list[int]) -> None:
    overdue, newest, waited = Overdue(), [times[0]], 0
    for at in times:
        newest.append(max(newest[-1], at))
    steps = [min(b - a, STEP_MS) for a, b in pairwise(newest[1:])]
    for at, step in zip(times, [0, *steps], strict=True):
        waited += step
        assert overdue.missed("entry", at) == (waited >= LIMIT_MS)
