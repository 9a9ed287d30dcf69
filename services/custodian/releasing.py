"""What consent lets each recipient have of a case's keys now, and the releases that carry it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from uuid import uuid4

from domain.audience import Audience
from domain.case import Case
from domain.custody import Custody, HeldRelease, KeyOfCase, Proven, ShredKeys
from domain.errors import NotAuthentic
from domain.gateway import FOREVER_MS
from domain.rules.world import World
from domain.sealing import (
    DataKey,
    KeyRelease,
    Scope,
    Sealing,
    Signing,
    check_keys,
    encode_bundles,
)
from domain.secret import Secret
from domain.vocabulary import Category, Seat
from services.custodian.following import FollowedCases
from services.custodian.registry import ShownRegistry
from services.directory import fingerprint

KeyName = tuple[int, int]
"""(category number, epoch)."""


@dataclass(slots=True)
class Due:
    """What consent lets one recipient have of one writer's keys now."""

    names: set[KeyName] = field(default_factory=set)
    """Keys whose disclosure is proven, and who they are for: these may be released."""
    bases: set[str] = field(default_factory=set)
    """Ids of the acts and codes of the laws that it rests on."""
    waiting: set[KeyName] = field(default_factory=set)
    """Keys that wait for the proof of their disclosure, or of the recipient's opening key."""


Allowed = Mapping[tuple[Seat, KeyOfCase], frozenset[str]]
"""(seat, key) -> what it rests on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this custodian is."""

    id: str
    hub: str
    signing_seed: Secret
    opening_seed: Secret


class Releasing:
    """Decides on its own, by the same table as the hub, and wraps what it decided."""

    def __init__(
        self,
        *,
        identity: Identity,
        custody: Custody,
        shreds: ShredKeys,
        sealing: Sealing,
        signing: Signing,
        registry: ShownRegistry,
        cases: FollowedCases,
        world: World,
        clock: Callable[[], int],
    ) -> None:
        """Take `world` for the policy; its registry is the checked one."""
        self._me = identity
        self._custody = custody
        self._shreds = shreds
        self._sealing = sealing
        self._signing = signing
        self._registry = registry
        self._cases = cases
        self._world = world
        self._clock = clock
        self.substituted: set[str] = set()
        """Cases in which a writer deposited another key than the log committed to."""

    def openers(self, case_id: str) -> Mapping[bytes, Sequence[KeyOfCase]]:
        """Return the digest of the statement of each KeyEpochOpened -> the keys it opened."""
        return self._cases.openers(case_id)

    def allowed(self, case_id: str) -> Allowed:
        """Return what consent lets each seat have of a case's keys now, held here or not."""
        case = self._cases.case(case_id)
        if case_id in self._cases.gaps:
            return {}
        case = self._without_withdrawn(case)
        return {
            (view.seat, name): frozenset(view.basis(key.recorded_ms))
            for view in self._audience(case).seats
            for name, key in case.keys.items()
            if name[0] != view.seat.agency and view.mask(key.recorded_ms) & (1 << name[1])
        }

    def due(
        self, case_id: str, allowed: Allowed, proven: Iterable[Proven]
    ) -> Mapping[tuple[str, str], Due]:
        """Return (recipient, writer) -> the keys that the recipient may have, or waits for."""
        held = {(k.writer, k.category, k.epoch) for k in self._custody.held(case_id)}
        shown, now = {(p.seat, p.key) for p in proven}, self._clock()
        due: dict[tuple[str, str], Due] = {}
        for (seat, key), bases in allowed.items():
            writer, category, epoch = key
            if key not in held:
                continue
            one = due.setdefault((seat.agency, writer), Due())
            if (seat, key) in shown and self._registry.shows(seat.agency, now):
                one.names.add((category, epoch))
                one.bases.update(bases)
            else:
                one.waiting.add((category, epoch))
        for one in due.values():
            one.waiting -= one.names  # another of its seats has brought the agency the key
        return due

    def _audience(self, case: Case) -> Audience:
        world = replace(self._world, registry=self._registry.directory.registry)
        return world.audience(case, self._clock())

    def _without_withdrawn(self, case: Case) -> Case:
        taken_back = self._custody.withdrawals(case.id)
        if not taken_back:
            return case
        acts = {
            i: a
            for i, a in case.acts.items()
            if not any(
                i == c or (c is None and a.permit and a.position_ms <= at) for c, at in taken_back
            )
        }
        return replace(case, acts=acts)

    def state(self, case_id: str, recipient: str, due: Due) -> bytes:
        """Return what a release is of: which keys, to which opening key, until when; or nothing."""
        key = self._registry.directory.registry.opening_key(recipient, self._clock())
        if not due.names or key is None:
            return b""
        listed = b"".join(bytes([c]) + e.to_bytes(4, "big") for c, e in sorted(due.names))
        until = self._until(case_id, due).to_bytes(8, "big")
        return sha256(fingerprint(key) + until + listed).digest()

    def _until(self, case_id: str, due: Due) -> int:
        """Return the instant after which nothing that a release rests on holds any more."""
        acts = self._cases.case(case_id).acts
        ends = [acts[b].not_after if b in acts else None for b in due.bases]
        return max(FOREVER_MS if end is None else end for end in ends)

    def release(
        self, case_id: str, recipient: str, writer: str, due: Due, state: bytes
    ) -> HeldRelease:
        boxed: tuple[bytes, ...] = ()
        if state:
            box, place = self._shreds.box(case_id), release_place(recipient, writer)
            facts = KeyRelease(
                release_id=str(uuid4()),
                hub=self._me.hub,
                case_id=case_id,
                writer=writer,
                recipient=recipient,
                recipient_key_fp=b"",
                basis=" ".join(sorted(due.bases)),
                not_after_ms=self._until(case_id, due),
                issuer=self._me.id,
                issued_at_ms=self._clock(),
            )
            keys = self._open_keys(case_id, writer, due.names)
            boxed = tuple(
                box.seal(release.signature + release.encode(), place)
                for release in self._wrapped(facts, keys)
            )
        return HeldRelease(
            seq=0, case_id=case_id, recipient=recipient, writer=writer, state=state, boxed=boxed
        )

    def _open_keys(self, case_id: str, writer: str, names: set[KeyName]) -> list[DataKey]:
        """Return the named keys that are the ones the log committed to."""
        case, box = self._cases.case(case_id), self._shreds.box(case_id)
        scope = Scope(hub=self._me.hub, writer=writer, case_id=case_id)
        found = []
        for held in self._custody.held(case_id):
            if held.writer != writer or (held.category, held.epoch) not in names:
                continue
            place = key_place(writer, held.category, held.epoch)
            key = DataKey(Category(held.category), held.epoch, box.open(held.boxed, place))
            logged = case.keys[writer, held.category, held.epoch].commitment
            try:
                check_keys([key], scope, {(held.category, held.epoch): logged})
            except NotAuthentic:
                self.substituted.add(case_id)
                continue
            found.append(key)
        return sorted(found, key=lambda k: (k.category, k.epoch))

    def _wrapped(self, facts: KeyRelease, keys: Sequence[DataKey]) -> Iterable[KeyRelease]:
        """Return the signed releases that carry `keys` to the recipient named in `facts`."""
        registry = self._registry.directory.registry
        opening_key = registry.opening_key(facts.recipient, facts.issued_at_ms)
        if opening_key is None:
            return
        facts = replace(facts, recipient_key_fp=fingerprint(opening_key))
        for bundle in encode_bundles(keys):
            release = replace(facts, release_id=str(uuid4()))
            sealed = self._sealing.wrap(opening_key, release.info, bundle)
            release = replace(release, sealed=sealed)
            seed = self._me.signing_seed.reveal()
            yield replace(release, signature=self._signing.sign(seed, release.signed_bytes))


def key_place(writer: str, category: int, epoch: int) -> bytes:
    """Return the place in its case's box that a data key belongs to."""
    return f"key {writer} {category} {epoch}".encode()


def release_place(recipient: str, writer: str) -> bytes:
    """Return the place in its case's box that a release belongs to."""
    return f"release {recipient} {writer}".encode()
