"""Events as the hub showed them, in columns that the custodian's and the gateways' tables share."""

import sqlite3

from domain.messages import Shown

COLUMNS = (
    "type TEXT NOT NULL, record BLOB NOT NULL, statement BLOB NOT NULL, signature BLOB NOT NULL,"
    " recorded_ms INTEGER NOT NULL"
)


def columns_of(event: Shown) -> tuple[str, bytes, bytes, bytes, int]:
    """Return the values of the `COLUMNS` of `event`."""
    return event.type, event.record, event.statement, event.signature, event.recorded_ms


def shown(r: sqlite3.Row) -> Shown:
    """Return the event of a row."""
    return Shown(
        type=r["type"],
        record=r["record"],
        statement=r["statement"],
        signature=r["signature"],
        recorded_ms=r["recorded_ms"],
    )
