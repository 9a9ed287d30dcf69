"""The way in: feed entries and key releases, each checked before it is believed.

A reader trusts neither hub nor custodian: signatures are checked against the pinned
directory, keys against the commitments in the log. What does not hold is parked, not shown.
"""

import functools
import logging
import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from domain.errors import HubError, NotAuthentic
from domain.gateway import GatewayStore, Kept, KeptKey, Parked
from domain.messages import FeedItem, FeedPage, ReleaseItem, ReleasePage, SignedRelease
from domain.ports import Boxing, HubLink, Language
from domain.record import Record
from domain.sealing import KeyRelease, Sealing, Signing, decode_bundle
from domain.vocabulary import Category, mask_of, names_of
from services.directory import Directory, fingerprint
from services.gateway.deliveries import check_granted
from services.gateway.keyring import Keyring, open_record, place_of
from services.gateway.sealer import Office

ALARMS = frozenset({"BAD_TAG", "BAD_HEADER", "KEY_SUBSTITUTED"})
"""Of a field."""
KEY_ALARMS = frozenset({"RELEASE_MISMATCH", "BAD_SIGNATURE"})
"""Of a key release; others are counted too."""
Delivered = Callable[[str, Sequence[tuple[FeedItem, str]]], None]
"""Takes the purpose of a seat and its entries, each with the id of its case; "" for one parked."""
log = logging.getLogger(__name__)


class Inbox:
    """Everything between the hub's feed and a case worker's screen."""

    def __init__(
        self,
        *,
        office: Office,
        store: GatewayStore,
        language: Language,
        sealing: Sealing,
        signing: Signing,
        box: Boxing,
        hub: HubLink,
        directory: Directory,
        clock: Callable[[], int],
        delivered: Delivered = lambda _purpose, _entries: None,
    ) -> None:
        """Continue where the store stands.

        `delivered` is told of every page, in the transaction that keeps what it shows.
        """
        self._office = office
        self._store = store
        self._language = language
        self._sealing = sealing
        self._signing = signing
        self._box = box
        self._hub = hub
        self._directory = directory
        self._clock = clock
        self._delivered = delivered
        self._seed = office.opening_seed.reveal()
        self._opening_fp = fingerprint(sealing.opening_key(self._seed))
        self.alarmed = Counter(dict.fromkeys(ALARMS | KEY_ALARMS, 0))
        """Code -> how many fields and keys were not what their writer committed to."""
        for item in store.registry():
            directory.take(item.seq, item.event)

    @property
    def alarms(self) -> int:
        """How many fields and keys were not what their writer committed to."""
        return self.alarmed.total()

    def agencies(self) -> list[Mapping[str, Any]]:
        """Return the agencies that are active now, by name, with their purposes."""
        registry = self._directory.registry
        return [
            {"id": i, "name": registry.agencies[i].name, "purposes": sorted(standing.purposes)}
            for i, standing in sorted(registry.standings(self._clock()).items())
            if standing.active and standing.purposes
        ]

    async def refresh_directory(self) -> None:
        """Follow the registry to its newest fact, checking each."""
        while True:
            page = await self._hub.registry(self._directory.seq)
            if not page.items:
                return
            for item in page.items:
                self._directory.take(item.seq, item.event)
            self._store.facts(page.items)

    async def take(self, purpose: str, page: FeedPage, after: str) -> list[Kept]:
        """Check and keep the page after a cursor of a seat's feed; return what was kept.

        Nothing of it is kept when the feed is to be read from elsewhere by now.
        """
        kept, parked = [], []
        entries: list[tuple[FeedItem, str]] = []
        for item in page.items:
            try:
                kept.append(await self._checked(item, purpose))
                entries.append((item, kept[-1].case_id))
            except HubError as e:
                log.warning("a feed entry does not hold: %s", e.code)
                parked.append(Parked(code=e.code, lane=item.lane, seq=item.seq))
                entries.append((item, ""))
        place = f"feed {purpose}"
        with self._store.together(durable=False):
            if self._store.place(place) != after:
                return []
            self._store.arrive(kept, parked, (place, page.cursor))
            self._delivered(purpose, entries)
            self._try_open({k.case_id for k in kept})
        return kept

    async def _checked(self, item: FeedItem, purpose: str) -> Kept:
        shown = item.event
        try:
            record, event, _ = self._directory.checked(shown)
        except NotAuthentic:
            # The writer may be newer than our directory: look once more before parking.
            await self.refresh_directory()
            record, event, _ = self._directory.checked(shown)
        check_granted(record, item)
        return Kept(
            case_id=event.head.case_id,
            event_id=event.head.event_id,
            type=shown.type,
            writer=event.head.agency,
            record=shown.record,
            statement=shown.statement,
            signature=shown.signature,
            recorded_ms=shown.recorded_ms,
            categories=mask_of(item.categories),
            basis=item.basis if item.categories else "",
            own=False,
            seat=purpose,
        )

    def take_releases(self, page: ReleasePage) -> None:
        """Check and keep one page of key releases; a removal drops the keys it had brought."""
        changes = []
        for item in page.items:
            try:
                changes.append((item.case_id, item.writer, self._released(item)))
            except HubError as e:
                self.alarmed[e.code] += 1
                log.warning("a key release does not hold: %s", e.code)
        with self._store.together(durable=False):
            self._store.replace_keys(changes, ("releases", str(page.seq)))
            self._try_open({case_id for case_id, _, _ in changes})

    def _released(self, item: ReleaseItem) -> list[KeptKey]:
        return [key for signed in item.releases for key in self._keys(signed, item)]

    def _keys(self, signed: SignedRelease, item: ReleaseItem) -> Sequence[KeptKey]:
        release = KeyRelease.decode(signed.release, signed.signature)
        office = self._office
        stated = (
            release.hub,
            release.issuer,
            release.recipient,
            release.recipient_key_fp,
            release.case_id,
            release.writer,
        )
        due = (
            office.hub,
            office.custodian,
            office.agency,
            self._opening_fp,
            item.case_id,
            item.writer,
        )
        if stated != due:
            raise NotAuthentic("RELEASE_MISMATCH", "the release is not for this agency and case")
        pinned = office.custodian_public_key
        if not self._signing.verify(pinned, release.signed_bytes, release.signature):
            raise NotAuthentic("BAD_SIGNATURE", "the release is not by the pinned custodian")
        bundle = self._sealing.unwrap(self._seed, release.info, release.sealed)
        return [
            KeptKey(
                case_id=item.case_id,
                writer=item.writer,
                category=int(key.category),
                epoch=key.epoch,
                boxed=self._box.seal(
                    key.dek, place_of(item.case_id, (item.writer, int(key.category), key.epoch))
                ),
                not_after_ms=release.not_after_ms,
            )
            for key in decode_bundle(bundle)
        ]

    def _try_open(self, case_ids: set[str]) -> None:
        """Open once what can be opened now, so that tampering is noticed on arrival."""
        counts = [
            (one.event_id, one.seat, self._count_opened(one, keyring))
            for case_id in case_ids
            if (waiting := self._store.unopened(case_id))
            for keyring in (self._keyring(case_id),)
            for one in waiting
        ]
        opened = [c for c in counts if c[2]]
        if opened:
            self._store.opened(opened)

    def _count_opened(self, one: Kept, keyring: Keyring) -> int:
        read = self._language.read(one.type, one.record)
        clear, shut = open_record(self._office.hub, self._language, self._sealing, read, keyring)
        self.alarmed.update(code for code in shut.values() if code in ALARMS)
        routing = sum(f.category is Category.ROUTING for f in read[0].fields)
        return len(clear) - routing

    def _keyring(self, case_id: str) -> Keyring:
        return Keyring(
            hub=self._office.hub,
            box=self._box,
            language=self._language,
            kept=self._store.key_events(case_id),
            keys=self._store.keys(case_id),
            now=self._clock(),
        )

    def opened(self, case_id: str, kept: Sequence[Kept]) -> list[Mapping[str, Any]]:
        """Return `kept` events of a case as documents, opened as far as keys allow.

        What an agency got through two seats is one event, with all that either seat shows.
        """
        keyring, seats = self._keyring(case_id), dict[str, list[Kept]]()
        for one in kept:
            seats.setdefault(one.event_id, []).append(one)
        return [self._view(self._merged(rows), keyring) for rows in seats.values()]

    def _merged(self, rows: Sequence[Kept]) -> Kept:
        if len(rows) == 1:
            return rows[0]
        records = [self._language.record(r.type, r.record) for r in rows]
        shown = (
            next((f for f in same if not f.withheld), same[0])
            for same in zip(*(r.fields for r in records), strict=True)
        )
        return replace(
            max(rows, key=lambda r: r.number),
            record=self._language.body(Record(rows[0].type, tuple(shown))),
            categories=functools.reduce(operator.or_, (r.categories for r in rows)),
            basis=" ".join(sorted({b for r in rows for b in r.basis.split()})),
        )

    def _view(self, one: Kept, keyring: Keyring) -> Mapping[str, Any]:
        read = self._language.read(one.type, one.record)
        clear, shut = open_record(self._office.hub, self._language, self._sealing, read, keyring)
        fields = self._language.opened(one.type, clear)
        head = fields.pop("head")
        return {
            "number": one.number,
            "event_id": one.event_id,
            "case_id": one.case_id,
            "type": one.type.rpartition(".")[2],
            "agency": one.writer,
            "own": one.own,
            "recorded_ms": one.recorded_ms,
            "occurred_at": head["occurred_at"],
            "legal_basis": head["legal_basis"],
            "categories": names_of(one.categories),
            "basis": one.basis,
            "fields": fields,
            "shut": dict(shut),
        }
