"""The code lists that the schemas name."""

import json
from importlib.resources import files

import pytest

from domain.consent import Basis
from domain.vocabulary import Purpose, Role
from schemas import codes
from schemas.catalogue import sources
from tests.schemas.builders import TYPES

NAMED = {name for t in TYPES for _, _, name in codes.coded(sources().full(t))}


def test_every_list_that_a_schema_names_exists_and_every_list_is_named() -> None:
    assert set(codes.lists()) | set(codes.FORMATS) == NAMED


@pytest.mark.parametrize("name", sorted(codes.lists()))
def test_every_code_is_given_once_and_has_a_label_in_both_languages(name: str) -> None:
    entries = [
        entry["code"]
        for file in ("nrm", "htcds", "ctdc")
        for entry in json.loads(files("schemas").joinpath(f"codes/{file}.json").read_text("utf-8"))[
            "lists"
        ].get(name, [])
    ]

    assert len(set(entries)) == len(entries) == len(codes.lists()[name])
    assert all(code == code.strip() for code in entries)
    assert all(label.en and label.fr for label in codes.lists()[name].values())


def test_lists_that_the_rules_compare_hold_just_the_words_of_the_rules() -> None:
    assert set(codes.lists()["nrm:purpose"]) == set(Purpose)
    assert set(codes.lists()["nrm:role"]) == set(Role)
    assert set(codes.lists()["nrm:consent_basis"]) == set(Basis)


@pytest.mark.parametrize(
    ("name", "code", "answer"),
    [
        ("htcds:vic_TypeOfExploitation", "ForcedLabour", True),
        ("htcds:vic_TypeOfExploitation", "x-ForcedCriminality", True),
        ("htcds:vic_MethodsOfControl", "DebtBondage", True),
        ("htcds:vic_MethodsOfControl", "DebtBondage ", False),
        ("iso:3166", "RO", True),
        ("iso:3166", "unknown", True),
        ("iso:3166", "ROU", False),
        ("iso:639", "fr", True),
        ("iso:639", "fra", True),
        ("iso:639", "FR", False),
        ("nrm:legal_basis", "consent", True),
        ("nrm:legal_basis", "GB.MSA2015.S52", True),
        ("nrm:legal_basis", "because", False),
    ],
)
def test_a_code_is_known_by_its_list_or_its_form(name: str, code: str, *, answer: bool) -> None:
    assert codes.known(name, code) is answer


def test_what_was_taken_from_others_is_attributed() -> None:
    text = files("schemas").joinpath("codes/ATTRIBUTION.md").read_text("utf-8")

    assert "HTCDS) 2.0" in text
    assert "CC BY 4.0" in text
