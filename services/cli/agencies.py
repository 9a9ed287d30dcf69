"""The registry of agencies, as the coordinator keeps it."""

from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.common import DATA, Data, addresses_of, do, parts_of
from services.members import Member

agency_app = typer.Typer(help="The registry of agencies.", no_args_is_help=True)


@agency_app.command("list")
def agency_list(data: Data = DATA) -> None:
    """List the registered agencies with roles, purposes and key fingerprints."""
    registry, now = do(_registry(data))
    for agency in registry.agencies.values():
        standing, key = agency.standing(now), agency.key(now)
        print(
            f"{agency.id}  {agency.name} ({agency.country})", "" if standing.active else "INACTIVE"
        )
        for role, purposes in standing.roles.items():
            print(f"    {role}: {', '.join(sorted(purposes)) or 'no purposes'}")
        if key:
            print(f"    signing key SHA-256 {sha256(key.signing_key).hexdigest()}")


@agency_app.command("suspend")
def agency_suspend(agency: str, reason: str, data: Data = DATA) -> None:
    """Suspend an agency: from now on it may neither act nor read."""
    _record(data, "AgencySuspended", {"agency": agency, "reason": reason})


@agency_app.command("reinstate")
def agency_reinstate(agency: str, data: Data = DATA) -> None:
    """Let a suspended agency act and read again."""
    _record(data, "AgencyReinstated", {"agency": agency})


@agency_app.command("add")
def agency_add(
    agency: str,
    name: str,
    role: Annotated[list[str], typer.Option(help="role:purpose,purpose")],
    country: str = "GB",
    data: Data = DATA,
) -> None:
    """Register and designate an agency with new keys, with both registrars' signatures."""
    from services.operating import add  # noqa: PLC0415 - only the coordinator's commands need it

    async def register() -> None:
        await add(parts_of(data), addresses_of(data), member)

    roles = {r.partition(":")[0]: tuple(r.partition(":")[2].split(",")) for r in role}
    member = Member(id=agency, name=name, country=country, roles=roles)
    do(register())
    print(f"{agency} is registered; its keys lie in {data}/gateways/{agency}/keys.")
    print("Start nrm-hub run again to open its gateway.")


def _record(data: Path, fact: str, facts: dict[str, Any]) -> None:
    from services.operating import record  # noqa: PLC0415 - only the coordinator's commands need it

    async def work() -> None:
        await record(parts_of(data), addresses_of(data), fact, facts)

    do(work())
    print(f"recorded {fact} {facts['agency']}")


async def _registry(data: Path) -> tuple[Any, int]:
    from services.operating import registry  # noqa: PLC0415 - only the coordinator's commands need it

    return await registry(parts_of(data), addresses_of(data))
