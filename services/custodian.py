"""The custodian: holds data keys, releases them on consent, takes them back on withdrawal.

It follows consent, registry and key events only, checks every signature itself, and stops
releasing for a case whose numbers have a gap. It never has access to a sealed field.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from uuid import uuid4

from domain import events as ev
from domain.action import Action
from domain.audience import Audience
from domain.case import Case
from domain.errors import HubError, NotAuthentic, Refused
from domain.fold import evolve
from domain.gateway import FOREVER_MS
from domain.messages import (
    FollowedItem,
    FollowedPage,
    ReleaseItem,
    ReleasePage,
    Shown,
    SignedRelease,
)
from domain.ports import Custody, HeldKey, HeldRelease, Language, ShredKeys
from domain.rules.world import World
from domain.sealing import (
    DataKey,
    KeyRelease,
    Scope,
    Sealing,
    Signing,
    check_keys,
    decode_bundle,
    encode_bundles,
)
from domain.secret import Secret
from domain.vocabulary import Category
from services.directory import Directory, fingerprint

HELD_CASES = 2_000
PAGE = 200


KeyName = tuple[int, int]
"""(category number, epoch)."""


@dataclass(slots=True)
class _Due:
    """What consent lets one recipient have of one writer's keys now."""

    names: set[KeyName] = field(default_factory=set)
    bases: set[str] = field(default_factory=set)
    """Ids of the acts and codes of the laws that it rests on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this custodian is."""

    id: str
    hub: str
    signing_seed: Secret
    opening_seed: Secret


@dataclass(frozen=True, slots=True)
class _Followed:
    case: Case
    seq: int
    """Number of the newest event folded; the case is complete up to it."""


class Custodian:
    """Deposits and consent in, releases out."""

    def __init__(
        self,
        *,
        identity: Identity,
        language: Language,
        custody: Custody,
        shreds: ShredKeys,
        sealing: Sealing,
        signing: Signing,
        directory: Directory,
        world: World,
        clock: Callable[[], int],
    ) -> None:
        """Take `world` for the policy; its registry is the checked `directory`'s."""
        self._me = identity
        self._language = language
        self._custody = custody
        self._shreds = shreds
        self._sealing = sealing
        self._signing = signing
        self._directory = directory
        self._world = world
        self._clock = clock
        self._cases: OrderedDict[str, _Followed] = OrderedDict()
        self.opening_key = sealing.opening_key(identity.opening_seed.reveal())
        self.public_key = signing.public_key(identity.signing_seed.reveal())
        self.gaps: set[str] = set()
        """Cases in which the hub left out a number; nothing is released for them."""
        self.substituted: set[str] = set()
        """Cases in which a writer deposited another key than the log committed to."""
        for item in custody.followed(ev.REGISTRY_STREAM):
            directory.take(item.seq, item.event)

    @property
    def position(self) -> int:
        """How far the hub's log was followed."""
        return self._custody.position()

    @property
    def directory(self) -> Directory:
        """The checked directory of agencies."""
        return self._directory

    def follow(self, page: FollowedPage) -> frozenset[str]:
        """Keep one page of the hub's log; return the recipients whose releases changed.

        An event whose signature does not hold is left out, so that its number is a gap.
        """
        good = [item for item in page.items if self._holds(item)]
        touched = {item.case_id for item in good} - {ev.REGISTRY_STREAM}
        try:
            # As one: a position that moved without its releases would leave them undone for good.
            with self._custody.together():
                self._custody.follow(good, page.position)
                return self._settle_all(touched)
        except BaseException:
            self._cases.clear()
            raise

    def _holds(self, item: FollowedItem) -> bool:
        if item.case_id == ev.REGISTRY_STREAM:
            self._directory.take(item.seq, item.event)
            return True
        try:
            _, event, _ = self._directory.checked(item.event)
        except HubError:
            self.gaps.add(item.case_id)
            return False
        return event.head.case_id == item.case_id

    def deposit(self, deposits: Sequence[SignedRelease], sender: str) -> frozenset[str]:
        """Keep data keys that `sender` wrapped for this custodian; return the recipients served."""
        releases = [KeyRelease.decode(d.release, d.signature) for d in deposits]
        for release in releases:
            self._check_deposit(release, sender)
        cases = {release.case_id for release in releases}
        self._shreds.make(cases)
        self._custody.hold([key for release in releases for key in self._deposited(release)])
        return self._settle_all(cases)

    def _deposited(self, release: KeyRelease) -> Iterable[HeldKey]:
        """Yield the keys in a deposit, each boxed under its case's shred key."""
        seed, box = self._me.opening_seed.reveal(), self._shreds.box(release.case_id)
        for key in decode_bundle(self._sealing.unwrap(seed, release.info, release.sealed)):
            place = _key_place(release.writer, key.category, key.epoch)
            yield HeldKey(
                case_id=release.case_id,
                writer=release.writer,
                category=key.category,
                epoch=key.epoch,
                boxed=box.seal(key.dek, place),
            )

    def _check_deposit(self, release: KeyRelease, sender: str) -> None:
        mine = (self._me.id, self._me.hub, fingerprint(self.opening_key))
        if (release.recipient, release.hub, release.recipient_key_fp) != mine:
            raise Refused("NOT_FOR_ME", "wrap the keys for this custodian's key")
        if not release.writer == release.issuer == sender:
            raise Refused("NOT_YOUR_KEYS", "deposit your own keys alone")
        key = self._directory.registry.signing_key(sender, self._clock())
        if key is None or not self._signing.verify(key, release.signed_bytes, release.signature):
            raise NotAuthentic("BAD_SIGNATURE", "the deposit is not signed by your key in force")

    def withdraw(self, action: Action) -> frozenset[str]:
        """Take a withdrawal straight from a gateway, before the hub's log brings it."""
        now = self._clock()
        shown = Shown(
            type=action.type,
            record=action.record,
            statement=action.statement,
            signature=action.signature,
            recorded_ms=now,
        )
        _, event, _ = self._directory.checked(shown)
        case_id = event.head.case_id
        if not isinstance(event, ev.ConsentWithdrawn):
            raise Refused("NOT_A_WITHDRAWAL", "only withdrawals come here directly")
        if event.head.agency not in self._case(case_id).case.parts:
            raise Refused("NO_SUCH_CASE", "there is no such case in which you have a part")
        self._custody.withdraw(case_id, event.consent_id, now)
        return self._settle_all({case_id})

    def releases(self, recipient: str, after: int, limit: int = PAGE) -> ReleasePage:
        """Return the recipient's changes after `after`, each checked again with the clock."""
        held = self._custody.releases(recipient, after, min(limit, PAGE))
        items = tuple(self._item(h) for h in held)
        return ReleasePage(items=items, seq=held[-1].seq if held else after)

    def _item(self, held: HeldRelease) -> ReleaseItem:
        due = self._due(held.case_id).get((held.recipient, held.writer), _Due())
        signed: tuple[SignedRelease, ...] = ()
        if held.state and held.state == self._state(held.case_id, held.recipient, due):
            box = self._shreds.box(held.case_id)
            place = _release_place(held.recipient, held.writer)
            signed = tuple(_split(box.open(boxed, place)) for boxed in held.boxed)
        return ReleaseItem(seq=held.seq, case_id=held.case_id, writer=held.writer, releases=signed)

    def _settle_all(self, case_ids: Iterable[str]) -> frozenset[str]:
        changed = [held for case_id in case_ids for held in self._settle(case_id)]
        if changed:
            self._custody.put_releases(changed)
        return frozenset(held.recipient for held in changed)

    def _settle(self, case_id: str) -> list[HeldRelease]:
        """Return the releases of a case that differ from what consent allows now."""
        before = {(h.recipient, h.writer): h for h in self._custody.releases_of_case(case_id)}
        due = self._due(case_id)
        changed = []
        for recipient, writer in due.keys() | before.keys():
            now_due = due.get((recipient, writer), _Due())
            state = self._state(case_id, recipient, now_due)
            held = before.get((recipient, writer))
            if (held.state if held else b"") != state:
                changed.append(self._release(case_id, recipient, writer, now_due, state))
        return changed

    def _due(self, case_id: str) -> Mapping[tuple[str, str], _Due]:
        """Return (recipient, writer) -> the keys that consent lets the recipient have now."""
        followed = self._case(case_id)
        if case_id in self.gaps:
            return {}
        case = self._without_withdrawn(followed.case)
        audience = self._audience(case)
        held = {(k.writer, k.category, k.epoch) for k in self._custody.held(case_id)}
        due: dict[tuple[str, str], _Due] = {}
        for view in audience.seats:
            for name, key in case.keys.items():
                writer, category, epoch = name
                opens = view.mask(key.recorded_ms) & (1 << category)
                if name in held and writer != view.seat.agency and opens:
                    one = due.setdefault((view.seat.agency, writer), _Due())
                    one.names.add((category, epoch))
                    one.bases.update(view.basis(key.recorded_ms))
        return due

    def _audience(self, case: Case) -> Audience:
        world = replace(self._world, registry=self._directory.registry)
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

    def _state(self, case_id: str, recipient: str, due: _Due) -> bytes:
        """Return what a release is of: which keys, to which opening key, until when; or nothing."""
        key = self._directory.registry.opening_key(recipient, self._clock())
        if not due.names or key is None:
            return b""
        listed = b"".join(bytes([c]) + e.to_bytes(4, "big") for c, e in sorted(due.names))
        until = self._until(case_id, due).to_bytes(8, "big")
        return sha256(fingerprint(key) + until + listed).digest()

    def _until(self, case_id: str, due: _Due) -> int:
        """Return the instant after which nothing that a release rests on holds any more."""
        acts = self._case(case_id).case.acts
        ends = [acts[b].not_after if b in acts else None for b in due.bases]
        return max(FOREVER_MS if end is None else end for end in ends)

    def _release(
        self, case_id: str, recipient: str, writer: str, due: _Due, state: bytes
    ) -> HeldRelease:
        boxed: tuple[bytes, ...] = ()
        if state:
            box, place = self._shreds.box(case_id), _release_place(recipient, writer)
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
        case, box = self._case(case_id).case, self._shreds.box(case_id)
        scope = Scope(hub=self._me.hub, writer=writer, case_id=case_id)
        found = []
        for held in self._custody.held(case_id):
            if held.writer != writer or (held.category, held.epoch) not in names:
                continue
            place = _key_place(writer, held.category, held.epoch)
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
        registry = self._directory.registry
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

    def _case(self, case_id: str) -> _Followed:
        """Return the case folded from what was followed; a gap in its numbers is remembered."""
        followed = self._cases.get(case_id) or _Followed(Case(id=case_id), 0)
        for item in self._custody.followed(case_id, followed.seq):
            if item.seq != followed.seq + 1:
                self.gaps.add(case_id)
                break
            # Checked when it was taken in; what rests here is our own.
            event = self._language.event(self._language.record(item.event.type, item.event.record))
            if isinstance(event, ev.RegistryEvent):
                break
            followed = _Followed(evolve(followed.case, event, item.event.recorded_ms), item.seq)
        self._cases[case_id] = followed
        self._cases.move_to_end(case_id)
        if len(self._cases) > HELD_CASES:
            self._cases.popitem(last=False)
        return followed


_SIGNATURE = 64


def _split(blob: bytes) -> SignedRelease:
    return SignedRelease(release=blob[_SIGNATURE:], signature=blob[:_SIGNATURE])


def _key_place(writer: str, category: int, epoch: int) -> bytes:
    return f"key {writer} {category} {epoch}".encode()


def _release_place(recipient: str, writer: str) -> bytes:
    return f"release {recipient} {writer}".encode()
