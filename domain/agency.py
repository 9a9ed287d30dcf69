"""The registry: agencies, designations and keys, folded from one stream (docs/policy.md).

Every fact needs the signatures of two registrars that the caller pinned itself, so whoever
runs the hub can neither invent an agency nor swap a key. No fact reaches back before the
instant it was recorded: a question about the past has one answer for good.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from domain import events as ev
from domain.approval import Verify, approval_message, check_approvals
from domain.consent import Standing
from domain.errors import Corrupt, Malformed, NotAuthentic, Refused
from domain.standing import Agency, Designation, Key, Period
from domain.trail.statement import actor_id, digest
from domain.vocabulary import Purpose, Role

SIGNING_KEY_SIZE = 32
"""Ed25519 (RFC 8032)."""
OPENING_KEY_SIZE = 1216
"""MLKEM768-X25519."""
_ROLES = frozenset(Role)
_PURPOSES = frozenset(Purpose)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """All agencies after `version` facts; equal versions of one stream answer alike."""

    version: int = 0
    agencies: Mapping[str, Agency] = field(default_factory=dict)
    actors: Mapping[bytes, tuple[str, int]] = field(default_factory=dict)
    """`actor_id` of every signing key ever published -> agency and place among its keys."""
    facts: frozenset[bytes] = frozenset()
    """SHA-256 of every approved message, so that old approvals cannot be used again."""
    recorded_ms: int = 0
    """When the newest fact was recorded."""

    def standing(self, agency: str, at_ms: int) -> Standing:
        """Return the agency at that instant; an unknown one is not active."""
        known = self.agencies.get(agency)
        return known.standing(at_ms) if known else Standing(agency=agency, active=False)

    def standings(self, at_ms: int) -> dict[str, Standing]:
        """Return every agency at that instant; the same until `next_change`."""
        return {i: agency.standing(at_ms) for i, agency in self.agencies.items()}

    def with_roles(self, roles: Collection[str]) -> frozenset[str]:
        """Return the agencies that were, are or will be designated for one of `roles`."""
        return frozenset(
            i for i, a in self.agencies.items() if any(d.role in roles for d in a.designations)
        )

    def signing_key(self, agency: str, at_ms: int) -> bytes | None:
        """Return the Ed25519 key in force, if any."""
        key = self._key(agency, at_ms)
        return key.signing_key if key else None

    def opening_key(self, agency: str, at_ms: int) -> bytes | None:
        """Return the key to which data keys are released, if any is in force."""
        key = self._key(agency, at_ms)
        return key.opening_key if key else None

    def key_of(self, actor: bytes) -> Key | None:
        """Return the key whose `actor_id` this is: whose it is and when it is in force.

        An act counts only if that period holds at its instant, and the agency is active then.
        """
        if actor not in self.actors:
            return None
        agency, place = self.actors[actor]
        return self.agencies[agency].keys[place]

    def next_change(self, at_ms: int) -> int | None:
        """Return the next instant at which time alone changes a standing or a key."""
        instants = (i for a in self.agencies.values() for i in a.instants())
        return min((i for i in instants if i > at_ms), default=None)

    def _key(self, agency: str, at_ms: int) -> Key | None:
        known = self.agencies.get(agency)
        return known.key(at_ms) if known else None


def evolve(registry: Registry, event: ev.RegistryEvent, recorded_ms: int) -> Registry:
    """Return the registry after `event`, which the hub recorded at `recorded_ms`."""
    agency = _after(registry.agencies.get(event.agency), event, recorded_ms)
    actors = registry.actors
    if isinstance(event, ev.AgencyKeyPublished):
        actors = {**actors, actor_id(event.signing_key): (agency.id, len(agency.keys) - 1)}
    return Registry(
        version=registry.version + 1,
        agencies={**registry.agencies, agency.id: agency},
        actors=actors,
        facts=registry.facts | {digest(approval_message(event))},
        recorded_ms=recorded_ms,
    )


def replay(events: Iterable[tuple[ev.RegistryEvent, int]]) -> Registry:
    """Fold (event, recorded_ms) pairs, oldest first, into the registry."""
    registry = Registry()
    for event, recorded_ms in events:
        registry = evolve(registry, event, recorded_ms)
    return registry


def _after(agency: Agency | None, event: ev.RegistryEvent, recorded_ms: int) -> Agency:
    if isinstance(event, ev.AgencyRegistered):
        return Agency(id=event.agency, name=event.name, country=event.country)
    if agency is None:
        raise Corrupt(
            "REGISTRY_ORDER", "the registry's stream speaks of an agency it never registered"
        )
    match event:
        case ev.AgencyDesignated():
            designation = Designation(
                role=event.role,
                purposes=frozenset(event.purposes),
                period=Period(starts=max(event.valid_from, recorded_ms), ends=event.valid_to),
            )
            return replace(agency, designations=(*agency.designations, designation))
        case ev.AgencySuspended():
            suspended = Period(starts=recorded_ms)
            return replace(agency, suspensions=(*agency.suspensions, suspended))
        case ev.AgencyReinstated():
            *earlier, last = agency.suspensions
            return replace(agency, suspensions=(*earlier, replace(last, ends=recorded_ms)))
        case ev.AgencyKeyPublished():
            return replace(agency, keys=_with_key(agency.keys, event, recorded_ms))


def _with_key(
    keys: tuple[Key, ...], event: ev.AgencyKeyPublished, recorded_ms: int
) -> tuple[Key, ...]:
    starts = max(event.valid_from, recorded_ms)
    if keys:
        # A key that was to start later never comes into force before its successor. And what
        # was recorded in this millisecond counts the same whichever of the two was first.
        starts = max(starts, keys[-1].period.starts, recorded_ms + 1)
        ended = replace(keys[-1].period, ends=starts)
        keys = (*keys[:-1], replace(keys[-1], period=ended))
    key = Key(
        agency=event.agency,
        signing_key=event.signing_key,
        opening_key=event.opening_key,
        period=Period(starts=starts),
    )
    return (*keys, key)


def decide(
    event: ev.RegistryEvent,
    registry: Registry,
    verify: Verify,
    registrars: Mapping[str, bytes],
    now_ms: int,
) -> None:
    """Return if `event` may be recorded now, else raise `Refused`; ALREADY_DONE if it stands.

    `registrars` are the pinned ones, id -> Ed25519 public key. Whether the sender may record
    registry facts at all is the policy pack's matter.
    """
    message = approval_message(event)
    check_approvals(event.approvals, message, verify, registrars)
    _require(digest(message) not in registry.facts, "ALREADY_DONE", "this fact is recorded already")
    known = registry.agencies.get(event.agency)
    if isinstance(event, ev.AgencyRegistered):
        _registered(event, known)
        return
    if known is None:
        raise Refused("AGENCY_UNKNOWN", "register the agency first")
    match event:
        case ev.AgencyDesignated():
            _designated(event, known, now_ms)
        case ev.AgencySuspended():
            _require(not known.suspended, "ALREADY_DONE", "the agency is suspended already")
        case ev.AgencyReinstated():
            _require(known.suspended, "ALREADY_DONE", "the agency is not suspended")
        case ev.AgencyKeyPublished():
            _key_published(event, known, registry, verify)


def _registered(event: ev.AgencyRegistered, known: Agency | None) -> None:
    if known is not None:
        same = (known.name, known.country) == (event.name, event.country)
        _require(not same, "ALREADY_DONE", "the agency is registered already")
        raise Refused("AGENCY_ID_TAKEN", "another agency has this id; use a new one")


def _designated(event: ev.AgencyDesignated, known: Agency, now_ms: int) -> None:
    _require(event.role in _ROLES, "ROLE_UNKNOWN", "use the roles of the vocabulary")
    purposes_known = _PURPOSES.issuperset(event.purposes)
    _require(purposes_known, "PURPOSE_UNKNOWN", "use the purposes of the vocabulary")
    period = Period(starts=max(event.valid_from, now_ms), ends=event.valid_to)
    lasts = period.ends is None or period.starts < period.ends
    _require(lasts, "PERIOD_EMPTY", "a designation must end after it begins, and in the future")
    for held in known.designations:
        if held.role == event.role and held.period.meets(period):
            same = held.purposes == set(event.purposes) and held.period.ends == period.ends
            _require(not same, "ALREADY_DONE", "the agency is so designated already")
            raise Refused("DESIGNATION_OVERLAPS", "begin where the role's running designation ends")


def _key_published(
    event: ev.AgencyKeyPublished, known: Agency, registry: Registry, verify: Verify
) -> None:
    sizes = len(event.signing_key), len(event.opening_key)
    if sizes != (SIGNING_KEY_SIZE, OPENING_KEY_SIZE):
        raise Malformed("KEY_SIZE", f"keys of {sizes[0]} and {sizes[1]} bytes are not of our kind")
    newest = known.keys[-1] if known.keys else None
    offered = event.signing_key, event.opening_key
    stands = newest is not None and offered == (newest.signing_key, newest.opening_key)
    _require(not stands, "ALREADY_DONE", "the agency's newest keys are these already")
    taken = actor_id(event.signing_key) in registry.actors
    _require(not taken, "KEY_TAKEN", "a signing key is used once; make a new one")
    if newest is None:
        first = event.previous is None and event.previous_signature is None
        _require(first, "KEY_PREVIOUS_UNKNOWN", "the first key of an agency replaces none")
    elif not (
        event.previous == digest(newest.signing_key)
        and event.previous_signature is not None
        and verify(newest.signing_key, approval_message(event), event.previous_signature)
    ):
        raise NotAuthentic("KEY_ROTATION_UNSIGNED", "sign the new keys with the key they replace")


def _require(holds: bool, code: str, message: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise Refused(code, message)
