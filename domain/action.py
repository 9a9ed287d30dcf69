"""An action: what an agency's gateway sends and a hub answers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One event on its way: sealed record, the statement over it, the agency's signature."""

    event_id: str
    type: str
    """Avro full name of the event."""
    record: bytes
    """Unframed Avro body of the sealed view."""
    statement: bytes
    signature: bytes
    """Ed25519 over `signed_bytes(statement)`, 64 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The hub's answer to one action; the same for every repeat of it."""

    event_id: str
    accepted: bool
    recorded_ms: int | None = None
    """When it was recorded; None when it was not (only garbage and chain conflicts are not)."""
    code: str | None = None
    """Reason code of a refusal."""
    message: str | None = None
    """What to do about it."""

    @property
    def recorded(self) -> bool:
        """Whether the action used up its actor's number."""
        return self.recorded_ms is not None
