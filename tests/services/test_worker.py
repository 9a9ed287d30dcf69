"""A part that works by itself: what is away is tried again, what is broken ends the process."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from domain.errors import Corrupt, Unavailable
from services import worker as module
from services.worker import Worker


class Plan:
    """A part whose steps do what was planned, in order, and nothing from then on."""

    def __init__(self, *steps: Callable[[], bool]) -> None:
        self.steps = list(steps)
        self.closed = False
        self.done = threading.Event()
        self.ended = threading.Event()

    def step(self) -> bool:
        if not self.steps:
            self.done.set()
            return False
        return self.steps.pop(0)()

    def close(self) -> None:
        self.closed = True
        self.ended.set()


def away() -> bool:
    raise Unavailable("STORE_UNAVAILABLE", "planted")


def broken() -> bool:
    raise Corrupt("STREAM_GAP", "planted")


async def until_done(plan: Plan, worker: Worker) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    await asyncio.to_thread(plan.done.wait, 30)
    stop.set()
    await running


async def test_what_is_away_is_tried_again_and_shown_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FIRST_BACKOFF", 0.01)
    seen: list[str] = []

    def look() -> bool:
        seen.append(worker.waiting)
        return True

    def away_and_seen() -> bool:
        seen.append(worker.waiting)
        return away()

    plan = Plan(look, away, away_and_seen, look, look)
    worker = Worker(plan, lambda _: None)
    await until_done(plan, worker)
    assert seen == ["", "STORE_UNAVAILABLE", "STORE_UNAVAILABLE", ""]
    assert plan.closed


async def test_what_is_broken_ends_the_work_and_is_raised() -> None:
    plan = Plan(lambda: True, broken)
    with pytest.raises(Corrupt, match="STREAM_GAP"):
        await Worker(plan).run(asyncio.Event())
    assert plan.closed


async def test_a_part_with_nothing_to_do_waits_for_news() -> None:
    waits: list[float] = []
    plan = Plan(lambda: True)
    await until_done(plan, Worker(plan, waits.append))
    assert waits
    assert set(waits) == {module.IDLE_SECONDS}


async def test_a_part_is_told_to_end_while_it_waits_for_what_is_away() -> None:
    stop = asyncio.Event()
    plan = Plan(*[away] * 10_000)
    worker = Worker(plan)
    running = asyncio.create_task(worker.run(stop))
    while not worker.waiting:  # noqa: ASYNC110 - another thread sets it
        await asyncio.sleep(0.01)
    stop.set()
    await asyncio.wait_for(running, 30)
    assert plan.closed


async def test_a_part_whose_process_gives_up_ends_too() -> None:
    """Given a worker that is cancelled: its thread would keep the process for ever."""
    plan = Plan()
    working = asyncio.create_task(Worker(plan).run(asyncio.Event()))
    await asyncio.to_thread(plan.done.wait, 30)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    await asyncio.to_thread(plan.ended.wait, 30)
    assert plan.closed
