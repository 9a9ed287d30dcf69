"""Stories are played in order, in batches, and to the end, whatever happens on the way."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import pytest

from domain.case import Case
from domain.errors import HubError, Malformed, Unavailable
from domain.fold import evolve
from domain.gateway import Command, Result
from services.demo import drive as driving
from services.demo.cast import CAST
from services.demo.drive import BATCH, Played, drive
from services.demo.script import ACCEPTED, Story
from services.demo.stories import seeded
from tests.demo.world import NOW, answer, event

STORIES = tuple(seeded(3, 60, NOW))
ACTIONS = sum(len(s.steps) for s in STORIES)


@dataclass
class Hub:
    """The rules behind every gateway: decides each command once, and remembers the answer."""

    stories: dict[str, Story] = field(default_factory=lambda: {s.case_id: s for s in STORIES})
    cases: dict[str, Case] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)
    order: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    batches: list[int] = field(default_factory=list)

    def take(self, agency: str, command: Command) -> Result:
        if command.command_id not in self.results:
            self.results[command.command_id] = self._decided(agency, command)
        return self.results[command.command_id]

    def _decided(self, agency: str, command: Command) -> Result:
        story = self.stories[command.case_id or ""]
        ids = [story.command_id(i) for i in range(len(story.steps))]
        place = ids.index(command.command_id)
        said = event(story, place)
        assert (said.head.agency, story.steps[place].fields) == (agency, command.fields)
        case = self.cases.get(story.case_id, Case(id=story.case_id))
        code = answer(said, case, NOW)
        if code == ACCEPTED:
            self.cases[story.case_id] = evolve(case, said, NOW)
        self.order[story.case_id].append(command.command_id)
        return Result(
            command_id=command.command_id,
            event_id=command.command_id,
            case_id=story.case_id,
            type=command.type,
            status="accepted" if code == ACCEPTED else "refused",
            code=None if code == ACCEPTED else code,
        )


@dataclass
class Gateway:
    """One agency's way to the hub; `troubles` say, request by request, what goes wrong."""

    agency: str
    hub: Hub
    troubles: Iterator[str] = field(default_factory=lambda: iter(()))

    async def submit(self, commands: Sequence[Command]) -> Sequence[Result]:
        self.hub.batches.append(len(commands))
        await asyncio.sleep(0)
        match next(self.troubles, ""):
            case "away":
                raise Unavailable("GATEWAY_AWAY", "try again")
            case "answer lost":
                for command in commands:
                    self.hub.take(self.agency, command)
                raise Unavailable("GATEWAY_AWAY", "try again")
            case "queued":
                return [queued(c) for c in commands]
            case "half queued":
                taken = [self.hub.take(self.agency, c) for c in commands[::2]]
                late = [queued(c) for c in commands[1::2]]
                both = {r.command_id: r for r in (*taken, *late)}
                return [both[c.command_id] for c in commands]
            case _:
                return [self.hub.take(self.agency, c) for c in commands]


def queued(command: Command) -> Result:
    return Result(
        command_id=command.command_id, event_id="", case_id="", type=command.type, status="queued"
    )


def gateways(hub: Hub, *troubles: str) -> dict[str, Gateway]:
    return {m.id: Gateway(m.id, hub, iter(troubles)) for m in CAST}


def check_all_played(hub: Hub, played: Played) -> None:
    assert played.cases == len(STORIES)
    assert played.actions == ACTIONS
    assert (played.unexpected, played.first_unexpected) == (0, [])
    for story in STORIES:
        ids = [story.command_id(i) for i in range(len(story.steps))]
        assert hub.order[story.case_id] == ids


async def test_every_story_is_played_in_order_to_the_end() -> None:
    hub = Hub()
    played = await drive(STORIES, gateways(hub))
    check_all_played(hub, played)
    assert played.refused["CONSENT_MISSING"] > 0
    assert played.accepted == sum(s.expect == ACCEPTED for one in STORIES for s in one.steps)


async def test_commands_of_many_stories_travel_together_and_never_more_than_a_batch() -> None:
    hub = Hub()
    await drive(STORIES, gateways(hub))
    assert max(hub.batches) <= BATCH
    assert ACTIONS / len(hub.batches) > 5


@pytest.mark.parametrize(
    "troubles",
    [("away",), ("answer lost", "away"), ("queued",), ("half queued", "queued")],
    ids=" then ".join,
)
async def test_trouble_on_the_way_loses_and_doubles_nothing(
    troubles: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driving, "FIRST_BACKOFF", 0.001)
    hub = Hub()
    check_all_played(hub, await drive(STORIES, gateways(hub, *troubles)))


async def test_playing_again_after_a_crash_continues() -> None:
    hub = Hub()

    def crash(played: Played) -> None:
        if played.cases == 20:
            raise HubError("CRASHED", "in the middle")

    with pytest.raises(HubError, match="CRASHED"):
        await drive(STORIES, gateways(hub), concurrency=30, progress=crash)
    assert 0 < len(hub.results) < ACTIONS
    check_all_played(hub, await drive(STORIES, gateways(hub)))


async def test_only_so_many_stories_are_made_at_once() -> None:
    hub, made, done = Hub(), 0, 0

    def counted() -> Iterator[Story]:
        nonlocal made
        for one in STORIES:
            made += 1
            assert made - done <= 7
            yield one

    def progress(played: Played) -> None:
        nonlocal done
        done = played.cases

    await drive(counted(), gateways(hub), concurrency=7, progress=progress)
    assert (made, done) == (len(STORIES), len(STORIES))


async def test_a_wrong_answer_is_counted_and_the_first_ones_are_kept() -> None:
    class Yes(Gateway):
        async def submit(self, commands: Sequence[Command]) -> Sequence[Result]:
            return [accepted_blindly(c) for c in commands]

    played = await drive(STORIES, {m.id: Yes(m.id, Hub()) for m in CAST})
    wanted = sum(s.expect != ACCEPTED for one in STORIES for s in one.steps)
    assert played.unexpected == wanted > 0
    assert len(played.first_unexpected) == min(wanted, driving.KEPT)
    assert {u.got for u in played.first_unexpected} == {ACCEPTED}


def accepted_blindly(command: Command) -> Result:
    return Result(
        command_id=command.command_id, event_id="", case_id="", type=command.type, status="accepted"
    )


@pytest.mark.parametrize("error", [Malformed("FIELD_TYPE", "wrong"), OSError("broken")])
async def test_what_no_retry_mends_ends_the_play(error: Exception) -> None:
    class Broken(Gateway):
        async def submit(self, commands: Sequence[Command]) -> Sequence[Result]:
            raise error

    with pytest.raises(type(error)):
        await drive(islice(STORIES, 3), {m.id: Broken(m.id, Hub()) for m in CAST})


async def test_answers_that_do_not_match_the_questions_end_the_play() -> None:
    class Short(Gateway):
        async def submit(self, commands: Sequence[Command]) -> Sequence[Result]:
            return []

    with pytest.raises(ValueError, match="argument 2 is shorter"):
        await drive(islice(STORIES, 1), {m.id: Short(m.id, Hub()) for m in CAST})
