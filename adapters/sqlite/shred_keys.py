"""The custodian's shred keys: a SQLite file of their own, so that two backups exist."""

from collections import OrderedDict
from collections.abc import Callable, Collection

from adapters.sealing import Box
from adapters.sqlite.connection import connect, ours, transaction
from domain.ports import Boxing


class SqliteShredKeys:
    """One boxed key a case in a file of its own; see the port `ShredKeys`."""

    def __init__(
        self, path: str, box: Boxing, new_key: Callable[[], bytes], cached: int = 4096
    ) -> None:
        """Keep keys at `path`, each sealed in `box`."""
        table = (
            "CREATE TABLE IF NOT EXISTS shred_keys (case_id TEXT PRIMARY KEY, boxed BLOB NOT NULL)"
        )
        self._db = connect(path, table)
        self._box = box
        self._new_key = new_key
        self._boxes: OrderedDict[str, Boxing] = OrderedDict()
        self._cached = cached

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def make(self, case_ids: Collection[str]) -> None:
        """Make durable the key of each case that has none yet."""
        new = [c for c in case_ids if c not in self._boxes]
        if not new:
            return
        rows = [(c, self._box.seal(self._new_key(), _place(c))) for c in new]
        with transaction(self._db) as db:
            db.executemany("INSERT OR IGNORE INTO shred_keys VALUES (?, ?)", rows)

    def box(self, case_id: str) -> Boxing:
        """Return the box of a case, made durable first if it is new."""
        box = self._boxes.get(case_id) or Box(self._key(case_id))
        self._boxes[case_id] = box
        self._boxes.move_to_end(case_id)
        if len(self._boxes) > self._cached:
            self._boxes.popitem(last=False)
        return box

    def _key(self, case_id: str) -> bytes:
        sql = "SELECT boxed FROM shred_keys WHERE case_id = ?"
        with ours():
            row = self._db.execute(sql, (case_id,)).fetchone()
        if row is None:
            self.make([case_id])
            return self._key(case_id)
        return self._box.open(row["boxed"], _place(case_id))


def _place(case_id: str) -> bytes:
    return b"shred-key " + case_id.encode()
