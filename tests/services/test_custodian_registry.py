"""Given the registry as the hub sends it, keys are wrapped to what the trail shows as well."""

from dataclasses import replace
from typing import Any

import pytest

from adapters.sqlite.custody import SqliteCustody
from domain import events as ev
from domain.approval import approval_message
from domain.errors import Malformed, NotAuthentic, Unavailable
from domain.events import REGISTRY_STREAM
from domain.messages import FollowedItem, Shown
from domain.trail.entry import Entry
from domain.trail.statement import Kind, digest
from schemas.layout import layout
from services.custodian.registry import ShownRegistry
from services.directory import Directory
from tests import agencies as a
from tests.builders import uid
from tests.services.custodian_trail import Custodian, Told
from tests.trail.signed import LANGUAGE, OPERATOR, REGISTRARS, SIGNING, public
from tests.vectors import key

TYPES = {layout(type).shape.number: type for type in LANGUAGE.types()}
LATER = 1 << 50


class Hub(Told):
    """A trail with the facts of a registry, and what the hub sends of them."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[FollowedItem] = []

    def add(self, label: str, kind: Kind = Kind.ACTION, **more: Any) -> bytes:
        if more.get("case_id") != REGISTRY_STREAM or more.get("code"):
            return super().add(label, kind, **more)
        type, body = TYPES[more["type"]], more["body"]
        record, shape = LANGUAGE.record(type, body), LANGUAGE.shape(type)
        about: dict[str, Any] = {"field_count": len(record.fields), "fields": record.fields_root}
        made = super().add(label, kind, schema=shape.seal_fp, **about, **more)
        entry, seq = Entry.decode(self.leaves[-1][0]), len(self.sent) + 1
        signed = {"statement": entry.statement, "signature": entry.signature}
        event = Shown(type=type, record=body, recorded_ms=entry.recorded_ms, **signed)
        self.sent.append(FollowedItem(position=seq, case_id=REGISTRY_STREAM, seq=seq, event=event))
        return made


@pytest.fixture
def hub() -> Hub:
    hub = Hub()
    hub.agency(a.REFUGE)
    hub.epoch()
    return hub


def registry(custody: SqliteCustody | None = None) -> ShownRegistry:
    directory = Directory(LANGUAGE, {r: public(r) for r in REGISTRARS}, SIGNING.verify)
    return ShownRegistry(directory, custody or SqliteCustody(""), LANGUAGE)


def following(hub: Hub, custody: SqliteCustody | None = None) -> ShownRegistry:
    """Return the registry of a custodian that followed the hub up to now."""
    followed = registry(custody)
    for item in hub.sent:
        followed.take(item)
    return followed


async def test_a_key_counts_once_the_trail_shows_it(hub: Hub) -> None:
    custodian, known = Custodian(hub), following(hub)
    assert not known.shows(a.REFUGE, LATER)
    known.show(await custodian.facts())
    assert known.shows(a.REFUGE, LATER)
    hub.agency(a.POLICE)
    for item in hub.sent:
        known.take(item)
    known.show(await Custodian(before(hub)).facts())
    assert known.shows(a.REFUGE, LATER), "what was shown stays"
    assert not known.shows(a.POLICE, LATER)
    hub.epoch()
    known.show(await custodian.facts())
    assert known.shows(a.POLICE, LATER)


async def test_what_another_log_showed_counts_no_more_once_this_one_is_followed(hub: Hub) -> None:
    """Given a split view after which people follow the log that lacks the newest facts."""
    hub.agency(a.POLICE)
    hub.epoch()
    custody = SqliteCustody("")
    known = following(hub, custody)
    known.show(await Custodian(hub).facts())
    assert known.shows(a.POLICE, LATER)
    known.show(await Custodian(before(hub)).facts())
    for one in (known, following(hub, custody)):
        assert not one.shows(a.POLICE, LATER)


def before(hub: Hub) -> Told:
    """Return the trail of the hub as it was at its newest EPOCH."""
    told = Hub()
    told.agency(a.REFUGE)
    told.epoch()
    assert hub.leaves[: told.size] == told.leaves
    return told


async def test_a_key_that_takes_the_place_of_another_counts_once_it_is_shown(hub: Hub) -> None:
    custodian, known = Custodian(hub), following(hub)
    known.show(await custodian.facts())
    old = key_of(a.REFUGE)
    event = replace(
        old,
        head=replace(old.head, event_id=uid(f"fact {hub.size}")),
        signing_key=public("another key"),
        opening_key=key_of(a.POLICE).opening_key,
        previous=digest(public(a.REFUGE)),
    )
    signature = SIGNING.sign(key(a.REFUGE), approval_message(event))
    hub.fact(replace(event, previous_signature=signature))
    known.take(hub.sent[-1])
    assert known.directory.registry.opening_key(a.REFUGE, LATER) == event.opening_key
    assert not known.shows(a.REFUGE, LATER)
    hub.epoch()
    known.show(await custodian.facts())
    assert known.shows(a.REFUGE, LATER)


def key_of(agency: str) -> ev.AgencyKeyPublished:
    return next(f for f in a.facts(agency) if isinstance(f, ev.AgencyKeyPublished))


async def test_an_agency_without_a_key_waits_for_none(hub: Hub) -> None:
    assert following(hub).shows("nobody", LATER)


async def test_a_fact_that_the_trail_has_otherwise_lets_nothing_go(hub: Hub) -> None:
    """Given registrars who signed two facts, one for the custodian alone, then it is found."""
    other = Hub()
    other.agency(a.POLICE)
    known = following(other)
    with pytest.raises(NotAuthentic, match="REGISTRY_DIFFERS"):
        known.show(await Custodian(hub).facts())
    assert not known.shows(a.POLICE, LATER)


async def test_a_hub_that_holds_facts_back_lets_nothing_go(hub: Hub) -> None:
    facts = await Custodian(hub).facts()
    known = registry()
    for item in hub.sent[:-1]:
        known.take(item)
    with pytest.raises(Unavailable, match="REGISTRY_BEHIND"):
        known.show(facts)
    known.take(hub.sent[-1])
    known.show(facts)
    assert known.shows(a.REFUGE, LATER)


async def test_what_the_coordinator_was_refused_is_no_fact(hub: Hub) -> None:
    hub.add(OPERATOR, body=b"refused", case_id=REGISTRY_STREAM, code="APPROVALS_MISSING")
    hub.agency(a.POLICE)
    hub.epoch()
    known = following(hub)
    known.show(await Custodian(hub).facts())
    assert known.shows(a.POLICE, LATER)


async def test_a_fact_that_stands_nowhere_in_the_log_is_none(hub: Hub) -> None:
    custodian, page = Custodian(hub), hub.stream
    hub.stream = lambda *asked: moved(page(*asked))  # type: ignore[method-assign]
    with pytest.raises(NotAuthentic, match="BAD_INCLUSION"):
        await custodian.facts()


def moved(page: Any) -> Any:
    first, *rest = page.entries
    return replace(page, entries=(replace(first, index=first.index + 1), *rest))


async def test_a_statement_of_the_trail_with_another_fact_beside_it_is_not_taken(hub: Hub) -> None:
    other = Hub()
    other.agency(a.POLICE)
    mixed = replace(hub.sent[0].event, record=other.sent[0].event.record)
    with pytest.raises(Malformed, match="STATEMENT_MISMATCH"):
        registry().take(replace(hub.sent[0], event=mixed))


async def test_what_the_trail_has_shown_is_known_after_a_restart(hub: Hub) -> None:
    custody = SqliteCustody("")
    custody.follow(hub.sent, len(hub.sent))
    registry(custody).show(await Custodian(hub).facts())
    hub.agency(a.POLICE)
    custody.follow(hub.sent, len(hub.sent))
    again = registry(custody)
    assert again.shows(a.REFUGE, LATER)
    assert not again.shows(a.POLICE, LATER), "that one came after"
