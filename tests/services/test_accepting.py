"""The hub's one writer: batches verified on threads, ahead of the one that is committed."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from adapters.sqlite.event_store import SqliteEventStore
from domain import events as ev
from domain.action import Action, Outcome
from domain.trail.statement import (
    Kind,
    Statement,
    disclosure_stream,
    signed_bytes,
    stream_tag,
)
from services.bootstrap import COORDINATOR, Parts, Settings, now_ms
from tests.bench.cases import WrittenCase
from tests.bench.ledger import put, running, writer
from tests.bench.town import Town
from tests.builders import uid


def submitted(
    town: Town, store: SqliteEventStore, sent: Sequence[Sequence[Action]]
) -> list[Outcome]:
    """Return the answers to the actions of each opener of the town, all submitted at once."""

    async def run() -> list[Outcome]:
        async with running(writer(town, store)) as accepting:
            await put(accepting, ((COORDINATOR, fact) for fact in town.facts()))
            calls = zip(town.openers, sent, strict=True)
            answered = [accepting.submit(actions, agency) for agency, actions in calls]
            return [outcome for mine in await asyncio.gather(*answered) for outcome in mine]

    return asyncio.run(run())


def openings(town: Town, agency: str, cases: int) -> list[Action]:
    """Return an agency's next actions: the openings of so many cases."""
    written = [WrittenCase(town, agency, town.providers[0]) for _ in range(cases)]
    return [action for case in written for step in case.opening() for _, action in step]


def test_a_signature_that_does_not_hold_refuses_its_own_action_alone(tmp_path: Path) -> None:
    town = Town(Parts(Settings(data=tmp_path)), 40, 1)
    firsts = [openings(town, agency, 1)[0] for agency in town.openers]
    forged = [replace(a, signature=bytes(64)) if n % 3 == 1 else a for n, a in enumerate(firsts)]

    outcomes = submitted(town, SqliteEventStore(""), [[action] for action in forged])

    assert [o.code for o in outcomes] == [
        "BAD_SIGNATURE" if n % 3 == 1 else None for n in range(40)
    ]


def test_actions_over_many_batches_are_recorded_in_their_order(tmp_path: Path) -> None:
    town = Town(Parts(Settings(data=tmp_path)), 2, 1)
    sent = [openings(town, agency, 60) for agency in town.openers]
    store = SqliteEventStore("")

    outcomes = submitted(town, store, sent)

    assert all(outcome.accepted for outcome in outcomes)
    log = [(Statement.decode(e.statement).actor, e.event_id) for e in store.read_log(0, 2_000)]
    for actions in sent:
        actor = Statement.decode(actions[0].statement).actor
        assert [i for a, i in log if a == actor] == [action.event_id for action in actions]


def signed(town: Town, agency: str, **changes: Any) -> Action:
    """Return an agency's next action, signed with other parts in its statement."""
    action = openings(town, agency, 1)[0]
    said = Statement.decode(action.statement)._replace(**changes).encode()
    signature = town.parts.signing.sign(town.seed(agency).reveal(), signed_bytes(said))
    return replace(action, statement=said, signature=signature)


@pytest.mark.parametrize("kind", [0, *(k for k in Kind if k != Kind.ACTION), 255])
def test_a_statement_that_is_no_action_leaves_nothing(tmp_path: Path, kind: int) -> None:
    """The trail has no place for it, not even as a refusal: it would stop for everybody."""
    town, store = Town(Parts(Settings(data=tmp_path)), 1, 1), SqliteEventStore("")
    (outcome,) = submitted(town, store, [[signed(town, town.openers[0], kind=kind)]])
    assert store.read_refusals(0, 1) == []
    assert outcome.code == "STATEMENT_KIND"


def test_who_does_not_write_the_registry_leaves_nothing_in_its_stream(tmp_path: Path) -> None:
    """That stream is whole in every bundle of evidence; refusals in it would fill them all."""
    town, store = Town(Parts(Settings(data=tmp_path)), 1, 1), SqliteEventStore("")
    registry = stream_tag(ev.REGISTRY_STREAM)
    (outcome,) = submitted(town, store, [[signed(town, town.openers[0], stream=registry)]])
    assert store.read_refusals(0, 1) == []
    assert outcome.code == "REGISTRY_WRITER"


@pytest.mark.parametrize("tag", [disclosure_stream, stream_tag])
def test_a_refused_action_lengthens_no_stream_but_that_of_its_own_case(
    tmp_path: Path, tag: Callable[[str], bytes]
) -> None:
    """Else whoever knows a case's id makes its disclosures too long for the custodian to read."""
    town, store = Town(Parts(Settings(data=tmp_path)), 1, 1), SqliteEventStore("")
    submitted(town, store, [[signed(town, town.openers[0], stream=tag(uid("another case")))]])
    assert store.read_refusals(0, 1) == []


def test_an_action_that_waits_behind_its_keys_replacement_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was sent in time and is recorded too late; accepted, it would stop the trail."""
    monkeypatch.setattr("services.hub.accepting.BATCH_ACTIONS", 1)
    monkeypatch.setattr("tests.bench.ledger.now_ms", count(now_ms()).__next__)
    town = Town(Parts(Settings(data=tmp_path)), 1, 1)
    (agency,) = town.openers
    facts, action = town.facts(), openings(town, agency, 1)[0]

    async def run() -> list[Outcome]:
        async with running(writer(town, SqliteEventStore(""))) as accepting:
            await put(accepting, ((COORDINATOR, fact) for fact in facts))
            rotated, acted = await asyncio.gather(
                accepting.submit([town.rotation(agency)], COORDINATOR),
                accepting.submit([action], agency),
            )
            return [*rotated, *acted]

    assert [o.code for o in asyncio.run(run())] == [None, "KEY_NOT_IN_FORCE"]
