"""A whole mechanism for tests: real stores, keys and HTTP on loopback, invented agencies."""

import asyncio
import base64
import gc
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from adapters.http_links import HttpGatewayLink
from domain.gateway import Command, Result
from services.bootstrap import Parts, Settings, gateway_link, now_ms
from services.demo.cast import AUTHORITY, CAST, HEALTH, POLICE, RAPPORTEUR, SHELTER
from services.demo.demo import settled
from services.runtime import Mechanism

DAY = 86_400_000
EVIDENCE = base64.b64encode(b"invented-signed-form-digest-0001").decode()
__all__ = ["AUTHORITY", "DAY", "EVIDENCE", "HEALTH", "POLICE", "RAPPORTEUR", "SHELTER"]


class Agencies:
    """A client of each agency's gateway, by address."""

    def __init__(self, parts: Parts, addresses: Mapping[str, str]) -> None:
        self.parts = parts
        self.links = {a: gateway_link(parts, a, address) for a, address in addresses.items()}

    async def close(self) -> None:
        for link in self.links.values():
            await link.close()

    def link(self, agency: str) -> HttpGatewayLink:
        return self.links[agency]

    async def act(self, agency: str, case: str, type: str, **fields: Any) -> Result:
        """Carry out one command and return its result."""
        command = Command(command_id=str(uuid4()), type=type, case_id=case, fields=fields)
        return (await self.link(agency).submit([command]))[0]

    async def done(self, agency: str, case: str, type: str, **fields: Any) -> Result:
        """Carry out one command that must be accepted."""
        result = await self.act(agency, case, type, **fields)
        assert result.status == "accepted", result
        return result

    async def opened(self, agency: str, **person: Any) -> str:
        """Open a case with an adult's identity and an information notice; return its id."""
        case = str(uuid4())
        await self.done(agency, case, "CaseOpened", age_group="adult", reason="other")
        await self.done(agency, case, "PersonIdentityRecorded", **identity(**person))
        await self.done(agency, case, "InformationNoticeGiven", **NOTICE)
        return case

    async def events(self, agency: str, case: str) -> dict[str, dict[str, Any]]:
        """Return the agency's view of a case by event name (the newest of each)."""
        return {e["type"]: e for e in await self.link(agency).case(case)}

    async def until(self, holds: Callable[[], Any]) -> Any:
        """Return the first true answer of `holds`, which may be asynchronous."""
        while True:
            answer = holds()
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer:
                return answer
            await asyncio.sleep(0.02)


class World(Agencies):
    """A running mechanism and a client for each agency."""

    def __init__(self, parts: Parts, mechanism: Mechanism) -> None:
        super().__init__(parts, {a: office.address for a, office in mechanism.offices.items()})
        self.mechanism = mechanism

    async def quiet(self) -> None:
        """Wait until every part has everything that was accepted."""
        await settled(self.mechanism)


@asynccontextmanager
async def running(data: Path, **settings: Any) -> AsyncIterator[World]:
    """Run a mechanism over `data`."""
    _clear_away()
    parts = Parts(Settings(data=data, trail_seconds=0.05, **settings))
    async with Mechanism(parts, CAST) as mechanism:
        world = World(parts, mechanism)
        yield world
        await world.close()


def _clear_away() -> None:
    """Close the files of mechanisms that have ended: `Parts` keeps the collector from them."""
    gc.unfreeze()
    gc.collect()


NOTICE = {"notice": "notice-1", "language": "en", "interpreter": False, "understood": True}


def identity(given: str = "Zorvina", family: str = "Quillmark") -> dict[str, Any]:
    return {
        "given_names": [given],
        "family_names": [family],
        "other_names": [],
        "birth_date": "1999",
        "citizenships": ["XA"],
        "documents": [],
        "relatives": [],
    }


def consent(to: str, *categories: str, **changes: Any) -> dict[str, Any]:
    """Return the fields of a ConsentGiven for `to`, for protection and support."""
    now = now_ms()
    return {
        "consent_id": str(uuid4()),
        "referral_id": None,
        "recipient": {"agency": to, "kind": None, "country": None},
        "purposes": ["protection_support"],
        "categories": list(categories),
        "history": "all",
        "history_from": None,
        "not_before": now - 1_000,
        "not_after": now + 30 * DAY,
        "basis": "consent",
        "given_by": "self",
        "guardian_id": None,
        "evidence": EVIDENCE,
        "words": "yes",
        "language": "en",
        "interpreter": False,
        **changes,
    }


def referral(to: str, **changes: Any) -> dict[str, Any]:
    """Return the fields of a ReferralSent to `to`."""
    return {
        "referral_id": str(uuid4()),
        "to": to,
        "purpose": "protection_support",
        "urgency": "routine",
        "answer_due_at": now_ms() + DAY,
        "service": "accommodation",
        "reason": "a bed for tonight",
        **changes,
    }
