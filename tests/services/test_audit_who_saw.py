"""Who had been shown what of a case at an instant: what a person may be told, without any key."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from domain.errors import Malformed, Refused
from services.auditor.instants import instant, shown
from services.auditor.who_saw import Saw, WhoSaw, who_saw
from services.cli import app
from tests import agencies as a
from tests import builders as b
from tests.agencies import DAY, T0
from tests.builders import CASE, CONSENT, uid
from tests.trail import audited
from tests.trail.disclosed import DisclosingHub

LONG = T0 + 99 * DAY
TAKEN_BACK = T0 + 3 * DAY


@pytest.fixture(scope="module")
def hub() -> Iterator[DisclosingHub]:
    """CHARITY shares an identity with SHELTER, which confirms it; three days later no more."""
    with closing(DisclosingHub()) as hub:
        for event in (b.case_opened(), b.notice_given(), b.identity_recorded()):
            assert hub.act(event)
        assert hub.act(b.consent_given(), T0 + DAY)
        assert hub.act(b.referral_sent(), T0 + DAY)
        hub.round()
        _confirm(hub)
        assert hub.act(b.consent_withdrawn(), TAKEN_BACK)
        hub.round()
        yield hub


def _confirm(hub: DisclosingHub) -> None:
    taken = [d for _, d in hub.told if d.agency == a.SHELTER]
    hub.trail.recorded_ms = T0 + 2 * DAY
    hub.trail.receive(a.SHELTER, hub.disclosed, *taken, case_id=CASE)
    hub.trail.epoch()


@pytest.fixture(scope="module")
def folder(hub: DisclosingHub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hub.write(tmp_path_factory.mktemp("trail") / "trail")


def asked(folder: Path, hub: DisclosingHub, at_ms: int, case: str = CASE) -> WhoSaw:
    with audited.tools() as tools:
        return who_saw(audited.source(folder), audited.own(hub.trail), tools, case, at_ms)


def identities(report: WhoSaw) -> list[Saw]:
    """Return the rows about the identity of the person."""
    assert report.findings == []
    return [s for s in report.saw if s.event_type == "nrm.v1.PersonIdentityRecorded"]


def test_before_a_consent_nobody_had_been_shown_anything(hub: DisclosingHub, folder: Path) -> None:
    report = asked(folder, hub, T0 + DAY - 1)
    assert report.saw == []
    assert "nothing" in report.text()


def test_what_stands_is_told_with_seat_categories_basis_and_receipt(
    hub: DisclosingHub, folder: Path
) -> None:
    (saw,) = identities(asked(folder, hub, TAKEN_BACK - 1))
    assert (saw.agency, saw.purpose) == (a.SHELTER, a.SUPPORT)
    assert (saw.categories, saw.basis) == (("IDENTITY",), CONSENT)
    assert T0 + DAY <= saw.since_ms < T0 + DAY + 1_000
    assert saw.confirmed_ms == T0 + 2 * DAY
    assert saw.until_ms is None


def test_what_was_not_confirmed_by_then_is_told_so(hub: DisclosingHub, folder: Path) -> None:
    (saw,) = identities(asked(folder, hub, T0 + 2 * DAY - 1))
    assert saw.confirmed_ms is None


def test_after_a_withdrawal_the_row_says_until_when_and_what_is_left(
    hub: DisclosingHub, folder: Path
) -> None:
    before, after = identities(asked(folder, hub, LONG))
    assert before.until_ms == after.since_ms >= TAKEN_BACK
    assert (after.categories, after.basis, after.until_ms) == ((), "", None)


def test_the_answer_says_that_it_is_whole_and_how_old_it_is(
    hub: DisclosingHub, folder: Path
) -> None:
    report = asked(folder, hub, LONG)
    assert "all 6 entries of its trail, all 3 of its disclosures" in report.text()
    assert any("older than the instant" in note for note in report.notes)


@pytest.mark.parametrize("case", [uid("no such case"), a.SHELTER, "", CASE[:-1]])
def test_a_case_that_the_log_does_not_know_is_refused(
    hub: DisclosingHub, folder: Path, case: str
) -> None:
    with pytest.raises(Refused) as refused:
        asked(folder, hub, LONG, case)
    assert refused.value.code == ("CASE_UNKNOWN" if len(case) == len(CASE) else "CASE_ID")


def test_a_trail_that_does_not_hold_gives_no_answer(
    hub: DisclosingHub, folder: Path, tmp_path: Path
) -> None:
    spoiled = hub.write(tmp_path / "trail")
    for path in (spoiled / "body").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-3] + b"abc")
    report = asked(spoiled, hub, LONG)
    assert report.findings
    assert report.saw == []


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-06-01T09:00:00Z", T0),
        ("2026-06-01T11:00:00+02:00", T0),
        ("2026-06-01 09:00", T0),
        (str(T0), T0),
        ("1970-01-01", 0),
    ],
)
def test_instants_are_read_as_people_write_them(text: str, ms: int) -> None:
    assert instant(text) == ms
    assert instant(shown(ms)) == ms


@pytest.mark.parametrize(
    "text",
    [
        *("yesterday", "", "-5", "2026-13-01", "9" * 30 + "T"),
        *("2027", "20270101", "1780304400", "9" * 16, "9" * 5000),  # a year, a day, seconds, years
    ],
)
def test_other_instants_are_refused(text: str) -> None:
    with pytest.raises(Malformed, match="INSTANT"):
        instant(text)


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["audit", *map(str, words)])


def test_at_a_terminal_and_for_a_program(folder: Path) -> None:
    done = run("who-saw", folder, CASE, "--at", "2026-06-03T00:00:00Z")
    assert done.exit_code == 0
    assert "shelter/protection_support  PersonIdentityRecorded" in done.stdout
    said = json.loads(run("who-saw", folder, CASE, "--at", LONG, "--json").stdout)
    assert [s["categories"] for s in said["saw"] if s["event_entry"] == 45] == [["IDENTITY"], []]
    unknown = run("who-saw", folder, uid("none"), "--at", LONG)
    assert (unknown.exit_code, unknown.stdout) == (2, "")
    assert "CASE_UNKNOWN" in unknown.stderr


def test_disclosures_end_with_the_codes_on_which_scripts_rely(
    hub: DisclosingHub, folder: Path, tmp_path: Path
) -> None:
    assert run("disclosures", folder).exit_code == 0
    wrong = run("disclosures", folder, "--seat", "shelter/cooking")
    assert (wrong.exit_code, "SEAT" in wrong.stderr) == (2, True)
    assert run("disclosures", folder, "--from", "soon").exit_code == 2
    assert run("disclosures", tmp_path / "nothing").exit_code == 2
    early = hub.write(tmp_path / "trail", T0)
    (early / "tile/entries").rename(early / "tile/away")
    away = run("disclosures", early)
    assert (away.exit_code, "FILE_MISSING" in away.stdout) == (1, True)
