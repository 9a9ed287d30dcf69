"""Agencies that do not exist, and the world in which the rules are asked about them."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from domain import events as ev
from domain import policies
from domain.agency import OPENING_KEY_SIZE, replay
from domain.policy import parse_policy
from domain.rules.world import World

HOUR, DAY = 3_600_000, 86_400_000
T0 = 1_780_304_400_000
"""Monday 1 June 2026, 09:00 UTC."""
REGISTERED = T0 - 30 * DAY
LAPSES = T0 + 10 * DAY
"""When the designation of `LAPSING` ends."""

CHARITY, POLICE, SHELTER, REFUGE = "charity", "police", "shelter", "refuge"
CLINIC, AUTHORITY, CHILDREN, COURT = "clinic", "authority", "children", "court"
COORDINATOR, RAPPORTEUR, LAWYERS = "coordinator", "rapporteur", "lawyers"
FOREIGN, SUSPENDED, LAPSING, UNKNOWN = "foreign-shelter", "suspended", "lapsing", "unknown"

SUPPORT, INVESTIGATION, PROSECUTION = "protection_support", "investigation", "prosecution"
_DESIGNATIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    CHARITY: ("first_responder", (SUPPORT,)),
    POLICE: ("police", (INVESTIGATION, SUPPORT)),
    SHELTER: ("service_provider", (SUPPORT, "return_or_residence")),
    REFUGE: ("service_provider", (SUPPORT,)),
    CLINIC: ("health", ("health_care", SUPPORT)),
    AUTHORITY: ("competent_authority", (SUPPORT, "monitoring")),
    CHILDREN: ("child_protection", (SUPPORT,)),
    COURT: ("court", (PROSECUTION,)),
    COORDINATOR: ("nrm_coordinator", ()),
    RAPPORTEUR: ("national_rapporteur", ("monitoring",)),
    LAWYERS: ("legal_aid", ("legal_aid", "compensation")),
    FOREIGN: ("service_provider", (SUPPORT,)),
    SUSPENDED: ("service_provider", (SUPPORT,)),
    LAPSING: ("service_provider", (SUPPORT,)),
}
"""Agency -> its role and the purposes that come with it."""
AGENCIES = tuple(_DESIGNATIONS)
Made = TypeVar("Made")


def sha(label: str) -> bytes:
    """Return 32 bytes made from `label`."""
    return hashlib.sha256(label.encode()).digest()


def pack(name: str) -> str:
    """Return the text of a policy pack that the project ships."""
    folder = Path(policies.__file__).parent
    return (folder / f"{name}.toml").read_text(encoding="utf-8")


@cache
def world() -> World:
    """Return the agencies above under gb-2026."""
    everybody = [fact for agency in AGENCIES for fact in facts(agency)]
    policy = parse_policy(pack("gb-2026"))
    return World(
        registry=replay((fact, REGISTERED) for fact in everybody),
        policies={policy.id: policy},
        home="GB",
        policy_id=policy.id,
    )


def facts(agency: str) -> list[ev.RegistryEvent]:
    """Return what the registry records of an agency, in order."""

    def fact(event: Callable[..., Made], **fields: Any) -> Made:
        return event(head=_HEAD, agency=agency, approvals=(), **fields)

    role, purposes = _DESIGNATIONS[agency]
    facts: list[ev.RegistryEvent] = [
        fact(ev.AgencyRegistered, name=agency, country="XA" if agency == FOREIGN else "GB"),
        fact(
            ev.AgencyDesignated,
            role=role,
            purposes=purposes,
            valid_from=REGISTERED,
            valid_to=LAPSES if agency == LAPSING else None,
            designated_by="ministry",
        ),
        fact(
            ev.AgencyKeyPublished,
            signing_key=sha(agency),
            opening_key=hashlib.shake_256(agency.encode()).digest(OPENING_KEY_SIZE),
            valid_from=REGISTERED,
            previous=None,
            previous_signature=None,
        ),
    ]
    if agency == SUSPENDED:
        facts.append(fact(ev.AgencySuspended, reason="x-inspection"))
    return facts


_HEAD = ev.Head(
    event_id="fact",
    case_id=ev.REGISTRY_STREAM,
    agency=COORDINATOR,
    occurred_at=REGISTERED,
    policy="gb-2026.1",
    legal_basis="",
)
