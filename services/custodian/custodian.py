"""The custodian: holds data keys, releases them on consent, takes them back on withdrawal.

It follows consent, registry and key events only, checks every signature itself, and stops
releasing for a case whose numbers have a gap. A key goes out once the trail has shown that it
was disclosed. It never has access to a sealed field.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from domain import events as ev
from domain.action import Action
from domain.custody import Custody, HeldKey, HeldRelease, ShredKeys, Waiting
from domain.errors import HubError, NotAuthentic, Refused
from domain.messages import (
    FollowedItem,
    FollowedPage,
    ReleaseItem,
    ReleasePage,
    Shown,
    SignedRelease,
)
from domain.ports import Language
from domain.rules.world import World
from domain.sealing import (
    KeyRelease,
    Sealing,
    Signing,
    decode_bundle,
)
from services.custodian import settling
from services.custodian.disclosures import Shown as ShownByTrail
from services.custodian.following import FollowedCases
from services.custodian.registry import Fact, ShownRegistry
from services.custodian.releasing import Identity, Releasing, key_place, release_place
from services.custodian.settling import Settling
from services.directory import Directory, fingerprint

PAGE = 200


class Metrics(settling.Metrics, Protocol):
    """What is noted of the custodian."""

    def deposited(self, keys: int) -> None:
        """Count keys that were kept."""
        ...

    def cut_off(self, seconds: float) -> None:
        """Note how long a withdrawal took, from recorded at the hub to its releases gone."""
        ...


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
        metrics: Metrics,
    ) -> None:
        """Take `world` for the policy; its registry is the checked `directory`'s."""
        self._me = identity
        self._custody = custody
        self._shreds = shreds
        self._sealing = sealing
        self._signing = signing
        self._registry = ShownRegistry(directory, custody, language)
        self._clock = clock
        self._metrics = metrics
        self._cases = FollowedCases(custody, language)
        self._releasing = Releasing(
            identity=identity,
            custody=custody,
            shreds=shreds,
            sealing=sealing,
            signing=signing,
            registry=self._registry,
            cases=self._cases,
            world=world,
            clock=clock,
        )
        self._settling = Settling(custody, self._releasing, metrics, clock)
        self.opening_key = sealing.opening_key(identity.opening_seed.reveal())
        self.public_key = signing.public_key(identity.signing_seed.reveal())

    @property
    def position(self) -> int:
        """How far the hub's log was followed."""
        return self._custody.position()

    @property
    def gaps(self) -> set[str]:
        """Cases in which the hub left out a number; nothing is released for them."""
        return self._cases.gaps

    @property
    def substituted(self) -> set[str]:
        """Cases in which a writer deposited another key than the log committed to."""
        return self._releasing.substituted

    @property
    def waiting(self) -> Mapping[str, Waiting]:
        """Releases that wait until the trail shows that they are disclosed, by case."""
        return self._custody.waiting()

    @property
    def unwitnessed(self) -> Mapping[str, int]:
        """Cases with keys proven without a quorum -> size of the tree that did it."""
        return self._custody.unwitnessed()

    def key_events(self, case_id: str) -> Collection[bytes]:
        """Return the digests of the events whose disclosure would let a case's keys go."""
        return self._cases.openers(case_id).keys()

    def prove(self, shown: Mapping[str, ShownByTrail]) -> frozenset[str]:
        """Take what the trail has shown, by case; return the recipients served."""
        return self._settling.prove(shown)

    def show_registry(self, facts: Sequence[Fact]) -> None:
        """Take all facts of the registry that the trail has; raises what `show` of it raises."""
        self._registry.show(facts)

    @property
    def directory(self) -> Directory:
        """The checked directory of agencies."""
        return self._registry.directory

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
                recipients = self._settling.settle(touched)
        except BaseException:
            self._cases.forget()
            raise
        for item in good:
            if item.event.type.endswith(".ConsentWithdrawn"):
                self._metrics.cut_off((self._clock() - item.event.recorded_ms) / 1000)
        return recipients

    def _holds(self, item: FollowedItem) -> bool:
        if item.case_id == ev.REGISTRY_STREAM:
            self._registry.take(item)
            return True
        try:
            _, event, _ = self.directory.checked(item.event)
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
        keys = [key for release in releases for key in self._deposited(release)]
        self._custody.hold(keys)
        self._metrics.deposited(len(keys))
        return self._settling.settle(cases)

    def _deposited(self, release: KeyRelease) -> Iterable[HeldKey]:
        """Yield the keys in a deposit, each boxed under its case's shred key."""
        seed, box = self._me.opening_seed.reveal(), self._shreds.box(release.case_id)
        for key in decode_bundle(self._sealing.unwrap(seed, release.info, release.sealed)):
            place = key_place(release.writer, key.category, key.epoch)
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
        key = self.directory.registry.signing_key(sender, self._clock())
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
        _, event, _ = self.directory.checked(shown)
        case_id = event.head.case_id
        if not isinstance(event, ev.ConsentWithdrawn):
            raise Refused("NOT_A_WITHDRAWAL", "only withdrawals come here directly")
        if event.head.agency not in self._cases.case(case_id).parts:
            raise Refused("NO_SUCH_CASE", "there is no such case in which you have a part")
        self._custody.withdraw(case_id, event.consent_id, now)
        return self._settling.settle({case_id})

    def releases(self, recipient: str, after: int, limit: int = PAGE) -> ReleasePage:
        """Return the recipient's changes after `after`, each checked again with the clock."""
        held = self._custody.releases(recipient, after, min(limit, PAGE))
        items = tuple(self._item(h) for h in held)
        return ReleasePage(items=items, seq=held[-1].seq if held else after)

    def _item(self, held: HeldRelease) -> ReleaseItem:
        signed: tuple[SignedRelease, ...] = ()
        if self._settling.stands(held):
            box = self._shreds.box(held.case_id)
            place = release_place(held.recipient, held.writer)
            signed = tuple(_split(box.open(boxed, place)) for boxed in held.boxed)
        return ReleaseItem(seq=held.seq, case_id=held.case_id, writer=held.writer, releases=signed)


_SIGNATURE = 64


def _split(blob: bytes) -> SignedRelease:
    return SignedRelease(release=blob[_SIGNATURE:], signature=blob[:_SIGNATURE])
