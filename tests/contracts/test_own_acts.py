"""The contract of `OwnActs`: what was answered is found, with the proof that was kept of it."""

from contextlib import closing
from pathlib import Path

from adapters.sqlite.gateway_store import SqliteGatewayStore
from adapters.sqlite.gateway_trail import SqliteGatewayTrail
from adapters.sqlite.own_acts import SqliteOwnActs
from domain.notary import Receipt
from domain.own_acts import OwnActs
from tests.contracts.test_gateway_store import outgoing, result


def test_an_answered_action_is_found_by_event_and_number_with_its_proof(tmp_path: Path) -> None:
    """Given an accepted action, a refused one and one without answer."""
    with closing(SqliteGatewayStore(str(tmp_path / "gateway.db"))) as store:
        trail = SqliteGatewayTrail(store.file)
        acts: OwnActs = SqliteOwnActs(store.file)
        store.enqueue([outgoing(0), outgoing(1), outgoing(2)], [], [])
        first, second, waiting = store.queued(3)
        refused = result(second, "refused", code="CONSENT_MISSING", recorded_ms=50)
        store.settle([(first, result(first)), (second, refused)], [], [])
        receipt = Receipt(entry=b"entry", proof="proof")
        trail.prove(first.number, receipt)

        proven = acts.act(first.action.event_id)
        assert proven is not None
        assert (proven.event_id, proven.case_id) == (first.action.event_id, first.case_id)
        assert (proven.type, proven.recorded_ms) == (first.action.type, 40)
        assert proven.statement == first.action.statement
        assert proven.receipt == receipt
        assert acts.act_numbered(first.actor_seq) == proven
        other = acts.act_numbered(second.actor_seq)
        assert other is not None
        assert (other.recorded_ms, other.receipt) == (50, None)
        assert acts.act(waiting.action.event_id) is None
        assert acts.act_numbered(waiting.actor_seq) is None
        assert acts.act_numbered(9) is None
