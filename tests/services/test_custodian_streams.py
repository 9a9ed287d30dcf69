"""Given a stream that was read before, when it is asked for again only what is new is read."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given as of
from hypothesis import settings
from hypothesis import strategies as st

from domain.errors import HubError, NotAuthentic, Unavailable
from domain.feed import LANES, lane_of
from domain.notary import Streamed
from domain.trail.deliveries import Delivery
from domain.trail.statement import Kind
from domain.vocabulary import Seat
from services.custodian import streams as streams_module
from services.custodian.stream import Stream
from services.custodian.streams import Streams
from tests.agencies import sha
from tests.builders import uid
from tests.services.custodian_trail import LANE, Custodian, Told, given
from tests.trail.signed import CASE, NOTARY

AGENCIES = ("gb-authority", "gb-police", "gb-shelter")
EVENTS = tuple(sha(f"event {n}") for n in range(4))
Act = tuple[str, Any]


@st.composite
def acts(draw: st.DrawFn) -> list[Act]:
    """Return what a stream comes to: disclosures, challenges, and checkpoints in between."""
    lanes = st.sampled_from((LANE, LANE, (LANE + 1) % LANES))
    delivery = st.builds(
        given,
        st.sampled_from(EVENTS),
        st.sampled_from(AGENCIES),
        st.integers(1, 9),
        st.integers(0, 7),
        lanes,
    )
    listed = st.lists(delivery, min_size=1, max_size=4, unique_by=lambda d: d.place)
    act = st.one_of(
        listed.map(lambda d: ("disclose", d)),
        st.binary(min_size=32, max_size=32).map(lambda nonce: ("challenge", nonce)),
        st.just(("checkpoint", None)),
        st.just(("elsewhere", None)),
    )
    return [("disclose", draw(listed)), *draw(st.lists(act, max_size=12)), ("checkpoint", None)]


def happen(told: Told, kind: str, what: Any) -> None:
    if kind == "disclose":
        told.disclose(*what)
    elif kind == "challenge":
        told.add("gb-police", Kind.AUDIT, body=what)
    elif kind == "elsewhere":
        told.disclose(given(EVENTS[0], "gb-police", 1), case_id=uid("another case"))
    else:
        told.epoch()


@settings(max_examples=60, deadline=None)
@of(happened=acts(), data=st.data())
def test_a_stream_read_in_parts_shows_what_it_shows_read_whole(
    happened: list[Act], data: st.DataObject
) -> None:
    async def test() -> None:
        told = Told()
        custodian, read = Custodian(told), 0
        for kind, what in happened:
            happen(told, kind, what)
            if kind == "checkpoint" and data.draw(st.booleans()):
                events = data.draw(st.sets(st.sampled_from(EVENTS)))
                assert await custodian.shown(events) == await Custodian(told).shown(events)
                assert custodian.asked[-1] == read, "nothing is read twice"
                read = len(told.page(CASE).entries)

    asyncio.run(test())


@settings(max_examples=100, deadline=None)
@of(before=acts(), after=acts(), data=st.data())
def test_a_forged_tail_is_refused_and_what_was_read_before_stands(
    before: list[Act], after: list[Act], data: st.DataObject
) -> None:
    async def test() -> None:
        told = Told()
        custodian = Custodian(told)
        for act in before:
            happen(told, *act)
        await custodian.shown(EVENTS)
        read = len(told.page(CASE).entries)
        for act in after:
            happen(told, *act)
        true, honest = await Custodian(told).shown(EVENTS), told.page(CASE, read)
        custodian.pages = [replace(honest, entries=data.draw(forged(honest.entries)))]
        try:
            found = await custodian.shown(EVENTS)
        except HubError:
            custodian.pages, custodian.asked = (), []
            found = await custodian.shown(EVENTS)
            assert custodian.asked == [read]
        assert found == true

    asyncio.run(test())


@st.composite
def forged(draw: st.DrawFn, entries: Sequence[Streamed]) -> tuple[Streamed, ...]:
    """Return a tail that is not the true one, or says something else of where it stands."""
    changed = list(entries)
    at = draw(st.integers(0, len(entries) - 1))
    how = draw(st.sampled_from(["entry", "body", "index", "dropped", "twice", "swapped"]))
    if how == "dropped":
        del changed[at]
    elif how == "twice":
        changed.insert(at, changed[at])
    elif how == "swapped":
        changed[0], changed[at] = changed[at], changed[0]
    elif how == "index":
        index = draw(st.sampled_from([e.index for e in entries]) | st.integers(0, 40))
        changed[at] = replace(changed[at], index=index)
    else:
        data = bytearray(getattr(changed[at], how))
        data[draw(st.integers(0, len(data) - 1))] ^= 1 << draw(st.integers(0, 7))
        altered: dict[str, Any] = {how: bytes(data)}
        changed[at] = replace(changed[at], **altered)
    return tuple(changed)


def told(*rounds: Sequence[Any]) -> Told:
    """Return a trail with one disclosure of the case in each of its checkpoints."""
    trail = Told()
    for deliveries in rounds:
        trail.disclose(*deliveries)
        trail.epoch()
    return trail


FIRST, SECOND = [given(EVENTS[0], AGENCIES[0], 1)], [given(EVENTS[1], AGENCIES[0], 2)]


def sized(*deliveries: Delivery) -> int:
    """Return how many bytes a stream takes with these deliveries, one a disclosure."""
    return Stream().extended(CASE, told(*([d] for d in deliveries)).page(CASE).entries).size


async def test_an_event_that_is_asked_for_later_was_read_already() -> None:
    custodian = Custodian(told(FIRST, SECOND))
    assert (await custodian.shown(EVENTS[:1])).masks.keys() == {(FIRST[0][:2], EVENTS[0])}
    assert (await custodian.shown(EVENTS[1:])).masks.keys() == {(SECOND[0][:2], EVENTS[1])}
    assert custodian.asked == [0, 2]


async def test_a_disclosure_that_is_said_to_stand_where_another_does_is_not_in_the_log() -> None:
    """Both give something, so both have to stand in the log, each where it says."""
    trail = told(FIRST, SECOND)
    page = trail.page(CASE)
    first, second = page.entries
    custodian = Custodian(trail)
    custodian.pages = [replace(page, entries=(replace(first, index=second.index), second))]
    with pytest.raises(NotAuthentic, match="BAD_INCLUSION"):
        await custodian.shown(EVENTS)


async def test_a_signature_is_looked_at_when_its_disclosure_counts_though_it_was_read_before() -> (
    None
):
    trail = Told()
    trail.disclose(*FIRST)
    trail.disclose(*SECOND, signed_by="somebody else")
    trail.epoch()
    custodian = Custodian(trail)
    assert (await custodian.shown(EVENTS[:1])).masks
    with pytest.raises(NotAuthentic, match="DISCLOSURE_SIGNATURE"):
        await custodian.shown(EVENTS[:2])


async def test_after_all_is_forgotten_a_stream_is_read_from_its_start() -> None:
    custodian = Custodian(told(FIRST, SECOND))
    await custodian.shown(EVENTS)
    custodian.streams.forget()
    await custodian.shown(EVENTS)
    assert custodian.asked == [0, 0]


async def test_the_case_that_was_not_asked_about_for_longest_makes_room() -> None:
    cases = [uid(f"case {n}") for n in range(3)]
    trail = Told()
    for case in cases:
        trail.disclose(*FIRST, case_id=case)
    trail.epoch()
    custodian = Custodian(trail, Streams(Stream(), 2 * sized(*FIRST)))
    for case in (cases[0], cases[1], cases[0], cases[2]):
        await custodian.shown(EVENTS, case)
    custodian.asked = []
    for case in (cases[0], cases[2], cases[1]):
        await custodian.shown(EVENTS, case)
    assert custodian.asked == [1, 1, 0]


async def test_a_delivery_that_is_listed_late_is_not_the_newest() -> None:
    """Given a notary that lists an older number of a lane after what took it back."""
    older, newer = given(EVENTS[0], AGENCIES[0], 1), given(EVENTS[0], AGENCIES[0], 2, mask=0)
    for order in ((older, newer), (newer, older)):
        masks = (await Custodian(told(*([d] for d in order))).shown(EVENTS)).masks
        assert set(masks.values()) == {0}


async def test_a_stream_that_is_larger_than_all_that_is_held_is_not_read_to_its_end() -> None:
    trail = told(*([given(sha(str(n)), AGENCIES[0], n)] for n in range(1, 40)))
    custodian = Custodian(
        trail, Streams(Stream(), sized(*(given(e, AGENCIES[0], 1) for e in EVENTS)))
    )
    custodian.pages = [trail.page(CASE, n, most=4) for n in range(0, 40, 4)]
    with pytest.raises(Unavailable, match="STREAMS_HELD"):
        await custodian.shown(EVENTS)
    assert custodian.asked == [0, 4]


async def test_what_was_held_while_it_was_read_in_vain_is_let_go() -> None:
    custodian = Custodian(told(FIRST, SECOND), Streams(Stream(), sized(*FIRST, *SECOND)))
    page = custodian.told.page(CASE)
    for _ in range(3):
        custodian.pages = [replace(page, entries=page.entries[:1]), replace(page, entries=())]
        with pytest.raises(NotAuthentic, match="BAD_CHAIN"):
            await custodian.shown(EVENTS)
    assert await custodian.shown(EVENTS)


async def test_a_long_stream_is_read_on_each_time_that_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Given an agency that lengthens a case's stream by what is no disclosure."""
    monkeypatch.setattr(streams_module, "PAGES", 2)
    trail = told(FIRST)
    for number in range(8):
        trail.add(AGENCIES[0], Kind.AUDIT, body=sha(str(number)))
    trail.epoch()
    custodian = Custodian(trail)
    honest = trail.page(CASE)
    custodian.pages = [trail.page(CASE, n, most=2) for n in range(0, 9, 2)]
    for _ in range(2):
        with pytest.raises(Unavailable, match="STREAM_LONG"):
            await custodian.shown(EVENTS)
    assert len((await custodian.shown(EVENTS)).masks) == 1
    assert custodian.asked == [0, 2, 4, 6, 8]
    assert len(honest.entries) == 9


async def test_of_a_long_stream_a_forged_part_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "PAGES", 1)
    other, custodian = told(SECOND, FIRST), Custodian(told(FIRST, SECOND))
    custodian.pages = [other.page(CASE, most=1)]
    for error in (Unavailable, NotAuthentic, Unavailable):
        with pytest.raises(error):
            await custodian.shown(EVENTS)
        custodian.pages = [] if error is Unavailable else [custodian.told.page(CASE, most=1)]
    assert (await custodian.shown(EVENTS)) == (await Custodian(custodian.told).shown(EVENTS))


async def test_what_was_not_read_to_its_end_is_let_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams_module, "PAGES", 1)
    trail = told(FIRST, SECOND)
    custodian = Custodian(trail, Streams(Stream(), sized(*FIRST, *SECOND)))
    custodian.pages = [trail.page(CASE, most=1)]
    with pytest.raises(Unavailable, match="STREAM_LONG"):
        await custodian.shown(EVENTS)
    other = uid("another case")
    for number in (1, 2):
        one = given(EVENTS[number], AGENCIES[0], number, lane=lane_of(other))
        trail.disclose(one, case_id=other)
    trail.epoch()
    await custodian.shown(EVENTS, other)
    custodian.asked = []
    await custodian.shown(EVENTS)
    assert custodian.asked == [0]


async def test_of_a_case_of_which_nothing_was_disclosed_nothing_is_shown() -> None:
    trail = Told()
    trail.add(NOTARY, body=b"something else")
    trail.epoch()
    custodian = Custodian(trail)
    assert (await custodian.shown(EVENTS)).masks == {}
    trail.disclose(*FIRST)
    trail.epoch()
    assert (await custodian.shown(EVENTS)).masks


async def test_seats_with_names_that_no_agency_has_are_counted_by_their_bytes() -> None:
    long = [given(sha(str(n)), f"{n}" + "x" * 60_000, 1) for n in range(1, 9)]
    custodian = Custodian(told(*([one] for one in long)), Streams(Stream(), 100_000))
    with pytest.raises(Unavailable, match="STREAMS_HELD"):
        await custodian.shown(EVENTS)


async def test_a_taking_back_is_not_replaced_by_something_harmless() -> None:
    """Given what was shown and taken back, when the middle of the stream is another's, no proof."""
    back = [given(EVENTS[0], AGENCIES[0], 2, mask=0)]
    trail, other = told(FIRST, back, SECOND), told(FIRST, SECOND)
    page = trail.page(CASE)
    first, _, last = page.entries
    custodian = Custodian(trail)
    custodian.pages = [replace(page, entries=(first, other.page(CASE).entries[1], last))]
    with pytest.raises(NotAuthentic, match="BAD_CHAIN"):
        await custodian.shown(EVENTS)
    assert (await custodian.shown(EVENTS)).masks[Seat(*FIRST[0][:2]), EVENTS[0]] == 0
