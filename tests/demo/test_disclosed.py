"""The disclosure check agrees with a consistent hub and finds every field shown too much."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from domain.case import Case
from domain.messages import FeedItem, Shown
from domain.record import Record
from domain.vocabulary import ALL_SEALED, SEALED, Category, Seat
from services.demo.cast import CAST
from services.demo.disclosed import Disclosed, count_disclosed
from services.demo.script import ACCEPTED, Story
from services.demo.stories import seeded
from tests.demo.world import LANGUAGE, LATER, NOW, play, record, world

STORIES = tuple(seeded(11, 120, NOW))
CASES = {one.case_id: play(one)[0] for one in STORIES}
SEATS = [Seat(member.id, purpose) for member in CAST for purpose in sorted(member.purposes)]


def item(of: Record, mask: int, seq: int = 1) -> FeedItem:
    """A feed entry that shows the categories in `mask`."""
    shown = Shown(
        type=of.type,
        record=LANGUAGE.body(of.withhold(mask)),
        statement=b"",
        signature=b"",
        recorded_ms=NOW,
    )
    return FeedItem(
        lane=0, seq=seq, supersedes=None, categories=(), granted=(), basis="", event=shown
    )


def accepted(story: Story) -> Iterator[tuple[str, Record]]:
    """Writer and record of each accepted step."""
    for place, (step, got) in enumerate(play(story)[1]):
        if got == ACCEPTED:
            yield step.agency, record(story, place)


def judge(*served: tuple[Seat, FeedItem]) -> Disclosed:
    return count_disclosed(
        served, language=LANGUAGE, case_of=CASES.__getitem__, world=world(), at=LATER
    )


def mask_for(seat: Seat, writer: str, case: Case) -> int:
    own = ALL_SEALED if writer == seat.agency else 0
    return own | world().audience(case, LATER).mask(seat, NOW)


def test_what_the_compiled_audience_shows_is_allowed_by_the_naive_reading() -> None:
    found = judge(
        *(
            (seat, item(of, mask_for(seat, writer, CASES[story.case_id])))
            for story in STORIES
            for writer, of in accepted(story)
            for seat in SEATS
        )
    )
    assert found.overdisclosed == 0
    assert found.fields_shown > 1_000
    assert found.fields_withheld > found.fields_shown


def test_every_category_shown_beyond_the_audience_is_found() -> None:
    planted = 0
    for story in STORIES[:40]:
        case = CASES[story.case_id]
        for writer, of in accepted(story):
            for seat in SEATS:
                mask = mask_for(seat, writer, case)
                for category in SEALED:
                    fields = sum(f.category is category for f in of.fields)
                    if fields and not mask & category.bit:
                        served = item(of, mask | category.bit)
                        assert judge((seat, served)).overdisclosed == fields
                        planted += fields
    assert planted > 1_000


def one_of(kind: str, type: str) -> tuple[Case, str, Record]:
    """Case, writer and record of the last such event in the first such story."""
    story = next(s for s in STORIES if s.kind == kind)
    found = [(w, r) for w, r in accepted(story) if r.type.endswith(f".{type}")]
    return CASES[story.case_id], *found[-1]


@pytest.mark.parametrize(
    ("kind", "type", "seat"),
    [
        (
            "adults.withdrawn_after",
            "PersonIdentityRecorded",
            Seat("gb-shelter", "protection_support"),
        ),
        ("adults.narrowed", "SafeContactSet", Seat("gb-shelter", "protection_support")),
        ("adults.endangered", "ReferralSent", Seat("gb-police", "investigation")),
        ("adults.refused", "ReferralSent", Seat("gb-authority", "protection_support")),
        (
            "adults.notified_only",
            "FurtherInformationProvided",
            Seat("gb-authority", "protection_support"),
        ),
        ("adults.identified", "PersonIdentityRecorded", Seat("gb-rapporteur", "monitoring")),
    ],
)
def test_what_consent_no_longer_or_never_opened_is_found(kind: str, type: str, seat: Seat) -> None:
    case, writer, of = one_of(kind, type)
    assert writer != seat.agency
    assert judge((seat, item(of, mask_for(seat, writer, case)))).overdisclosed == 0
    assert judge((seat, item(of, ALL_SEALED))).overdisclosed > 0


def test_an_entry_is_judged_by_its_bytes_not_by_its_claim() -> None:
    _, _, of = one_of("adults.identified", "PersonIdentityRecorded")
    seat = Seat("gb-rapporteur", "monitoring")
    honest = item(of, 0)
    assert judge((seat, replace(honest, categories=("IDENTITY",)))).overdisclosed == 0
    lying = replace(item(of, Category.IDENTITY.bit), categories=())
    assert judge((seat, lying)).overdisclosed == 6


def test_fields_shown_and_withheld_are_counted_without_the_clear_ones() -> None:
    _, _, of = one_of("adults.identified", "PersonIdentityRecorded")
    found = judge((Seat("gb-police", "protection_support"), item(of, Category.IDENTITY.bit)))
    assert (found.feed_entries, found.fields_shown, found.fields_withheld) == (1, 6, 1)
    assert found.overdisclosed == 0


def test_a_seat_that_is_no_longer_active_may_see_nothing() -> None:
    _, _, of = one_of("adults.identified", "PersonIdentityRecorded")
    entry = Seat("gb-police", "protection_support"), item(of, ALL_SEALED)
    late = count_disclosed(
        [entry], language=LANGUAGE, case_of=CASES.__getitem__, world=world(), at=NOW - 2
    )
    assert late.overdisclosed == 7
