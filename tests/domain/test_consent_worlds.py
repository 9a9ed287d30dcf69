"""The consent table over random worlds: every code, and a second reading of the prose."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings

from domain.reasons import CODES
from services.demo.naive import allowed
from tests.domain.consent_strategies import (
    HOME,
    STRANGER,
    World,
    questions,
    seeded_worlds,
    worlds,
)

WORLDS = settings(max_examples=120, deadline=None)


def test_every_code_is_reached_and_no_other() -> None:
    codes = Counter(
        world.ask(seat, category, recorded_ms, writer=writer).code
        for world in seeded_worlds(60)
        for seat, category, recorded_ms in questions()
        for writer in (STRANGER, seat.agency)
    )
    assert set(codes) == set(CODES)
    assert min(codes.values()) >= 20


def test_a_code_says_whether_it_permits() -> None:
    assert {code[0] for code in CODES} == {"P", "D"}
    for world in seeded_worlds(20):
        for seat, category, recorded_ms in questions():
            decision = world.ask(seat, category, recorded_ms, writer=STRANGER)
            assert decision.permit == decision.code.startswith("P")
            assert decision.notice == (decision.code in {"P02", "P03"})


@WORLDS
@given(worlds())
def test_a_second_reading_of_the_prose_agrees(world: World) -> None:
    for seat, category, recorded_ms in questions():
        for writer in (STRANGER, "agency-a"):
            decision = world.ask(seat, category, recorded_ms, writer=writer)
            read = allowed(
                seat,
                category,
                writer,
                recorded_ms,
                world.state,
                world.standings[seat.agency],
                world.ceilings,
                world.legal_bases,
                HOME,
                world.at,
            )
            assert read == decision.permit, (seat, category, recorded_ms, decision)


@WORLDS
@given(worlds())
def test_a_refusal_more_never_permits_more(world: World) -> None:
    refusals = [act for act in world.state.acts if not act.permit]
    for gone in refusals:
        acts = tuple(act for act in world.state.acts if act is not gone)
        without = replace(world, state=replace(world.state, acts=acts))
        for seat, category, recorded_ms in questions():
            if world.ask(seat, category, recorded_ms, writer=STRANGER).permit:
                assert without.ask(seat, category, recorded_ms, writer=STRANGER).permit


@WORLDS
@given(worlds())
def test_without_acts_and_laws_nobody_sees_anything(world: World) -> None:
    bare = replace(world, state=replace(world.state, acts=()), legal_bases=())
    assert not any(
        bare.ask(seat, category, recorded_ms, writer=STRANGER).permit
        for seat, category, recorded_ms in questions()
    )
