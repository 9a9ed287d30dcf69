"""Bad input gets a clear refusal with a reason code, no trace of identity, and harms nothing."""

import base64
import io
import json
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio

from domain.action import Action
from domain.errors import Refused
from domain.gateway import Command
from domain.messages import Submission
from domain.trail import statement
from domain.vocabulary import Category
from services.bootstrap import COORDINATOR, gateway_link, now_ms
from tests.services.running import (
    DAY,
    HEALTH,
    NOTICE,
    POLICE,
    SHELTER,
    World,
    consent,
    identity,
    referral,
    running,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
NAME = "Vexmarillo-Ostrander-Fennimore"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with running(tmp_path_factory.mktemp("mechanism")) as world:
        yield world


async def post(world: World, path: str, body: bytes) -> tuple[int, dict[str, Any], str]:
    """Post raw bytes to the police's gateway; return status, answer and raw text."""
    office = world.mechanism.offices[POLICE]
    headers = {"Authorization": f"Bearer {office.process.token.reveal().decode()}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(office.address + path, data=io.BytesIO(body), headers=headers) as response,
    ):
        text = await response.text()
        return response.status, json.loads(text), text


def asked(**fields: Any) -> dict[str, Any]:
    return {"type": "PersonIdentityRecorded", "case_id": str(uuid4()), "fields": fields}


DEEP = '{"type":"CaseOpened","fields":' + '{"a":' * 5_000 + "1" + "}" * 5_000 + "}"

MALFORMED: Mapping[str, tuple[bytes, str]] = {
    "no JSON": (b'{"type": "CaseOpened", ' + NAME.encode(), "BAD_JSON"),
    "not UTF-8": (b'{"type": "\xff\xfe"}', "BAD_JSON"),
    "another shape": (b"[1, 2]", "BAD_JSON"),
    "an unknown key": (b'{"type": "CaseOpened", "filds": {}}', "BAD_JSON"),
    "an unknown event": (b'{"type": "PersonRenamed", "fields": {}}', "UNKNOWN_EVENT"),
    "a wrong type": (
        json.dumps(asked(**{**identity(), "given_names": NAME})).encode(),
        "FIELD_TYPE",
    ),
    "a missing field": (json.dumps(asked(given_names=[NAME])).encode(), "FIELD_MISSING"),
    "an unknown field": (
        json.dumps(asked(**identity(NAME), **{NAME: 1})).encode(),
        "FIELD_UNKNOWN",
    ),
    "deep nesting": (DEEP.encode(), "BAD_JSON"),
    "ten megabytes": (
        json.dumps(asked(**{**identity(), "given_names": [NAME * 400_000]})).encode(),
        "TOO_LARGE",
    ),
    "a case id that is none": (b'{"type": "CaseOpened", "case_id": "7", "fields": {}}', "BAD_ID"),
}


@pytest.mark.parametrize("what", MALFORMED)
async def test_malformed_input_is_refused_and_not_repeated(
    world: World, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    body, code = MALFORMED[what]
    head = world.mechanism.hub.store.head()
    with caplog.at_level(logging.DEBUG):
        status, answer, text = await post(world, "/v1/actions", body)
    assert 400 <= status < 500
    assert answer["code"] == code
    assert NAME not in text + caplog.text
    assert world.mechanism.hub.store.head() == head


async def test_a_narrative_at_the_limit_is_taken_and_one_above_it_refused(world: World) -> None:
    case = await world.opened(POLICE)
    answers = {"request_id": str(uuid4()), "answer": "x" * 300_000}
    status, answer, _ = await post(
        world,
        "/v1/actions",
        json.dumps(
            {"type": "FurtherInformationProvided", "case_id": case, "fields": answers}
        ).encode(),
    )
    assert (status, answer["code"]) == (400, "TEXT_TOO_LONG")
    result = await world.act(POLICE, case, "SignalReceived", **signal("y" * 200_000))
    assert result.status == "accepted"


async def test_unknown_codes_are_kept(world: World) -> None:
    case = await world.opened(POLICE)
    await world.done(POLICE, case, "SignalReceived", **signal("-", channel="x-carrier-pigeon"))
    await world.quiet()
    seen = await world.events(POLICE, case)
    assert seen["SignalReceived"]["fields"]["channel"] == "x-carrier-pigeon"


def signal(summary: str, channel: str = "phone") -> dict[str, Any]:
    return {
        "immediate_danger": False,
        "channel": channel,
        "reporter_kind": "neighbour",
        "summary": summary,
    }


async def test_no_referral_without_a_consent_that_holds(world: World) -> None:
    now = now_ms()
    expectations = (
        ("CONSENT_MISSING", None),
        ("CONSENT_MISSING", consent(SHELTER, "IDENTITY", purposes=["investigation"])),
        ("CONSENT_MISSING", consent(HEALTH, "IDENTITY")),
        ("EVIDENCE_MISSING", consent(SHELTER, "IDENTITY", evidence=None)),
        ("CONSENT_NOT_YET", consent(SHELTER, "IDENTITY", not_before=now + DAY)),
    )
    for code, act in expectations:
        case = await world.opened(POLICE)
        if act is not None:
            await world.done(POLICE, case, "ConsentGiven", **act)
        result = await world.act(POLICE, case, "ReferralSent", **referral(SHELTER))
        assert (result.status, result.code) == ("refused", code)


async def test_an_expired_consent_lets_nobody_in_and_closes_what_was_open(world: World) -> None:
    case = await world.opened(POLICE)
    act = consent(SHELTER, "IDENTITY", not_after=now_ms() + 4_000)
    await world.done(POLICE, case, "ConsentGiven", **act)
    sent = referral(SHELTER)
    await world.done(POLICE, case, "ReferralSent", **sent)
    await world.quiet()

    async def expired() -> bool:
        kinds = [r.type for r in world.mechanism.hub.store.read_case(case)]
        return "nrm.v1.ConsentExpired" in kinds

    await world.until(expired)
    await world.quiet()
    late = await world.act(
        SHELTER, case, "ReferralAccepted", referral_id=sent["referral_id"], starts_on=None
    )
    seen = await world.events(SHELTER, case)
    assert late.code == "CONSENT_MISSING"
    assert set(seen["PersonIdentityRecorded"]["shut"].values()) == {"WITHHELD"}


async def test_a_refusal_outranks_a_consent(world: World) -> None:
    case = await world.opened(POLICE)
    await world.done(POLICE, case, "ConsentGiven", **consent(SHELTER, "IDENTITY"))
    await world.done(
        POLICE,
        case,
        "ConsentRefused",
        consent_id=str(uuid4()),
        referral_id=None,
        recipient={"agency": SHELTER, "kind": None, "country": None},
        purposes=[],
        categories=[],
        danger=False,
        given_by="self",
        evidence=None,
        words=None,
    )
    result = await world.act(POLICE, case, "ReferralSent", **referral(SHELTER))
    assert result.code == "REFUSED_BY_PERSON"


async def test_a_child_is_not_referred_on_its_own_word(world: World) -> None:
    case = str(uuid4())
    await world.done(HEALTH, case, "CaseOpened", age_group="unsure", reason="other")
    await world.done(HEALTH, case, "InformationNoticeGiven", **NOTICE)
    # To health, which no law lets see a child's case without an act.
    act = consent(POLICE, "IDENTITY", given_by="self")
    await world.done(HEALTH, case, "ConsentGiven", **act)
    result = await world.act(HEALTH, case, "ReferralSent", **referral(POLICE))
    assert result.code == "GUARDIAN_ACT_MISSING"


async def test_a_suspended_agency_neither_acts_nor_reads_until_it_is_reinstated(
    world: World,
) -> None:
    operator = gateway_link(world.parts, COORDINATOR, world.mechanism.operator_address)
    try:
        await operator.record("AgencySuspended", {"agency": HEALTH, "reason": "other"})
        case = str(uuid4())
        result = await world.act(HEALTH, case, "CaseOpened", age_group="adult", reason="other")
        assert (result.status, result.code) == ("refused", "AGENCY_NOT_ACTIVE")
        await operator.record("AgencyReinstated", {"agency": HEALTH})
        await world.opened(HEALTH)
    finally:
        await operator.close()


async def test_a_weak_key_is_not_published_even_with_two_signatures(world: World) -> None:
    operator = gateway_link(world.parts, COORDINATOR, world.mechanism.operator_address)
    small_order = base64.b64encode(b"\x01" + bytes(31)).decode()
    _, opening_key = world.parts.public_keys(HEALTH)
    facts = {
        "agency": HEALTH,
        "signing_key": small_order,
        "opening_key": base64.b64encode(opening_key).decode(),
        "valid_from": now_ms(),
        "previous": None,
        "previous_signature": None,
    }
    try:
        with pytest.raises(Refused, match="WEAK_KEY"):
            await operator.record("AgencyKeyPublished", facts)
    finally:
        await operator.close()


class Forger:
    """An agency that speaks to the hub without its gateway's good manners."""

    def __init__(self, world: World, agency: str) -> None:
        self.process = world.mechanism.offices[agency].process
        self.hub = self.process.links[0]
        self.world = world

    def actions(self, case: str, type: str, **fields: Any) -> list[Action]:
        """Return the signed actions of a command; the gateway's own chain goes on with them."""
        command = Command(command_id=str(uuid4()), type=type, case_id=case, fields=fields)
        sealer = self.process.sealer
        made = sealer.make(command.command_id, sealer.checked(command), {}, statement.ZEROS)
        return [o.action for o in made.outgoing]

    async def send(self, *actions: Action) -> list[tuple[bool, str | None, bool]]:
        """Return (accepted, code, recorded) of each."""
        answers = await self.hub.submit(Submission(actions=actions))
        return [(o.accepted, o.code, o.recorded) for o in answers.outcomes]


@pytest_asyncio.fixture(loop_scope="module")
async def forger(world: World) -> AsyncIterator[Forger]:
    """A forger whose half-sent chains end with the test: the gateway resumes after them."""
    await world.quiet()
    forger = Forger(world, POLICE)
    yield forger
    actor = statement.actor_id(forger.process.sealer.public_key)
    with world.mechanism.hub.store.appending(actors=[actor]) as tx:
        head = tx.start.actors[actor]
    forger.process.sealer.resume((head.seq, head.digest))


async def test_a_signature_by_another_key_leaves_nothing(world: World, forger: Forger) -> None:
    key, opened = forger.actions(str(uuid4()), "CaseOpened", age_group="adult", reason="other")
    seed = world.parts.secret(f"gateways/{SHELTER}", "signing").reveal()
    message = statement.signed_bytes(key.statement)
    forged = replace(key, signature=world.parts.signing.sign(seed, message))
    head = world.mechanism.hub.store.head()
    assert await forger.send(forged) == [(False, "BAD_SIGNATURE", False)]
    assert await Forger(world, SHELTER).send(key) == [(False, "ACTOR_UNKNOWN", False)]
    assert world.mechanism.hub.store.head() == head
    assert await forger.send(key, opened) == [(True, None, True)] * 2


async def test_a_replayed_action_gets_its_first_answer(forger: Forger) -> None:
    actions = forger.actions(str(uuid4()), "CaseOpened", age_group="adult", reason="other")
    first = await forger.hub.submit(Submission(actions=tuple(actions)))
    again = await forger.hub.submit(Submission(actions=tuple(actions)))
    assert first == again


async def test_an_event_id_is_used_once(forger: Forger) -> None:
    first = forger.actions(str(uuid4()), "CaseOpened", age_group="adult", reason="other")
    await forger.send(*first)
    second = forger.actions(str(uuid4()), "CaseOpened", age_group="adult", reason="other")
    reused = replace(second[0], event_id=first[0].event_id)
    assert await forger.send(reused) == [(False, "EVENT_ID_REUSED", False)]


async def test_actions_come_in_their_order(forger: Forger) -> None:
    key, opened = forger.actions(str(uuid4()), "CaseOpened", age_group="adult", reason="other")
    assert await forger.send(opened) == [(False, "ACTOR_SEQ_AHEAD", False)]
    assert await forger.send(key, opened) == [(True, None, True)] * 2


@pytest.mark.parametrize("event_id", ["", "seven", "\0", str(uuid4()).upper(), "x" * 100_000])
async def test_an_event_id_that_is_no_uuid_leaves_nothing(
    world: World, forger: Forger, event_id: str
) -> None:
    """The id is not signed, and it is the key of what the relay publishes."""
    (key, _) = forger.actions(str(uuid4()), "CaseOpened", age_group="adult", reason="other")
    refusals = len(world.mechanism.hub.store.read_refusals(0, 100))
    assert await forger.send(replace(key, event_id=event_id)) == [(False, "EVENT_ID", False)]
    assert len(world.mechanism.hub.store.read_refusals(0, 100)) == refusals


async def test_a_record_that_was_altered_is_not_the_one_signed(forger: Forger) -> None:
    (key, _) = forger.actions(str(uuid4()), "CaseOpened", age_group="adult", reason="other")
    altered = replace(key, record=key.record[:-1] + b"\x00")
    assert await forger.send(altered) == [(False, "PAYLOAD_MISMATCH", False)]


async def test_garbage_with_a_good_signature_uses_up_its_number(
    world: World, forger: Forger
) -> None:
    """Else one bad record would stop an agency's chain for ever."""
    sealer = forger.process.sealer
    (key, _) = forger.actions(str(uuid4()), "CaseOpened", age_group="adult", reason="other")
    said = statement.Statement.decode(key.statement)
    garbage = b"\x00" * 40
    signed = said._replace(payload=sha256(garbage).digest()).encode()
    seed = world.parts.secret(f"gateways/{POLICE}", "signing").reveal()
    signature = world.parts.signing.sign(seed, statement.signed_bytes(signed))
    bad = replace(key, record=garbage, statement=signed, signature=signature)
    ((accepted, code, recorded),) = await forger.send(bad)
    assert (accepted, recorded) == (False, True)
    assert code
    sealer.resume((said.actor_seq, statement.digest(signed)))
    await world.done(POLICE, str(uuid4()), "CaseOpened", age_group="adult", reason="other")


async def test_a_field_sealed_as_another_category_is_refused(world: World, forger: Forger) -> None:
    changed = await _with_changed_field(world, forger, category=Category.CONTACT)
    assert changed == "CATEGORY_MISMATCH"


async def test_a_field_in_clear_is_refused(world: World, forger: Forger) -> None:
    clear = b"\xe1" + NAME.encode() * 2
    assert await _with_changed_field(world, forger, clear=clear) == "BAD_HEADER"


async def test_a_stale_epoch_is_refused_at_the_hub(world: World, forger: Forger) -> None:
    case = await world.opened(POLICE)
    act = consent(SHELTER, "IDENTITY")
    await world.done(POLICE, case, "ConsentGiven", **act)
    await world.done(
        POLICE, case, "ConsentWithdrawn", consent_id=act["consent_id"], given_by="self", words=None
    )
    record = forger.actions(case, "PersonIdentityRecorded", **identity())
    outcomes = await forger.send(*record)
    # The forger opens epoch 1 again, which is not the next, and seals under it.
    assert [code for _, code, _ in outcomes] == ["EPOCH_NOT_NEXT", "STALE_EPOCH"]


async def test_a_field_cut_and_pasted_from_another_record_is_an_alarm_at_the_reader(
    world: World, forger: Forger
) -> None:
    case = str(uuid4())
    sent = referral(SHELTER)
    await world.done(POLICE, case, "CaseOpened", age_group="adult", reason="other")
    await world.done(POLICE, case, "InformationNoticeGiven", **NOTICE)
    await world.done(POLICE, case, "ConsentGiven", **consent(SHELTER, "IDENTITY"))
    await world.done(POLICE, case, "ReferralSent", **sent)
    await world.done(POLICE, case, "PersonIdentityRecorded", **identity("Firstborn"))
    await world.quiet()
    store, language = world.mechanism.hub.store, world.parts.language
    old = next(
        language.record(r.type, r.body)
        for r in store.read_case(case)
        if r.type.endswith("PersonIdentityRecorded")
    )
    names = {f.path: f for f in old.fields}
    await _send_changed(
        forger,
        case,
        identity("Second"),
        lambda f: names[f.path] if f.path == "given_names" else f,
    )
    await world.quiet()

    async def alarmed() -> bool:
        seen = (await world.events(SHELTER, case)).get("PersonIdentityRecorded", {"shut": {}})
        return bool(seen["shut"].get("given_names") == "BAD_TAG")

    await world.until(alarmed)
    assert (await world.link(SHELTER).status())["alarms"] >= 1


async def _with_changed_field(
    world: World, forger: Forger, *, category: Category | None = None, clear: bytes | None = None
) -> str | None:
    case = await world.opened(POLICE)

    def change(field: Any) -> Any:
        if field.path != "given_names":
            return field
        if clear is not None:
            return field._replace(value=clear)
        value = bytearray(field.value)
        value[2] = int(category or 0)
        return field._replace(value=bytes(value))

    # Long enough to be padded to a size that other categories have too.
    return await _send_changed(forger, case, identity("n" * 100), change)


async def _send_changed(
    forger: Forger, case: str, fields: dict[str, Any], change: Any
) -> str | None:
    """Seal a record under the agency's real keys, change it, sign it, send it."""
    process = forger.process
    outbox, sealer = process.gateway.outbox, process.sealer
    writing = outbox._writing(case)  # noqa: SLF001 - the forger has the agency's own keys
    command = Command(
        command_id=str(uuid4()), type="PersonIdentityRecorded", case_id=case, fields=fields
    )
    seal = sealer._sealed  # noqa: SLF001 - and its own sealer
    sealer._sealed = lambda *a: change(seal(*a))  # type: ignore[method-assign] # noqa: SLF001
    try:
        made = sealer.make(command.command_id, sealer.checked(command), writing.own, writing.after)
    finally:
        del sealer._sealed  # noqa: SLF001
    outcomes = await forger.send(*(o.action for o in made.outgoing))
    return outcomes[-1][1]


async def test_after_all_of_it_the_log_is_whole(world: World) -> None:
    await world.quiet()
    store, position, versions, last = world.mechanism.hub.store, 0, dict[str, int](), 0
    while found := store.read_log(position, 500):
        for recorded in found:
            assert recorded.version == versions.get(recorded.case_id, 0) + 1
            assert recorded.recorded_ms >= last
            versions[recorded.case_id], last = recorded.version, recorded.recorded_ms
        position = found[-1].position
