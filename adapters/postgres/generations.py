"""Generations of the feeds: a partition each, and one row that says which is live.

A generation that may be written has a row of progress for every lane. Who takes these rows
away has told its writers: they move lanes that are no more, and begin again elsewhere.
"""

from collections.abc import Mapping, Sequence
from typing import Final, LiteralString

from psycopg import sql

from adapters.postgres.connection import Connection
from domain.errors import Conflict, Refused
from domain.feed import LANES

TABLES: Final[Sequence[LiteralString]] = (
    "CREATE TABLE feed_live (one boolean PRIMARY KEY DEFAULT true CHECK (one),"
    " generation int NOT NULL, newest int NOT NULL)",
    "INSERT INTO feed_live (generation, newest) VALUES (1, 1)",
    "CREATE TABLE feed (generation int, seat int, lane smallint, seq bigint,"
    " position bigint NOT NULL, case_id uuid NOT NULL, mask int NOT NULL, basis text NOT NULL,"
    " supersedes bigint, PRIMARY KEY (generation, seat, lane, seq)) PARTITION BY LIST (generation)",
    "CREATE INDEX feed_case ON feed (generation, case_id)",
    "CREATE TABLE feed_1 PARTITION OF feed FOR VALUES IN (1)",
    # Rows of these are written again and again: room in each page keeps that out of the index.
    "CREATE TABLE feed_heads (generation int, seat int, lane smallint, seq bigint NOT NULL,"
    " PRIMARY KEY (generation, seat, lane)) WITH (fillfactor = 50)",
    "CREATE TABLE feed_progress (generation int, lane smallint, position bigint NOT NULL,"
    " log_offset bigint NOT NULL, PRIMARY KEY (generation, lane)) WITH (fillfactor = 10)",
    f"INSERT INTO feed_progress SELECT 1, lane, 0, 0 FROM generate_series(0, {LANES - 1}) AS lane",
)
_LIVE: Final = "SELECT generation, newest FROM feed_live"
_LANES: Final = "SELECT lane FROM feed_progress WHERE generation = %s"
_BEGUN: Final = (
    f"INSERT INTO feed_progress SELECT %s, lane, 0, 0 FROM generate_series(0, {LANES - 1}) AS lane"
)
_PARTITIONS: Final = (
    "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = 'feed'::regclass"
)
_HEADS: Final = "SELECT seat, lane, seq FROM feed_heads WHERE generation = %s"
_BEHIND: Final = (
    "SELECT FROM feed_progress a JOIN feed_progress b ON b.generation = %s AND b.lane = a.lane"
    " WHERE a.generation = %s AND a.position > b.position LIMIT 1"
)
_DIFFERENT: Final = (
    "SELECT FROM unnest(%s::int[], %s::int[], %s::bigint[], %s::bigint[])"
    " AS part (seat, lane, low, high)"
    " JOIN feed a ON a.generation = %s AND a.seat = part.seat AND a.lane = part.lane"
    " AND a.seq > part.low AND a.seq <= part.high"
    " LEFT JOIN feed b ON b.generation = %s"
    " AND b.seat = a.seat AND b.lane = a.lane AND b.seq = a.seq"
    " WHERE (a.position, a.case_id, a.mask, a.basis, a.supersedes)"
    " IS DISTINCT FROM (b.position, b.case_id, b.mask, b.basis, b.supersedes) LIMIT 1"
)
_SWITCHED: Final = Conflict("FEEDS_SWITCHED", "another generation took its place; begin again")
_Heads = Mapping[tuple[int, int], int]


def make(connection: Connection) -> int:
    """Make an empty generation beside the live one, remove every other; return its number."""
    with connection.transaction():
        # A reader in its query is waited for; not for long, as others wait behind us.
        connection.execute("SET LOCAL lock_timeout = '2s'")
        live, newest = connection.execute(_LIVE + " FOR UPDATE").fetchall()[0]
        made = int(newest) + 1
        # The tables before the rows: a writer that has a row has the table already.
        for (name,) in connection.execute(_PARTITIONS).fetchall():
            if name != f"feed_{live}":
                connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
        partition = sql.SQL("CREATE TABLE {} PARTITION OF feed FOR VALUES IN ({})")
        connection.execute(partition.format(sql.Identifier(f"feed_{made}"), made))
        connection.execute("DELETE FROM feed_progress WHERE generation <> %s", (live,))
        connection.execute("DELETE FROM feed_heads WHERE generation <> %s", (live,))
        connection.execute(_BEGUN, (made,))
        connection.execute("UPDATE feed_live SET newest = %s", (made,))
    return made


def switch(connection: Connection, number: int) -> None:
    """Make generation `number` live, if it has all that the live one has.

    What is there is compared first, so that writers wait only while what came since is.
    """
    with connection.transaction():
        live = _live(connection, _LIVE, number)
        seen = _heads(connection, live)
        _check_not_behind(connection, live, number)
        _check_same(connection, live, number, {}, seen)
    with connection.transaction():
        if _live(connection, _LIVE + " FOR UPDATE", number) != live:
            raise _SWITCHED
        connection.execute(_LANES + " ORDER BY lane FOR UPDATE", (live,))
        _check_not_behind(connection, live, number)
        _check_same(connection, live, number, seen, _heads(connection, live))
        connection.execute("DELETE FROM feed_progress WHERE generation = %s", (live,))
        connection.execute("UPDATE feed_live SET generation = %s", (number,))


def _live(connection: Connection, query: LiteralString, number: int) -> int:
    """Return the live generation, if `number` is the one beside it."""
    live, newest = connection.execute(query).fetchall()[0]
    if newest != number or live == number:
        raise _SWITCHED
    return int(live)


def _heads(connection: Connection, generation: int) -> _Heads:
    return {(r[0], r[1]): r[2] for r in connection.execute(_HEADS, (generation,)).fetchall()}


def _check_not_behind(connection: Connection, live: int, number: int) -> None:
    if connection.execute(_BEHIND, (number, live)).rowcount:
        raise Conflict("FEEDS_BEHIND", "the live feeds came further; project on and retry")


def _check_same(connection: Connection, live: int, number: int, low: _Heads, high: _Heads) -> None:
    """Refuse a generation that has another entry than the live one, from `low` to `high`."""
    parts = [(*place, low.get(place, 0), top) for place, top in high.items()]
    parts = [part for part in parts if part[2] < part[3]]
    columns = [list(column) for column in zip(*parts, strict=True)] or [[], [], [], []]
    if connection.execute(_DIFFERENT, (*columns, live, number)).rowcount:
        message = "the log gives other feeds than the live ones; tell an auditor"
        raise Refused("FEEDS_DIFFER", message)
