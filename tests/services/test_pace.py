"""Given cases that wait, when a checkpoint comes they are asked for, and less often each time."""

from itertools import pairwise

from services.custodian.pace import LAST_PAUSE, PATIENCE, Pace


def waiting(*cases: str, size: int = 5) -> Pace:
    pace = Pace()
    pace.wait_for(cases, size, 0.0)
    return pace


def test_a_case_is_asked_for_at_the_next_checkpoint() -> None:
    pace = waiting("a", "b")
    assert pace.due(5, 0.01) == []
    assert pace.due(6, 0.01) == ["a", "b"]


def test_without_a_checkpoint_it_is_asked_for_once_patience_ends() -> None:
    pace = waiting("a")
    assert pace.due(5, PATIENCE - 0.01) == []
    assert pace.due(5, PATIENCE) == ["a"]


def test_what_was_asked_in_vain_waits_for_the_next_checkpoint_and_its_pause() -> None:
    pace = waiting("a")
    pace.asked("a", 6, 0.0)
    assert not pace.rested(0.05)
    assert pace.due(7, 0.05) == []
    assert pace.rested(0.1)
    assert pace.due(6, 0.1) == []
    assert pace.due(7, 0.1) == ["a"]


def test_pauses_grow_up_to_a_limit() -> None:
    pace, now, times = waiting("a"), 0.0, []
    for size in range(6, 30):
        while pace.due(size, now) == []:
            now += 0.05
        times.append(now)
        pace.asked("a", size, now)
    pauses = [b - a for a, b in pairwise(times)]
    assert all(after > before - 0.1 for before, after in pairwise(pauses))
    assert LAST_PAUSE <= pauses[-1] < LAST_PAUSE + 0.1


def test_who_no_longer_waits_is_forgotten_and_begins_anew() -> None:
    pace = waiting("a", "b")
    pace.asked("a", 6, 0.0)
    pace.wait_for(["b"], 6, 0.01)
    assert pace.due(7, 0.02) == ["b"]
    pace.wait_for(["a", "b"], 6, 0.02)
    assert pace.due(7, 0.02) == ["a", "b"]
