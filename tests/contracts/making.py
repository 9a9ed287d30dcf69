"""Rows for the stores: valid statements, and around them bytes that nobody opens."""

from dataclasses import replace
from typing import Any

from domain.messages import FollowedItem, Shown
from domain.ports import Recorded, Refusal
from domain.trail.statement import ZEROS, Kind, Statement, actor_id, stream_tag
from tests.agencies import sha
from tests.builders import CASE, uid

TYPE, OTHER_TYPE = "nrm.v1.CaseOpened", "nrm.v1.ConsentGiven"


def actor(label: str) -> bytes:
    return actor_id(sha(label))


def statement(label: str, *, by: str = "agency", seq: int = 0, case_id: str = CASE) -> bytes:
    """Return the statement number `seq` of an actor; `label` makes its bytes its own."""
    return Statement(
        kind=Kind.ACTION,
        type=1,
        stream=stream_tag(case_id),
        after=ZEROS,
        actor=actor(by),
        actor_seq=seq,
        actor_prev=ZEROS,
        actor_time_ms=seq,
        schema=sha("schema"),
        field_count=1,
        fields=sha(f"fields of {label}"),
        payload=sha(f"payload of {label}"),
        seen_size=0,
        seen_root=ZEROS,
    ).encode()


def recorded(label: str, version: int = 1, **changes: Any) -> Recorded:
    """Return the event `label`, whose id is made from it."""
    case_id = changes.get("case_id", CASE)
    row = Recorded(
        position=0,
        event_id=uid(label),
        case_id=case_id,
        version=version,
        type=TYPE,
        body=f"body of {label}".encode(),
        statement=statement(label, seq=version, case_id=case_id),
        signature=(2 * sha(label)),
        recorded_ms=version,
    )
    return replace(row, **changes)


def refusal(label: str, **changes: Any) -> Refusal:
    row = Refusal(
        event_id=uid(label),
        statement=statement(label, seq=9),
        signature=2 * sha(label),
        recorded_ms=9,
        code="CONSENT_MISSING",
    )
    return replace(row, **changes)


def followed(label: str, seq: int, case_id: str = CASE) -> FollowedItem:
    said = statement(label, case_id=case_id)
    event = Shown(
        type=TYPE, record=label.encode(), statement=said, signature=2 * sha(label), recorded_ms=seq
    )
    return FollowedItem(position=10 * seq, case_id=case_id, seq=seq, event=event)
