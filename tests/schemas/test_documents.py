"""JSON documents against the clear view: strict, by path, and silent about values."""

from typing import Any

import pytest

from domain.errors import Malformed
from domain.record import Field
from schemas.language import MAX_CLEAR
from tests.schemas.builders import INSTANT, LANGUAGE, TYPES, UUID, example, sealed_record

SENT = "nrm.v1.ReferralSent"
RECORDED = "nrm.v1.PersonIdentityRecorded"
INTO_NRM = "nrm.v1.ReferralIntoNrmSubmitted"


def opened(type: str, fields: tuple[Field, ...]) -> dict[str, Any]:
    return LANGUAGE.opened(type, {f.path: f.value for f in fields})


def changed(type: str, path: str, value: Any) -> dict[str, Any]:
    """The example of `type` with another value at `path`."""
    document = example(type)
    *parents, last = path.split(".")
    node: Any = document
    for key in parents:
        node = node[int(key) if key.isdigit() else key]
    node[last] = value
    return document


@pytest.mark.parametrize("type", [t for t in TYPES if t != "nrm.v1.SafeContactSet"])
def test_what_was_written_is_what_is_opened(type: str) -> None:
    assert opened(type, LANGUAGE.clear(type, example(type))) == example(type)


def test_fields_come_in_the_order_of_the_schema_whatever_the_document() -> None:
    document = dict(reversed(example(SENT).items()))

    fields = LANGUAGE.clear(SENT, document)

    assert [(f.path, f.category) for f in fields] == list(LANGUAGE.shape(SENT).fields)
    assert not any(f.withheld for f in fields)


def test_null_may_be_left_out() -> None:
    document = example(RECORDED)
    del document["birth_date"]

    assert LANGUAGE.clear(RECORDED, document) == LANGUAGE.clear(
        RECORDED, document | {"birth_date": None}
    )


REFUSED = {
    "a name that is a number": (RECORDED, "given_names", [7], "FIELD_TYPE", "given_names[]"),
    "a list that is a text": (RECORDED, "given_names", "Invented", "FIELD_TYPE", "given_names"),
    "null where something must be": (SENT, "reason", None, "FIELD_TYPE", "reason"),
    "half a surrogate": (SENT, "reason", "\ud800", "FIELD_TYPE", "reason"),
    "a number for true": ("nrm.v1.SignalReceived", "immediate_danger", 1, "FIELD_TYPE", ""),
    "true for a number": (INTO_NRM, "others_affected", True, "FIELD_TYPE", "others_affected"),
    "a fraction": (INTO_NRM, "others_affected", 1.0, "FIELD_TYPE", "others_affected"),
    "a number over 31 bits": (INTO_NRM, "others_affected", 2**31, "INTEGER_RANGE", ""),
    "a document part that is a list": (INTO_NRM, "statistics", [], "FIELD_TYPE", "statistics"),
    "an unknown part of a part": (INTO_NRM, "statistics.shoe", 1, "FIELD_UNKNOWN", "statistics"),
    "a time without an offset": (SENT, "answer_due_at", "2024-05-03T10:00:00", "FIELD_TYPE", ""),
    "a date": (SENT, "answer_due_at", "2024-05-03", "FIELD_TYPE", "answer_due_at"),
    "a time that is no time": (SENT, "answer_due_at", "soon", "FIELD_TYPE", "answer_due_at"),
    "a time that is a list": (SENT, "answer_due_at", [], "FIELD_TYPE", "answer_due_at"),
    "an instant of no year": (SENT, "answer_due_at", 2**80, "TIME_RANGE", "answer_due_at"),
    "a UUID in capitals": (SENT, "referral_id", UUID.upper(), "NOT_A_UUID", "referral_id"),
    "a control character in clear": (SENT, "to", "a\x00", "CONTROL_CHARACTER", "to"),
    "text over 4 KiB in clear": (SENT, "head.agency", "a" * 4097, "TEXT_TOO_LONG", "head.agency"),
    "text over 256 KiB": (SENT, "reason", "a" * (256 * 1024 + 1), "TEXT_TOO_LONG", "reason"),
    "bytes that are not base64": (
        "nrm.v1.AgencyKeyPublished",
        "signing_key",
        "*",
        "FIELD_TYPE",
        "",
    ),
    "a digest that is too short": ("nrm.v1.ConsentGiven", "evidence", "YQ==", "FIELD_TYPE", ""),
    "bytes that are a number": ("nrm.v1.ConsentGiven", "evidence", 5, "FIELD_TYPE", "evidence"),
    "a field nobody knows": (SENT, "shoe_size", 44, "FIELD_UNKNOWN", "the document"),
    "a field whose name is a number": (SENT, "head", {1: 2}, "FIELD_UNKNOWN", "head"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_document_is_refused_for(name: str) -> None:
    type, path, value, code, named = REFUSED[name]

    with pytest.raises(Malformed) as refusal:
        LANGUAGE.clear(type, changed(type, path, value))

    assert refusal.value.code == code
    assert named in refusal.value.message


@pytest.mark.parametrize("path", ["reason", "head", "head.case_id", "referral_id"])
def test_a_missing_field_is_named_by_its_path(path: str) -> None:
    document = example(SENT)
    *parents, last = path.split(".")
    del (document[parents[0]] if parents else document)[last]

    with pytest.raises(Malformed) as refusal:
        LANGUAGE.clear(SENT, document)

    assert (refusal.value.code, refusal.value.message) == ("FIELD_MISSING", f"{path} is missing")


@pytest.mark.parametrize("document", [[], "text", None, 5])
def test_a_document_that_is_no_object_is_refused(document: Any) -> None:
    with pytest.raises(Malformed, match="FIELD_TYPE"):
        LANGUAGE.clear(SENT, document)


def test_a_document_deeper_than_eight_levels_is_refused() -> None:
    def nested(levels: int) -> dict[str, Any]:
        deep: Any = []
        for _ in range(levels - 2):
            deep = [deep]
        return example(SENT) | {"reason": deep}

    with pytest.raises(Malformed, match="FIELD_TYPE"):
        LANGUAGE.clear(SENT, nested(8))
    for levels in (9, 100_000):
        with pytest.raises(Malformed, match="TOO_DEEP"):
            LANGUAGE.clear(SENT, nested(levels))


@pytest.mark.parametrize("value", ["a" * (1 << 20), ["a" * 1000] * 1100, [0] * (1 << 20)])
def test_a_document_over_a_mebibyte_is_refused(value: Any) -> None:
    with pytest.raises(Malformed, match="TOO_LARGE"):
        LANGUAGE.clear(RECORDED, example(RECORDED) | {"given_names": value})


def test_routing_fields_hold_what_a_body_may_hold_in_clear() -> None:
    type = "nrm.v1.AgencyDesignated"
    for count, fits in ((15, True), (16, False)):
        document = example(type) | {"purposes": ["a" * 4096] * count}
        if fits:
            record = sealed_record(type, document)
            assert LANGUAGE.record(type, LANGUAGE.body(record)) == record
        else:
            with pytest.raises(Malformed, match="TOO_LARGE"):
                LANGUAGE.clear(type, document)


def test_fields_that_could_not_be_sealed_into_a_body_are_refused() -> None:
    document = example(RECORDED) | {"given_names": ["\u00e9" * 100_000] * 5}

    with pytest.raises(Malformed, match=f"TOO_LARGE: .*{MAX_CLEAR}"):
        LANGUAGE.clear(RECORDED, document)


@pytest.mark.parametrize(
    "written",
    [INSTANT, "2024-05-03T12:00:00+02:00", "2024-05-03T10:00:00.000999Z", 1_714_730_400_000],
)
def test_an_instant_may_be_written_in_several_ways_and_is_shown_in_one(written: Any) -> None:
    fields = LANGUAGE.clear(SENT, example(SENT) | {"answer_due_at": written})

    assert opened(SENT, fields)["answer_due_at"] == INSTANT


@pytest.mark.parametrize("written", ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"])
def test_the_ends_of_the_calendar_come_back(written: str) -> None:
    fields = LANGUAGE.clear(SENT, example(SENT) | {"answer_due_at": written})

    assert opened(SENT, fields)["answer_due_at"] == written


def test_narrative_may_hold_lines_and_any_script() -> None:
    text = "First line\nSecond line\t\u0627\u0644\u0633\u0637\u0631 \u7b2c\u4e09\u884c"
    fields = LANGUAGE.clear(SENT, example(SENT) | {"reason": text})

    assert opened(SENT, fields)["reason"] == text


def test_the_trailing_space_of_a_published_code_is_dropped() -> None:
    document = example(INTO_NRM) | {"means_of_control": ["DebtBondage "]}

    assert opened(INTO_NRM, LANGUAGE.clear(INTO_NRM, document))["means_of_control"] == [
        "DebtBondage"
    ]


def test_unknown_codes_are_reported_and_kept() -> None:
    document = example(INTO_NRM) | {
        "age_group": "adult",
        "exploitation": ["ForcedLabour", "x-ForcedCriminality", "x-NotYetListed"],
        "means_of_control": ["DebtBondage "],
        "statistics": {
            "sex": "Feminine",
            "age_band": "18--20",
            "citizenship": "romania",
            "exploitation": ["ForcedLabour"],
            "area": "unknown",
        },
    }
    document["head"]["legal_basis"] = "GB.MSA2015.S52"

    assert LANGUAGE.unknown_codes(INTO_NRM, document) == (
        ("exploitation[]", "x-NotYetListed"),
        ("statistics.citizenship", "romania"),
    )
    assert (
        opened(INTO_NRM, LANGUAGE.clear(INTO_NRM, document))["exploitation"][2] == "x-NotYetListed"
    )


def test_looking_for_unknown_codes_takes_any_document() -> None:
    assert LANGUAGE.unknown_codes(INTO_NRM, {"exploitation": 5, "statistics": ["x"]}) == ()


def test_what_could_not_be_opened_is_absent() -> None:
    reason = LANGUAGE.clear(SENT, example(SENT))[-1]

    assert LANGUAGE.opened(SENT, {}) == {}
    assert LANGUAGE.opened(SENT, {"reason": reason.value}) == {"reason": "invented"}


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("reason", b"", "NOT_AVRO"),
        ("reason", b"\x02a\x00", "TRAILING_BYTES"),
        ("reason", b"\x82\x00a", "NOT_CANONICAL"),
        ("referral_id", b"\x02a", "NOT_A_UUID"),
        ("shoe_size", b"\x02", "FIELD_UNKNOWN"),
    ],
)
def test_sealed_bytes_that_do_not_hold_the_field_are_refused(
    path: str, value: bytes, code: str
) -> None:
    with pytest.raises(Malformed, match=code):
        LANGUAGE.opened(SENT, {path: value})


def test_no_refusal_repeats_what_was_written() -> None:
    name = "Invented Person"
    for path, value in (
        ("given_names", [{name: name}]),
        ("birth_date", [name]),
        (name, name),
    ):
        with pytest.raises(Malformed) as refusal:
            LANGUAGE.clear(RECORDED, example(RECORDED) | {path: value})
        assert name not in str(refusal.value)
