"""The demo's world without processes: the rules themselves, and records with placeholders."""

import hashlib
from functools import cache
from importlib.resources import files

from domain import agency as registry
from domain import events as ev
from domain.case import Case
from domain.errors import Refused
from domain.fold import evolve
from domain.policy import parse_policy
from domain.record import Field, Record
from domain.rules.decide import decide
from domain.rules.world import World
from domain.vocabulary import Category
from schemas.language import AvroLanguage
from services.demo.cast import CAST
from services.demo.script import ACCEPTED, Step, Story
from services.members import Member

NOW = 1_780_000_000_000
LATER = NOW + 3_600_000
"""When the last cases of a long run are played: the stories do not depend on its length."""
LANGUAGE = AvroLanguage()


@cache
def world() -> World:
    text = (files("domain.policies") / "gb-2026.toml").read_text("utf-8")
    policy = parse_policy(text)
    facts = [fact for member in CAST for fact in _facts(member)]
    return World(
        registry=registry.replay((fact, NOW - 1) for fact in facts),
        policies={policy.id: policy},
        home=policy.country,
        policy_id=policy.id,
    )


def _facts(member: Member) -> list[ev.RegistryEvent]:
    key, head = f"demo {member.id}".encode(), _head("", "", member.id, "")
    registered = ev.AgencyRegistered(
        head=head, agency=member.id, name=member.name, country=member.country, approvals=()
    )
    keys = ev.AgencyKeyPublished(
        head=head,
        agency=member.id,
        signing_key=hashlib.sha256(key).digest(),
        opening_key=hashlib.shake_256(key).digest(registry.OPENING_KEY_SIZE),
        valid_from=0,
        previous=None,
        previous_signature=None,
        approvals=(),
    )
    designations = [
        ev.AgencyDesignated(
            head=head,
            agency=member.id,
            role=role,
            purposes=purposes,
            valid_from=0,
            valid_to=None,
            designated_by="",
            approvals=(),
        )
        for role, purposes in member.roles.items()
    ]
    return [registered, keys, *designations]


def _head(event_id: str, case_id: str, agency: str, legal_basis: str) -> ev.Head:
    return ev.Head(
        event_id=event_id,
        case_id=case_id,
        agency=agency,
        occurred_at=NOW,
        policy="gb-2026.1",
        legal_basis=legal_basis,
    )


def clear(story: Story, place: int) -> tuple[str, tuple[Field, ...]]:
    """Type and clear fields of one step, through the published schema."""
    step = story.steps[place]
    type = LANGUAGE.newest(step.type)
    head = {
        "event_id": story.command_id(place),
        "case_id": story.case_id,
        "agency": step.agency,
        "occurred_at": NOW,
        "policy": "gb-2026.1",
        "legal_basis": step.legal_basis,
    }
    return type, LANGUAGE.clear(type, {**step.fields, "head": head})


def record(story: Story, place: int) -> Record:
    """The record of one step, with placeholders where the sealed bytes would be."""
    type, fields = clear(story, place)
    placed = (
        f
        if f.category is Category.ROUTING
        else Field(f.path, f.category, b"\xe1" + hashlib.sha512(f.path.encode()).digest())
        for f in fields
    )
    return Record(type, tuple(placed))


def event(story: Story, place: int) -> ev.CaseEvent:
    found = LANGUAGE.event(record(story, place))
    assert not isinstance(found, ev.RegistryEvent)
    return found


def answer(said: ev.CaseEvent, case: Case, at: int) -> str:
    """What the rules say to the event: accepted, or the code of the refusal."""
    try:
        decide(said, case, world(), at)
    except Refused as e:
        return e.code
    return ACCEPTED


def play(story: Story, at: int = NOW) -> tuple[Case, list[tuple[Step, str]]]:
    """The case at the end, and each step with its answer."""
    case, answers = Case(id=story.case_id), []
    for place, step in enumerate(story.steps):
        said = event(story, place)
        answers.append((step, answer(said, case, at)))
        if answers[-1][1] == ACCEPTED:
            case = evolve(case, said, at)
    return case, answers
