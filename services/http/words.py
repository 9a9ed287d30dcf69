"""The published codes and names in plain English, as the console shows them."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

PURPOSES: Mapping[str, str] = {
    "protection_support": "Protection and support",
    "investigation": "Investigation",
    "prosecution": "Prosecution",
    "health_care": "Health care",
    "legal_aid": "Legal aid",
    "return_or_residence": "Return or residence",
    "compensation": "Compensation",
    "monitoring": "Monitoring",
}
SERVICES: Mapping[str, str] = {
    "accommodation": "Accommodation",
    "medical_care": "Medical care",
    "mental_health_care": "Mental health care",
    "psychosocial_support": "Psychosocial support",
    "legal_advice": "Legal advice",
    "interpretation": "Interpretation",
    "case_management": "Case management",
    "guardianship": "Guardianship",
    "education": "Education",
    "employment": "Work and training",
    "financial_support": "Financial support",
    "compensation_claim": "Help with a claim for compensation",
    "residence_application": "Help with residence",
    "voluntary_return": "Voluntary return",
    "police_protection": "Police protection",
    "other": "Other",
}
URGENCIES: Mapping[str, str] = {
    "routine": "Routine",
    "urgent": "Urgent",
    "emergency": "Emergency",
}
GIVEN_BY: Mapping[str, str] = {
    "self": "The person",
    "legal_guardian": "Legal guardian",
    "appointed_guardian": "Appointed guardian",
    "court": "Court",
    "child_protection": "Child protection authority",
}
DECLINE_REASONS: Mapping[str, str] = {
    "no_capacity": "No capacity",
    "outside_mandate": "Outside the mandate",
    "outside_area": "Outside the area",
    "need_not_met": "The need cannot be met safely",
    "more_information_needed": "More information needed",
    "conflict_of_interest": "Conflict of interest",
    "person_declined": "The person declined",
    "other": "Other",
}
LISTS: Mapping[str, Mapping[str, str]] = {
    "nrm:purpose": PURPOSES,
    "nrm:service": SERVICES,
    "nrm:urgency": URGENCIES,
    "nrm:given_by": GIVEN_BY,
    "nrm:decline_reason": DECLINE_REASONS,
}
"""The code lists that forms offer, word for word as published."""
TRAIL_ALARMS: Mapping[str, str] = {
    "SPLIT_VIEW": "The trail was shown to your agency in two versions that contradict each other.",
    "RECEIPT_MISSING": "An act of your agency that the hub answered is not in the trail.",
    "RECEIPT_FALSE": "An act of your agency is in the trail otherwise than it was done.",
    "FEED_WITHHELD": "Something was recorded as shown to your agency and was not handed out to it.",
    "FEED_UNRECORDED": "Your agency was shown something that is not in the trail.",
    "FEED_DIFFERS": "Your agency was shown something otherwise than it is in the trail.",
    "FEED_REWRITTEN": "Something that your agency had been shown was later shown otherwise.",
    "FEED_SHRUNK": "The trail has less of what your agency was shown than it had before.",
}
"""What happened, by the code of an alarm of the trail."""
TRAIL_WAITS: Mapping[str, str] = {
    "PEER_AWAY": "it did not answer",
    "POLICY_MISSING": "the file that says who must cosign is missing at your gateway",
    "QUORUM": "too few witnesses have cosigned what it shows",
    "SPLIT_VIEW": "two versions of it were shown, and a person has to decide",
    "TRAIL_EMPTY": "nothing is published yet",
}
"""Why the newest look at the trail ended early, by its code."""

CODED = frozenset({
    *("age_band", "age_group", "basis", "categories", "channel", "decision", "exploitation"),
    *("given_by", "grounds", "health_needs", "history", "indicators", "items", "kind"),
    *("means_of_control", "needs", "outcome", "purpose", "purposes", "reason"),
    *("reason_no_consent", "reporter_kind", "result", "risk", "role", "service", "sex"),
    "urgency",
})  # fmt: skip
"""Fields that hold codes; `FREE` and `ALSO` are the exceptions. Free text is never reworded."""
FREE = frozenset({("ReferralSent", "reason")})
ALSO = frozenset({("DecisionServed", "to")})

_FIELD_WORDS = {
    "given_by": GIVEN_BY,
    "reason": DECLINE_REASONS,
    "role": GIVEN_BY,
    "service": SERVICES,
}
_LABELS = {
    "to": "Sent to",
    "words": "In the person's own words",
    "not_before": "Holds from",
    "not_after": "Holds until",
    "served_at": "Served",
    "answer_due_at": "Answer due",
    "decision_due_at": "Decision due",
}
NULLS = {
    "referral_id": "Any of this case",
    "consent_id": "Every consent of this case",
    "guardian_id": "None named",
    "valid_to": "While it lasts",
    "evidence": "None",
}
"""What it means that a field holds nothing, where that says something."""
_TIMES = frozenset({"not_before", "not_after", "valid_from", "valid_to", "history_from"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def title(event: str) -> str:
    """Return an event's name as words: ReferralSent is "Referral sent"."""
    return sentence(_split(event)).replace(" nrm ", " NRM ")


def label(field: str) -> str:
    """Return a field's name as words."""
    plain = field.removesuffix("_id").removesuffix("_at").replace("_", " ")
    return _LABELS.get(field) or sentence(plain)


def code(field: str, value: str) -> str:
    """Return a code as words; a code that no list knows stays readable."""
    known = _FIELD_WORDS.get(field, PURPOSES).get(value)
    return known or sentence(_split(value.removeprefix("x-").replace("_", " ")))


def is_code(event: str, field: str) -> bool:
    """Return whether the texts of a field are codes."""
    return (event, field) in ALSO or (field in CODED and (event, field) not in FREE)


def is_time(field: str) -> bool:
    """Return whether the texts of a field are instants."""
    return field in _TIMES or field.endswith("_at")


def is_id(text: str) -> bool:
    """Return whether `text` is a UUID."""
    return _ID.fullmatch(text) is not None


def short(identifier: str) -> str:
    """Return what people see of an id; random ids differ in their last eight places.

    Ids made by a clock (UUIDv7) begin alike, so it is the end that is shown.
    """
    return identifier[-8:]


def instant(text: str) -> int:
    """Return ISO 8601 with an offset as milliseconds."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)


def when(ms: int) -> str:
    """Return an instant for people, in UTC."""
    at = _EPOCH + timedelta(milliseconds=ms)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def lasting(ms: int) -> str:
    """Return how long something has lasted, in the largest unit of which there are two."""
    minutes = ms // 60_000
    for unit, size in (("day", 1440), ("hour", 60)):
        if minutes >= 2 * size:
            return f"{minutes // size} {unit}s"
    return "1 minute" if minutes == 1 else f"{minutes} minutes"


def trail_alarm(code: str) -> str:
    """Return what an alarm of the trail says; of a code that is not known, what all say."""
    return TRAIL_ALARMS.get(code, "The trail contradicts what your agency saw or did.")


def trail_waits(code: str) -> str:
    """Return why the trail waits, with the code."""
    known = TRAIL_WAITS.get(code)
    return f"{known} ({code})" if known else code


def _split(name: str) -> str:
    """Split CamelCase into lower-case words; a word of capitals stays whole."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()


def sentence(words: str) -> str:
    """Return `words` with a capital letter in front."""
    return words[:1].upper() + words[1:]
