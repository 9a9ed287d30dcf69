"""Write registry facts: the operator's action, with the signatures of two registrars in it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from domain import events as ev
from domain.approval import approval_message
from domain.errors import Refused, Unavailable
from domain.gateway import Command
from domain.ports import Language
from domain.record import Record
from services.gateway.outbox import Outbox
from services.gateway.sealer import Checked, Sealer, b64

ANSWER_SECONDS = 30.0
Sign = Callable[[bytes], bytes]
Registrar = tuple[str, Sign]
"""(id, sign)."""


class Registering:
    """One fact at a time, each approved by every registrar given."""

    def __init__(
        self, language: Language, sealer: Sealer, outbox: Outbox, registrars: Sequence[Registrar]
    ) -> None:
        """Act as the operator behind `sealer` and `outbox`."""
        self._language = language
        self._sealer = sealer
        self._outbox = outbox
        self._registrars = registrars

    async def record(
        self, name: str, facts: Mapping[str, Any], previous: Sign | None = None
    ) -> None:
        """Record the fact `name` (such as AgencyRegistered), or raise `Refused`.

        `previous` signs with the key that an AgencyKeyPublished replaces.
        """
        command = Command(
            command_id=str(uuid4()),
            type=name,
            case_id=ev.REGISTRY_STREAM,
            fields={**facts, "approvals": []},
            legal_basis="registry",
        )
        checked = self._sealer.checked(command)
        message = approval_message(self._event(checked))
        document = {
            **facts,
            "approvals": [
                {"registrar": i, "signature": b64(sign(message))} for i, sign in self._registrars
            ],
        }
        if previous is not None:
            document["previous_signature"] = b64(previous(message))
        approved = self._sealer.again(checked, document)
        result = await self._outbox.carry_out(command.command_id, approved, ANSWER_SECONDS)
        if result.status == "queued":
            raise Unavailable("HUB_AWAY", "the fact is queued and goes out when the hub is back")
        if result.status == "refused":
            raise Refused(result.code or "REFUSED", result.message or "refused")

    def _event(self, checked: Checked) -> ev.RegistryEvent:
        event = self._language.event(Record(checked.type, checked.fields))
        if not isinstance(event, ev.RegistryEvent):
            raise Refused("WRONG_STREAM", "this is no registry fact")
        return event
