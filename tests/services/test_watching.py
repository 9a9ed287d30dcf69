"""What a hub says of withdrawals and designations: true also while nothing moves."""

from pathlib import Path

import pytest

from domain.standing import Agency, Designation, Period
from services.hub.projector import Step
from services.hub.watching import first_end
from tests.services.running import POLICE, SHELTER, World, consent, running

NOW = 1_000


def agency(*periods: tuple[str, int, int | None]) -> Agency:
    designations = tuple(
        Designation(role=role, purposes=frozenset(), period=Period(starts=starts, ends=ends))
        for role, starts, ends in periods
    )
    return Agency(id="gb-x", name="X", country="GB", designations=designations)


@pytest.mark.parametrize(
    ("periods", "end"),
    [
        ([], None),
        ([("police", 0, None)], None),
        ([("police", 0, 5_000)], 5_000),
        ([("police", 0, 5_000), ("police", 5_000, 9_000)], 9_000),
        ([("police", 0, 5_000), ("police", 5_000, None)], None),
        ([("police", 0, 5_000), ("health", 0, 4_000)], 4_000),
        ([("police", 0, None), ("health", 0, 500)], None),
        ([("police", 2_000, 5_000)], None),
    ],
)
def test_a_designation_ends_when_no_later_one_continues_it(
    periods: list[tuple[str, int, int | None]], end: int | None
) -> None:
    assert first_end(agency(*periods), NOW) == end


async def withdrawn(world: World) -> int:
    """Withdraw a consent; return when that was recorded."""
    case, act = await world.opened(POLICE), consent(SHELTER, "IDENTITY")
    await world.done(POLICE, case, "ConsentGiven", **act)
    gone = {"consent_id": act["consent_id"], "given_by": "self", "words": "no"}
    return (await world.done(POLICE, case, "ConsentWithdrawn", **gone)).recorded_ms or 0


async def test_a_withdrawal_is_pending_until_projector_and_custodian_have_it(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as world:
        projector, watching = world.mechanism.hub.projector, world.mechanism.hub.hub.watching
        await withdrawn(world)
        await world.quiet()
        await world.until(lambda: watching.withdrawals() == {"feeds": None, "keys": None})
        step = projector.step
        projector.step = lambda *_: Step((), frozenset())  # type: ignore[method-assign]
        first = await withdrawn(world)
        await withdrawn(world)
        await world.until(lambda: watching.withdrawals() == {"feeds": first, "keys": None})
        projector.step = step  # type: ignore[method-assign]
        await world.quiet()
        await world.until(lambda: watching.withdrawals() == {"feeds": None, "keys": None})
