"""What happened in a case, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from domain.vocabulary import Category
from services.http import timeline, words
from tests.schemas import builders
from tests.services.console.browser import LANGUAGE
from tests.services.console.documents import CASE, ISO, ME, NAMELESS, NOW, event, named, sent, uid


@pytest.mark.parametrize(
    ("basis", "said"),
    [
        (uid("consent"), f"Shown by act of consent {words.short(uid('consent'))}"),
        ("GB.MSA.52", "Shown by legal basis GB.MSA.52"),
        (
            f"{uid('order')} GB.MSA.52",
            f"Shown by court order {words.short(uid('order'))}, legal basis GB.MSA.52",
        ),
        ("", ""),
    ],
)
def test_the_basis_of_what_is_shown_is_named(basis: str, said: str) -> None:
    shown = event("CaseOpened", {}, basis=basis)

    view = timeline.event_view(shown, {uid("order"): "court_order"}, lambda *_: None)

    assert view.basis == said


@pytest.mark.parametrize(
    ("code", "categories", "note"),
    [
        ("WITHHELD", [], "not shared with you"),
        ("NO_KEY", [], "not shared with you"),
        ("NO_KEY", ["HEALTH"], "shared, the key is on its way"),
        ("STALE", [], "not shared with you"),
        ("ERASED", [], "erased"),
    ],
)
def test_a_shut_field_says_why_without_a_code(
    code: str, categories: Sequence[str], note: str
) -> None:
    shut = event("NeedsAssessed", {}, shut={"health_needs": code}, categories=categories)

    view = timeline.event_view(shut, {}, lambda *_: Category.HEALTH)

    assert [(s.category, s.count, s.note) for s in view.shut] == [("Health", 1, note)]
    assert view.alarms == ()


@pytest.mark.parametrize(
    ("type", "name", "value", "said"),
    [
        ("NeedsAssessed", "review_due", None, ["Not said"]),
        ("SignalReceived", "immediate_danger", True, ["Yes"]),
        ("SignalReceived", "summary", "locked_in", ["locked_in"]),
        ("ReferralSent", "reason", "no_capacity", ["no_capacity"]),
        ("ReferralDeclined", "reason", "no_capacity", ["No capacity"]),
        ("ReferralDeclined", "reason", "x-new_code", ["New code"]),
        ("ReferralIntoNrmSubmitted", "exploitation", ["ForcedLabour"], ["Forced labour"]),
        ("ReferralIntoNrmSubmitted", "others_affected", 3, ["3"]),
        ("PersonIdentityRecorded", "other_names", [], ["None"]),
        ("PersonIdentityRecorded", "given_names", ["a_b", "c"], ["a_b", "c"]),
        ("RecoveryPeriodGranted", "ends_at", ISO, ["3 May 2026, 10:02 UTC"]),
        ("ReferralReceived", "referral_id", uid("r"), [uid("r")[-8:]]),
        ("ConsentGiven", "evidence", "AAAA", ["On file with the agency that recorded it"]),
    ],
)
def test_values_become_words_and_free_text_stays(
    type: str, name: str, value: object, said: list[str]
) -> None:
    lines = timeline.lines(type, name, value)

    assert [part.text for line in lines for part in line] == said


def test_the_parts_of_a_record_keep_their_names() -> None:
    paper = {"kind": "identity_card", "number": "X 1", "issuer": None}

    ((kind, number),) = timeline.lines("PersonIdentityRecorded", "documents", [paper])

    assert (kind.label, kind.text) == ("Kind", "Identity card")
    assert (number.label, number.text) == ("Number", "X 1")


@pytest.mark.parametrize("type", LANGUAGE.types())
def test_every_published_event_can_be_shown_open_and_shut(type: str) -> None:
    fields = {f.path: f for f in LANGUAGE.clear(type, builders.example(type))}
    routing = {p: f.value for p, f in fields.items() if f.category is Category.ROUTING}
    name = type.rpartition(".")[2]
    whole = LANGUAGE.opened(type, {p: f.value for p, f in fields.items()})
    part = LANGUAGE.opened(type, routing)
    shut = dict.fromkeys(fields.keys() - routing.keys(), "WITHHELD")

    documents = [event(name, _headless(whole)), event(name, _headless(part), shut=shut)]
    view = timeline.case_view(CASE, documents, ME, NOW, lambda *_: Category.HEALTH)

    assert len(view.events) in {0, 2}
    for one in view.events:
        assert all(part.text for f in one.fields for line in f.lines for part in line)
    if view.events:
        assert sum(s.count for s in view.events[1].shut) == len(shut)


def _headless(document: Mapping[str, Any]) -> dict[str, Any]:
    return {path: value for path, value in document.items() if path != "head"}


def test_a_correction_replaces_the_name_and_a_withheld_one_does_not() -> None:
    corrected = {**named("Amina"), "type": "PersonIdentityCorrected"}

    assert timeline.person([named("Amal"), corrected, NAMELESS]) == "Amina Example"
    assert timeline.person([NAMELESS]) is None


def test_key_events_are_no_news_for_a_case_worker() -> None:
    keys = event("KeyEpochOpened", {"keys": [], "reason": "initial"})

    view = timeline.case_view(CASE, [keys, sent()], ME, NOW, lambda *_: None)

    assert [e.title for e in view.events] == ["Referral sent"]
