"""A log of years spans several policy packs; each action is judged by the one in force then."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from domain import events as ev
from domain.calendar import DAY_MS
from domain.errors import Malformed, Refused
from domain.policy import Policy, parse_policy
from domain.vocabulary import Category
from services.auditor.packs import Packs
from services.auditor.report import Report
from services.cli import app
from tests import agencies as a
from tests import builders as b
from tests.agencies import DAY, T0
from tests.builders import uid
from tests.domain.histories import history
from tests.services.case_logs import named
from tests.services.test_audit_disclosures import PERSON, SHARED, checks_of, recorded
from tests.trail.disclosed import DisclosingHub, audit

OLD = a.world().policy
BEGINS = T0 + 5 * DAY - T0 % DAY
"""When the first day of the new pack begins; the country's clocks are those of UTC."""
OLD_TEXT = a.pack("gb-2026")
NEW_TEXT = (
    OLD_TEXT.replace("gb-2026.1", "gb-2026.2")
    .replace("valid_from = 2026-01-01", "valid_from = 2026-06-06")
    .replace(
        """[ceilings.service_provider]
protection_support = ["IDENTITY", """,
        """[ceilings.service_provider]
protection_support = [""",
    )
)
"""Shelters may not see identities any more."""
NEW = parse_policy(NEW_TEXT)
BOTH = [NEW, OLD]
DIFFERENT = {"NOT_DUE", "WITHHELD", "OTHERWISE"}


@pytest.fixture
def hub() -> Iterator[DisclosingHub]:
    """A hub at which CHARITY shared a case with SHELTER under the old pack."""
    with closing(DisclosingHub()) as hub:
        recorded(hub, *PERSON, *SHARED)
        yield hub


def identity(pack: Policy) -> ev.PersonIdentityRecorded:
    event = b.identity_recorded()
    return replace(event, head=replace(event.head, policy=pack.id))


def shown(hub: DisclosingHub) -> list[int]:
    """Return the masks that SHELTER was shown, the newest last."""
    return [d.mask for _, d in hub.told if d.agency == a.SHELTER]


def judged_wrong(report: Report) -> bool:
    """Say whether an action is found that its pack refuses, and what it made stand in feeds."""
    found = checks_of(report)
    return "RULES" in found and bool(found & DIFFERENT)


def test_a_log_over_two_packs_holds_when_both_are_given(hub: DisclosingHub, tmp_path: Path) -> None:
    assert Category.IDENTITY.bit in shown(hub)
    hub.restart(NEW)
    told = len(hub.told)
    recorded(hub, identity(NEW), at=BEGINS + DAY // 2)
    assert Category.IDENTITY.bit not in {d.mask for _, d in hub.told[told:]}
    folder = hub.write(tmp_path / "trail")
    report = audit(folder, hub.trail, BOTH)
    assert report.findings == []
    assert "the rules of gb-2026.1, gb-2026.2 allowed" in report.text()
    assert judged_wrong(audit(folder, hub.trail, [OLD]))


def test_what_the_hub_did_under_the_old_pack_after_its_time_is_found(
    hub: DisclosingHub, tmp_path: Path
) -> None:
    recorded(hub, identity(OLD), at=BEGINS + DAY)
    report = audit(hub.write(tmp_path / "trail"), hub.trail, BOTH)
    assert judged_wrong(report)
    assert "POLICY_NOT_IN_FORCE (the policy pack in force is gb-2026.2)" in report.text()


def test_what_the_hub_did_under_the_new_pack_before_its_time_is_found(
    hub: DisclosingHub, tmp_path: Path
) -> None:
    hub.restart(NEW)
    recorded(hub, identity(NEW), at=BEGINS - DAY)
    assert judged_wrong(audit(hub.write(tmp_path / "trail"), hub.trail, BOTH))


def test_on_the_first_day_of_a_pack_the_hub_is_started_with_it(
    hub: DisclosingHub, tmp_path: Path
) -> None:
    recorded(hub, identity(OLD), at=BEGINS + DAY // 4)
    hub.restart(NEW)
    recorded(hub, identity(NEW), at=BEGINS + DAY // 2)
    assert audit(hub.write(tmp_path / "trail"), hub.trail, BOTH).findings == []


def test_a_disclosure_against_the_pack_of_its_day_is_found(
    hub: DisclosingHub, tmp_path: Path
) -> None:
    """The hub took the new name, and went on as before."""
    hub.restart(replace(OLD, id=NEW.id))
    recorded(hub, identity(NEW), at=BEGINS + DAY)
    report = audit(hub.write(tmp_path / "trail"), hub.trail, BOTH)
    assert checks_of(report) <= DIFFERENT
    assert "IDENTITY: D04" in report.text()


def test_before_the_first_pack_nothing_can_be_judged(hub: DisclosingHub, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"^PACK_MISSING: gb-2026.2 begins after 2026-06-01"):
        audit(hub.write(tmp_path / "trail"), hub.trail, [NEW])


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1 << 32))
def test_a_hub_that_took_the_new_pack_in_time_has_no_findings_whatever_happens(seed: int) -> None:
    with closing(DisclosingHub()) as hub, TemporaryDirectory() as folder:
        for number, (event, at) in enumerate(history(seed, 80)):
            pack = NEW if at >= BEGINS else OLD
            if hub.world.policy_id != pack.id:
                hub.round()
                hub.restart(pack)
            head = replace(event.head, event_id=uid(f"{number}"), policy=pack.id)
            hub.act(named(replace(event, head=head), "one"), at)
            if number % 5 == 4:
                hub.round()
        hub.round()
        assert audit(hub.write(Path(folder) / "trail"), hub.trail, BOTH).findings == []


def test_at_a_terminal_each_pack_is_a_file(hub: DisclosingHub, tmp_path: Path) -> None:
    hub.restart(NEW)
    recorded(hub, identity(NEW), at=BEGINS + DAY)
    folder = hub.write(tmp_path / "trail")
    words = ["audit", "disclosures", str(folder)]
    for name, text in (("old", OLD_TEXT), ("new", NEW_TEXT)):
        (tmp_path / name).write_text(text)
    old, new = (["--pack", str(tmp_path / name)] for name in ("old", "new"))
    for packs, code in ((new + old, 0), (old, 1), (new, 2), (new + new, 2)):
        done = CliRunner().invoke(app, words + packs)
        assert done.exit_code == code, done.output


XA = parse_policy(a.pack("xa-2026"))


@pytest.mark.parametrize(
    ("packs", "why"),
    [
        ([], "one country"),
        ([OLD, XA], "one country"),
        ([OLD, replace(NEW, id=OLD.id)], "one id"),
        ([OLD, OLD], "one id"),
        ([OLD, replace(NEW, valid_from=OLD.valid_from)], "begin on one day"),
    ],
)
def test_packs_that_do_not_follow_one_another_are_refused(packs: list[Policy], why: str) -> None:
    with pytest.raises(Malformed, match=rf"^PACKS: .*{why}"):
        Packs(packs)


days = st.integers(0, 60)


@given(starts=st.sets(days, min_size=1, max_size=4), at=st.integers(0, 60 * DAY_MS), data=st.data())
def test_just_one_pack_is_in_force_at_any_time(
    starts: set[int], at: int, data: st.DataObject
) -> None:
    packs = [
        replace(OLD, id=f"p{day}", valid_from=date(1970, 1, 1) + timedelta(days=day))
        for day in starts
    ]
    named = data.draw(st.sampled_from([*(p.id for p in packs), "none"]))
    today = at // DAY_MS
    begun = sorted(day for day in starts if day <= today)
    if not begun:
        with pytest.raises(Refused, match=r"^PACK_MISSING"):
            Packs(packs).in_force(named, at)
        return
    allowed = begun[-2:] if begun[-1] == today else begun[-1:]
    found = Packs(packs).in_force(named, at).id
    assert found == (named if named in {f"p{day}" for day in allowed} else f"p{begun[-1]}")


def test_a_first_day_begins_by_the_clocks_of_the_country() -> None:
    earlier = replace(XA, id="xa-2025.1", valid_from=date(2025, 2, 1))
    midnight = (XA.valid_from - date(1970, 1, 1)).days * DAY_MS - 180 * 60_000
    packs = Packs([XA, earlier])
    assert packs.in_force(XA.id, midnight - 1) == earlier
    assert packs.in_force(XA.id, midnight) == XA
