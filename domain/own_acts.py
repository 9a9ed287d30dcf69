"""An agency's own actions as its people ask for them: by event, or by number in its chain."""

from typing import NamedTuple, Protocol

from domain.notary import Receipt


class OwnAct(NamedTuple):
    """An action that the hub answered."""

    event_id: str
    case_id: str
    type: str
    """Avro full name."""
    statement: bytes
    recorded_ms: int
    receipt: Receipt | None
    """The proof that it stands in the trail, if one was kept."""


class OwnActs(Protocol):
    """The actions in a gateway's outbox, with their receipts; one without answer is none."""

    def act(self, event_id: str) -> OwnAct | None:
        """Return the action by the id of its event."""
        ...

    def act_numbered(self, actor_seq: int) -> OwnAct | None:
        """Return the action by its number in the agency's chain."""
        ...
