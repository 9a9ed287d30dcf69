"""The notary's store in one SQLite file: a tree, its heads, and what readers posted."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from threading import Lock

from adapters.sqlite.connection import connect, ours, transaction
from domain.errors import Conflict
from domain.notary import Kept, Posted, Sequenced, Sources
from domain.trail.heads import Head
from domain.trail.merkle import HASH_SIZE, Range
from domain.trail.statement import Statement

_TABLES = (
    "CREATE TABLE IF NOT EXISTS trees (size INTEGER PRIMARY KEY, root BLOB NOT NULL,"
    " recorded_ms INTEGER NOT NULL, position INTEGER NOT NULL, refusal INTEGER NOT NULL,"
    " intake INTEGER NOT NULL, nodes BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS heads (kind TEXT, name BLOB, count INTEGER NOT NULL,"
    " head BLOB NOT NULL, place INTEGER NOT NULL, more BLOB NOT NULL,"
    " PRIMARY KEY (kind, name)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS streamed (stream BLOB, place INTEGER,"
    " PRIMARY KEY (stream, place)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS intake (number INTEGER PRIMARY KEY, actor BLOB NOT NULL,"
    " actor_seq INTEGER NOT NULL, statement BLOB NOT NULL, signature BLOB NOT NULL,"
    " body BLOB NOT NULL, UNIQUE (actor, actor_seq))",
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

    def advance(
        self,
        old_size: int,
        new: Sequenced,
        heads: Iterable[Kept],
        streamed: Sequence[tuple[bytes, int]],
    ) -> None:
        """Make `new` the newest tree, if it still is the one of `old_size`."""
        tree = new.tree
        row = (tree.size, tree.root, new.recorded_ms, *new.sources, b"".join(tree.nodes))
        with self._writing, transaction(self._writer) as db:
            found = db.execute(_NEWEST).fetchone()
            if old_size != (found["size"] if found else 0) or tree.size <= old_size:
                raise Conflict("TREE_MOVED", "another notary went on from this tree; read it")
            db.execute("INSERT INTO trees VALUES (?,?,?,?,?,?,?)", row)
            db.executemany(
                "INSERT OR REPLACE INTO heads VALUES (?,?,?,?,?,?)",
                [(k.kind, k.name, *k.at, k.more) for k in heads],
            )
            db.executemany("INSERT INTO streamed VALUES (?,?)", streamed)

    def root_at(self, size: int) -> bytes | None:
        """Return the root of the tree of `size`, if it was decided on."""
        rows = self._rows("SELECT root FROM trees WHERE size = ?", size)
        return bytes(rows[0]["root"]) if rows else None

    def heads(self) -> Iterator[Kept]:
        """Return every head of the newest tree."""
        for r in self._rows("SELECT * FROM heads"):
            yield Kept(r["kind"], r["name"], Head(r["count"], r["head"], r["place"]), r["more"])

    def streamed(self, stream: bytes, after: int = 0) -> Sequence[int]:
        """Return the log indexes of a stream's entries from its number `after` on."""
        sql = "SELECT place FROM streamed WHERE stream = ? ORDER BY place LIMIT -1 OFFSET ?"
        return [r["place"] for r in self._rows(sql, stream, after)]

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

    def posted(self, actor: bytes) -> Posted | None:
        """Return the newest that this actor posted."""
        sql = "SELECT * FROM intake WHERE actor = ? ORDER BY actor_seq DESC LIMIT 1"
        return next(map(_posted, self._rows(sql, actor)), None)

    def waiting(self, after: int, limit: int) -> Sequence[Posted]:
        """Return up to `limit` of the intake after number `after`."""
        sql = "SELECT * FROM intake WHERE number > ? ORDER BY number LIMIT ?"
        return [_posted(r) for r in self._rows(sql, after, limit)]

    def _rows(self, sql: str, *parameters: object) -> list[sqlite3.Row]:
        with ours():
            return self._reader.execute(sql, parameters).fetchall()


def _sequenced(r: sqlite3.Row) -> Sequenced:
    nodes = r["nodes"]
    parts = tuple(nodes[at : at + HASH_SIZE] for at in range(0, len(nodes), HASH_SIZE))
    sources = Sources(r["position"], r["refusal"], r["intake"])
    return Sequenced(Range(r["size"], parts), sources, r["recorded_ms"])


def _posted(r: sqlite3.Row) -> Posted:
    return Posted(r["statement"], r["signature"], r["body"], r["number"])
