"""The console's words, held against what is published."""

import pytest

from domain.vocabulary import Purpose
from schemas import codes
from schemas.catalogue import sources
from services.http import forms, words
from services.http.forms import Draft
from tests.services.console.browser import LANGUAGE


@pytest.mark.parametrize("name", words.LISTS)
def test_the_choices_are_the_published_lists(name: str) -> None:
    assert words.LISTS[name] == {c: label.en for c, label in codes.lists()[name].items()}


def test_the_bases_and_purposes_are_known_to_the_mechanism() -> None:
    assert set(forms.BASES) <= set(codes.lists()["nrm:legal_basis"])
    assert set(words.PURPOSES) == set(Purpose)


COUNTRY_OR_LANGUAGE = ("iso:3166", "iso:639")


def coded_fields() -> set[tuple[str, str]]:
    """Return (event, name of the innermost field) of every coded text of a case event."""
    return {
        (type.rpartition(".")[2], [s for s in steps if s != "[]"][-1])
        for type in LANGUAGE.types()
        for _, steps, name in codes.coded(sources().full(type))
        if name not in COUNTRY_OR_LANGUAGE and steps[0] != "head"
    }


def test_every_coded_field_is_shown_as_words_and_no_free_text_is() -> None:
    published = coded_fields() | {("ConsentGiven", "categories")}

    unknown = {one for one in published if not words.is_code(*one)}
    reworded = {
        (type.rpartition(".")[2], path)
        for type in LANGUAGE.types()
        for path, _ in LANGUAGE.shape(type).fields
        if words.is_code(type.rpartition(".")[2], path)
    } - published

    assert unknown == set()
    assert {field for _, field in reworded} <= {"categories"}


@pytest.mark.parametrize(
    ("event_name", "said"),
    [
        ("ReferralSent", "Referral sent"),
        ("ReferralIntoNrmSubmitted", "Referral into NRM submitted"),
        ("SafeContactSet", "Safe contact set"),
    ],
)
def test_titles_are_the_names_of_the_events(event_name: str, said: str) -> None:
    assert words.title(event_name) == said


def test_a_draft_is_read_as_far_as_it_goes() -> None:
    assert forms.draft_of({"to": " x ", "csrf": "y"}) == Draft(
        to="x", purpose="", service="", urgency="", basis="", days="", reason=""
    )
