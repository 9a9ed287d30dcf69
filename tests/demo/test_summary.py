"""The summary says what was found, by the agreed names, and passes no failed check."""

import json
from collections import Counter
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from services.demo.drive import Played, Unexpected
from services.demo.summary import Summary, as_json, failures, table

GOOD = Summary(
    cases=10,
    actions=80,
    refused=3,
    feed_entries=120,
    fields_sealed=500,
    fields_opened=200,
    fields_withheld=300,
    overdisclosed=0,
    leaks=0,
    accepted_per_s=1234.567,
    projected_per_s=2000.0,
    feed_p50_ms=10.0,
    feed_p99_ms=40.0,
    withdrawal_p99_ms=90.0,
    seconds=4.25,
)
PLAYED = Played(cases=10, accepted=77, refused=Counter(CONSENT_MISSING=2, NO_SUCH_CASE=1))
ODD = Unexpected(
    kind="adults.closed",
    case_id="c",
    place=4,
    type="CaseClosed",
    expect="accepted",
    got="ROLE_MAY_NOT",
)


def test_the_object_has_the_agreed_names_on_one_line() -> None:
    line = as_json(GOOD)
    assert "\n" not in line
    assert list(json.loads(line)) == [
        *("cases", "actions", "refused", "feed_entries", "fields_sealed", "fields_opened"),
        *("fields_withheld", "overdisclosed", "leaks", "accepted_per_s", "projected_per_s"),
        *("feed_p50_ms", "feed_p99_ms", "withdrawal_p99_ms", "seconds"),
    ]
    assert json.loads(line)["accepted_per_s"] == 1234.57


def test_a_good_run_fails_nothing() -> None:
    assert failures(GOOD, PLAYED) == []


@pytest.mark.parametrize(
    ("summary", "played", "said"),
    [
        (replace(GOOD, overdisclosed=1), PLAYED, "1 fields are shown"),
        (replace(GOOD, leaks=2), PLAYED, "2 planted values"),
        (GOOD, Played(unexpected=1, first_unexpected=[ODD]), "1 actions got another answer"),
    ],
)
def test_each_check_fails_by_itself(summary: Summary, played: Played, said: str) -> None:
    assert failures(summary, played)[0].startswith(said)


def test_the_first_wrong_answers_are_named() -> None:
    found = failures(GOOD, Played(unexpected=1, first_unexpected=[ODD]))
    assert found[1] == "adults.closed c step 4 CaseClosed: ROLE_MAY_NOT, not accepted"


def test_the_table_shows_figures_refusals_and_the_verdict() -> None:
    console = Console(width=100, file=StringIO(), record=True)
    console.print(table(GOOD, PLAYED, failures(GOOD, PLAYED)))
    console.print(table(GOOD, PLAYED, ["2 planted values"]))
    text = console.export_text()
    assert "1,234.6" in text
    assert "refused: CONSENT_MISSING" in text
    assert "all hold" in text
    assert "2 planted values" in text
