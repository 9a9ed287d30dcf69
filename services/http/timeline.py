"""What a case worker sees of a case: pure functions from a gateway's documents to words.

What could not be opened is named by category and never as an error; what was tampered with is.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.vocabulary import Category
from services.http import words
from services.http.standing import (
    ConsentView,
    Document,
    WaitingView,
    bases_of,
    basis_words,
    consents,
    waiting,
)

CategoryOf = Callable[[str, str], Category | None]
"""(event name, field) -> its category, if any schema of that name has the field."""

ALARMS = frozenset({"BAD_TAG", "BAD_HEADER", "KEY_SUBSTITUTED"})
NO_NAME = "identity not shared with you"
UNNAMED = "no identity recorded yet"
_HIDDEN = frozenset({"KeyEpochOpened"})
_IDENTITY = frozenset({"PersonIdentityRecorded", "PersonIdentityCorrected"})
_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of text of one direction of writing, and what it is called if it has a name."""

    text: str
    label: str = ""


Line = tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldView:
    """A field that could be opened."""

    label: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutView:
    """Fields of one category that stay shut for one reason."""

    category: str
    count: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """One event in plain words."""

    event_id: str
    title: str
    agency: str
    own: bool
    when: str
    happened: str
    """When it happened, if that is not when it was recorded."""
    fields: tuple[FieldView, ...]
    shut: tuple[ShutView, ...]
    alarms: tuple[str, ...]
    """One sentence a field that is not what its writer committed to."""
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseView:
    """Everything of one case that the console shows."""

    case_id: str
    short: str
    person: str | None
    """The person's name, or None when it cannot be shown."""
    no_name: str
    events: tuple[EventView, ...]
    waiting: tuple[WaitingView, ...]
    consents: tuple[ConsentView, ...]
    alarms: int


def case_view(
    case_id: str, documents: Sequence[Document], agency: str, now: int, category_of: CategoryOf
) -> CaseView:
    """Return the view of a case for `agency` at `now` (ms); `documents` in order of recording."""
    shown = [d for d in documents if d["type"] not in _HIDDEN]
    bases = bases_of(shown)
    events = tuple(event_view(d, bases, category_of) for d in shown)
    own_unnamed = any(d["own"] for d in shown) and not any(d["type"] in _IDENTITY for d in shown)
    return CaseView(
        case_id=case_id,
        short=words.short(case_id),
        person=person(shown),
        no_name=UNNAMED if own_unnamed else NO_NAME,
        events=events,
        waiting=waiting(shown, agency, now),
        consents=consents(shown, now),
        alarms=sum(len(e.alarms) for e in events),
    )


def event_view(document: Document, bases: Mapping[str, str], category_of: CategoryOf) -> EventView:
    """Return one event in words; `bases` gives the basis of each act of consent by id."""
    name, recorded = document["type"], document["recorded_ms"]
    happened = words.instant(document["occurred_at"])
    return EventView(
        event_id=document["event_id"],
        title=words.title(name),
        agency=document["agency"],
        own=document["own"],
        when=words.when(recorded),
        happened=words.when(happened) if abs(happened - recorded) > _MINUTE_MS else "",
        fields=tuple(
            FieldView(label=words.label(field), lines=lines(name, field, value))
            for field, value in document["fields"].items()
        ),
        shut=_shut(document, category_of),
        alarms=tuple(
            f"{words.label(field)} is not what {document['agency']} sealed ({code}). "
            "Do not rely on this record; tell your data protection officer."
            for field, code in document["shut"].items()
            if code in ALARMS
        ),
        basis=_basis(document, bases),
    )


def person(documents: Sequence[Document]) -> str | None:
    """Return the newest name that could be opened, as the person writes it."""
    for document in reversed(documents):
        fields = document["fields"]
        parts = [*fields.get("given_names", ()), *fields.get("family_names", ())]
        if document["type"] in _IDENTITY and parts:
            return " ".join(parts)
    return None


def lines(event: str, field: str, value: Any) -> tuple[Line, ...]:
    """Return a value as lines of text: one an item of a list."""
    match value:
        case []:
            return ((Part("None"),),)
        case [*items]:
            return tuple(line for item in items for line in lines(event, field, item))
        case Mapping():
            return (_named(event, value),)
        case _:
            return ((Part(_text(event, field, value)),),)


def _named(event: str, value: Mapping[str, Any]) -> Line:
    given = [(k, v) for k, v in value.items() if v is not None]
    return tuple(
        Part(part.text, words.label(key))
        for key, item in given
        for line in lines(event, key, item)
        for part in line
    )


def _text(event: str, field: str, value: Any) -> str:
    match value:
        case None:
            return words.NULLS.get(field, "Not said")
        case bool():
            return "Yes" if value else "No"
        case str() if field == "evidence":
            return "On file with the agency that recorded it"
        case str() if words.is_time(field):
            return words.when(words.instant(value))
        case str() if words.is_code(event, field):
            return words.code(field, value)
        case str() if words.is_id(value):
            return words.short(value)
        case _:
            return str(value)


def _shut(document: Document, category_of: CategoryOf) -> tuple[ShutView, ...]:
    groups: Counter[tuple[str, str]] = Counter()
    for field, code in document["shut"].items():
        if code not in ALARMS:
            category = category_of(document["type"], field)
            name = category.name if category else ""
            groups[name, _note(code, shown=name in document["categories"])] += 1
    return tuple(
        ShutView(category=name.capitalize() or "Other", count=count, note=note)
        for (name, note), count in groups.items()
    )


def _note(code: str, *, shown: bool) -> str:
    if code == "ERASED":
        return "erased"
    return "shared, the key is on its way" if code == "NO_KEY" and shown else "not shared with you"


def _basis(document: Document, bases: Mapping[str, str]) -> str:
    if document["own"]:
        return "Written by your agency"
    rests_on = document["basis"].split()
    if not rests_on:
        return ""
    return "Shown by " + ", ".join(basis_words(item, bases) for item in rests_on)
