"""An agency's own actions, out of the file of its gateway's two stores; see `OwnActs`."""

from adapters.sqlite.gateway_file import GatewayFile
from domain.notary import Receipt
from domain.own_acts import OwnAct

_ACT = (
    "SELECT event_id, case_id, type, statement, recorded_ms, entry, proof"
    " FROM outbox LEFT JOIN receipts ON receipts.number = outbox.number"
    " AND receipts.number NOT IN (SELECT number FROM unproven) WHERE status <> 'queued' AND "
)


class SqliteOwnActs:
    """See the port."""

    def __init__(self, file: GatewayFile) -> None:
        """Read `file`, which has both stores' tables."""
        self._file = file

    def act(self, event_id: str) -> OwnAct | None:
        """Return the action by the id of its event."""
        return self._found(f"{_ACT}event_id = ?", event_id)

    def act_numbered(self, actor_seq: int) -> OwnAct | None:
        """Return the action by its number in the agency's chain."""
        return self._found(f"{_ACT}actor_seq = ?", actor_seq)

    def _found(self, sql: str, key: object) -> OwnAct | None:
        for r in self._file.rows(sql, key):
            proven = r["entry"] is not None
            return OwnAct(
                event_id=r["event_id"],
                case_id=r["case_id"],
                type=r["type"],
                statement=r["statement"],
                recorded_ms=r["recorded_ms"],
                receipt=Receipt(entry=r["entry"], proof=r["proof"]) if proven else None,
            )
        return None
