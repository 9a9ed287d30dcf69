"""Every story that the demo can tell gets exactly the answers that the rules give."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

from domain import events as ev
from domain.errors import Malformed
from domain.vocabulary import Category, Purpose, Role
from services.demo import adults, children
from services.demo.cast import CAST
from services.demo.facts import UNKNOWN, Facts, coded, drawn, read_facts
from services.demo.people import TOKENS
from services.demo.script import ACCEPTED
from services.demo.stories import ADULTS, CHILDREN, Plot, seeded, story, told
from tests.demo.world import LANGUAGE, LATER, NOW, clear, event, play, world

STORIES = tuple(seeded(7, 300, NOW))
ADULT = Facts(
    sex="Feminine",
    age_band="21--23",
    citizenship="MD",
    exploitation=("ForcedLabour",),
    means=("Other",),
    area="GB",
    by_hotline=False,
)


@pytest.mark.parametrize("at", [NOW, LATER])
def test_every_step_gets_the_answer_it_must_get(at: int) -> None:
    for one in STORIES:
        _, answers = play(one, at)
        assert [(s.type, a) for s, a in answers] == [(s.type, s.expect) for s in one.steps], (
            one.kind
        )


def test_every_plot_is_told() -> None:
    plots = {f"adults.{p.__name__}" for p in ADULTS} | {f"children.{p.__name__}" for p in CHILDREN}
    assert {s.kind for s in STORIES} == plots


@pytest.mark.parametrize(
    ("module", "listed"), [(adults, ADULTS), (children, CHILDREN)], ids=["adults", "children"]
)
def test_no_plot_is_left_out_of_the_weights(module: ModuleType, listed: Mapping[Plot, int]) -> None:
    plots = {
        f
        for name, f in vars(module).items()
        if not name.startswith("_") and getattr(f, "__module__", "") == module.__name__
    }
    assert plots == set(listed)


def test_a_case_has_at_least_six_actions_and_eight_on_average() -> None:
    lengths = [len(s.steps) for s in STORIES]
    assert min(lengths) >= 6
    assert 7 <= sum(lengths) / len(lengths) <= 9


def test_consents_of_every_kind_and_refusals_of_many_happen() -> None:
    types = Counter(s.type for one in STORIES for s in one.steps if s.expect == ACCEPTED)
    wanted = {"Given", "Refused", "Narrowed", "Renewed", "Withdrawn"}
    assert {f"Consent{w}" for w in wanted} <= types.keys()
    assert {
        "GuardianAppointed",
        "GuardianConflictFound",
        "DutyNotificationSubmitted",
    } <= types.keys()
    codes = {s.expect for one in STORIES for s in one.steps} - {ACCEPTED}
    assert codes == {
        *("CONSENT_MISSING", "NOT_INFORMED", "REFUSED_BY_PERSON", "BUNDLED_CONSENT"),
        *("CONSENT_NOT_YET", "NO_SUCH_CASE", "GUARDIAN_ACT_MISSING", "DANGER_LISTED"),
        *("WIDER_THAN_BEFORE", "CASE_CLOSED"),
    }


def test_the_same_seed_tells_the_same_stories() -> None:
    assert tuple(seeded(7, 300, NOW)) == STORIES
    assert tuple(seeded(8, 3, NOW)) != STORIES[:3]


def test_a_later_run_of_a_seed_goes_on_with_the_same_ids() -> None:
    again = tuple(seeded(7, 300, LATER))
    assert [(s.case_id, s.kind, s.command_id(0)) for s in again] == [
        (s.case_id, s.kind, s.command_id(0)) for s in STORIES
    ]


def test_no_two_commands_have_one_id() -> None:
    ids = [s.command_id(place) for s in STORIES for place in range(len(s.steps))]
    assert len(set(ids)) == len(ids)


def test_people_are_named_in_three_scripts() -> None:
    texts = " ".join(str(s.steps) for s in STORIES)
    assert all(token in texts for token in TOKENS)


def test_no_clear_field_holds_a_marker_and_every_category_but_statistics_does() -> None:
    marked = set()
    for one in STORIES:
        for place in range(len(one.steps)):
            for field in clear(one, place)[1]:
                if any(token.encode() in field.value for token in TOKENS):
                    marked.add(field.category)
    assert marked == set(Category) - {Category.ROUTING, Category.STATISTICS}


def test_every_code_is_of_a_list_or_an_extension() -> None:
    for one in STORIES:
        for step in one.steps:
            unknown = LANGUAGE.unknown_codes(LANGUAGE.newest(step.type), step.fields)
            assert all(code.startswith("x-") for _, code in unknown), step.type


def test_referrals_go_to_three_agencies_for_three_purposes() -> None:
    events = [event(one, place) for one in STORIES for place in range(len(one.steps))]
    sent = [e for e in events if isinstance(e, ev.ReferralSent)]
    assert {e.to for e in sent} == {"gb-police", "gb-shelter", "gb-health"}
    assert {e.purpose for e in sent} == {"protection_support", "investigation", "health_care"}


def test_who_may_be_a_child_never_gets_an_adults_story() -> None:
    told_as: Counter[tuple[str, str]] = Counter()
    for one in told([coded({"ageBroad": ""})] * 200, 1, NOW):
        events = [event(one, place) for place in range(len(one.steps))]
        groups = {e.age_group for e in events if isinstance(e, ev.CaseOpened)}
        told_as[groups.pop(), one.kind.partition(".")[0]] += 1
    assert told_as.keys() == {("unsure", "children"), ("adult", "adults")}
    assert told_as["unsure", "children"] > 20


def test_a_row_becomes_codes() -> None:
    row = {
        "gender": "Male",
        "ageBroad": "9--17",
        "citizenship": "PH",
        "ExploitType": "Labor",
        "Labor_Type": "Domestic Work",
        "control_category": "Threats",
        "Datasource": "Hotline",
    }
    assert coded(row) == Facts(
        sex="Masculine",
        age_band="9--17",
        citizenship="PH",
        exploitation=("ForcedLabour", "x-DomesticServitude"),
        means=("x-CtdcThreats",),
        area=UNKNOWN,
        by_hotline=True,
    )


def test_a_row_of_the_other_recoding_becomes_codes_too() -> None:
    row = {
        "gender": "Female",
        "ageBroad": "48+",
        "citizenship": "0",
        "isForcedLabour": "1.0",
        "isSexualExploit": "1.0",
        "CountryOfExploitation": "GB",
    }
    found = coded(row)
    assert found.exploitation == ("ForcedLabour", "SexualExploitation")
    assert (found.citizenship, found.area) == (UNKNOWN, "GB")


def test_an_empty_row_is_unknown_throughout() -> None:
    assert coded({}) == Facts(
        sex="NonSpecifiedUnknown",
        age_band=UNKNOWN,
        citizenship=UNKNOWN,
        exploitation=("x-Unknown",),
        means=("x-Unknown",),
        area=UNKNOWN,
        by_hotline=False,
    )


def test_a_file_is_read_row_by_row(tmp_path: Path) -> None:
    file = tmp_path / "invented.csv"
    file.write_text("index,gender,ageBroad,citizenship\n0,Female,21--23,MD\n1,Male,,\n", "utf-8")
    rows = read_facts(file)
    assert next(rows).citizenship == "MD"
    assert next(rows).age_band == UNKNOWN
    assert next(rows, None) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "CSV_COLUMNS"),
        ("gender,ageBroad\nFemale,48+\n", "CSV_COLUMNS"),
        ("gender,ageBroad,citizenship\n" + "x" * 200_000, "CSV_UNREADABLE"),
    ],
    ids=["empty", "a column is missing", "a field without end"],
)
def test_a_file_that_is_no_such_csv_is_refused(tmp_path: Path, text: str, code: str) -> None:
    file = tmp_path / "invented.csv"
    file.write_text(text, "utf-8")
    with pytest.raises(Malformed) as refused:
        list(read_facts(file))
    assert refused.value.code == code


def test_hostile_values_of_a_file_never_reach_a_clear_field(tmp_path: Path) -> None:
    hostile = {"gender": TOKENS[0], "ageBroad": TOKENS[1], "citizenship": TOKENS[2]}
    one = story(0, coded(hostile), 1, NOW)
    assert TOKENS[0] not in str(coded(hostile))
    assert play(one)[0].version > 0


def test_invented_facts_follow_the_published_frequencies() -> None:
    rng = Random(3)  # noqa: S311 - invention
    found = [drawn(rng) for _ in range(4_000)]
    women = sum(f.sex == "Feminine" for f in found) / len(found)
    assert abs(women - 35_506 / 48_773) < 0.03
    assert Counter(f.citizenship for f in found).most_common(1)[0][0] == "PH"


def test_the_number_of_a_case_changes_its_story_even_for_equal_facts() -> None:
    assert story(1, ADULT, 1, NOW).case_id != story(2, ADULT, 1, NOW).case_id


def test_every_agency_of_the_cast_is_in_force_with_words_of_the_vocabulary() -> None:
    assert len(CAST) == 5
    for member in CAST:
        standing = world().standing(member.id, NOW)
        assert standing.active
        assert set(Role).issuperset(standing.roles)
        assert set(Purpose).issuperset(standing.purposes)


def test_a_contact_is_never_open_to_the_police_for_support() -> None:
    roles = world().standing("gb-police", NOW).roles
    support = [role for role, purposes in roles.items() if "protection_support" in purposes]
    ceilings = world().policy.ceilings
    assert not any(ceilings[role, "protection_support"] & Category.CONTACT.bit for role in support)
