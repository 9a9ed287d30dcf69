"""Who may consent, when it holds, what it opens, and which of several misses is named."""

from itertools import pairwise
from typing import Any

import pytest

from domain.reasons import MISSES
from tests.domain.consent_cases import (
    NOW,
    SHELTER,
    Given,
    by_guardian,
    case,
    consent,
    denied,
    guardian,
    permitted,
    refusal,
)


def test_a_childs_own_yes_is_assent_only() -> None:
    assert case(consent(), child=True).may(SHELTER) == denied("D07", "consent")


@pytest.mark.parametrize("role", ["legal_guardian", "appointed_guardian"])
def test_a_guardian_consents_for_a_child(role: str) -> None:
    world = case(by_guardian(given_by=role), child=True, guardians={"g": guardian(role=role)})
    assert world.may(SHELTER) == permitted("P01", "consent")


@pytest.mark.parametrize(
    "flaw",
    [
        {"conflicted": True},
        {"role": "legal_guardian"},
        {"valid_from": NOW + 1},
        {"valid_to": NOW},
    ],
)
def test_a_guardian_in_conflict_of_another_role_or_out_of_time_does_not_count(
    flaw: dict[str, Any],
) -> None:
    world = case(by_guardian(), child=True, guardians={"g": guardian(**flaw)})
    assert world.may(SHELTER) == denied("D07", "consent")


def test_a_guardian_counts_from_the_first_instant_to_before_the_last() -> None:
    ward = {"child": True, "guardians": {"g": guardian(valid_from=NOW, valid_to=NOW + 2)}}
    world = Given(acts=(by_guardian(),), facts=ward)
    codes = [world.may(SHELTER, at=NOW + step).code for step in (-1, 0, 1, 2)]
    assert codes == ["D07", "P01", "P01", "D07"]


@pytest.mark.parametrize("guardian_id", [None, "somebody-else"])
def test_a_guardian_who_was_never_appointed_does_not_count(guardian_id: str | None) -> None:
    world = case(by_guardian(guardian_id=guardian_id), child=True, guardians={"g": guardian()})
    assert world.may(SHELTER) == denied("D07", "consent")


def test_an_adult_is_spoken_for_by_an_appointed_guardian_alone() -> None:
    appointed = case(by_guardian(), guardians={"g": guardian()})
    legal = case(
        by_guardian(given_by="legal_guardian"), guardians={"g": guardian(role="legal_guardian")}
    )
    assert appointed.may(SHELTER).code == "P01"
    assert legal.may(SHELTER) == denied("D07", "consent")


@pytest.mark.parametrize("child", [True, False])
def test_a_court_may_consent_and_child_protection_may_not(*, child: bool) -> None:
    assert case(consent(given_by="court"), child=child).may(SHELTER).code == "P01"
    assert case(consent(given_by="child_protection"), child=child).may(SHELTER).code == "D07"


@pytest.mark.parametrize(
    "unknown", [{"given_by": "neighbour"}, {"basis": "hearsay", "given_by": "court"}]
)
def test_an_unknown_giver_or_basis_has_no_authority(unknown: dict[str, Any]) -> None:
    assert case(consent(**unknown)).may(SHELTER) == denied("D07", "consent")


def test_a_consent_without_evidence_permits_nothing() -> None:
    assert case(consent(evidence=False)).may(SHELTER) == denied("D06", "consent")


def test_a_consent_holds_from_its_first_instant_to_before_its_last() -> None:
    world = case(consent(not_before=5, not_after=9))
    assert world.may(SHELTER, at=4) == denied("D08", "consent")
    assert world.may(SHELTER, at=5) == permitted("P01", "consent")
    assert world.may(SHELTER, at=8) == permitted("P01", "consent")
    assert world.may(SHELTER, at=9) == denied("D09", "consent")


def test_a_consent_without_an_end_permits_nothing() -> None:
    assert case(consent(not_after=None)).may(SHELTER) == denied("D09", "consent")


def test_a_consent_opens_events_from_its_instant_on() -> None:
    world = case(consent(opens_from=NOW - 5))
    assert world.may(SHELTER, recorded=NOW - 6) == denied("D13", "consent")
    assert world.may(SHELTER, recorded=NOW - 5) == permitted("P01", "consent")


FLAWS: dict[str, dict[str, Any]] = {
    "D06": {"evidence": False},
    "D07": {"given_by": "child_protection"},
    "D09": {"not_after": NOW},
    "D08": {"not_before": NOW + 1},
    "D13": {"opens_from": NOW + 1},
}


@pytest.mark.parametrize(("far", "near"), list(pairwise(MISSES)))
def test_the_nearest_miss_is_named_whatever_the_order(far: str, near: str) -> None:
    farther, nearer = consent(id="far", **FLAWS[far]), consent(id="near", **FLAWS[near])
    assert case(farther, nearer).may(SHELTER) == denied(near, "near")
    assert case(nearer, farther).may(SHELTER) == denied(near, "near")


def test_of_equal_misses_the_first_recorded_is_named() -> None:
    late = consent(id="second", not_after=NOW - 1)
    assert case(consent(not_after=NOW), late).may(SHELTER) == denied("D09", "consent")


def test_a_refusal_is_named_before_a_miss() -> None:
    assert case(consent(evidence=False), refusal()).may(SHELTER).code == "D05"
