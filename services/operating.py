"""The coordinator's commands against a running hub: registry facts, and the registry as checked."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from domain.agency import Registry
from services.bootstrap import (
    COORDINATOR,
    Parts,
    gateway_link,
    now_ms,
    operator_link,
)
from services.members import Member, register

Addresses = Mapping[str, Any]
T = TypeVar("T")


async def registry(parts: Parts, addresses: Addresses) -> tuple[Registry, int]:
    """Return the registry as the hub shows it, every fact checked, and the time in ms."""
    link, directory = operator_link(parts, addresses["hub"]), parts.directory()
    try:
        while page := (await link.registry(directory.seq)).items:
            for item in page:
                directory.take(item.seq, item.event)
    finally:
        await link.close()
    return directory.registry, now_ms()


async def record(parts: Parts, addresses: Addresses, fact: str, facts: Mapping[str, Any]) -> None:
    """Record one registry fact with both registrars' signatures, or raise `Refused`."""
    await _asking(parts, addresses, lambda link: link.record(fact, facts))


async def add(parts: Parts, addresses: Addresses, member: Member) -> None:
    """Make keys for a new agency and register it."""
    signing_key, opening_key = parts.public_keys(member.id)

    async def ask(link: Any) -> None:
        await register(link.record, member, signing_key, opening_key, now_ms())

    await _asking(parts, addresses, ask)


async def _asking(parts: Parts, addresses: Addresses, ask: Callable[[Any], Awaitable[T]]) -> T:
    link = gateway_link(parts, COORDINATOR, addresses["coordinator"])
    try:
        return await ask(link)
    finally:
        await link.close()
