"""The registry: two registrars for every fact, and a history that never changes."""

import hashlib
from dataclasses import replace
from typing import TypeVar

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import events as ev
from domain.agency import OPENING_KEY_SIZE, Registry, decide, evolve, replay
from domain.approval import approval_message
from domain.consent import Standing
from domain.errors import Corrupt, Malformed, NotAuthentic, Refused
from domain.trail.statement import actor_id

SHELTER = "agency-shelter"
SUPPORT = ("protection_support",)
Fact = TypeVar("Fact", bound=ev.RegistryEvent)
PINNED = ("registrar-1", "registrar-2", "registrar-3")


def private(label: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(label.encode()).digest())


def public(label: str) -> bytes:
    return private(label).public_key().public_bytes_raw()


def opening(label: str) -> bytes:
    return hashlib.shake_256(label.encode()).digest(OPENING_KEY_SIZE)


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def approve(event: Fact, *registrars: str) -> Fact:
    """The event with these registrars' signatures; of the first two if none are named."""
    message = approval_message(event)
    return replace(
        event,
        approvals=tuple(
            ev.Approval(registrar=r, signature=private(r).sign(message))
            for r in registrars or PINNED[:2]
        ),
    )


def head(event_id: str) -> ev.Head:
    return ev.Head(
        event_id=event_id,
        case_id=ev.REGISTRY_STREAM,
        agency="agency-coordinator",
        occurred_at=0,
        policy="gb-2026.1",
        legal_basis="",
    )


def registered(
    agency: str = SHELTER, *, name: str = "Shelter", event_id: str = "register"
) -> ev.RegistryEvent:
    fact = ev.AgencyRegistered(
        head=head(event_id), agency=agency, name=name, country="GB", approvals=()
    )
    return approve(fact)


def designated(
    role: str = "service_provider",
    starts: int = 0,
    ends: int | None = None,
    *,
    agency: str = SHELTER,
    purposes: tuple[str, ...] = SUPPORT,
    event_id: str = "designate",
) -> ev.RegistryEvent:
    fact = ev.AgencyDesignated(
        head=head(event_id),
        agency=agency,
        role=role,
        purposes=purposes,
        valid_from=starts,
        valid_to=ends,
        designated_by="Order 1",
        approvals=(),
    )
    return approve(fact)


def suspended(event_id: str = "suspend", agency: str = SHELTER) -> ev.RegistryEvent:
    return approve(
        ev.AgencySuspended(head=head(event_id), agency=agency, reason="inspection", approvals=())
    )


def reinstated(event_id: str = "reinstate", agency: str = SHELTER) -> ev.RegistryEvent:
    return approve(ev.AgencyReinstated(head=head(event_id), agency=agency, approvals=()))


def key_fact(label: str, starts: int, replaces: str | None, agency: str) -> ev.AgencyKeyPublished:
    return ev.AgencyKeyPublished(
        head=head(f"key {label}"),
        agency=agency,
        signing_key=public(label),
        opening_key=opening(label),
        valid_from=starts,
        previous=hashlib.sha256(public(replaces)).digest() if replaces else None,
        previous_signature=None,
        approvals=(),
    )


def key(
    label: str = "key-1",
    starts: int = 0,
    *,
    replaces: str | None = None,
    signed_by: str | None = None,
    agency: str = SHELTER,
) -> ev.AgencyKeyPublished:
    """New keys, signed by the key they replace unless another one is named."""
    fact = key_fact(label, starts, replaces, agency)
    if signer := signed_by or replaces:
        signature = private(signer).sign(approval_message(fact))
        fact = replace(fact, previous_signature=signature)
    return approve(fact)


def record(registry: Registry, event: ev.RegistryEvent, at: int) -> Registry:
    """Decide and fold, as a hub does."""
    decide(event, registry, verify, {r: public(r) for r in PINNED}, at)
    return evolve(registry, event, at)


def recorded(*facts: tuple[int, ev.RegistryEvent]) -> Registry:
    registry = Registry()
    for at, event in facts:
        registry = record(registry, event, at)
    return registry


def refusal(registry: Registry, event: ev.RegistryEvent, at: int = 1_000) -> Refused:
    with pytest.raises(Refused) as caught:
        record(registry, event, at)
    return caught.value


AT_WORK = ((10, registered()), (11, designated()), (12, key()))


def active(registry: Registry, at: int, agency: str = SHELTER) -> bool:
    return registry.standing(agency, at).active


# Two registrars


def test_a_fact_that_two_registrars_signed_is_recorded() -> None:
    assert recorded((10, registered())).agencies[SHELTER].country == "GB"


FACTS = [registered(), designated(), suspended(), reinstated(), key()]


@pytest.mark.parametrize("fact", FACTS, ids=lambda f: type(f).__name__)
@pytest.mark.parametrize("signers", [("registrar-1",), ("registrar-1", "registrar-1")])
def test_one_registrar_is_not_enough_however_often(
    fact: ev.RegistryEvent, signers: tuple[str, ...]
) -> None:
    error = refusal(Registry(), approve(fact, *signers))
    assert isinstance(error, NotAuthentic)
    assert error.code == "APPROVALS_MISSING"


def test_one_registrar_pinned_under_two_names_is_still_one() -> None:
    event = registered()
    message = approval_message(event)
    both = tuple(
        ev.Approval(registrar=name, signature=private("registrar-1").sign(message))
        for name in ("registrar-1", "registrar-9")
    )
    pinned = {"registrar-1": public("registrar-1"), "registrar-9": public("registrar-1")}
    with pytest.raises(NotAuthentic):
        decide(replace(event, approvals=both), Registry(), verify, pinned, 10)


def test_a_registrar_who_is_not_pinned_does_not_count() -> None:
    assert refusal(Registry(), approve(registered(), "registrar-1", "stranger")).code == (
        "APPROVALS_MISSING"
    )


def test_one_bad_signature_beside_two_good_ones_does_no_harm() -> None:
    good = registered().approvals
    bad = ev.Approval(registrar="registrar-3", signature=bytes(64))
    registry = record(Registry(), replace(registered(), approvals=(bad, *good)), 10)
    assert SHELTER in registry.agencies


def test_approvals_over_another_fact_do_not_count() -> None:
    borrowed = replace(registered(name="Other"), approvals=registered().approvals)
    assert refusal(Registry(), borrowed).code == "APPROVALS_MISSING"


@pytest.mark.parametrize(
    "change",
    [
        {"agency": "agency-other"},
        {"role": "police"},
        {"purposes": ("protection_support", "investigation")},
        {"valid_from": 1},
        {"valid_to": 99_999},
        {"designated_by": "Order 2"},
        {"head": head("another event")},
    ],
    ids=str,
)
def test_an_approval_covers_every_field_of_the_fact(change: dict[str, object]) -> None:
    changed = replace(designated(), **change)  # type: ignore[arg-type] # fields by name
    assert refusal(recorded((10, registered())), changed).code == "APPROVALS_MISSING"


def test_an_approval_does_not_cover_who_sends_the_fact_or_when() -> None:
    sent = replace(head("register"), agency="agency-other", occurred_at=5)
    assert approval_message(replace(registered(), head=sent)) == approval_message(registered())


def test_old_approvals_cannot_reinstate_an_agency_twice() -> None:
    registry = recorded(
        *AT_WORK, (20, suspended()), (30, reinstated()), (40, suspended(event_id="suspend again"))
    )
    assert refusal(registry, reinstated()).code == "ALREADY_DONE"
    assert not active(registry, 50)
    assert active(record(registry, reinstated(event_id="reinstate again"), 50), 50)


def test_the_approval_message_is_these_bytes() -> None:
    def lp(value: bytes) -> bytes:
        return len(value).to_bytes(2, "big") + value

    event = designated(
        "police", starts=1, purposes=("investigation", "prosecution"), event_id="e-1"
    )
    fields = [
        (b"agency", b"agency-shelter"),
        (b"role", b"police"),
        (b"purposes", lp(b"investigation") + lp(b"prosecution")),
        (b"valid_from", bytes(7) + b"\x01"),
        (b"designated_by", b"Order 1"),
    ]
    assert approval_message(event) == (
        b"nrm-registry/1\x00"
        + lp(b"AgencyDesignated")
        + lp(b"e-1")
        + b"".join(lp(name) + lp(value) for name, value in fields)
    )


def test_a_field_too_long_to_be_approved_is_malformed() -> None:
    with pytest.raises(Malformed) as caught:
        registered(name="x" * 65_536)
    assert caught.value.code == "FIELD_TOO_LONG"


# Registration


def test_the_same_agency_is_registered_once() -> None:
    registry = recorded((10, registered()))
    assert refusal(registry, registered()).code == "ALREADY_DONE"
    assert refusal(registry, registered(event_id="again")).code == "ALREADY_DONE"


def test_an_agency_id_is_never_given_to_another() -> None:
    registry = recorded((10, registered()))
    assert refusal(registry, registered(name="Other", event_id="other")).code == "AGENCY_ID_TAKEN"


@pytest.mark.parametrize("fact", FACTS[1:], ids=lambda f: type(f).__name__)
def test_nothing_is_recorded_of_an_unknown_agency(fact: ev.RegistryEvent) -> None:
    assert refusal(Registry(), fact).code == "AGENCY_UNKNOWN"
    with pytest.raises(Corrupt):
        evolve(Registry(), fact, 10)


def test_an_unknown_agency_is_not_active() -> None:
    assert Registry().standing(SHELTER, 10) == Standing(agency=SHELTER, active=False)


# Standing


def test_an_agency_is_active_once_registered_designated_and_with_a_key() -> None:
    registry = recorded(*AT_WORK)
    assert [active(registry, at) for at in (10, 11, 12, 13)] == [False, False, True, True]
    assert registry.standing(SHELTER, 12) == Standing(
        agency=SHELTER,
        active=True,
        country="GB",
        roles={"service_provider": frozenset(SUPPORT)},
    )


def test_an_agency_without_a_designation_is_not_active() -> None:
    assert not active(recorded((10, registered()), (11, key())), 12)


def test_an_agency_that_is_not_active_has_no_role_in_force() -> None:
    registry = recorded(*AT_WORK, (20, suspended()))
    assert registry.standing(SHELTER, 20) == Standing(agency=SHELTER, active=False)


def test_a_designation_begins_when_it_says() -> None:
    registry = recorded((10, registered()), (11, designated(starts=500)), (12, key()))
    assert [active(registry, at) for at in (499, 500)] == [False, True]


def test_a_designation_lapses_when_it_says() -> None:
    registry = recorded((10, registered()), (11, designated(ends=500)), (12, key()))
    assert [active(registry, at) for at in (499, 500)] == [True, False]


def test_a_designation_holds_for_no_instant_before_it_was_recorded() -> None:
    registry = recorded((10, registered()), (11, key()), (20, designated(starts=0)))
    assert [active(registry, at) for at in (19, 20)] == [False, True]


def test_designations_for_different_roles_may_overlap() -> None:
    registry = recorded(
        *AT_WORK,
        (13, designated("health", 100, 200, purposes=("health_care",), event_id="health")),
    )
    assert set(registry.standing(SHELTER, 150).roles) == {"service_provider", "health"}
    assert registry.standing(SHELTER, 150).purposes == {"protection_support", "health_care"}
    assert set(registry.standing(SHELTER, 200).roles) == {"service_provider"}


def test_designations_for_the_same_role_may_not_overlap() -> None:
    registry = recorded((10, registered()), (11, designated(ends=500)))
    longer = designated(starts=499, event_id="longer")
    assert refusal(registry, longer, at=20).code == "DESIGNATION_OVERLAPS"
    following = designated(starts=500, event_id="following")
    assert len(record(registry, following, 20).agencies[SHELTER].designations) == 2


def test_the_same_designation_again_is_done_already() -> None:
    registry = recorded(*AT_WORK)
    assert refusal(registry, designated(event_id="again")).code == "ALREADY_DONE"


@pytest.mark.parametrize(("starts", "ends"), [(600, 600), (600, 500), (0, 20), (0, 19)])
def test_a_designation_that_is_never_in_force_is_refused(starts: int, ends: int) -> None:
    error = refusal(recorded((10, registered())), designated(starts=starts, ends=ends), at=20)
    assert error.code == "PERIOD_EMPTY"


def test_roles_and_purposes_outside_the_vocabulary_are_refused() -> None:
    registry = recorded((10, registered()))
    assert refusal(registry, designated("king")).code == "ROLE_UNKNOWN"
    assert refusal(registry, designated(purposes=("spying",))).code == "PURPOSE_UNKNOWN"


def test_agencies_are_found_by_any_role_they_ever_had_or_will_have() -> None:
    registry = recorded((10, registered()), (11, designated(ends=50)))
    assert registry.with_roles({"service_provider", "police"}) == {SHELTER}
    assert registry.with_roles({"police"}) == frozenset()


# Suspension


def test_a_suspended_agency_is_not_active_until_it_is_reinstated() -> None:
    registry = recorded(*AT_WORK, (20, suspended()), (30, reinstated()))
    assert [active(registry, at) for at in (19, 20, 29, 30)] == [True, False, False, True]


def test_a_suspension_outlives_a_new_designation_and_a_new_key() -> None:
    registry = recorded(
        *AT_WORK,
        (20, suspended()),
        (21, designated("health", event_id="health")),
        (22, key("key-2", replaces="key-1")),
    )
    assert not active(registry, 30)


def test_suspending_or_reinstating_again_is_done_already() -> None:
    assert refusal(recorded(*AT_WORK), reinstated()).code == "ALREADY_DONE"
    registry = recorded(*AT_WORK, (20, suspended()))
    assert refusal(registry, suspended(event_id="again")).code == "ALREADY_DONE"


# Keys


def test_a_key_belongs_to_its_agency_from_its_first_instant() -> None:
    registry = recorded((10, registered()), (11, key(starts=100)))
    found = registry.key_of(actor_id(public("key-1")))
    assert found is not None
    assert found.agency == SHELTER
    assert [found.period.holds(at) for at in (99, 100)] == [False, True]
    assert [registry.signing_key(SHELTER, at) for at in (99, 100)] == [None, public("key-1")]
    assert registry.opening_key(SHELTER, 100) == opening("key-1")


def test_a_key_that_nobody_published_belongs_to_nobody() -> None:
    assert recorded(*AT_WORK).key_of(actor_id(public("stranger"))) is None
    assert Registry().signing_key(SHELTER, 10) is None


def test_a_replaced_key_ends_where_the_next_begins() -> None:
    registry = recorded(*AT_WORK, (20, key("key-2", 100, replaces="key-1")))
    first, second = (registry.key_of(actor_id(public(k))) for k in ("key-1", "key-2"))
    assert first is not None
    assert second is not None
    assert (first.period.ends, second.period.starts, second.period.ends) == (100, 100, None)
    assert [registry.signing_key(SHELTER, at) for at in (99, 100)] == [
        public("key-1"),
        public("key-2"),
    ]


def test_a_key_takes_over_right_after_the_millisecond_in_which_it_was_recorded() -> None:
    """So what is recorded in that one counts the same, whether it came before or after."""
    registry = recorded(*AT_WORK, (20, key("key-2", 0, replaces="key-1")))
    assert [registry.signing_key(SHELTER, at) for at in (20, 21)] == [
        public("key-1"),
        public("key-2"),
    ]


def test_a_key_that_never_came_into_force_can_be_replaced() -> None:
    registry = recorded(
        *AT_WORK,
        (20, key("key-2", 100, replaces="key-1")),
        (30, key("key-3", 50, replaces="key-2")),
    )
    skipped = registry.key_of(actor_id(public("key-2")))
    assert skipped is not None
    assert skipped.period.starts == skipped.period.ends
    assert [registry.signing_key(SHELTER, at) for at in (99, 100)] == [
        public("key-1"),
        public("key-3"),
    ]


def test_a_rotation_that_the_previous_key_did_not_sign_is_refused() -> None:
    registry = recorded(*AT_WORK)
    unsigned = approve(key_fact("key-2", 0, "key-1", SHELTER))
    by_itself = key("key-2", replaces="key-1", signed_by="key-2")
    as_first = key("key-2")
    wrong_previous = key("key-2", replaces="key-0", signed_by="key-1")
    for event in (unsigned, by_itself, as_first, wrong_previous):
        error = refusal(registry, event)
        assert isinstance(error, NotAuthentic)
        assert error.code == "KEY_ROTATION_UNSIGNED"


def test_a_rotation_is_signed_by_the_newest_key_not_an_older_one() -> None:
    registry = recorded(*AT_WORK, (20, key("key-2", replaces="key-1")))
    assert refusal(registry, key("key-3", replaces="key-1")).code == "KEY_ROTATION_UNSIGNED"


def test_the_signature_of_the_replaced_key_covers_the_new_keys() -> None:
    rotation = key("key-2", replaces="key-1")
    swapped = replace(rotation, opening_key=opening("thief"))
    error = refusal(recorded(*AT_WORK), approve(swapped))
    assert error.code == "KEY_ROTATION_UNSIGNED"


def test_the_first_key_of_an_agency_replaces_none() -> None:
    registry = recorded((10, registered()))
    assert refusal(registry, key(replaces="key-0")).code == "KEY_PREVIOUS_UNKNOWN"


def test_no_agency_takes_a_key_that_was_ever_published() -> None:
    registry = recorded(
        *AT_WORK,
        (13, registered("agency-police", name="Police", event_id="police")),
        (20, key("key-2", replaces="key-1")),
    )
    assert refusal(registry, key("key-1", agency="agency-police")).code == "KEY_TAKEN"
    back = replace(key("key-1", replaces="key-2"), head=head("key back"))
    assert refusal(registry, approve(back)).code == "KEY_TAKEN"


def test_the_same_keys_again_are_done_already() -> None:
    again = replace(key(), head=head("key again"))
    assert refusal(recorded(*AT_WORK), approve(again)).code == "ALREADY_DONE"


@pytest.mark.parametrize("change", [{"signing_key": bytes(31)}, {"opening_key": bytes(32)}])
def test_keys_of_another_size_are_malformed(change: dict[str, bytes]) -> None:
    event = approve(replace(key(), **change))  # type: ignore[arg-type] # fields by name
    error = refusal(recorded((10, registered())), event)
    assert isinstance(error, Malformed)
    assert error.code == "KEY_SIZE"


# Time


def test_the_next_change_is_the_next_start_or_end() -> None:
    registry = recorded(
        (10, registered()),
        (11, designated(starts=100, ends=300)),
        (12, key()),
        (13, key("key-2", 200, replaces="key-1")),
    )
    assert [registry.next_change(at) for at in (13, 99, 100, 200, 300)] == [
        100,
        100,
        200,
        300,
        None,
    ]


AGENCIES = ("agency-a", "agency-b")
INSTANTS = st.integers(0, 60)


@st.composite
def facts(draw: st.DrawFn) -> list[tuple[int, ev.RegistryEvent]]:
    """Facts in any order, sensible or not, each with the instant at which the hub gets it."""
    count = draw(st.integers(1, 14))
    return [(5 * n, draw(fact(f"event-{n}"))) for n in range(1, count + 1)]


@st.composite
def fact(draw: st.DrawFn, event_id: str) -> ev.RegistryEvent:
    agency = draw(st.sampled_from(AGENCIES))
    kind = draw(st.sampled_from(["register", "designate", "suspend", "reinstate", "key", "rotate"]))
    starts = draw(INSTANTS)
    match kind:
        case "register":
            return registered(agency, event_id=event_id)
        case "designate":
            ends = draw(st.none() | INSTANTS)
            role = draw(st.sampled_from(["health", "police"]))
            return designated(role, starts, ends, agency=agency, event_id=event_id)
        case "suspend":
            return suspended(event_id, agency)
        case "reinstate":
            return reinstated(event_id, agency)
        case "key":
            return key(f"{agency} 1", starts, agency=agency)
        case _:
            return key(f"{agency} 2", starts, replaces=f"{agency} 1", agency=agency)


def accepted(
    offered: list[tuple[int, ev.RegistryEvent]],
) -> tuple[list[tuple[ev.RegistryEvent, int]], list[Registry]]:
    """What the rules let through, and the registry before it and after each of it."""
    log: list[tuple[ev.RegistryEvent, int]] = []
    states = [Registry()]
    for at, event in offered:
        try:
            states.append(record(states[-1], event, at))
        except Refused:
            continue
        log.append((event, at))
    return log, states


def answers(registry: Registry, until: int) -> list[object]:
    """Everything that can be asked about the instants before `until`."""
    return [
        (at, a, registry.standing(a, at), registry.signing_key(a, at), registry.opening_key(a, at))
        for at in range(until)
        for a in AGENCIES
    ]


@settings(max_examples=60)
@given(facts())
def test_what_was_recorded_replays_to_the_same_registry(
    offered: list[tuple[int, ev.RegistryEvent]],
) -> None:
    log, states = accepted(offered)
    assert replay(log) == states[-1]
    assert states[-1].version == len(log)


@settings(max_examples=60)
@given(facts())
def test_a_recorded_fact_that_comes_again_is_refused_as_done(
    offered: list[tuple[int, ev.RegistryEvent]],
) -> None:
    log, states = accepted(offered)
    for event, _ in log:
        assert refusal(states[-1], event).code == "ALREADY_DONE"


@settings(max_examples=60)
@given(facts())
def test_no_later_fact_changes_an_answer_about_the_past(
    offered: list[tuple[int, ev.RegistryEvent]],
) -> None:
    log, states = accepted(offered)
    for before, after, (_, at) in zip(states, states[1:], log, strict=False):
        assert answers(before, at) == answers(after, at)


@settings(max_examples=60)
@given(facts())
def test_standings_stay_the_same_until_the_next_change(
    offered: list[tuple[int, ev.RegistryEvent]],
) -> None:
    log, states = accepted(offered)
    registry, now = states[-1], log[-1][1] if log else 0
    change = registry.next_change(now)
    assert change is None or change > now
    for at in range(now, change if change is not None else now + 70):
        assert registry.standings(at) == registry.standings(now)
        assert [registry.signing_key(a, at) for a in AGENCIES] == [
            registry.signing_key(a, now) for a in AGENCIES
        ]
