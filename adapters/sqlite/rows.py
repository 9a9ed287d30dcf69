"""Rows of the event store in SQLite as ours, and ours as its rows."""

import sqlite3
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from eventsourcing.persistence import Mapper, StoredEvent

from domain.ports import Answer, Recorded, Refusal
from domain.trail import statement
from domain.trail.statement import Statement


class SealedMapper(Mapper[UUID]):
    """Stored topic = Avro full name, stored state = the sealed record's body, nothing added."""

    def __init__(self) -> None:
        """Take no transcoder: the body is already what is stored."""

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """Return the recorder's row of a `Recorded`."""
        event = domain_event
        return StoredEvent(plain(event.case_id), event.version, event.type, event.body)

    def to_domain_event(self, stored_event: Any) -> Any:
        """Return the `Recorded` of a row of an event and its side row."""
        row = stored_event
        return Recorded(
            position=row["position"],
            event_id=row["event_id"],
            case_id=dashed(row["originator_id"]),
            version=row["originator_version"],
            type=row["topic"],
            body=row["state"],
            statement=row["statement"],
            signature=row["signature"],
            recorded_ms=row["recorded_ms"],
            custody_seq=row["custody_seq"],
        )


def plain(case_id: str) -> str:
    """Return a case id as the recorder keeps UUIDs: 32 hex digits."""
    return case_id.replace("-", "")


def dashed(h: str) -> str:
    """Return the UUID that the recorder keeps as 32 hex digits; building a UUID costs 2 us."""
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def refusal(r: sqlite3.Row) -> Refusal:
    """Return the refusal of a row of its table."""
    return Refusal(
        number=r["id"],
        event_id=r["event_id"],
        statement=r["statement"],
        signature=r["signature"],
        recorded_ms=r["recorded_ms"],
        code=r["code"],
    )


def answer(r: sqlite3.Row) -> Answer:
    """Return the first answer of a row of entries or refusals."""
    return Answer(
        statement_digest=statement.digest(r["statement"]),
        actor=Statement.decode(r["statement"]).actor,
        recorded_ms=r["recorded_ms"],
        position=r["position"],
        code=r["code"],
    )


def newest(signed: Iterable[bytes]) -> list[tuple[bytes, int, bytes]]:
    """Return the row of each actor, made from its newest statement in `signed`."""
    found: dict[bytes, tuple[int, bytes]] = {}
    for one in signed:
        said = Statement.decode(one)
        if said.actor not in found or said.actor_seq > found[said.actor][0]:
            found[said.actor] = said.actor_seq, one
    return [(actor, seq, statement.digest(one)) for actor, (seq, one) in found.items()]
