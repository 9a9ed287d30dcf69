"""The notary's store in one SQLite file: a tree, its heads, and what readers posted."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock

from adapters.sqlite.connection import connect, ours, transaction
from domain.errors import Conflict
from domain.notary import Changes, Listed, Posted, Sequenced, Sources
from domain.trail.checkpoint import MAX_NUMBER
from domain.trail.delivered import Feed
from domain.trail.heads import Head
from domain.trail.merkle import HASH_SIZE, Range
from domain.trail.statement import Kind, Statement

_TABLES = (
    "CREATE TABLE IF NOT EXISTS trees (size INTEGER PRIMARY KEY, root BLOB NOT NULL,"
    " recorded_ms INTEGER NOT NULL, position INTEGER NOT NULL, refusal INTEGER NOT NULL,"
    " intake INTEGER NOT NULL, nodes BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS heads (name BLOB PRIMARY KEY, count INTEGER NOT NULL,"
    " head BLOB NOT NULL, place INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS feeds (agency TEXT, purpose TEXT, lane INTEGER,"
    " size INTEGER NOT NULL, nodes BLOB NOT NULL,"
    " PRIMARY KEY (agency, purpose, lane)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS seen (actor BLOB PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS streamed (stream BLOB, place INTEGER,"
    " digest BLOB NOT NULL, PRIMARY KEY (stream, place)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS cases (stream BLOB PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS listed (leaf BLOB PRIMARY KEY, stream BLOB NOT NULL,"
    " agency TEXT NOT NULL, place INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS intake (number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " actor BLOB NOT NULL, actor_seq INTEGER NOT NULL, statement BLOB NOT NULL,"
    " signature BLOB NOT NULL, body BLOB NOT NULL, UNIQUE (actor, actor_seq))",
)
# By number, for an actor's index has all that it ever posted. The second byte is the kind.
_CHALLENGES = (
    "SELECT count(*) AS count FROM intake"
    " WHERE number > ? AND +actor = ? AND substr(statement, 2, 1) = ?"
)
_NEWEST = "SELECT * FROM trees ORDER BY size DESC LIMIT 1"


class SqliteNotaryStore:
    """See the port `NotaryStore`."""

    def __init__(self, path: str) -> None:
        """Open or create the store at `path`."""
        self._writer = connect(path, *_TABLES)
        self._writing = Lock()
        # Of its own, so that reading neither waits for a transaction nor sees half of one.
        self._reader = connect(path)

    def close(self) -> None:
        """Close the file."""
        with self._writing:
            self._writer.close()
        self._reader.close()

    def newest(self) -> Sequenced:
        """Return the newest tree."""
        rows = self._rows(_NEWEST)
        return _sequenced(rows[0]) if rows else Sequenced()

    def advance(self, old_size: int, new: Sequenced, changes: Changes) -> None:
        """Make `new` the newest tree, if it still is the one of `old_size`."""
        tree = new.tree
        row = (tree.size, tree.root, new.recorded_ms, *new.sources, b"".join(tree.nodes))
        with self._writing, transaction(self._writer) as db:
            found = db.execute(_NEWEST).fetchone()
            if old_size != (found["size"] if found else 0) or tree.size <= old_size:
                raise Conflict("TREE_MOVED", "another notary went on from this tree; read it")
            db.execute("INSERT INTO trees VALUES (?,?,?,?,?,?,?)", row)
            change(db, changes)

    def root_at(self, size: int) -> bytes | None:
        """Return the root of the tree of `size`, if it was decided on."""
        if size > MAX_NUMBER:  # anybody may claim to have seen it
            return None
        rows = self._rows("SELECT root FROM trees WHERE size = ?", size)
        return bytes(rows[0]["root"]) if rows else None

    def sizes(self, since: int, before: int) -> Sequence[int]:
        """Return the sizes of trees decided on, from `since` on, below `before`."""
        sql = "SELECT size FROM trees WHERE size >= ? AND size < ? ORDER BY size"
        return [r["size"] for r in self._rows(sql, since, before)]

    def heads(self) -> Iterator[tuple[bytes, Head]]:
        """Return key and head of everything in the newest tree's map."""
        for r in self._rows("SELECT * FROM heads"):
            yield r["name"], Head(r["count"], r["head"], r["place"])

    def feeds(self) -> Mapping[Feed, Range]:
        """Return the compact range of each feed."""
        rows = self._rows("SELECT * FROM feeds")
        return {
            Feed(r["agency"], r["purpose"], r["lane"]): _range(r["size"], r["nodes"]) for r in rows
        }

    def seen(self) -> Mapping[bytes, int]:
        """Return the newest size that each actor has seen."""
        return {r["actor"]: r["size"] for r in self._rows("SELECT * FROM seen")}

    def streamed(self, stream: bytes, after: int = 0, most: int | None = None) -> Sequence[int]:
        """Return the log indexes of a stream's entries from its number `after` on."""
        sql = "SELECT place FROM streamed WHERE stream = ? ORDER BY place LIMIT ? OFFSET ?"
        limit = -1 if most is None else most
        return [r["place"] for r in self._rows(sql, stream, limit, after)]

    def place_of(self, stream: bytes, statement_digest: bytes) -> int | None:
        """Return the log index of the entry of a statement in a stream, if it has one."""
        sql = "SELECT place FROM streamed WHERE stream = ? AND digest = ?"
        rows = self._rows(sql, stream, statement_digest)
        return int(rows[0]["place"]) if rows else None

    def has_case(self, stream: bytes) -> bool:
        """Return whether it is the disclosure stream of a case with an accepted action."""
        return bool(self._rows("SELECT 1 FROM cases WHERE stream = ?", stream))

    def listed(self, leaves: Sequence[bytes]) -> Mapping[bytes, Listed]:
        """Return where those of `leaves` stand that are in the log."""
        sql = "SELECT * FROM listed WHERE leaf = ?"
        rows = (row for leaf in leaves for row in self._rows(sql, leaf))
        return {r["leaf"]: Listed(r["stream"], r["agency"], r["place"]) for r in rows}

    def take(self, posted: Posted) -> int:
        """Keep what a reader posted, or find it kept."""
        said = Statement.decode(posted.statement)
        own = said.actor, said.actor_seq
        with self._writing, transaction(self._writer) as db:
            sql = "SELECT number, statement FROM intake WHERE actor = ? AND actor_seq = ?"
            held = db.execute(sql, own).fetchone()
            if held is None:
                row = (*own, posted.statement, posted.signature, posted.body)
                made = db.execute("INSERT INTO intake VALUES (NULL,?,?,?,?,?)", row)
                return made.lastrowid or 0
        if held["statement"] != posted.statement:
            raise Conflict("READER_SEQ", "another statement has this number; send that again")
        return int(held["number"])

    def has_taken(self, statement: bytes) -> bool:
        """Return whether this very statement was taken, and not dropped since."""
        said = Statement.decode(statement)
        sql = "SELECT 1 FROM intake WHERE actor = ? AND actor_seq = ? AND statement = ?"
        return bool(self._rows(sql, said.actor, said.actor_seq, statement))

    def posted(self, actor: bytes) -> Posted | None:
        """Return the newest that this actor posted."""
        sql = "SELECT * FROM intake WHERE actor = ? ORDER BY actor_seq DESC LIMIT 1"
        return next(map(_posted, self._rows(sql, actor)), None)

    def challenges(self, actor: bytes) -> int:
        """Return how many challenges of this actor wait; what it ever posted is not read."""
        taken = self.newest().sources.intake
        rows = self._rows(_CHALLENGES, taken, actor, bytes([Kind.AUDIT]))
        return int(rows[0]["count"])

    def waiting(self, after: int, limit: int) -> Sequence[Posted]:
        """Return up to `limit` of the intake after number `after`."""
        sql = "SELECT * FROM intake WHERE number > ? ORDER BY number LIMIT ?"
        return [_posted(r) for r in self._rows(sql, after, limit)]

    def _rows(self, sql: str, *parameters: object) -> list[sqlite3.Row]:
        with ours():
            return self._reader.execute(sql, parameters).fetchall()


def change(db: sqlite3.Connection, changes: Changes) -> None:
    """Write what a new tree changed, in a transaction of the caller's."""
    heads = [(key, *head) for key, head in changes.heads.items()]
    db.executemany("INSERT OR REPLACE INTO heads VALUES (?,?,?,?)", heads)
    feeds = [(*feed, r.size, b"".join(r.nodes)) for feed, r in changes.feeds.items()]
    db.executemany("INSERT OR REPLACE INTO feeds VALUES (?,?,?,?,?)", feeds)
    db.executemany("INSERT OR REPLACE INTO seen VALUES (?,?)", changes.seen.items())
    db.executemany("INSERT INTO streamed VALUES (?,?,?)", changes.streamed)
    db.executemany("INSERT OR IGNORE INTO cases VALUES (?)", [(s,) for s in changes.cases])
    listed = [(leaf, *where) for leaf, where in changes.listed.items()]
    db.executemany("INSERT OR REPLACE INTO listed VALUES (?,?,?,?)", listed)
    db.executemany("DELETE FROM intake WHERE number = ?", [(n,) for n in changes.dropped])


def _range(size: int, nodes: bytes) -> Range:
    return Range(size, tuple(nodes[at : at + HASH_SIZE] for at in range(0, len(nodes), HASH_SIZE)))


def _sequenced(r: sqlite3.Row) -> Sequenced:
    sources = Sources(r["position"], r["refusal"], r["intake"])
    return Sequenced(_range(r["size"], r["nodes"]), sources, r["recorded_ms"])


def _posted(r: sqlite3.Row) -> Posted:
    return Posted(r["statement"], r["signature"], r["body"], r["number"])
