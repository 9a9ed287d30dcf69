"""One referral, end to end: sealed at the agency, read by whom it was meant for, nobody else."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from domain.errors import Refused
from domain.gateway import Command
from domain.messages import WhyQuestion
from tests.services.running import (
    AUTHORITY,
    HEALTH,
    POLICE,
    RAPPORTEUR,
    SHELTER,
    World,
    consent,
    identity,
    referral,
    running,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with running(tmp_path_factory.mktemp("mechanism")) as world:
        yield world


async def referred(world: World, *categories: str) -> tuple[str, str, str]:
    """Return (case, consent id, referral id) of a case that police referred to the shelter."""
    case = await world.opened(POLICE)
    act, sent = consent(SHELTER, *categories), referral(SHELTER)
    await world.done(POLICE, case, "ConsentGiven", **act)
    await world.done(POLICE, case, "ReferralSent", **sent)
    return case, act["consent_id"], sent["referral_id"]


async def test_the_receiver_opens_what_consent_shows_and_nothing_else(world: World) -> None:
    case, _, _ = await referred(world, "IDENTITY", "PROTECTION")
    await world.quiet()
    seen = await world.events(SHELTER, case)
    assert seen["PersonIdentityRecorded"]["fields"]["given_names"] == ["Zorvina"]
    assert seen["PersonIdentityRecorded"]["shut"] == {"relatives": "WITHHELD"}
    assert seen["ReferralSent"]["fields"]["service"] == "accommodation"
    assert seen["ReferralSent"]["shut"] == {"reason": "WITHHELD"}


async def test_an_agency_without_a_part_sees_a_case_that_does_not_exist(world: World) -> None:
    case, _, _ = await referred(world, "IDENTITY")
    await world.quiet()
    for agency in (HEALTH, AUTHORITY, RAPPORTEUR):
        answers = []
        for asked in (case, str(uuid4())):
            with pytest.raises(Refused) as refused:
                await world.link(agency).case(asked)
            answers.append(str(refused.value))
            if agency is not RAPPORTEUR:
                result = await world.act(agency, asked, "PersonIdentityRecorded", **identity())
                answers.append(f"{result.code} {result.message}")
        assert len({a.replace(":", "") for a in answers}) == 1
        assert all("NO_SUCH_CASE" in a for a in answers)


async def test_the_referrer_hears_back(world: World) -> None:
    case, _, sent = await referred(world, "IDENTITY")
    await world.quiet()
    await world.done(SHELTER, case, "ReferralReceived", referral_id=sent)
    await world.done(SHELTER, case, "ReferralAccepted", referral_id=sent, starts_on=None)
    await world.quiet()
    seen = await world.events(POLICE, case)
    assert {"ReferralReceived", "ReferralAccepted"} <= seen.keys()


async def test_a_withdrawal_closes_what_was_open_and_wins_over_the_acceptance(
    world: World,
) -> None:
    case, act, sent = await referred(world, "IDENTITY")
    await world.quiet()
    await world.done(POLICE, case, "ConsentWithdrawn", consent_id=act, given_by="self", words="no")
    late = await world.act(SHELTER, case, "ReferralAccepted", referral_id=sent, starts_on=None)
    await world.quiet()
    seen = await world.events(SHELTER, case)
    assert (late.status, late.code) == ("refused", "CONSENT_MISSING")
    assert seen["PersonIdentityRecorded"]["fields"] == {}
    assert set(seen["PersonIdentityRecorded"]["shut"].values()) == {"WITHHELD"}


async def test_data_after_a_withdrawal_are_under_keys_that_were_never_released(
    world: World,
) -> None:
    case, act, _ = await referred(world, "IDENTITY")
    await world.quiet()
    await world.done(POLICE, case, "ConsentWithdrawn", consent_id=act, given_by="self", words="no")
    # The gateway learns from the hub that its key is stale, opens a new one and seals again.
    result = await world.done(POLICE, case, "PersonIdentityRecorded", **identity("Ravomir"))
    store = world.mechanism.hub.store
    language = world.parts.language
    recorded = next(r for r in store.read_case(case) if r.event_id == result.event_id)
    epochs = {
        int.from_bytes(f.value[4:8], "big")
        for f in language.record(recorded.type, recorded.body).fields
        if f.category
    }
    assert epochs == {2}


async def test_a_new_grant_opens_the_past(world: World) -> None:
    case, _, _ = await referred(world, "PROTECTION")
    await world.quiet()
    assert (
        "PersonIdentityRecorded" not in (await world.events(SHELTER, case))
        or (await world.events(SHELTER, case))["PersonIdentityRecorded"]["fields"] == {}
    )
    await world.done(POLICE, case, "ConsentGiven", **consent(SHELTER, "IDENTITY"))
    await world.quiet()
    seen = await world.events(SHELTER, case)
    assert seen["PersonIdentityRecorded"]["fields"]["given_names"] == ["Zorvina"]


async def test_the_rapporteur_counts_and_sees_no_person(world: World) -> None:
    case = await world.opened(POLICE)
    await world.done(POLICE, case, "ConsentGiven", **consent(AUTHORITY, "IDENTITY"))
    await world.done(POLICE, case, "ReferralIntoNrmSubmitted", **into_nrm())
    await world.quiet()
    seen = await world.events(RAPPORTEUR, case)
    submitted = seen["ReferralIntoNrmSubmitted"]
    assert submitted["fields"]["statistics"]["citizenship"] == "XA"
    assert set(submitted["shut"]) == {
        "exploitation",
        "means_of_control",
        "narrative",
        "others_affected",
        "police_reference",
    }
    assert "PersonIdentityRecorded" not in seen


async def test_a_sender_is_told_before_sending_who_will_get_what(world: World) -> None:
    case = await world.opened(POLICE)
    await world.done(POLICE, case, "ConsentGiven", **consent(SHELTER, "IDENTITY"))
    answers = {}
    for category in ("IDENTITY", "HEALTH"):
        asked = WhyQuestion(
            case_id=case, agency=SHELTER, purpose="protection_support", category=category
        )
        answers[category] = await world.link(POLICE).why(asked)
    assert answers["IDENTITY"].permit
    assert answers["IDENTITY"].code == "P01"
    assert not answers["HEALTH"].permit


async def test_a_command_sent_twice_is_done_once(world: World) -> None:
    command = Command(
        command_id=str(uuid4()),
        type="CaseOpened",
        case_id=str(uuid4()),
        fields={"age_group": "adult", "reason": "other"},
    )
    first, second = [(await world.link(POLICE).submit([command]))[0] for _ in range(2)]
    assert first == second
    kinds = [r.type for r in world.mechanism.hub.store.read_case(first.case_id)]
    assert kinds.count("nrm.v1.CaseOpened") == 1


async def test_no_identity_stands_in_any_file_of_hub_or_custodian(world: World) -> None:
    marker = "Xyqzorvblat" * 3
    case = await world.opened(POLICE, given=marker)
    await world.done(POLICE, case, "ConsentGiven", **consent(SHELTER, "IDENTITY"))
    await world.done(POLICE, case, "ReferralSent", **referral(SHELTER))
    await world.quiet()
    assert marker in json.dumps(await world.link(SHELTER).case(case))
    data: Path = world.parts.settings.data
    read = [p for part in ("hub", "custodian") for p in (data / part).rglob("*") if p.is_file()]
    assert len(read) > 4
    assert not [p for p in read if marker.encode() in p.read_bytes()]


def into_nrm() -> dict[str, object]:
    return {
        "competent_authority": AUTHORITY,
        "age_group": "adult",
        "exploitation": ["ForcedLabour"],
        "means_of_control": [],
        "narrative": "an account without names",
        "others_affected": 0,
        "police_reference": None,
        "statistics": {
            "sex": "Female",
            "age_band": "21--23",
            "citizenship": "XA",
            "exploitation": ["ForcedLabour"],
            "area": "GB",
        },
    }


async def test_an_agency_with_two_seats_reads_what_either_may_see(world: World) -> None:
    case = await world.opened(SHELTER)
    needs = {
        "needs": ["x-shoes"],
        "risk": "low",
        "health_needs": ["x-dentist"],
        "review_due": None,
    }
    await world.done(SHELTER, case, "NeedsAssessed", **needs)
    for purpose, category in (("health_care", "HEALTH"), ("protection_support", "PROTECTION")):
        act = consent(HEALTH, category, purposes=[purpose])
        await world.done(SHELTER, case, "ConsentGiven", **act)
    await world.done(SHELTER, case, "ReferralSent", **referral(HEALTH, purpose="health_care"))
    await world.quiet()
    assessed = [e for e in await world.link(HEALTH).case(case) if e["type"] == "NeedsAssessed"]
    assert len(assessed) == 1
    assert assessed[0]["fields"] == needs | {"review_due": None}
    assert set(assessed[0]["categories"]) == {"HEALTH", "PROTECTION"}
