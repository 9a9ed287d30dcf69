"""A member agency, and the registry facts that make it one."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from domain.errors import Refused
from domain.standing import Agency
from services.gateway.sealer import b64

Record = Callable[[str, Mapping[str, Any]], Awaitable[None]]
"""Records one registry fact, by event name and fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An agency as the coordinator knows it."""

    id: str
    name: str
    country: str
    roles: Mapping[str, tuple[str, ...]]
    """Role -> purposes that come with it."""

    @property
    def purposes(self) -> frozenset[str]:
        """Every purpose: a seat and a feed each."""
        return frozenset(p for purposes in self.roles.values() for p in purposes)


def member_of(agency: Agency, at_ms: int) -> Member:
    """Return a registered agency as a member, with the roles in force."""
    roles = {role: tuple(sorted(p)) for role, p in agency.standing(at_ms).roles.items()}
    return Member(id=agency.id, name=agency.name, country=agency.country, roles=roles)


async def register(
    record: Record, member: Member, signing_key: bytes, opening_key: bytes, now_ms: int
) -> None:
    """Register, designate and publish the keys of a member; what stands already stays.

    So a registration that was broken off half-way is finished by doing it again.
    """
    about = {"agency": member.id}
    await _once(
        record, "AgencyRegistered", {**about, "name": member.name, "country": member.country}
    )
    for role, purposes in member.roles.items():
        facts = {
            "role": role,
            "purposes": list(purposes),
            "valid_from": now_ms,
            "valid_to": None,
            "designated_by": "demonstration",
        }
        await _once(record, "AgencyDesignated", {**about, **facts})
    keys = {
        "signing_key": b64(signing_key),
        "opening_key": b64(opening_key),
        "valid_from": now_ms,
        "previous": None,
        "previous_signature": None,
    }
    await _once(record, "AgencyKeyPublished", {**about, **keys})


async def _once(record: Record, fact: str, facts: Mapping[str, Any]) -> None:
    try:
        await record(fact, facts)
    except Refused as e:
        if e.code != "ALREADY_DONE":
            raise
