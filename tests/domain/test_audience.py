"""The compiled audience answers as the table does, for every seat, category and age of event."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings

from domain.audience import Audience, SeatView, Window, compile_audience
from domain.consent import Act, ConsentState, Guardian, LegalBasis, Standing
from domain.events import Recipient
from domain.vocabulary import ALL_SEALED, SEALED, Category, Seat
from tests.domain.consent_strategies import (
    HOME,
    INSTANTS,
    STRANGER,
    World,
    questions,
    seats,
    seeded_worlds,
    worlds,
)

WORLDS = settings(max_examples=120, deadline=None)
FEWER = settings(max_examples=60, deadline=None)
SHELTER = Seat("shelter", "protection_support")
IDENTITY, HEALTH = Category.IDENTITY.bit, Category.HEALTH.bit


def compiled(world: World, at: int | None = None) -> Audience:
    return compile_audience(
        world.state,
        world.standings,
        world.ceilings,
        world.legal_bases,
        HOME,
        world.at if at is None else at,
    )


def resting_on(audience: Audience, seat: Seat, category: Category, recorded_ms: int) -> str | None:
    """Return what one category rests on: the last window that opens it."""
    found = None
    for view in audience.seats:
        for window in view.windows:
            if view.seat == seat and window.mask & category.bit:
                found = window.rests_on if window.opens_from <= recorded_ms else found
    return found


@WORLDS
@given(worlds())
def test_every_mask_is_what_the_table_permits(world: World) -> None:
    audience = compiled(world)
    for seat, category, recorded_ms in questions():
        decision = world.ask(seat, category, recorded_ms, writer=STRANGER)
        opened = bool(audience.mask(seat, recorded_ms) & category.bit)
        assert opened == decision.permit, (seat, category, recorded_ms, decision)


@WORLDS
@given(worlds())
def test_every_window_rests_on_what_the_table_names(world: World) -> None:
    audience = compiled(world)
    for seat in seats():
        for recorded_ms in INSTANTS:
            named: set[str] = set()
            for category in SEALED:
                decision = world.ask(seat, category, recorded_ms, writer=STRANGER)
                basis = decision.rests_on if decision.permit else None
                assert resting_on(audience, seat, category, recorded_ms) == basis
                if basis is not None:
                    named.add(basis)
            assert audience.basis(seat, recorded_ms) == tuple(sorted(named))


@FEWER
@given(worlds())
def test_time_alone_changes_nothing_before_the_next_change(world: World) -> None:
    audience = compiled(world)
    end = audience.next_change if audience.next_change is not None else 200
    last = end - 1
    assert last >= world.at
    for seat, category, recorded_ms in questions():
        now = world.ask(seat, category, recorded_ms, writer=STRANGER)
        then = world.ask(seat, category, recorded_ms, writer=STRANGER, at=last)
        assert (then.permit, then.rests_on if then.permit else None) == (
            now.permit,
            now.rests_on if now.permit else None,
        )


@FEWER
@given(worlds())
def test_following_the_next_changes_never_leaves_the_table(world: World) -> None:
    at: int | None = world.at
    while at is not None:
        audience = compiled(world, at)
        for seat, category, recorded_ms in questions():
            decision = world.ask(seat, category, recorded_ms, writer=STRANGER, at=at)
            assert bool(audience.mask(seat, recorded_ms) & category.bit) == decision.permit
        at = audience.next_change


@FEWER
@given(worlds())
def test_the_compiled_form_is_sorted_and_holds_no_empty_seat(world: World) -> None:
    audience = compiled(world)
    assert list(audience.seats) == sorted(audience.seats)
    for view in audience.seats:
        assert list(view.windows) == sorted(view.windows)
        assert view.windows
        assert all(window.mask for window in view.windows)


def test_the_random_worlds_open_many_seats_in_many_ways_and_change_often() -> None:
    audiences = [compiled(world) for world in seeded_worlds(200)]
    views = [view for audience in audiences for view in audience.seats]
    assert len(views) > 300
    assert sum(len(view.windows) > 1 for view in views) > 10
    assert sum(audience.next_change is not None for audience in audiences) > 150


def consent(**changes: Any) -> Act:
    act = Act(
        id="c-1",
        permit=True,
        recipient=Recipient(agency="shelter", kind=None, country=None),
        purposes=frozenset({"protection_support"}),
        categories=IDENTITY,
        not_after=1000,
        recorded_by="police-unit",
    )
    return replace(act, **changes)


def shelter(*acts: Act, at: int = 100, laws: tuple[LegalBasis, ...] = (), **facts: Any) -> Audience:
    """Compile a case in which the shelter has a part and consent may open everything to it."""
    standing = Standing(
        agency="shelter",
        active=True,
        country=HOME,
        roles={"service_provider": frozenset({"protection_support", "legal_aid"})},
    )
    state = ConsentState(parts=frozenset({"shelter"}), acts=acts, **facts)
    ceilings = {("service_provider", SHELTER.purpose): ALL_SEALED}
    return compile_audience(state, {"shelter": standing}, ceilings, laws, HOME, at)


LAW = LegalBasis(
    code="LAW-1",
    when="always",
    role="service_provider",
    purposes=frozenset({"protection_support"}),
    categories=IDENTITY,
    part_only=True,
)


def test_a_case_without_acts_has_no_audience() -> None:
    assert shelter() == Audience((), None)


def test_a_consent_opens_its_categories_to_its_seat_alone() -> None:
    audience = shelter(consent())
    assert audience.seats == (SeatView(SHELTER, (Window(0, IDENTITY, "c-1"),)),)
    assert audience.mask(SHELTER, 0) == IDENTITY
    assert audience.mask(Seat("shelter", "legal_aid"), 0) == 0
    assert audience.basis(Seat("shelter", "legal_aid"), 0) == ()


def test_a_consent_that_leaves_the_past_shut_opens_from_its_instant_on() -> None:
    audience = shelter(consent(opens_from=50))
    assert audience.mask(SHELTER, 49) == 0
    assert audience.basis(SHELTER, 49) == ()
    assert audience.mask(SHELTER, 50) == IDENTITY
    assert audience.basis(SHELTER, 50) == ("c-1",)


def test_a_second_consent_adds_only_what_the_first_leaves_shut() -> None:
    both = IDENTITY | HEALTH
    audience = shelter(consent(), consent(id="c-2", categories=both, opens_from=50))
    assert audience.seats[0].windows == (Window(0, IDENTITY, "c-1"), Window(50, HEALTH, "c-2"))
    assert audience.basis(SHELTER, 50) == ("c-1", "c-2")


def test_what_outranks_is_named_where_both_open() -> None:
    order = consent(id="o-1", basis="court_order", given_by="court", opens_from=50)
    audience = shelter(consent(), order)
    assert audience.basis(SHELTER, 49) == ("c-1",)
    assert audience.basis(SHELTER, 50) == ("o-1",)


def test_an_emergency_act_is_named_before_a_consent() -> None:
    emergency = consent(id="e-1", basis="vital_interest")
    assert shelter(consent(), emergency).basis(SHELTER, 0) == ("e-1",)


def test_a_law_is_named_before_a_consent() -> None:
    assert shelter(consent(), laws=(LAW,)).basis(SHELTER, 0) == ("LAW-1",)


def test_a_refusal_closes_consent_and_leaves_the_law() -> None:
    refusal = consent(id="r-1", permit=False, purposes=frozenset(), categories=0, not_after=None)
    assert shelter(consent(), refusal).seats == ()
    assert shelter(consent(), refusal, laws=(LAW,)).basis(SHELTER, 0) == ("LAW-1",)


def test_a_danger_flag_opens_no_purpose_that_the_agency_lacks() -> None:
    clinic = Standing(
        agency="clinic", active=True, country=HOME, roles={"health": frozenset({"health_care"})}
    )
    fear = consent(id="d", permit=False, danger=True, not_after=None)
    acts = (
        fear,
        consent(id="o", basis="court_order", given_by="court"),
        consent(
            id="e", basis="vital_interest", purposes=frozenset({SHELTER.purpose, "health_care"})
        ),
    )
    named = tuple(
        replace(a, recipient=Recipient(agency="clinic", kind=None, country=None)) for a in acts
    )
    audience = compile_audience(ConsentState(acts=named), {"clinic": clinic}, {}, (), HOME, 100)
    assert [view.seat for view in audience.seats] == [Seat("clinic", "health_care")]


def test_a_standing_filed_under_another_agency_opens_nothing() -> None:
    standing = Standing(agency="shelter", active=True, country=HOME, roles={LAW.role: LAW.purposes})
    state = ConsentState(parts=frozenset({"shelter"}))
    assert compile_audience(state, {"shelter": standing}, {}, (LAW,), HOME, 100).seats
    assert not compile_audience(state, {"other": standing}, {}, (LAW,), HOME, 100).seats


def test_a_restricted_case_has_no_audience_and_waits_for_nothing() -> None:
    assert shelter(consent(), restricted=True) == Audience((), None)


def test_the_next_change_is_where_the_consent_begins_and_then_where_it_ends() -> None:
    later = consent(not_before=200, not_after=300)
    assert shelter(later, at=199) == Audience((), 200)
    assert shelter(later, at=200).next_change == 300
    assert shelter(later, at=300) == Audience((), None)


def test_the_next_change_may_be_where_a_guardian_begins_or_ends() -> None:
    act = consent(basis="guardian_consent", given_by="appointed_guardian", guardian_id="g-1")
    guardian = Guardian(id="g-1", role="appointed_guardian", valid_from=110, valid_to=120)
    case: dict[str, Any] = {"child": True, "guardians": {"g-1": guardian}}
    assert shelter(act, **case, at=109) == Audience((), 110)
    assert shelter(act, **case, at=110).next_change == 120
    assert shelter(act, **case, at=120) == Audience((), 1000)
